"""Walks over intervals and rates: by hand at their edges, and against the look-ups in arrays."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.walk import (
    Intervals,
    finish_s,
    intervals_of,
    next_ready_s,
    rates_of,
    ready_between_s,
    ready_until_s,
    ready_up_to,
    transfer_s,
)
from tests.fl_sim.small_fleet import small_fleet
from traces.fleet import Fleet, finish, next_ready, ready, ready_until, transfer, work_done
from traces.rates import Network, RateSeries

TICKS = st.integers(0, 20).map(float)


def one(fleet: Fleet) -> Intervals:
    found = intervals_of(fleet, 0)
    assert found is not None
    return found


DAY = one(small_fleet([[(0.0, 2.0), (5.0, 7.0), (9.0, 10.0)]], period_s=10.0))  # ready from 9 s on, over the end
CASES: list[tuple[Callable[..., float], tuple[float, ...], float]] = [
    (finish_s, (0, 2), 2),
    (finish_s, (1, 2), 6),
    (finish_s, (3, 0), 3),
    (finish_s, (3, 2), 7),
    (finish_s, (9, 3), 12),
    (finish_s, (9.5, 25.5), 60),
    (finish_s, (-1, 3), 2),
    (next_ready_s, (2,), 5),
    (next_ready_s, (5,), 5),
    (next_ready_s, (7,), 9),
    (next_ready_s, (10,), 10),
    (ready_until_s, (9,), 12),
    (ready_until_s, (10,), 12),
    (ready_until_s, (2,), 2),
    (ready_until_s, (3,), 3),
    (ready_between_s, (1, 1), 0),
    (ready_between_s, (1, 6), 2),
    (ready_between_s, (6, 26), 10),
    (ready_up_to, (2,), True),
    (ready_up_to, (3,), False),
    (ready_up_to, (12,), True),
    (ready_up_to, (5,), True),
]


@pytest.mark.parametrize(("walk", "times", "expected"), CASES)
def test_walks_by_hand(walk: Callable[..., float], times: tuple[float, ...], expected: float) -> None:
    assert walk(DAY, *times) == expected


def test_an_interval_at_the_end_of_the_trace_counts_up_to_the_begin_of_the_next() -> None:
    assert ready_up_to(one(small_fleet([[(5.0, 10.0)]], period_s=10.0)), 30.0)
    assert not ready_up_to(one(small_fleet([[(5.0, 9.0)]], period_s=10.0)), 30.0)


def test_a_phone_that_is_never_or_always_ready() -> None:
    never, always = one(small_fleet([[]])), one(small_fleet([[(0.0, 1000.0)]]))
    assert finish_s(never, 5.0, 1.0) == next_ready_s(never, 5.0) == ready_until_s(always, 5.0) == math.inf
    assert (never.never, ready_between_s(never, 0, 9), ready_until_s(never, 5.0)) == (True, 0, 5.0)
    assert (finish_s(always, 5.0, 3000.0), next_ready_s(always, 5.0), always.never) == (3005.0, 5.0, False)
    assert intervals_of(small_fleet(None, phones=1), 0) is None


@given(st.sets(TICKS, max_size=8), TICKS, TICKS, st.integers(-100, 200).map(float), st.integers(0, 90).map(float))
def test_walks_equal_look_ups(
    edges: set[float], origin_s: float, shift_s: float, clock_s: float, work_s: float
) -> None:
    on = sorted(edges)
    ready_s = list(zip(on[::2], on[1::2], strict=False))
    fleet = small_fleet([ready_s], period_s=20.0, origin_s=origin_s, shift_s=shift_s)
    phone, walk = np.array([0]), one(fleet)
    if work_s or not walk.never:
        assert finish_s(walk, clock_s, work_s) == finish(fleet, phone, clock_s, np.array([work_s]))[0]
    assert next_ready_s(walk, clock_s) == next_ready(fleet, phone, clock_s)[0]
    assert ready_until_s(walk, clock_s) == ready_until(fleet, phone, clock_s)[0]
    assert ready_between_s(walk, clock_s, clock_s + work_s) == work_done(fleet, phone, clock_s, clock_s + work_s)[0]
    assert (ready_until_s(walk, clock_s) > clock_s) == ready(fleet, phone, clock_s)[0]


@given(st.integers(0, 2**32))
def test_a_phone_is_ready_at_the_time_for_which_it_waited(seed: int) -> None:
    random = np.random.default_rng(seed)
    edges = np.sort(random.uniform(0, 86_400, 10))
    shift_s = float(random.uniform(-1e5, 1e5))
    fleet = small_fleet([list(zip(edges[::2], edges[1::2], strict=True))], period_s=86_400.0, shift_s=shift_s)
    walk = one(fleet)
    for clock_s in random.uniform(0, 1e7, 20).tolist():
        begin_s = next_ready_s(walk, clock_s)
        assert begin_s == next_ready_s(walk, begin_s)
        assert ready_until_s(walk, begin_s) > begin_s
        assert ready(fleet, np.array([0]), begin_s)[0]


@given(st.integers(0, 2**32))
def test_transfers_walked_equal_those_looked_up(seed: int) -> None:
    random = np.random.default_rng(seed)
    begins = np.concatenate([[0.0], np.sort(random.uniform(1, 99, 5))])
    rates = random.uniform(1, 80, (2, 6)) * (random.random((2, 6)) < 0.6)
    rates[:, 2] = 7.0
    series = RateSeries(np.array([0, 6]), begins, *rates, np.array([100.0]))
    means = (rates * np.diff([*begins, 100.0])).sum(axis=1) / 100
    fleet = small_fleet(None, phones=1, network=Network("trace", means[:1], means[1:], np.ones(1), np.ones(1), series))
    found = rates_of(fleet, 0)
    assert found is not None
    for begin_s in [0.0, 100.0, *random.uniform(0, 1e4, 5).tolist()]:
        size_bytes, multiplier = float(random.choice([0.0, 1.0, 1e3])), float(random.uniform(0.5, 2))
        for way, direction in enumerate(("download", "upload")):
            arrays_s = transfer(fleet, np.array([0]), begin_s, size_bytes, direction, multiplier)  # type: ignore[arg-type]
            assert transfer_s(found[way], begin_s, size_bytes, multiplier) == pytest.approx(
                float(np.squeeze(arrays_s)), rel=1e-9, abs=1e-6
            )
