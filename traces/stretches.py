"""Ready stretches of traces, unrolled a little past both ends of the period, so that a look-up never has to wrap."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stretches:
    """Stretches without a break, sorted; trace i has the places ``first[i]`` up to ``first[i] + count[i]``.

    The first one of a trace began in the period before (turn -1), the last one begins in the next (turn 1). One that
    is ready at the end of the period and at its begin is one stretch. A stretch begins at ``start_s`` of the turn
    ``start_turn`` and ends at ``end_s`` of ``end_turn``, both counted from the turn it is looked up in; ``begin_s`` is
    the begin in that turn's own time, for comparison. ``before_s`` is the ready time between 0 of that turn and the
    begin (negative in the period before). ``ready_s`` is the ready time of a whole period of each trace, ``divisor_s``
    the same with 1 in place of 0. ``steps`` is what ``last_not_above`` needs.

    A trace that is never ready has a stretch without length and one that begins at infinity; one that is always ready
    has one that ends there.
    """

    first: Places
    count: Places
    begin_s: Floats
    start_s: Floats
    start_turn: npt.NDArray[np.int8]
    end_s: Floats
    end_turn: npt.NDArray[np.int8]
    before_s: Floats
    ready_s: Floats
    divisor_s: Floats
    steps: int


def unroll(offsets: Places, start_s: Floats, end_s: Floats, period_s: Floats) -> Stretches:
    """Return the stretches of traces whose intervals are given as in ``traces.availability.Availability``."""
    intervals, held = len(start_s), np.diff(offsets)
    some = held > 0
    first, last = offsets[:-1], offsets[1:] - 1
    # A place past the last for traces without any.
    starts, ends = np.append(start_s, 0.0), np.append(end_s, 0.0)
    to_end = some & (ends[last] == period_s)
    wraps = to_end & (starts[first] == 0)
    always = wraps & (held == 1)
    never = ~some
    usual = some & ~always

    # Ends in the next turn: at its 0, or at the end of the interval that goes on there.
    end_turn = np.zeros(intervals + 1, np.int8)
    end_turn[last[to_end]] = 1
    ends[last[to_end]] = np.where(wraps, ends[first], 0.0)[to_end]
    before, ready_s = sums(end_s - start_s, offsets)
    trace = np.repeat(np.arange(len(held)), held)

    count = np.where(usual, held - wraps + 2, 2)
    ends_at = np.cumsum(count)
    lead, trail = ends_at - count, ends_at - 1
    source = np.full(int(count.sum()), intervals)
    turn = np.zeros(len(source), np.int8)
    turn[lead], turn[trail] = -1, 1
    kept = usual[trace]
    kept[first[wraps]] = False
    inside = np.flatnonzero(kept)
    source[lead[trace[inside]] + 1 + inside - (first + wraps)[trace[inside]]] = inside
    source[lead[usual]], source[trail[usual]] = last[usual], (first + wraps)[usual]
    owner = np.repeat(np.arange(len(held)), count)

    own_start, own_before = starts[source], np.append(before, 0.0)[source] + turn * ready_s[owner]
    own_end, own_end_turn, start_turn = ends[source], turn + end_turn[source], turn.copy()
    begin_s = own_start + turn * period_s[owner]

    odd = never | always
    begin_s[trail[odd]] = own_start[trail[odd]] = np.inf
    start_turn[trail[odd]] = 0
    own_end[trail[odd]], own_end_turn[trail[odd]] = np.inf, 0
    begin_s[lead[always]], own_start[lead[always]] = -period_s[always], 0.0
    own_before[lead[always]], own_end[lead[always]], own_end_turn[lead[always]] = -period_s[always], np.inf, 0
    begin_s[lead[never]] = own_start[lead[never]] = own_end[lead[never]] = -period_s[never] - 1
    own_before[lead[never]], start_turn[lead[never]], own_end_turn[lead[never]] = 0.0, 0, 0
    return Stretches(
        first=lead,
        count=count,
        begin_s=begin_s,
        start_s=own_start,
        start_turn=start_turn,
        end_s=own_end,
        end_turn=own_end_turn.astype(np.int8),
        before_s=own_before,
        ready_s=ready_s,
        divisor_s=np.where(ready_s > 0, ready_s, 1.0),
        steps=bisection_steps(count),
    )


def bisection_steps(count: Places) -> int:
    """Return how many steps ``last_not_above`` needs for slices of these lengths."""
    return (max(1, int(count.max(initial=1))) - 1).bit_length()


def last_not_above(values: Floats, first: Places, count: Places, limit: Floats, steps: int) -> Places:
    """Return the last place of each slice whose value is at most ``limit``; the slice's first value has to be.

    Each slice is values[first : first + count], sorted; ``first``, ``count`` and ``limit`` have one shape. All slices
    are halved at once, so that every comparison is with the slice's own values and none is rounded. ``limit`` NaN
    gives the first place. Its slow twin is in the tests: a scan of the slice.
    """
    place, left = first, count
    for _ in range(steps):
        half = left >> 1
        middle = place + half
        place = np.where(values.take(middle, mode="clip") <= limit, middle, place)
        left = left - half
    return place


def sums(length: Floats, offsets: Places) -> tuple[Floats, Floats]:
    """Return the sum of the lengths before each place in its own slice, and of all of each slice."""
    # One running sum over all slices, without the digits that it would lose in a long table: sums of the first part
    # (multiples of 2^-10) are exact, those of the rest small.
    first = np.floor(length * 1024) / 1024
    sums = [np.append(0.0, np.cumsum(part)) for part in (first, length - first)]
    held = np.diff(offsets)
    before = [each[:-1] - np.repeat(each[offsets[:-1]], held) for each in sums]
    whole = [np.diff(each[offsets]) for each in sums]
    return before[0] + before[1], whole[0] + whole[1]


def check_offsets(name: str, offsets: Places, kinds: int, places: int) -> None:
    """Raise ValueError unless ``offsets`` cut ``places`` into ``kinds`` slices that follow each other."""
    fits = offsets.dtype == np.int64 and offsets.shape == (kinds + 1,)
    if not (fits and offsets[0] == 0 and offsets[-1] == places and (np.diff(offsets) >= 0).all()):
        message = (
            f"{name} must be int64 [{kinds + 1}] that begin at 0, never fall and end at {places}"
            f" (got {offsets.dtype} {offsets.shape}, {offsets[:3]} ... {offsets[-3:]})"
        )
        raise ValueError(message)
