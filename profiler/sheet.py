"""A CSV file as untrusted text: a header, rows of cells, and the line each row came from."""

import csv
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from profiler.names import printable

MAX_BYTES = 16 * 2**20
MAX_ROWS = 10_000
MAX_CELL_CHARACTERS = 2_000
MAX_COLUMNS = 100


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file, with the place a person must look at."""

    file: str
    rule: str
    line: int | None = None
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file} line {self.line}"
        if self.column is not None:
            place += f", {printable(self.column)}"
        if self.value is not None:
            place += f" = '{printable(self.value)}'"
        return f"{place}: {self.rule}"


class TableError(ValueError):
    """A table was refused; ``problems`` holds every bad cell, in the order of the file."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


@dataclass(frozen=True)
class Sheet:
    """The text of a CSV file: ``rows[i]`` has one cell per header entry and ended at line ``lines[i]``.

    ``raw`` is what was read, so that a hash of it is of the very content that was used.
    """

    file: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    raw: bytes


def file_name(path: str | Path) -> str:
    """Return the name of a file for messages, safe to print."""
    return printable(Path(path).name or str(path))


def read_bytes(path: str | Path, most: int = MAX_BYTES, kind: str = "CSV") -> bytes:
    """Return the content of a regular file of at most ``most`` bytes; ``kind`` of file is for messages.

    Raises TableError if it is missing, not a regular file or too large.
    """
    name = file_name(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise TableError(Problem(name, f"must be a regular file; give the path of a {kind} file"))
        if status.st_size > most:
            rule = f"is {status.st_size:,} bytes, at most {most:,} are read; split it or leave something out"
            raise TableError(Problem(name, rule))
        with open(path, "rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TableError(Problem(name, f"cannot be read: {reason}; check the path")) from error
    if len(raw) > most:
        raise TableError(Problem(name, f"grew beyond {most:,} bytes while it was read"))
    return raw


def read_sheet(path: str | Path) -> Sheet:
    """Return the header and rows of a comma-separated file. Raises TableError, see ``parse_sheet``."""
    return parse_sheet(read_bytes(path), file_name(path))


def parse_sheet(raw: bytes, file: str) -> Sheet:
    """Return the sheet in ``raw``, UTF-8; blank lines are skipped, cells are stripped. ``file`` is for messages.

    Raises TableError if it is no text, and with every ragged row, too long cell or header fault.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        rule = f"is not UTF-8 text (byte {error.start}); save the table as CSV, UTF-8"
        raise TableError(Problem(file, rule)) from error
    if "\0" in text:
        rule = f"is not a text file (zero byte at {text.index(chr(0))}); save the table as CSV"
        raise TableError(Problem(file, rule))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems: list[Problem] = []
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    header: tuple[str, ...] = ()
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if not any(stripped):
                continue
            if not header:
                header = stripped
                problems += _header_problems(header, file)
                if problems:
                    break
                continue
            if len(rows) == MAX_ROWS:
                problems.append(Problem(file, f"has more than {MAX_ROWS:,} rows; split it", reader.line_num))
                break
            problems += _row_problems(stripped, header, file, reader.line_num)
            rows.append(stripped)
            lines.append(reader.line_num)
    except csv.Error as error:
        rule = f"is not valid CSV ({error}); is a quote opened after line {(lines or [1])[-1]} and not closed?"
        problems.append(Problem(file, rule, reader.line_num))
    if not header:
        problems.append(Problem(file, "is empty; the first line must name the columns"))
    elif not rows and not problems:
        problems.append(Problem(file, "has a header and no rows"))
    if problems:
        raise TableError(*problems)
    return Sheet(file, header, tuple(rows), tuple(lines), raw)


def _header_problems(header: tuple[str, ...], file: str) -> list[Problem]:
    for character, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and character in header[0]:
            return [Problem(file, f"is separated by {name}; save it with commas and decimal points", 1)]
    if len(header) > MAX_COLUMNS:
        return [Problem(file, f"has {len(header)} columns, at most {MAX_COLUMNS} are read", 1)]
    repeated = sorted({name for name in header if header.count(name) > 1})
    return [Problem(file, "stands twice in the header; keep one", 1, name or "(unnamed)") for name in repeated]


def _row_problems(row: tuple[str, ...], header: tuple[str, ...], file: str, line: int) -> list[Problem]:
    if len(row) != len(header):
        rule = f"has {len(row)} cells, the header has {len(header)}; decimals need a point, text with a comma quotes"
        return [Problem(file, rule, line)]
    return [
        Problem(file, f"is {len(cell):,} characters long, at most {MAX_CELL_CHARACTERS:,}", line, name, cell)
        for name, cell in zip(header, row, strict=True)
        if len(cell) > MAX_CELL_CHARACTERS
    ]
