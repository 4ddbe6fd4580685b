"""The figures of a run on a fleet: they name what is not drawn, and say what the summary says."""

from dataclasses import replace

import numpy as np
import pytest

from reports.fleet.files import figure_files
from reports.fleet.request import Request
from reports.fleet.simulate import simulated
from traces.fleet import Fleet, uniform_fleet
from traces.hardware import Hardware
from traces.open import FleetOptions, OpenedFleet, open_fleet
from traces.report import Report


def opened(fleet: Fleet) -> OpenedFleet:
    return OpenedFleet(fleet, Report(fleet.phones), ())


@pytest.fixture(scope="module")
def flash() -> OpenedFleet:
    return open_fleet("flash", options=FleetOptions(phones=600, seed=3))


def test_a_tier_that_delivers_nothing_is_named_in_the_figures() -> None:
    fleet = uniform_fleet("two tiers", 60, model="A", soc="", tier="low", bit_per_s=1e7)
    hardware = Hardware(("A", "B"), ("", ""), ("low", "high"), np.array([np.nan, np.nan]))
    fleet = replace(fleet, hardware=hardware, hardware_of=np.arange(60, dtype=np.int32) % 2)
    found = simulated(Request(opened(fleet), rounds=3, deadline_s=40.0))
    low = found.course.tiers.index("low")
    assert found.course.asked[found.course.tier_of == low].any()
    assert not found.course.delivered[found.course.tier_of == low].any()
    files = figure_files(found)
    for name in ("times", "participants"):
        assert b"<!-- low: none delivered -->" in files[f"{name}.svg"]
        assert b"<!-- high -->" in files[f"{name}.svg"]


def test_a_figure_says_of_its_rounds_what_the_summary_says(flash: OpenedFleet) -> None:
    void = simulated(Request(flash, rounds=4, cohort=4, deadline_s=34.0, least=4))
    assert (void.summary.counted, void.summary.wanted) == (4, 4)
    assert void.summary.void > 0
    assert f", 4 rounds, {void.summary.void} more were void; 600 phones".encode() in figure_files(void)["day.svg"]
    none = figure_files(simulated(Request(flash, rounds=3, deadline_s=1.0)))
    assert b", 0 of 3 rounds, 30 more were void; 600 phones" in none["day.svg"]
