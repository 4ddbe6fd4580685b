"""Intervals as they come, made into what an availability needs: sorted, apart from each other, none empty."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.availability import SHORTEST_S, Availability

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tidied:
    """Intervals of one trace; how many of those given were empty (or all but), out of order, overlapping another."""

    start_s: Floats
    end_s: Floats
    empty: int
    unsorted: int
    overlapping: int


def tidied(start_s: Floats, end_s: Floats) -> Tidied:
    """Return intervals sorted, without those shorter than ``availability.SHORTEST_S``, and joined where they meet.

    Joining two that only touch is not counted: they are one. Every start must be at most its end; nothing may be NaN.
    """
    some = end_s - start_s >= SHORTEST_S
    empty = len(some) - int(np.count_nonzero(some))
    start, end = (start_s[some], end_s[some]) if empty else (start_s, end_s)
    unsorted = int(np.count_nonzero(np.diff(start) < 0))
    if unsorted:
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
    reach = np.maximum.accumulate(end)
    overlapping = int(np.count_nonzero(start[1:] < reach[:-1]))
    begins = np.append(True, start[1:] > reach[:-1])[: len(start)]
    lasts = np.append(begins[1:], True)[: len(start)]
    return Tidied(start[begins], reach[lasts], empty, unsorted, overlapping)


def availability_of(
    parts: list[tuple[Floats, Floats]], period_s: Floats, origin_s: Floats | None = None
) -> Availability:
    """Return the availability of traces whose intervals, one pair of arrays each, are tidied already."""
    counts = np.array([len(start) for start, _ in parts], dtype=np.int64)
    nothing = np.zeros(0)
    return Availability(
        offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)]),
        start_s=np.concatenate([nothing, *(start for start, _ in parts)]),
        end_s=np.concatenate([nothing, *(end for _, end in parts)]),
        origin_s=np.zeros(len(parts)) if origin_s is None else origin_s,
        period_s=np.asarray(period_s, dtype=np.float64),
    )
