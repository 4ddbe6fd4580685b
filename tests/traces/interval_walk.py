"""Slow twins of the look-ups: walks in exact fractions, turn by turn and interval by interval."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Trace:
    """One trace as people would write it down."""

    intervals: Pairs
    period_s: float
    origin_s: float = 0.0

    def stretches(self, clock_s: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
        """Endless ready stretches on the clock, from one that begins before it on; joined where they touch."""
        turn = math.floor((clock_s - Fraction(self.origin_s)) / Fraction(self.period_s)) - 2
        begun: tuple[Fraction, Fraction] | None = None
        while True:
            base = Fraction(self.origin_s) + turn * Fraction(self.period_s)
            for start, end in self.intervals:
                this = (base + Fraction(start), base + Fraction(end))
                if begun is not None and begun[1] == this[0]:
                    begun = (begun[0], this[1])
                    continue
                if begun is not None:
                    yield begun
                begun = this
            turn += 1

    @property
    def always(self) -> bool:
        return sum(end - start for start, end in self.intervals) == self.period_s

    def is_ready(self, clock_s: float) -> bool:
        own = (Fraction(clock_s) - Fraction(self.origin_s)) % Fraction(self.period_s)
        return any(start <= own < end for start, end in self.intervals)

    def next_ready_s(self, clock_s: float) -> float:
        if self.is_ready(clock_s):
            return clock_s
        if not self.intervals:
            return math.inf
        return next(float(start) for start, _ in self.stretches(Fraction(clock_s)) if start > clock_s)

    def ready_until_s(self, clock_s: float) -> float:
        if not self.is_ready(clock_s):
            return clock_s
        if self.always:
            return math.inf
        return next(float(end) for start, end in self.stretches(Fraction(clock_s)) if start <= clock_s < end)

    def finish_s(self, begin_s: float, work_s: float) -> float:
        if work_s == 0 or self.always:
            return float(Fraction(begin_s) + Fraction(work_s))
        if not self.intervals:
            return math.inf
        left = Fraction(work_s)
        for start, end in self.stretches(Fraction(begin_s)):
            begin = max(start, Fraction(begin_s))
            if begin < end:
                if left <= end - begin:
                    return float(begin + left)
                left -= end - begin
        raise AssertionError

    def ready_between_s(self, begin_s: float, clock_s: float) -> float:
        if not self.intervals:
            return 0.0
        if self.always:
            return float(Fraction(clock_s) - Fraction(begin_s))
        done = Fraction(0)
        for start, end in self.stretches(Fraction(begin_s)):
            if start >= clock_s:
                return float(done)
            done += max(min(end, Fraction(clock_s)) - max(start, Fraction(begin_s)), Fraction(0))
        raise AssertionError


@st.composite
def whole_traces(draw: st.DrawFn) -> Trace:
    """Traces in whole seconds, where the look-ups have to be exact; never, always and around midnight among them."""
    period = draw(st.integers(1, 40))
    edges = draw(st.lists(st.integers(0, period), unique=True, max_size=10).map(sorted))
    if draw(st.booleans()):
        edges = sorted({0, period, *edges})
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return Trace(pairs, period, draw(st.integers(-50, 50)))


@st.composite
def rough_traces(draw: st.DrawFn) -> Trace:
    """Traces with any digits; lengths and gaps are at least a millisecond, or the gap is at the period's end."""
    lengths = draw(st.lists(st.floats(1e-3, 1e4), min_size=2, max_size=12))
    edges = [0.0] if draw(st.booleans()) else []
    for length in lengths:
        edges.append((edges[-1] if edges else 0.0) + length)
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    period = pairs[-1][1] + draw(st.just(0.0) | st.floats(1e-3, 1e4))
    return Trace(pairs, period, draw(st.floats(-1e6, 1e6)))
