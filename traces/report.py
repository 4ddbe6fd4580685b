"""What became of what a reader was given, counted by reason, so that nothing goes silently."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_EXAMPLES = 5
_MOST_REASONS, _MOST_REASON_CHARACTERS = 100, 300
_EXAMPLE_CHARACTERS = 160


def clean(text: object, most: int = 80) -> str:
    """Return at most ``most`` characters of ``text`` with nothing in it that a terminal would obey or hide.

    Control, format and separator characters, unpaired halves and such become ``?``; what is longer ends in ``...``.
    """
    whole = str(text)
    shown = "".join(
        "?" if unicodedata.category(letter)[0] == "C" or letter in "\u2028\u2029" else letter for letter in whole[:most]
    )
    return shown if len(whole) <= most else shown[: max(0, most - 3)] + "..."


@dataclass(frozen=True)
class Report:
    """What a reader kept, dropped and repaired. ``kept`` and the counts are of devices unless a reason says otherwise.

    ``dropped`` and ``repaired``: reason and count, the most frequent first. ``examples``: a few lines, safe to print.
    ``flags``: what was left as it is, though it looks wrong, with counts.
    """

    kept: int
    dropped: tuple[tuple[str, int], ...] = ()
    repaired: tuple[tuple[str, int], ...] = ()
    examples: tuple[str, ...] = ()
    flags: tuple[tuple[str, int], ...] = ()


_COUNTS = ("dropped", "repaired", "flags")


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as what JSON can hold; ``from_json`` reads it."""
    counts = {kind: [[reason, count] for reason, count in getattr(report, kind)] for kind in _COUNTS}
    return {"kept": report.kept, **counts, "examples": list(report.examples)}


def from_json(data: Any) -> Report:
    """Return the report that ``to_json`` made. Raises ValueError if it is none; its texts may be anybody's."""
    if not isinstance(data, dict):
        message = "the report of the reading must be an object of kept, dropped, repaired, flags and examples"
        raise ValueError(message)
    kept, examples = data.get("kept"), data.get("examples", [])
    if type(kept) is not int or kept < 0:
        message = f"kept of the report must be a number of phones (got {clean(kept, 40)})"
        raise ValueError(message)
    if not isinstance(examples, list) or not all(isinstance(line, str) for line in examples):
        message = "examples of the report must be lines of text"
        raise ValueError(message)
    found = {kind: _counts(kind, data.get(kind, [])) for kind in _COUNTS}
    return Report(kept, **found, examples=tuple(clean(line, _EXAMPLE_CHARACTERS) for line in examples[:_EXAMPLES]))


def _counts(kind: str, pairs: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(pairs, list) or len(pairs) > _MOST_REASONS:
        message = f"{kind} of the report must be at most {_MOST_REASONS} reasons with their counts"
        raise ValueError(message)
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int):
            message = f"{kind} of the report must be reasons with their counts (got {clean(pair, 80)})"
            raise ValueError(message)
    return tuple((clean(reason, _MOST_REASON_CHARACTERS), count) for reason, count in pairs)


class Tally:
    """Collects a report while a file is read; ``report`` closes it."""

    def __init__(self) -> None:
        self._dropped: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._examples: list[str] = []

    def drop(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count something that was thrown away."""
        self._count(self._dropped, reason, example, count)

    def repair(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count something that was put right."""
        self._count(self._repaired, reason, example, count)

    def flag(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count something that looks wrong and was left as it is."""
        self._count(self._flags, reason, example, count)

    def report(self, kept: int) -> Report:
        """Return what was collected, with the number of what was kept."""
        dropped, repaired, flags = (
            tuple(counts.most_common()) for counts in (self._dropped, self._repaired, self._flags)
        )
        return Report(kept, dropped, repaired, tuple(self._examples), flags)

    def _count(self, counts: Counter[str], reason: str, example: str, count: int) -> None:
        if count <= 0:
            return
        first = reason not in counts
        counts[reason] += count
        # The first of each reason is worth more than another one of the same.
        if example and first and len(self._examples) < _EXAMPLES:
            self._examples.append(clean(f"{reason}: {example}", _EXAMPLE_CHARACTERS))


def joined(kept: int, reports: Iterable[Report]) -> Report:
    """Return one report of several files, with the number of what was kept in the end."""
    counts: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
    examples: list[str] = []
    for report in reports:
        for total, part in zip(counts, (report.dropped, report.repaired, report.flags), strict=True):
            total.update(dict(part))
        examples.extend(report.examples)
    dropped, repaired, flags = (tuple(total.most_common()) for total in counts)
    return Report(kept, dropped, repaired, tuple(examples[:_EXAMPLES]), flags)
