"""What the sampler on the device wrote: raw values of the gauge's files over time, nothing interpreted."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from profiler.names import printable

Array = NDArray[np.float64]

FIRST_LINE = "fedjoule-samples 1"
MAX_BYTES = 64 * 2**20
MAX_ROWS = 1_000_000
MAX_COLUMNS = 100
# These hold words. Every other column holds numbers, and a cell that is none counts as unreadable.
WORD_COLUMNS = frozenset({"status", "health", "charge_type", "governor"})

_COLUMN = re.compile(r"[a-z0-9_]{1,64}")
_TIME = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}(\.[0-9]{1,9})?")
_WORD_CHARACTERS = 40


@dataclass(frozen=True)
class Samples:
    """Polls of a gauge: ``columns[name][i]`` was read at ``time_s[i]`` of the device's CLOCK_BOOTTIME.

    Times rise strictly. Numbers are raw, as the device gave them; NaN, or an empty word, is what could not be read.
    ``torn`` counts rows that were dropped because they were damaged.
    """

    time_s: Array
    columns: Mapping[str, Array]
    words: Mapping[str, tuple[str, ...]]
    torn: int = 0

    def __post_init__(self) -> None:
        for name, cells in (*self.columns.items(), *self.words.items()):
            if len(cells) != len(self.time_s):
                message = f"column '{printable(name)}' has {len(cells)} values for {len(self.time_s)} times"
                raise ValueError(message)
        if np.any(np.diff(self.time_s) <= 0):
            message = "time_s must rise strictly; keep one row per time"
            raise ValueError(message)

    def column(self, name: str) -> Array:
        """Return a column of numbers; all NaN if it was not recorded."""
        cells = self.columns.get(name)
        return np.full(len(self.time_s), np.nan) if cells is None else cells

    @property
    def poll_s(self) -> float:
        """The usual time between two polls: the median; NaN for less than two."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else float("nan")


def read_samples(content: bytes) -> Samples:
    """Return the samples in what a sampler wrote: a line of version, a header, rows of cells, commas between.

    A record is read as far as it is good: rows with too few or too many cells, without a time, out of the order of
    time, or without a line end (cut while it was written) are dropped and counted as torn; of rows with one time the
    last counts. Raises ValueError for another format, more than 64 MiB or more than a million rows.
    """
    if len(content) > MAX_BYTES:
        message = f"samples are {len(content):,} bytes, at most {MAX_BYTES:,} are read; measure for a shorter time"
        raise ValueError(message)
    rows_in_file = content.count(b"\n")
    if rows_in_file > MAX_ROWS + 2:
        message = f"samples have {rows_in_file:,} rows, at most {MAX_ROWS:,} are read; measure for a shorter time"
        raise ValueError(message)
    lines = content.decode("ascii", errors="replace").split("\n")
    cut = lines.pop()
    first = lines[0].strip() if lines else cut.strip()
    if first != FIRST_LINE:
        message = f"samples must begin with '{FIRST_LINE}' (got '{printable(first)}'); is this the sampler's file?"
        raise ValueError(message)
    names = _header(lines[1].strip() if len(lines) > 1 else cut.strip())
    torn = int(bool(cut.strip()) and len(lines) > 1)
    times: list[float] = []
    rows: list[list[str]] = []
    for line in lines[2:]:
        cells = line.strip().split(",")
        if cells == [""]:
            continue
        if len(cells) != len(names) or not _TIME.fullmatch(cells[0]):
            torn += 1
            continue
        times.append(float(cells[0]))
        rows.append(cells)
    time_s = np.array(times, dtype=np.float64)
    in_order = _in_order(time_s)
    torn += int(len(time_s) - in_order.sum())
    last = np.append(np.diff(time_s[in_order]) > 0, True)[: in_order.sum()]
    kept = np.flatnonzero(in_order)[last]
    columns = {
        name: np.array([_number(rows[i][at]) for i in kept], dtype=np.float64)
        for at, name in enumerate(names)
        if at and name not in WORD_COLUMNS
    }
    words = {
        name: tuple(printable(rows[i][at].strip(), _WORD_CHARACTERS) for i in kept)
        for at, name in enumerate(names)
        if name in WORD_COLUMNS
    }
    return Samples(time_s[kept], columns, words, torn)


def between(samples: Samples, start_s: float, end_s: float) -> Samples:
    """Return the samples with ``start_s <= time < end_s``; torn rows have no time and stay with the whole."""
    inside = (samples.time_s >= start_s) & (samples.time_s < end_s)
    words = {
        name: tuple(word for word, keep in zip(cells, inside, strict=True) if keep)
        for name, cells in samples.words.items()
    }
    columns = {name: cells[inside] for name, cells in samples.columns.items()}
    return Samples(samples.time_s[inside], columns, words)


def _header(line: str) -> list[str]:
    names = line.split(",", MAX_COLUMNS + 1)
    bad = [name for name in names if not _COLUMN.fullmatch(name)]
    if names[0] != "time_s":
        message = f"the first column of samples must be time_s (got '{printable(names[0])}')"
    elif len(names) > MAX_COLUMNS:
        message = f"samples have more than {MAX_COLUMNS} columns; record fewer files"
    elif bad:
        message = f"column '{printable(bad[0])}' of samples must be named with a-z, 0-9 and _"
    elif len(set(names)) < len(names):
        twice = next(left for left, right in pairwise(sorted(names)) if left == right)
        message = f"column '{printable(twice)}' stands twice in the header of samples; keep one"
    else:
        return names
    raise ValueError(message)


def _number(cell: str) -> float:
    cell = cell.strip()
    return float(cell) if _NUMBER.fullmatch(cell) else float("nan")


def _in_order(time_s: Array) -> NDArray[np.bool_]:
    """Return which rows to keep so that time never falls: a damaged time far ahead must not cost the rest."""
    if not len(time_s):
        return np.zeros(0, dtype=bool)
    not_behind = time_s >= np.maximum.accumulate(time_s)
    not_ahead = time_s <= np.minimum.accumulate(time_s[::-1])[::-1]
    return not_behind if not_behind.sum() >= not_ahead.sum() else not_ahead
