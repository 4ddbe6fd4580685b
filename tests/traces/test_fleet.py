import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces.interval_walk import Trace
from traces.availability import make_availability
from traces.battery import Battery, is_charging, level_pct
from traces.fleet import (
    Fleet,
    finish,
    multipliers,
    next_ready,
    ready,
    ready_until,
    subset,
    transfer,
    uniform_fleet,
    work_done,
)
from traces.hardware import Hardware
from traces.rates import Network, RateSeries, series_network

PERIOD_S = 100.0
INTERVALS: list[list[tuple[float, float]]] = [[(10, 20), (60, 80)], [], [(0, 30), (90, 100)], [(5, 6)]]


def mixed_fleet(phones: int = 12) -> Fleet:
    """Phones of three kinds, two of the three networks used, and three of the four traces."""
    series = RateSeries(
        np.array([0, 2, 3, 5]),
        np.array([0.0, 10.0, 0.0, 0.0, 30.0]),
        np.array([8.0, 80.0, 800.0, 16.0, 0.0]),
        np.array([4.0, 40.0, 400.0, 8.0, 1.0]),
        np.array([20.0, 10.0, 40.0]),
    )
    availability = make_availability(INTERVALS, PERIOD_S, np.array([0.0, 1.0, 2.0, 3.0]))
    battery = Battery(availability, np.array([0, 1, 1, 3, 3]), np.array([0.0, 5.0, 50.0]), np.array([90.0, 20.0, 30.0]))
    phone = np.arange(phones)
    return Fleet(
        name="mixed",
        hardware=Hardware(("a", "b", "c"), ("x", "y", "z"), ("low", "", "high"), np.array([1.0, np.nan, 3.0])),
        hardware_of=(phone % 3).astype(np.int32),
        network=series_network(series),
        network_of=(phone % 2 * 2).astype(np.int32),
        availability=availability,
        trace_of=(phone % 3).astype(np.int32),
        shift_s=phone * 7.0,
        source="made for a test",
        battery=battery,
    )


def test_phones_read_their_trace_at_the_clock_and_their_shift() -> None:
    fleet, phones, clock, work = mixed_fleet(), np.array([7, 0, 2, 5, 5]), np.array([0.0, 15, 85, 3, 200]), 25.0
    twins = [Trace(INTERVALS[p % 3], PERIOD_S, p % 3 - 7.0 * p) for p in phones.tolist()]
    asked = list(zip(twins, clock.tolist(), strict=True))
    assert ready(fleet, phones, clock).tolist() == [twin.is_ready(c) for twin, c in asked]
    assert next_ready(fleet, phones, clock).tolist() == [twin.next_ready_s(c) for twin, c in asked]
    assert ready_until(fleet, phones, clock).tolist() == [twin.ready_until_s(c) for twin, c in asked]
    assert finish(fleet, phones, clock, work).tolist() == [twin.finish_s(c, work) for twin, c in asked]
    done = [twin.ready_between_s(c, c + 150) for twin, c in asked]
    assert work_done(fleet, phones, clock, clock + 150).tolist() == done
    assert ready(fleet, phones, 12.0).tolist() == [twin.is_ready(12.0) for twin in twins]


def test_without_availability_phones_are_always_ready() -> None:
    fleet = uniform_fleet("paper", 3, model="Xiaomi 10", soc="Snapdragon 865", tier="medium", bit_per_s=10e6)
    phones, begin = np.array([2, 0]), np.array([0.1, 0.2])
    assert ready(fleet, phones, 5.0).tolist() == [True, True]
    assert next_ready(fleet, phones, 5.0).tolist() == [5.0, 5.0]
    assert ready_until(fleet, phones, begin).tolist() == [math.inf] * 2
    assert finish(fleet, phones, begin, 1 / 3).tolist() == (begin + 1 / 3).tolist()
    assert finish(fleet, phones, 1.0, 2.0).tolist() == [3.0, 3.0]
    assert work_done(fleet, phones, begin, 7.0).tolist() == (7.0 - begin).tolist()
    assert transfer(fleet, phones, begin, 1.25e6, "upload", 1.0).tolist() == [1.0, 1.0]
    assert [each.tolist() for each in multipliers(fleet, phones, np.random.default_rng(0))] == [[1.0, 1.0]] * 2
    assert (fleet.phones, fleet.hardware.models, fleet.hardware.tiers) == (3, ("Xiaomi 10",), ("medium",))
    always = replace(fleet, availability=make_availability([[(0, 7)]], 7.0))
    for ask in (ready, next_ready, ready_until):
        assert ask(always, phones, begin).tolist() == ask(fleet, phones, begin).tolist()
    assert finish(always, phones, begin, 1e7 / 3).tolist() == finish(fleet, phones, begin, 1e7 / 3).tolist()
    assert work_done(always, phones, begin, 7.0).tolist() == work_done(fleet, phones, begin, 7.0).tolist()


def test_multipliers_are_those_of_the_phones_own_profile() -> None:
    network = Network("lognormal", np.ones(2), np.ones(2), np.array([0.0, 0.5]), np.array([0.5, 0.0]))
    fleet = replace(mixed_fleet(), network=network, network_of=np.array([0, 1] * 6, np.int32))
    down, up = multipliers(fleet, np.array([1, 0, 2]), np.random.default_rng(0))
    assert (down[1:].tolist(), up[0]) == ([1.0, 1.0], 1.0)
    assert down[0] != 1.0
    assert (up[1:] != 1.0).all()


@given(st.lists(st.integers(0, 11), min_size=1, max_size=12), st.integers(-50, 500), st.integers(0, 300))
def test_a_subset_answers_as_the_whole_does(chosen: list[int], clock: int, work: int) -> None:
    fleet, phones = mixed_fleet(), np.array(chosen)
    part, places = subset(fleet, phones), np.arange(len(chosen))
    assert part.phones == len(chosen)
    assert part.availability is not None
    assert part.battery is not None
    assert fleet.battery is not None
    assert part.availability.traces == len({phone % 3 for phone in chosen}) == len(part.hardware)
    assert part.network.profiles == len({phone % 2 for phone in chosen})
    kinds, whole = part.hardware, fleet.hardware
    for of, hardware in ((part.hardware_of, kinds), (fleet.hardware_of[phones], whole)):
        assert [hardware.models[kind] for kind in of] == [whole.models[phone % 3] for phone in chosen]
        assert [hardware.socs[kind] for kind in of] == [whole.socs[phone % 3] for phone in chosen]
        assert [hardware.tiers[kind] for kind in of] == [whole.tiers[phone % 3] for phone in chosen]
    np.testing.assert_array_equal(kinds.scores[part.hardware_of], whole.scores[phones % 3])
    for ask in (ready, next_ready, ready_until):
        np.testing.assert_array_equal(ask(part, places, clock), ask(fleet, phones, clock))
    np.testing.assert_array_equal(finish(part, places, clock, work), finish(fleet, phones, clock, work))
    for direction in ("download", "upload"):
        took = transfer(part, places, clock, 1.0 * work, direction, 1.0)
        np.testing.assert_array_equal(took, transfer(fleet, phones, clock, 1.0 * work, direction, 1.0))
    for look_up in (level_pct, is_charging):
        np.testing.assert_array_equal(
            look_up(part.battery, part.trace_of, clock, part.shift_s),
            look_up(fleet.battery, fleet.trace_of[phones], clock, fleet.shift_s[phones]),
        )


def test_a_subset_of_phones_that_are_always_ready() -> None:
    fleet = uniform_fleet("paper", 5, model="m", soc="s", tier="low", bit_per_s=1e6)
    part = subset(fleet, np.array([4, 4, 1]))
    assert (part.phones, part.availability, part.battery, part.name) == (3, None, None, "paper")
    with pytest.raises(ValueError, match="at least one of the 5"):
        subset(fleet, np.array([], np.int64))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hardware_of": np.full(12, 3, np.int32)}, "hardware_of of fleet 'mixed' must be within 0 and 2"),
        ({"network_of": np.full(12, -1, np.int32)}, "network_of of fleet 'mixed' must be within 0 and 2"),
        ({"trace_of": np.full(12, 4, np.int32)}, "trace_of of fleet 'mixed' must be within 0 and 3"),
        ({"trace_of": np.zeros(12, np.int64)}, "trace_of of fleet 'mixed' must be int32"),
        ({"trace_of": np.zeros(11, np.int32)}, "trace_of of fleet 'mixed' must be int32"),
        ({"shift_s": np.full(12, math.nan)}, "shift_s of fleet 'mixed'"),
        ({"shift_s": np.zeros(11)}, "shift_s of fleet 'mixed'"),
        ({"availability": make_availability([[]] * 3, 9.0)}, "battery of fleet 'mixed' must have the traces"),
    ],
)
def test_fleets_that_do_not_fit_together_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(mixed_fleet(), **changes)


def test_a_fleet_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="phones must be at least 1"):
        uniform_fleet("none", 0, model="m", soc="s", tier="low", bit_per_s=1e6)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"socs": ()}, "socs and tiers must be as many as models"),
        ({"tiers": ("low", "", "big")}, "tiers must be low, medium, high, or empty"),
        ({"scores": np.array([1.0, 2.0])}, "scores must be float64"),
        ({"scores": np.array([1.0, -2.0, 3.0])}, "scores must be finite and at least 0"),
        ({"scores": np.array([1.0, math.inf, 3.0])}, "scores must be finite and at least 0"),
    ],
)
def test_hardware_that_is_none_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(mixed_fleet().hardware, **changes)
