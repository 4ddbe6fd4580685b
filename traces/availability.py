"""When phones are ready to train: intervals of traces that repeat; look-ups are pure functions of (trace, time)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from traces.stretches import Stretches, check_offsets, last_not_above, unroll

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Seconds = Floats | float
Traces = npt.NDArray[np.integer] | int

# No real phone is ready for so short a time, and a clock of a hundred years in float64 still tells its ends apart.
SHORTEST_S = 1e-5
_MARGIN_S = SHORTEST_S / 2
_DAY_S, _HOUR_S = 86_400.0, 3_600.0


@dataclass(frozen=True, eq=False)
class Availability:
    """Ready intervals of several traces, half-open ``[start_s, end_s)`` in the trace's own time, which repeats.

    Trace i has the intervals ``offsets[i]:offsets[i + 1]``, sorted, apart from each other (two that touch are one),
    within ``[0, period_s[i]]`` and at least SHORTEST_S long. Its time 0 lies at ``origin_s[i]`` of the clock, whose 0
    is a midnight where the trace says the hour of day: trace time = (clock - origin) mod period. A trace without
    intervals is never ready. Raises ValueError where that does not hold.
    """

    offsets: Places
    start_s: Floats
    end_s: Floats
    origin_s: Floats
    period_s: Floats

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_intervals(self)

    @property
    def traces(self) -> int:
        """How many traces there are."""
        return len(self.period_s)

    @cached_property
    def stretches(self) -> Stretches:
        """The same as stretches without a break, for the look-ups; made at the first of them."""
        return unroll(self.offsets, self.start_s, self.end_s, self.period_s)


def make_availability(
    per_trace: Sequence[Sequence[tuple[float, float]]], period_s: Seconds, origin_s: Seconds | None = None
) -> Availability:
    """Return the availability of traces given as lists of (start, end) in seconds; intervals that touch become one.

    ``period_s`` and ``origin_s`` (0 if None) are one for all or one for each trace. Raises ValueError for intervals
    that overlap, are out of order, empty, or outside the period: nothing is sorted or cut without a word.
    """
    held = np.array([len(intervals) for intervals in per_trace], np.int64)
    pairs = np.array([pair for intervals in per_trace for pair in intervals], np.float64).reshape(-1, 2)
    trace = np.repeat(np.arange(len(held)), held)
    touches = (pairs[:-1, 1] == pairs[1:, 0]) & (trace[:-1] == trace[1:])
    begins, ends = np.append(True, ~touches)[: len(pairs)], np.append(~touches, True)[: len(pairs)]
    offsets = np.append(0, np.cumsum(np.bincount(trace[begins], minlength=len(held))))
    shape = held.shape
    return Availability(
        offsets=offsets.astype(np.int64),
        start_s=pairs[begins, 0],
        end_s=pairs[ends, 1],
        origin_s=np.broadcast_to(np.asarray(0.0 if origin_s is None else origin_s, np.float64), shape).copy(),
        period_s=np.broadcast_to(np.asarray(period_s, np.float64), shape).copy(),
    )


def is_ready(a: Availability, trace: Traces, clock_s: Seconds, shift_s: Seconds = 0.0) -> Truths:
    """Return whether traces are ready at times of the clock; all arguments broadcast.

    ``shift_s``, here and below, reads the trace at clock + shift; what is returned is in the clock's own time. A clock
    at infinity is never ready. The slow twins of the look-ups are in the tests: walks over the intervals one by one.
    """
    return _find(a, trace, clock_s, shift_s).ready


def ready_s(a: Availability, trace: Traces, clock_s: Seconds, shift_s: Seconds = 0.0) -> Floats:
    """Return the ready seconds from the trace's origin to the clock (negative before it).

    At a clock at infinity they are infinite, or 0 if the trace is never ready.
    """
    found, whole_s = _find(a, trace, clock_s, shift_s), a.stretches.ready_s[trace]
    with np.errstate(invalid="ignore"):
        passed = _passed(a.stretches, found, clock_s) + found.turn * whole_s
    return np.where(np.isinf(clock_s), np.where(whole_s > 0, clock_s, 0.0), passed)


def ready_between_s(
    a: Availability, trace: Traces, begin_s: Seconds, clock_s: Seconds, shift_s: Seconds = 0.0
) -> Floats:
    """Return the ready seconds from ``begin_s`` to the clock, both finite: what was done of work begun then."""
    begun, found = _find(a, trace, begin_s, shift_s), _find(a, trace, clock_s, shift_s)
    passed = _passed(a.stretches, found, clock_s) - _passed(a.stretches, begun, begin_s)
    between = passed + (found.turn - begun.turn) * a.stretches.ready_s[trace]
    within = begun.ready & (np.asarray(begin_s) <= clock_s) & (clock_s <= begun.until)
    return np.where(within, np.subtract(clock_s, begin_s), between)


def ready_until_s(a: Availability, trace: Traces, clock_s: Seconds, shift_s: Seconds = 0.0) -> Floats:
    """Return the end of the ready stretch that the clock is in, on the clock; the clock itself if it is in none.

    A stretch goes on into the next period where the trace is ready at both the end and the begin of its own; it ends
    at infinity if the trace is always ready.
    """
    found = _find(a, trace, clock_s, shift_s)
    return np.where(found.ready, found.until, clock_s)


def next_ready_s(a: Availability, trace: Traces, clock_s: Seconds, shift_s: Seconds = 0.0) -> Floats:
    """Return the first time from the clock on when the trace is ready: the clock itself if it is, infinity if never.

    The trace is ready at the time that is returned, to the last digit.
    """
    found, s = _find(a, trace, clock_s, shift_s), a.stretches
    after = found.place + 1
    start = found.origin + (found.turn + s.start_turn.take(after)) * found.period + s.start_s.take(after)
    return np.where(found.ready, clock_s, start)


def finish_s(a: Availability, trace: Traces, begin_s: Seconds, work_s: Seconds, shift_s: Seconds = 0.0) -> Floats:
    """Return the earliest time by which the trace was ready for ``work_s`` seconds since ``begin_s``.

    With A(t) = ready seconds up to t it is the earliest t with A(t) = A(begin) + work. Work that fits into the stretch
    at hand ends at begin + work exactly, work 0 at begin; infinity if the trace is never ready. Raises ValueError for
    negative work.
    """
    if np.any(np.less(work_s, 0)):
        message = f"work_s must be at least 0 (got {float(np.min(work_s))}); seconds of training or transfer"
        raise ValueError(message)
    found, s = _find(a, trace, begin_s, shift_s), a.stretches
    until = np.where(found.ready, found.until, begin_s)
    done = np.asarray(np.add(begin_s, work_s, dtype=np.float64))
    longer = np.asarray(done > until)
    if done.shape != longer.shape:
        done = np.broadcast_to(done, longer.shape).copy()
    if not longer.any():
        return done
    # Where it does not fit: what is left when the next stretch begins.
    trace, begin, work, turn, origin, period, until, place = (
        _chosen(each, longer)
        for each in (trace, begin_s, work_s, found.turn, found.origin, found.period, until, found.place)
    )
    left = work - (until - begin)
    goal = s.before_s.take(place + 1) + left
    with np.errstate(invalid="ignore"):  # work without end
        whole = np.floor(goal / s.divisor_s.take(trace))
        rest = goal - whole * s.ready_s.take(trace)
    place = last_not_above(s.before_s, s.first.take(trace), s.count.take(trace), np.nextafter(rest, -np.inf), s.steps)
    start = origin + (turn + whole + s.start_turn.take(place)) * period + s.start_s.take(place)
    # Not before the stretch at hand has ended, even if what is left is lost in rounding.
    end = np.maximum(start + (rest - s.before_s.take(place)), until)
    done[longer] = np.where(left == math.inf, math.inf, end)
    return done


def duty(a: Availability) -> Floats:
    """Return the share of its period that each trace is ready, float64 [traces]."""
    return a.stretches.ready_s / a.period_s


def by_hour(a: Availability) -> Floats:
    """Return the share of each hour of the day that traces are ready, the mean over them, float64 [24].

    Each trace counts in its own first period, from its origin on, in the hours of the day that it covers there; an
    hour that no trace covers is NaN.
    """
    held = np.diff(a.offsets)
    trace = np.repeat(np.arange(a.traces), held)
    start, end = a.origin_s[trace] + a.start_s, a.origin_s[trace] + a.end_s
    shares = np.full(24, np.nan)
    for hour in range(24):
        ready = np.bincount(trace, _in_hour(end, hour) - _in_hour(start, hour), minlength=a.traces)
        covered = _in_hour(a.origin_s + a.period_s, hour) - _in_hour(a.origin_s, hour)
        known = covered > 0
        if known.any():
            shares[hour] = float(np.mean(ready[known] / covered[known]))
    return shares


@dataclass(frozen=True, eq=False)
class _Found:
    """Where look-ups fall: the turn of the trace, the place in its stretches, whether it is ready and until when."""

    origin: Floats
    period: Floats
    turn: Floats
    place: Places
    until: Floats
    ready: Truths


def _find(a: Availability, trace: Traces, clock_s: Seconds, shift_s: Seconds) -> _Found:
    # All times are compared on the clock, as origin + turn x period + time of the trace, the very sums that look-ups
    # return: so a time that one of them returns is on the right side of its edge in the next. The margin keeps
    # rounding from choosing a turn or stretch too early; one too late is seen, or is the stretch before turn 0.
    s = a.stretches
    period = a.period_s[trace]
    origin = a.origin_s[trace] - shift_s
    with np.errstate(invalid="ignore"):  # a clock at infinity
        turn = np.floor((clock_s - origin + _MARGIN_S) / period)
        base = origin + turn * period
        own = np.asarray(clock_s - base + _MARGIN_S)
    first, count = s.first[trace], s.count[trace]
    place = last_not_above(s.begin_s, first, count, own, s.steps)
    place = place - (base + s.begin_s.take(place) > clock_s)
    until = origin + (turn + s.end_turn.take(place)) * period + s.end_s.take(place)
    return _Found(origin, period, turn, place, until, np.asarray(clock_s < until))


def _chosen(values: npt.ArrayLike, chosen: Truths) -> npt.NDArray[Any]:
    values = np.asarray(values)
    # Broadcasting takes longer than choosing, and most calls need none.
    return (values if values.shape == chosen.shape else np.broadcast_to(values, chosen.shape))[chosen]


def _passed(s: Stretches, found: _Found, clock_s: Seconds) -> Floats:
    """Return the ready seconds from the begin of the turn to the clock."""
    start = found.origin + (found.turn + s.start_turn.take(found.place)) * found.period + s.start_s.take(found.place)
    return np.asarray(s.before_s.take(found.place) + (np.minimum(clock_s, found.until) - start))


def _in_hour(clock_s: Floats, hour: int) -> Floats:
    """Return the seconds that fell into this hour of a day, from midnight 0 up to the clock."""
    days = np.floor(clock_s / _DAY_S)
    return days * _HOUR_S + np.clip(clock_s - days * _DAY_S - hour * _HOUR_S, 0.0, _HOUR_S)


def _check_shapes(a: Availability) -> None:
    for name in ("start_s", "end_s", "origin_s", "period_s"):
        values = getattr(a, name)
        if values.dtype != np.float64 or values.ndim != 1:
            message = f"{name} must be a float64 array of one dimension (got {values.dtype} {values.shape})"
            raise ValueError(message)
        if not np.isfinite(values).all():
            message = f"{name} must be finite (place {int(np.argmin(np.isfinite(values)))} is not); drop that trace"
            raise ValueError(message)
    check_offsets("offsets", a.offsets, len(a.period_s), len(a.start_s))
    if len(a.origin_s) != len(a.period_s) or len(a.end_s) != len(a.start_s):
        message = (
            f"origin_s must be as long as period_s (got {len(a.origin_s)} and {len(a.period_s)}) and end_s as long as"
            f" start_s (got {len(a.end_s)} and {len(a.start_s)})"
        )
        raise ValueError(message)
    if (a.period_s <= 0).any():
        place = int(np.argmax(a.period_s <= 0))
        message = f"period_s must be above 0 (got {a.period_s[place]} for trace {place}); the seconds until it repeats"
        raise ValueError(message)


def _check_intervals(a: Availability) -> None:
    trace = np.repeat(np.arange(a.traces), np.diff(a.offsets))
    joined = trace[1:] == trace[:-1]
    rules = (
        (a.end_s - a.start_s < SHORTEST_S, f"must be at least {SHORTEST_S} s long; drop it"),
        (a.start_s < 0, "must not start before 0; times count from the trace's own begin"),
        (a.end_s > a.period_s[trace], "must end within the period; cut it or make period_s longer"),
        (
            np.append(False, joined & (a.start_s[1:] < a.end_s[:-1]))[: len(trace)],
            "must start after the one before; sort the intervals and merge those that overlap",
        ),
        (
            np.append(False, joined & (a.start_s[1:] == a.end_s[:-1]))[: len(trace)],
            "must not touch the one before; merge them, as make_availability does",
        ),
    )
    for broken, rule in rules:
        if broken.any():
            place = int(np.argmax(broken))
            message = f"the interval [{a.start_s[place]}, {a.end_s[place]}) of trace {trace[place]} {rule}"
            raise ValueError(message)
