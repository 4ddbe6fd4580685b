import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel import recurrence
from costmodel.energy import energy, energy_of, saving_j
from costmodel.paper_scenario import paper_scenario
from costmodel.scenario import Clock, Link, Power, Scenario, StageTimes, pipeline_of
from costmodel.scenario_file import with_settings
from costmodel.simulate import simulate

watts = st.floats(0.0, 5.0)
ms = st.floats(0.1, 50.0)


@st.composite
def powered(draw: st.DrawFn) -> Scenario:
    """Return a scenario with all powers, no clock set, free or contended."""
    idle = [draw(watts) for _ in range(3)]
    return Scenario(
        samples=float(draw(st.integers(1, 20))),
        quantize_on=draw(st.sampled_from(["cpu", "dsp"])),
        cpu_threads=draw(st.sampled_from([1, 2])),
        stage=StageTimes(sample_ms=draw(ms), quantize_ms=draw(ms), quantize_dsp_ms=draw(ms), train_ms=draw(ms)),
        link=Link(call_ms=draw(ms), return_ms=draw(ms), holds=draw(st.sampled_from(["nothing", "cpu", "dsp"]))),
        power=Power(
            base_w=draw(watts),
            cpu_idle_w=idle[0],
            link_idle_w=idle[1],
            dsp_idle_w=idle[2],
            cpu_active_w=idle[0] + draw(watts),
            link_active_w=idle[1] + draw(watts),
            dsp_active_w=idle[2] + draw(watts),
        ),
    )


@given(powered())
def test_energy_is_idle_power_over_the_makespan_and_the_rest_over_busy_time(scenario: Scenario) -> None:
    """Against an integral of power over time, piece by piece between all starts and ends."""
    pipeline = pipeline_of(scenario)
    times = recurrence.constant_times(pipeline, scenario.round_batches)
    spans = simulate(pipeline, times).spans
    power = scenario.power
    copies = scenario.link.holds == "cpu"
    owner = {"sample": ["cpu"], "quantize": [scenario.quantize_on], "transfer": ["link", *(["cpu"] if copies else [])]}
    owner |= {"train": ["dsp"], "return": ["link"]}
    edges = np.unique(np.concatenate([*spans.start_ms.values(), *spans.end_ms.values(), [0.0]]))
    joules = 0.0
    for begin, end in itertools.pairwise(edges):
        now = power.base_w + power.cpu_idle_w + power.link_idle_w + power.dsp_idle_w
        for stage, components in owner.items():
            running = ((spans.start_ms[stage] <= begin) & (spans.end_ms[stage] >= end)).sum()
            for name in components:
                now += running * (getattr(power, f"{name}_active_w") - getattr(power, f"{name}_idle_w"))
        joules += now * (end - begin) / 1e3
    found = energy_of(scenario, spans)
    assert found.total_j == pytest.approx(joules, rel=1e-9, abs=1e-12)
    assert found.missing == ()


@given(powered())
def test_overlap_saves_idle_power_times_the_time_saved(scenario: Scenario) -> None:
    pipeline = pipeline_of(scenario)
    times = recurrence.constant_times(pipeline, scenario.round_batches)
    runs = [simulate(pipeline, times, overlap=on).spans for on in (False, True)]
    joules = [energy_of(scenario, run).total_j for run in runs]
    saved_ms = float(runs[0].makespan_ms - runs[1].makespan_ms)
    assert joules[0] is not None
    assert joules[1] is not None
    low, high = saving_j(scenario, saved_ms) or (0, 0)
    assert low == high
    assert joules[0] - joules[1] == pytest.approx(low, rel=1e-9, abs=1e-9)


BUSY: dict[Any, float] = {"sample": 1.0, "quantize": 2.0, "transfer": 3.0, "train": 4.0, "return": 0.0}


def test_a_clock_costs_its_voltage_squared_and_a_slow_one_costs_idle_time() -> None:
    plain = Scenario(stage=StageTimes(train_ms=100.0), power=Power(base_w=1.0, dsp_active_w=2.0))
    for clock, voltage in ((1.0, 1.0), (2.0, 1.2), (0.5, 0.8)):
        scenario = with_settings(plain, {"clock.dsp": clock, "clock.dsp_voltage": voltage})
        pipeline = pipeline_of(scenario)
        found = energy(scenario, {**dict.fromkeys(BUSY, 0.0), "train": pipeline.train_ms}, pipeline.train_ms)
        assert found.total_j == pytest.approx(1.0 * 0.1 / clock + 2.0 * 0.1 * voltage**2)


def test_what_was_not_measured_is_named_and_there_is_no_total() -> None:
    scenario = Scenario(stage=StageTimes(train_ms=1.0), power=Power(base_w=1.0, cpu_active_w=2.0), clock=Clock())
    found = energy(scenario, BUSY, 20.0)
    assert found.total_j is None
    assert found.missing == ("power.link_active_w", "power.dsp_active_w")
    assert found.parts_j["cpu active"] == pytest.approx(0.006)
    assert found.parts_j["dsp active"] is None


def test_what_a_component_does_not_do_it_need_not_be_measured_for() -> None:
    scenario = Scenario(stage=StageTimes(train_ms=1.0), power=Power(base_w=1.0, dsp_active_w=2.0))
    found = energy(scenario, {**dict.fromkeys(BUSY, 0.0), "train": 4.0}, 20.0)
    assert found.total_j == pytest.approx(0.028)


def test_what_table_2_can_say_about_the_saving_is_a_range() -> None:
    """Section 2.6 of the design: 0.5 to 1.5 W idle are 14 to 41 mJ of 1.1 J; nobody knows which."""
    scenario = paper_scenario("xiaomi10_cifar10")
    low, high = saving_j(scenario, 27.4) or (1, 1)
    assert low == 0
    assert high == pytest.approx(1.1 / 0.397 * 0.0274)
    for idle_w, mj, pct in ((0.5, 13.7, 1.2), (1.5, 41.1, 3.7)):
        known = with_settings(scenario, {"power.base_w": idle_w})
        one, other = saving_j(known, 27.4) or (0, 0)
        assert one == other == pytest.approx(mj / 1e3)
        assert 100 * one / 1.1 == pytest.approx(pct, abs=0.06)
    assert saving_j(Scenario(), 5.0) is None


def test_quantizing_on_the_cpu_beats_the_dsp_even_in_energy() -> None:
    scenario = paper_scenario("xiaomi10_cifar10")
    assert scenario.stage.quantize_dsp_ms is not None
    assert scenario.stage.quantize_ms * 6.5 < 16 < 43 == pytest.approx(scenario.stage.quantize_dsp_ms * 2, abs=0.5)
