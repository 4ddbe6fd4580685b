"""A walk over one phone's ready intervals, or its network's rates, one after the other: the slow way to look them up.

Times are Python floats on the clock. Every function takes time in proportion to the intervals it passes.
Fast twins: `traces.availability` and `traces.rates`, which this file does not use.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from traces.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Intervals:
    """A phone's ready intervals: places ``first`` to ``last`` of ``start_s`` and ``end_s``, in the trace's own time.

    That time is 0 at ``begin_s`` of the clock, and again every ``period_s``.
    """

    start_s: memoryview
    end_s: memoryview
    first: int
    last: int
    begin_s: float
    period_s: float

    @property
    def never(self) -> bool:
        """Whether the phone is never ready."""
        return self.first == self.last


@dataclass(frozen=True, slots=True)
class Rates:
    """A network's rates in bit/s, one way: places ``first`` to ``last``, each from ``begin_s`` until the next."""

    begin_s: memoryview
    bit_per_s: memoryview
    first: int
    last: int
    period_s: float


def intervals_of(fleet: Fleet, phone: int) -> Intervals | None:
    """Return the ready intervals of a phone; None if it is always ready because the fleet has no traces."""
    ready = fleet.availability
    if ready is None:
        return None
    trace = int(fleet.trace_of[phone])
    return Intervals(
        ready.start_s.data,
        ready.end_s.data,
        int(ready.offsets[trace]),
        int(ready.offsets[trace + 1]),
        float(ready.origin_s[trace]) - float(fleet.shift_s[phone]),
        float(ready.period_s[trace]),
    )


def rates_of(fleet: Fleet, phone: int) -> tuple[Rates, Rates] | None:
    """Return the rates of a phone's network, download and upload; None unless the network follows a trace."""
    series = fleet.network.series
    if series is None or fleet.network.kind != "trace":
        return None
    profile = int(fleet.network_of[phone])
    first, last = int(series.offsets[profile]), int(series.offsets[profile + 1])
    begin_s, period_s = series.begin_s.data, float(series.period_s[profile])
    download, upload = series.download_bit_per_s.data, series.upload_bit_per_s.data
    return Rates(begin_s, download, first, last, period_s), Rates(begin_s, upload, first, last, period_s)


def from_then(intervals: Intervals, clock_s: float) -> Iterator[tuple[float, float]]:
    """Yield the ready intervals that end at or after a time, as (start, end) on the clock, without end.

    An interval lies at the same place of the clock wherever one begins to walk, so looking up its start finds it ready.
    """
    if intervals.never:
        return
    first, last, period_s = intervals.first, intervals.last, intervals.period_s
    cycle = math.floor((clock_s - intervals.begin_s) / period_s)
    place = bisect_left(intervals.end_s, clock_s - (intervals.begin_s + cycle * period_s), first, last) - 1
    if place < first:  # one interval earlier than seems right: that one may end at this very time
        place, cycle = last - 1, cycle - 1
    while True:
        zero_s, next_zero_s = intervals.begin_s + cycle * period_s, intervals.begin_s + (cycle + 1) * period_s
        while place < last:
            own_end_s = intervals.end_s[place]
            end_s = next_zero_s if own_end_s == period_s else zero_s + own_end_s
            if end_s >= clock_s:
                yield zero_s + intervals.start_s[place], end_s
            place += 1
        place, cycle = first, cycle + 1


def finish_s(intervals: Intervals, begin_s: float, work_s: float) -> float:
    """Return the time by which so many ready seconds have passed since a time; infinite if the phone is never ready."""
    left_s = work_s
    for start_s, end_s in from_then(intervals, begin_s):
        from_s = max(begin_s, start_s) if left_s else begin_s
        if from_s + left_s <= end_s:
            return from_s + left_s
        left_s -= end_s - from_s
    return math.inf


def ready_between_s(intervals: Intervals, begin_s: float, clock_s: float) -> float:
    """Return the ready seconds between two times, the first of them not after the second."""
    ready_s = 0.0
    for start_s, end_s in from_then(intervals, begin_s):
        if start_s >= clock_s:
            break
        ready_s += min(end_s, clock_s) - max(start_s, begin_s)
    return ready_s


def next_ready_s(intervals: Intervals, clock_s: float) -> float:
    """Return the first time from this one on at which the phone is ready; infinite if there is none."""
    for start_s, end_s in from_then(intervals, clock_s):
        if end_s > clock_s:
            return max(start_s, clock_s)
    return math.inf


def ready_until_s(intervals: Intervals, clock_s: float) -> float:
    """Return when the ready stretch of this time ends: this time if the phone is not ready, infinite if it always is.

    A stretch goes on past the end of the trace if the trace begins ready again.
    """
    until_s = clock_s
    for start_s, end_s in from_then(intervals, clock_s):
        if start_s > until_s:
            break
        until_s = end_s
        if until_s > clock_s + intervals.period_s:
            return math.inf
    return until_s


def ready_up_to(intervals: Intervals, clock_s: float) -> bool:
    """Return whether the phone is ready at this time or was until this very time."""
    for start_s, _ in from_then(intervals, clock_s):
        return start_s <= clock_s
    return False


def transfer_s(rates: Rates, begin_s: float, size_bytes: float, multiplier: float) -> float:
    """Return how long so many bytes take from a time on, at the rates of the trace times a multiplier."""
    left_bit = 8 * size_bytes
    cycle = math.floor(begin_s / rates.period_s)
    own_s = begin_s - cycle * rates.period_s
    place = max(rates.first, bisect_right(rates.begin_s, own_s, rates.first, rates.last) - 1)
    passed_s = 0.0
    while left_bit > 0:
        until_s = rates.begin_s[place + 1] if place + 1 < rates.last else rates.period_s
        rate_bit_per_s = rates.bit_per_s[place] * multiplier
        if rate_bit_per_s * (until_s - own_s) >= left_bit:
            return passed_s + left_bit / rate_bit_per_s
        left_bit -= rate_bit_per_s * (until_s - own_s)
        passed_s += until_s - own_s
        place, own_s = (place + 1, until_s) if place + 1 < rates.last else (rates.first, 0.0)
    return passed_s
