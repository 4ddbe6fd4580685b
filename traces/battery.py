"""Batteries: level and charging of traces that have them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from traces.availability import Availability, Seconds, Traces, Truths, is_ready
from traces.stretches import bisection_steps, check_offsets, last_not_above

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Battery:
    """Charging intervals, and levels in % that hold from ``at_s`` (trace time, sorted) until the next.

    Trace i has the levels ``offsets[i]:offsets[i + 1]``; ``charging`` has the same traces, origins and periods. A trace
    may have no levels. Raises ValueError where that does not hold, or a level is not within 0 and 100.
    """

    charging: Availability
    offsets: npt.NDArray[np.int64]
    at_s: Floats
    level_pct: Floats

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def held(self) -> "Held":
        """The levels with the last one of the period before in front of each trace's own, for the look-ups."""
        return _held(self)


@dataclass(frozen=True, eq=False)
class Held:
    """Levels by trace: the one that holds from the period before (NaN if a trace has none), then the trace's own."""

    first: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    at_s: Floats
    level_pct: Floats
    steps: int


def level_pct(b: Battery, trace: Traces, clock_s: Seconds, shift_s: Seconds = 0.0) -> Floats:
    """Return the battery levels of traces at times of the clock, in %; all arguments broadcast.

    NaN where nothing is known yet: before the trace's first level in its first period (and in what would be periods
    before that), or if it has none. From the second period on the last level of the period before holds until then.
    ``shift_s`` reads the trace at clock + shift. Its slow twin, a scan of the levels, is in the tests.
    """
    held, period = b.held, b.charging.period_s[trace]
    passed = clock_s - (b.charging.origin_s[trace] - shift_s)
    own = np.mod(np.where(np.isfinite(passed), passed, np.nan), period)
    first = held.first[trace]
    place = last_not_above(held.at_s, first, held.count[trace], own, held.steps)
    unknown = (place == first) & (passed < period) | np.isnan(own)
    return np.where(unknown, np.nan, held.level_pct.take(place))


def is_charging(b: Battery, trace: Traces, clock_s: Seconds, shift_s: Seconds = 0.0) -> Truths:
    """Return whether the phones of traces are on a charger at times of the clock; as ``is_ready``."""
    return is_ready(b.charging, trace, clock_s, shift_s)


def _held(b: Battery) -> Held:
    own = np.diff(b.offsets)
    traces = len(own)
    first = b.offsets[:-1] + np.arange(traces)
    level = np.full(len(b.level_pct) + traces, np.nan)
    at_s = np.full(len(level), -1.0)
    places = np.arange(len(b.at_s)) + np.repeat(np.arange(traces), own) + 1
    level[places], at_s[places] = b.level_pct, b.at_s
    some = own > 0
    level[first[some]] = b.level_pct[b.offsets[1:][some] - 1]
    return Held(first, own + 1, at_s, level, bisection_steps(own + 1))


def _check(b: Battery) -> None:
    for name in ("at_s", "level_pct"):
        values = getattr(b, name)
        if values.dtype != np.float64 or values.shape != b.at_s.shape or values.ndim != 1:
            message = f"{name} of a battery must be float64 [levels] (got {values.dtype} {values.shape})"
            raise ValueError(message)
    check_offsets("offsets of a battery", b.offsets, b.charging.traces, len(b.at_s))
    trace = np.repeat(np.arange(b.charging.traces), np.diff(b.offsets))
    falls = np.zeros(len(b.at_s), bool)
    falls[1:] = (np.diff(b.at_s) <= 0) & (np.diff(trace) == 0)
    rules = (
        (
            ~((b.level_pct >= 0) & (b.level_pct <= 100)),
            "level_pct",
            "must be within 0 and 100; leave out what is unknown",
        ),
        (~((b.at_s >= 0) & (b.at_s < b.charging.period_s[trace])), "at_s", "must be at least 0 and below the period"),
        (falls, "at_s", "must rise within a trace; sort the levels and keep the last of those at one time"),
    )
    for broken, name, rule in rules:
        if broken.any():
            place = int(np.argmax(broken))
            message = f"{name} of a battery {rule} (got {getattr(b, name)[place]} in trace {trace[place]})"
            raise ValueError(message)
