"""From events to intervals: while what holds, and what was said last."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.flash.messages import Events

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def holds(events: Events, about: int, value: float) -> Bools:
    """Return whether, after each event, the last one ``about`` that subject said ``value``; False before the first."""
    places = np.arange(len(events.about))
    last = np.maximum.accumulate(np.where(events.about == about, places, -1))
    held: Bools = (last >= 0) & (events.value[last] == value)
    return held


def intervals(held: Bools, at_s: Floats, *, close: bool) -> Floats:
    """Return from when to when something held, [intervals, 2], given whether it did after each of the events ``at_s``.

    ``close`` ends an interval that is open after the last event there; else it is left out. Intervals that touch are
    one, and those of no length are none.
    """
    before = np.concatenate([[False], held[:-1]])[: len(held)]
    begin, end = at_s[held & ~before], at_s[~held & before]
    if len(begin) > len(end):
        begin, end = (begin, np.append(end, at_s[-1])) if close else (begin[:-1], end)
    long = end > begin
    begin, end = begin[long], end[long]
    apart = begin[1:] > end[:-1]
    return np.stack([begin[np.append(True, apart)[: len(begin)]], end[np.append(apart, True)[: len(end)]]], axis=1)


def values(events: Events, about: int, at_s: Floats, period_s: float) -> tuple[Floats, Floats]:
    """Return the times and values of events ``about`` a subject; of those at the same time the last.

    The end of a trace is its begin anew: what is said then counts from just before, and so through the next period.
    """
    here = events.about == about
    at_s, value = np.minimum(at_s[here], np.nextafter(period_s, 0)), events.value[here]
    last = np.append(np.diff(at_s) > 0, True)[: len(at_s)]
    return at_s[last], value[last]


def offsets(parts: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.int64]:
    """Return where each of ``parts`` begins when they are put one after another, and where the last ends."""
    return np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)


def availability(parts: Sequence[Floats], origin_s: Floats, period_s: Floats) -> Availability:
    """Return the traces with the intervals ``parts``, each [intervals, 2]."""
    begin, end = np.concatenate(parts).T.copy()
    return Availability(offsets(parts), begin, end, origin_s, period_s)
