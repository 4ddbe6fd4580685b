"""The output of a program as lines: bounded, decoded, and never trusted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from profiler.names import printable

MAX_BYTES = 64 * 2**20
MAX_LINES = 1_000_000
MAX_LINE_BYTES = 4_096
# A number without a sign as programs print it; the repeats are bounded, so that no line takes long to search.
NUMBER = r"(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:[eE][-+]?\d{1,3})?(?![\d.])"
_LARGEST = 1e18
_LINE = re.compile(rb"[^\n]+")


@dataclass(frozen=True)
class Lines:
    """The lines that are not empty, without line ends, and how many were too long to be read."""

    rows: tuple[str, ...]
    too_long: int

    @property
    def tail(self) -> str:
        """The last three lines, safe to print."""
        return " | ".join(printable(row, 100) for row in self.rows[-3:]) or "(nothing)"


def lines_of(output: bytes) -> Lines:
    """Return the lines of an output. Raises ValueError if it is too large."""
    if len(output) > MAX_BYTES:
        message = f"the output is {len(output):,} bytes, at most {MAX_BYTES:,} are read; print less, or run for shorter"
        raise ValueError(message)
    rows: list[str] = []
    too_long = 0
    for count, match in enumerate(_LINE.finditer(output)):
        if count == MAX_LINES:
            message = f"the output has more than {MAX_LINES:,} lines; print less, or run for shorter"
            raise ValueError(message)
        if match.end() - match.start() > MAX_LINE_BYTES:
            too_long += 1
            continue
        row = match.group().decode("utf-8", errors="replace").strip()
        if row:
            rows.append(row)
    return Lines(tuple(rows), too_long)


def number(text: str | None) -> float | None:
    """Return a number that was printed, or None if there is none or it is too large to be one."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= _LARGEST else None


def nothing_read(lines: Lines, expected: str) -> ValueError:
    """Return the error for an output without a time: which line was expected, and what stands at its end."""
    return ValueError(f"no time of a batch in the output: expected {expected}; its last lines: {lines.tail}")


def first_match(pattern: re.Pattern[str], rows: Iterable[str]) -> re.Match[str] | None:
    """Return the match in the first line that has one, or None."""
    return next((match for row in rows if (match := pattern.search(row))), None)
