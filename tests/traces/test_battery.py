import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.availability import make_availability
from traces.battery import Battery, is_charging, level_pct

Levels = list[tuple[float, float]]


def battery_of(levels: list[Levels], period_s: list[float], origin_s: list[float]) -> Battery:
    pairs = np.array([pair for each in levels for pair in each], float).reshape(-1, 2)
    charging = make_availability([[(0, period / 2)] for period in period_s], np.array(period_s), np.array(origin_s))
    return Battery(charging, np.cumsum([0, *map(len, levels)]), pairs[:, 0].copy(), pairs[:, 1].copy())


def scan(levels: Levels, period_s: float, origin_s: float, clock_s: float) -> float:
    """The slow twin: level by level, from the trace's begin up to the clock."""
    level, base = math.nan, 0.0
    while levels and base <= clock_s - origin_s:
        for at_s, value in levels:
            if base + at_s <= clock_s - origin_s:
                level = value
        base += period_s
    if clock_s < origin_s and levels:  # what would be a period before the first: its own levels count
        own = (clock_s - origin_s) % period_s
        level = next((value for at_s, value in reversed(levels) if at_s <= own), math.nan)
    return level


@st.composite
def levels(draw: st.DrawFn) -> Levels:
    times = draw(st.lists(st.integers(0, 19), unique=True, max_size=6).map(sorted))
    return [(float(at_s), float(draw(st.integers(0, 100)))) for at_s in times]


@given(
    st.lists(st.tuples(levels(), st.integers(20, 30), st.integers(-20, 20)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-200, 400), st.integers(-30, 30)), min_size=1, max_size=8),
)
def test_levels_equal_a_scan(traces: list[tuple[Levels, int, int]], asked: list[tuple[int, int, int]]) -> None:
    battery = battery_of(*(list(column) for column in zip(*traces, strict=True)))
    trace = np.array([place % len(traces) for place, _, _ in asked])
    clock, shift = np.array([half for _, half, _ in asked]) / 2, np.array([each for _, _, each in asked], float)
    scanned = [
        scan(traces[t][0], traces[t][1], traces[t][2] - s, c)
        for t, c, s in zip(trace, clock.tolist(), shift.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(level_pct(battery, trace, clock, shift), scanned)


def test_levels_are_unknown_before_the_first_and_held_over_the_periods_end() -> None:
    battery = battery_of([[(2.0, 80.0), (6.0, 75.0)], []], [10.0, 10.0], [100.0, 100.0])
    clock = np.array([100.0, 101.9, 102.0, 105.0, 106.0, 111.0, 112.0, 136.0, 99.0, math.inf])
    levels = level_pct(battery, 0, clock)
    np.testing.assert_array_equal(levels, [np.nan, np.nan, 80, 80, 75, 75, 80, 75, 75, np.nan])
    assert np.isnan(level_pct(battery, 1, clock)).all()


def test_charging_is_looked_up_like_readiness() -> None:
    battery = battery_of([[]], [10.0], [3.0])
    assert is_charging(battery, 0, np.array([2.9, 3.0, 7.9, 8.0, 13.0])).tolist() == [False, True, True, False, True]
    assert is_charging(battery, 0, 8.0, np.array([0.0, 5.0])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"level_pct": np.array([50.0, 101.0])}, "level_pct of a battery must be within 0 and 100"),
        ({"level_pct": np.array([50.0, math.nan])}, "level_pct of a battery must be within 0 and 100"),
        ({"level_pct": np.array([50.0])}, "level_pct of a battery must be float64"),
        ({"at_s": np.array([5.0, 5.0])}, "at_s of a battery must rise"),
        ({"at_s": np.array([5.0, 10.0])}, "below the period"),
        ({"at_s": np.array([-1.0, 5.0])}, "at least 0"),
        ({"offsets": np.array([0, 1])}, "offsets of a battery"),
    ],
)
def test_levels_that_are_none_are_refused(changes: dict[str, np.ndarray], rule: str) -> None:
    battery = battery_of([[(1.0, 50.0), (2.0, 51.0)]], [10.0], [0.0])
    with pytest.raises(ValueError, match=rule):
        replace(battery, **changes)
