"""Who of a fleet is ready, kept up as the clock moves on: what a look-up finds anew, this steps to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.fleet import Fleet
from traces.stretches import last_not_above

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

# Steps from stretch to stretch before the rest is looked up: where the clock moves on in leaps.
_STEPS = 2
# A search that begins so much early finds a stretch that is the right one or before it, whatever rounding does.
_EARLY_S = 1.0


@dataclass(frozen=True, eq=False)
class Readiness:
    """Some phones of a fleet and, of each, the ready stretch that it is in or comes to next, on the clock.

    ``opens_s`` and ``closes_s`` float64 [phones]: without end for a phone that is always ready, at infinity for one
    that never is. ``advance`` changes the arrays in place, for one clock that never goes back.
    """

    availability: Availability
    trace: Places
    origin_s: Floats
    place: Places
    turn: Floats
    opens_s: Floats
    closes_s: Floats


def begin_readiness(fleet: Fleet, phones: Places, clock_s: float) -> Readiness | None:
    """Return the readiness of phones, int64 [phones], at a time of the clock; None where all are always ready."""
    a = fleet.availability
    if a is None:
        return None
    trace = fleet.trace_of[phones].astype(np.int64)
    empty = np.empty(len(phones))
    readiness = Readiness(
        availability=a,
        trace=trace,
        origin_s=a.origin_s[trace] - fleet.shift_s[phones],
        place=np.empty(len(phones), dtype=np.int64),
        turn=empty,
        opens_s=empty.copy(),
        closes_s=empty.copy(),
    )
    _search(readiness, np.arange(len(phones)), clock_s)
    _step(readiness, clock_s)
    return readiness


def advance(readiness: Readiness, clock_s: float) -> Places:
    """Move on to ``clock_s`` and return the places of the phones that are ready then, ascending.

    The same as ``np.flatnonzero(traces.fleet.ready(fleet, phones, clock_s))``, its slow twin, as long as the clock
    never goes back.
    """
    _step(readiness, clock_s)
    return np.flatnonzero(readiness.opens_s <= clock_s)


def _step(readiness: Readiness, clock_s: float) -> None:
    """Step on until no stretch has closed by ``clock_s``."""
    closed = np.flatnonzero(readiness.closes_s <= clock_s)
    steps = 0
    while len(closed):
        if steps == _STEPS:
            _search(readiness, closed, clock_s)
        else:
            _put(readiness, closed, readiness.place[closed] + 1, readiness.turn[closed])
        closed = closed[readiness.closes_s[closed] <= clock_s]
        steps += 1


def _search(readiness: Readiness, which: Places, clock_s: float) -> None:
    """Find a stretch of each of ``which`` that is the one at ``clock_s`` or not long before it."""
    a, s = readiness.availability, readiness.availability.stretches
    trace, origin_s = readiness.trace[which], readiness.origin_s[which]
    turn = np.floor((clock_s - _EARLY_S - origin_s) / a.period_s[trace])
    own_s = clock_s - _EARLY_S - (origin_s + turn * a.period_s[trace])
    place = last_not_above(s.begin_s, s.first[trace], s.count[trace], own_s, s.steps)
    _put(readiness, which, place, turn)


def _put(readiness: Readiness, which: Places, place: Places, turn: Floats) -> None:
    """Set the stretches of ``which``, and when they open and close: the very sums that look-ups return."""
    a, s = readiness.availability, readiness.availability.stretches
    trace, origin_s = readiness.trace[which], readiness.origin_s[which]
    # The last stretch of a trace is its first one of the next turn: so it goes round.
    first = s.first[trace]
    again = place == first + s.count[trace] - 1
    place, turn, period_s = np.where(again, first + 1, place), turn + again, a.period_s[trace]
    readiness.place[which], readiness.turn[which] = place, turn
    opens_s = origin_s + (turn + s.start_turn[place]) * period_s + s.start_s[place]
    closes_s = origin_s + (turn + s.end_turn[place]) * period_s + s.end_s[place]
    never, always = s.ready_s[trace] == 0, np.isinf(closes_s)
    opens_s[never], closes_s[never] = np.inf, np.inf
    opens_s[always & ~never] = -np.inf
    readiness.opens_s[which], readiness.closes_s[which] = opens_s, closes_s
