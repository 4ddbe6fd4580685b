"""Traces made from stated statistics: duty and lengths by their quantiles, placed so that the hours of the day fit."""

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.synthetic.statistics import DAY_S, Readiness

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_HOUR_S = 3_600.0
_LEAST_BEYOND_S = 1e-3  # so that intervals that are all of the shortest can be made longer
_LEAST_GAP_S = 1.0
# Each is a step towards a fixed point; how near they come is in docs/background/fleets.md.
_LENGTH_STEPS, _PLACE_STEPS, _HOUR_STEPS = 6, 4, 16
_NEAR_ENOUGH = 0.01


def make_traces(r: Readiness, traces: int, random: np.random.Generator) -> Availability:
    """Return traces with the stated statistics, in random order; each begins at an hour of its own.

    Duties and intervals a day are quantiles at evenly spaced probabilities, paired so that they correlate as stated;
    the number of traces that are never ready is the share of them, rounded. A trace is ready for its duty exactly.
    """
    never = round(r.never * traces)
    some = traces - never
    period_s = r.days * DAY_S
    ready_s, counts = _work(r, some, period_s, random)
    length_s = _lengths(r, ready_s, counts, random)
    origin_s = random.random(some) * DAY_S - DAY_S
    placing = _Placing(ready_s, counts, length_s, origin_s, period_s, random)
    start_s = _by_hours(placing, np.array(r.hour_of_day))
    return _shuffled(placing, start_s, never, random)


def _work(r: Readiness, some: int, period_s: float, random: np.random.Generator) -> tuple[Floats, Places]:
    """Return ready seconds and the number of intervals of each trace that is ever ready."""
    from scipy.special import ndtri

    rank = (random.permutation(some) + 0.5) / max(some, 1)
    ready_s = np.exp(np.interp(rank, r.probabilities, np.log(r.duty))) * period_s
    mixed = r.correlation * ndtri(rank) + np.sqrt(1 - r.correlation**2) * random.standard_normal(some)
    other = (np.argsort(np.argsort(mixed)) + 0.5) / max(some, 1)
    expected = np.exp(np.interp(other, r.probabilities, np.log(r.per_day))) * r.days
    most = np.maximum(np.floor(ready_s / r.length_s[0]), 1.0)  # so many of the shortest fill it
    return ready_s, np.clip(np.floor(expected + random.random(some)), 1.0, most).astype(np.int64)


def _lengths(r: Readiness, ready_s: Floats, counts: Places, random: np.random.Generator) -> Floats:
    """Return the lengths of all intervals, trace by trace.

    In turn all lengths are set to the stated quantiles by their ranks, and what those of each trace have beyond the
    shortest is scaled to its ready seconds, which has the last word.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    ranks = (np.arange(len(owner)) + 0.5) / max(len(owner), 1)
    stated = np.exp(np.interp(ranks, r.probabilities, np.log(r.length_s)))
    score = np.log(ready_s / counts)[owner] + r.within * random.standard_normal(len(owner))
    # A trace that is ready for less than the shortest interval has one of what it is ready for.
    shortest_s = np.minimum(r.length_s[0], ready_s / counts)
    length_s = np.zeros(len(owner))
    for _ in range(_LENGTH_STEPS):
        length_s[np.argsort(score, kind="stable")] = stated
        beyond_s = length_s - shortest_s[owner] + _LEAST_BEYOND_S
        factor = (ready_s - shortest_s * counts) / np.bincount(owner, beyond_s, len(ready_s))
        length_s = shortest_s[owner] + beyond_s * factor[owner]
        score = np.log(length_s)
    return length_s


class _Placing:
    """Everything about the traces but where their intervals lie: arrays by trace and by interval, and the draws."""

    def __init__(
        self,
        ready_s: Floats,
        counts: Places,
        length_s: Floats,
        origin_s: Floats,
        period_s: float,
        random: np.random.Generator,
    ) -> None:
        self.counts, self.length_s, self.origin_s, self.period_s = counts, length_s, origin_s, period_s
        self.offsets = np.append(0, np.cumsum(counts)).astype(np.int64)
        self.owner = np.repeat(np.arange(len(counts)), counts)
        self.gap_s = np.minimum(_LEAST_GAP_S, (period_s - ready_s) / (2 * counts))
        self.free_s = period_s - ready_s - self.gap_s * counts
        drawn = random.random(len(length_s))
        self.drawn = drawn[np.lexsort((drawn, self.owner))]  # sorted within each trace

    def before(self, values: Floats) -> Floats:
        """Return the sum of each interval's own trace's values before it."""
        running = np.append(0.0, np.cumsum(values))
        return np.asarray(running[:-1] - running[self.offsets[self.owner]])

    def availability(self, start_s: Floats) -> Availability:
        """Return the traces with their intervals at these starts."""
        period_s = np.full(len(self.counts), self.period_s)
        return Availability(self.offsets, start_s, start_s + self.length_s, self.origin_s, period_s)


def _by_hours(placing: _Placing, stated: Floats) -> Floats:
    """Return starts such that the traces together are ready in each hour of the day as stated.

    Intervals last into later hours, so that starting them with the stated weights is not enough: weights are corrected
    by what came out, with the same draws, and the best starts are kept. The fuller traces are, the less weights do, so
    the larger are the corrections.
    """
    if not len(placing.counts):
        return np.zeros(0)
    stated = stated / stated.mean()
    weights = stated.copy()
    power = 1.5 * placing.period_s / float(placing.free_s.mean())
    best, least = np.zeros(0), np.inf
    for _ in range(_HOUR_STEPS):
        start_s = _place(placing, weights)
        begin_s = placing.origin_s[placing.owner] + start_s
        hours = hours_of_day(begin_s, begin_s + placing.length_s)
        ratio = np.log(stated) - np.log(np.maximum(hours / hours.mean(), 1e-3))
        worst = float(np.max(np.abs(ratio)))
        if worst < least:
            best, least = start_s, worst
        if worst < _NEAR_ENOUGH:
            break
        weights = np.clip(weights * np.exp(np.clip(power * ratio, -3, 3)), 1e-3, 1e3)
        weights /= weights.mean()
    return best


def hours_of_day(begin_s: Floats, end_s: Floats) -> Floats:
    """Return the seconds of all intervals together that lie in each hour of the day, float64 [24].

    For traces of whole days it is proportional to its slow twin, ``availability.by_hour``, which looks at one hour
    after the other.
    """
    total = np.zeros(24)
    for clock_s, sign in ((begin_s, -1.0), (end_s, 1.0)):
        days = np.floor(clock_s / DAY_S)
        within = clock_s - days * DAY_S
        hour = np.minimum((within / _HOUR_S).astype(np.int64), 23)
        # Hours of that day that are over have passed whole, the one at hand in part.
        in_part = np.bincount(hour, within - hour * _HOUR_S, 24)
        later = np.cumsum(np.bincount(hour, minlength=24)[::-1])[::-1]
        total += sign * (days.sum() * _HOUR_S + in_part + np.append(later[1:], 0) * _HOUR_S)
    return total


def _place(placing: _Placing, weights: Floats) -> Floats:
    """Return starts, in the trace's own time, that crowd where the weights of the hours are large; none overlap.

    In time that runs as fast as the weights say, intervals are as many points drawn evenly from what they leave free,
    each put off by the intervals before it. How much of that time an interval takes depends on where it lies, hence the
    steps; gaps are scaled in the end so that they fill the period.
    """
    owner, length = placing.owner, placing.length_s
    begin = placing.origin_s[owner]
    zero = _weighed(placing.origin_s, weights)
    whole = (_weighed(placing.origin_s + placing.period_s, weights) - zero)[owner]
    taken = length
    for _ in range(_PLACE_STEPS):
        free = whole - np.bincount(owner, taken, len(placing.counts))[owner]
        weighed = zero[owner] + placing.drawn * np.maximum(free, 0.0) + placing.before(taken)
        start = _clock(weighed, weights)
        taken = _weighed(start + length, weights) - weighed
    start -= begin
    # From the trace's begin, or the end of the interval before, to the start; what is left after the last is a gap too.
    first = placing.offsets[:-1]
    last = placing.offsets[1:] - 1
    ended = np.append(0.0, (start + length)[:-1])
    ended[first] = 0.0
    gap = np.maximum(start - ended, 0.0)
    rest = np.maximum(placing.period_s - (start + length)[last], 0.0)
    total = np.bincount(owner, gap, len(placing.counts)) + rest
    scale = placing.free_s / np.maximum(total, 1e-9)
    gap = gap * scale[owner] + placing.gap_s[owner]
    start = placing.before(gap) + gap + placing.before(length)
    # Rounding must not carry the last one past the period.
    over = np.maximum((start + length)[last] - placing.period_s, 0.0)
    return np.asarray(np.maximum(start - over[owner], 0.0))


def _weighed(clock_s: Floats, weights: Floats) -> Floats:
    """Return how far time has run at the clock, if it runs by the weights of the hours (mean 1)."""
    sums = np.append(0.0, np.cumsum(weights)) * _HOUR_S
    days = np.floor(clock_s / DAY_S)
    return np.asarray(days * DAY_S + np.interp(clock_s - days * DAY_S, np.arange(25) * _HOUR_S, sums))


def _clock(weighed_s: Floats, weights: Floats) -> Floats:
    """Return the clock at which time that runs by the weights has run that far; the inverse of ``_weighed``."""
    sums = np.append(0.0, np.cumsum(weights)) * _HOUR_S
    days = np.floor(weighed_s / DAY_S)
    return np.asarray(days * DAY_S + np.interp(weighed_s - days * DAY_S, sums, np.arange(25) * _HOUR_S))


def _shuffled(placing: _Placing, start_s: Floats, never: int, random: np.random.Generator) -> Availability:
    """Return the traces in random order among as many as are never ready."""
    traces = len(placing.counts) + never
    old = random.permutation(traces)
    counts = np.append(placing.counts, np.zeros(never, np.int64))
    offsets = np.append(placing.offsets, np.full(never, len(start_s)))
    ends = np.append(0, np.cumsum(counts[old])).astype(np.int64)
    places = np.arange(len(start_s)) + np.repeat(offsets[:-1][old] - ends[:-1], counts[old])
    start, length = start_s[places], placing.length_s[places]
    origin = np.append(placing.origin_s, np.zeros(never))[old]
    return Availability(
        ends, start, np.minimum(start + length, placing.period_s), origin, np.full(traces, placing.period_s)
    )
