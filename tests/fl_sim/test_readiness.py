import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.readiness import advance, begin_readiness
from tests.fl_sim.fleets import small_fleets
from traces.availability import make_availability
from traces.fleet import Fleet, ready, ready_until, uniform_fleet


@given(small_fleets(), st.floats(-1000, 1000), st.lists(st.sampled_from((0.0, 0.3, 7.0, 150.0, 5000.0)), max_size=30))
def test_stepping_on_finds_what_looking_up_finds(fleet: Fleet, begin_s: float, leaps_s: list[float]) -> None:
    everybody = np.arange(fleet.phones)
    readiness = begin_readiness(fleet, everybody, begin_s)
    if readiness is None:
        assert fleet.availability is None
        return
    for clock_s in begin_s + np.cumsum([0.0, *leaps_s]):
        held = ready(fleet, everybody, clock_s)
        assert advance(readiness, clock_s).tolist() == np.flatnonzero(held).tolist()
        assert readiness.closes_s[held].tolist() == ready_until(fleet, everybody, clock_s)[held].tolist()


@given(small_fleets(whole=True), st.integers(-500, 500), st.lists(st.integers(0, 40), max_size=30))
def test_it_does_at_the_very_edges(fleet: Fleet, begin_s: int, leaps_s: list[int]) -> None:
    everybody = np.arange(fleet.phones)
    readiness = begin_readiness(fleet, everybody, float(begin_s))
    if readiness is None:
        return
    for clock_s in begin_s + np.cumsum([0, *leaps_s]):
        found = advance(readiness, float(clock_s))
        assert found.tolist() == np.flatnonzero(ready(fleet, everybody, float(clock_s))).tolist()


@pytest.mark.parametrize("leap_s", [0.02, 0.9, 40.0])
def test_traces_of_many_short_stretches(leap_s: float) -> None:
    pairs = [(k * 0.1, k * 0.1 + 0.05) for k in range(100)]
    availability = make_availability([pairs, [], [(0.0, 10.0)], [(9.0, 10.0)], [(0.0, 1.0), (9.0, 10.0)]], 10.0)
    plain = uniform_fleet("five", 5, model="m", soc="", tier="", bit_per_s=1.0)
    fleet = Fleet(
        name="five",
        hardware=plain.hardware,
        hardware_of=plain.hardware_of,
        network=plain.network,
        network_of=plain.network_of,
        availability=availability,
        trace_of=np.arange(5, dtype=np.int32),
        shift_s=np.array([0.3, 0.0, 1.0, 0.0, 2.0]),
        source="",
    )
    everybody = np.arange(5)
    readiness = begin_readiness(fleet, everybody, 3.0)
    assert readiness is not None
    for number in range(100):
        clock_s = 3.0 + number * leap_s
        assert advance(readiness, clock_s).tolist() == np.flatnonzero(ready(fleet, everybody, clock_s)).tolist()
