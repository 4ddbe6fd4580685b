"""One factor at a time: what is switched off differs no more, what is kept is what it was."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.factors import FACTORS, Factor, with_factors
from tests.fl_sim.fleets import small_fleets
from tests.fl_sim.small_fleet import small_fleet
from traces.battery import Battery
from traces.fleet import Fleet, ready, transfer


@given(small_fleets(), st.sets(st.sampled_from(FACTORS)))
def test_what_is_kept_is_what_it_was(fleet: Fleet, kept: set[Factor]) -> None:
    found, phones = with_factors(fleet, kept, 8e3), np.arange(fleet.phones)
    assert found.hardware is fleet.hardware
    assert found.hardware_of is fleet.hardware_of
    if "network" in kept:
        assert found.network is fleet.network
        assert found.network_of is fleet.network_of
    else:
        for direction, clock_s in (("download", 0.0), ("upload", 333.3)):
            took_s = transfer(found, phones, clock_s, 500.0, cast(Any, direction), 1.0)
            np.testing.assert_allclose(took_s, 0.5, rtol=1e-12)
    if "availability" in kept:
        assert found.availability is fleet.availability
        assert found.trace_of is fleet.trace_of
    else:
        assert found.availability is found.battery is None
        assert ready(found, phones, np.linspace(-500, 500, 7)[:, None]).all()


def test_a_battery_goes_with_availability() -> None:
    fleet = small_fleet([[(0.0, 10.0)]])
    assert fleet.availability is not None
    charged = replace(fleet, battery=Battery(fleet.availability, np.array([0, 1]), np.zeros(1), np.full(1, 50.0)))
    assert with_factors(charged, ["hardware", "network"], 8.0).battery is None
    assert with_factors(charged, ["availability"], 8.0).battery is charged.battery


def test_an_unknown_factor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"factor must be one of hardware, network, availability \(got 'battery'\)"):
        with_factors(small_fleet(None, phones=1), [cast(Factor, "battery")], 8.0)
