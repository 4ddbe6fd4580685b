"""The true power's energy is exact, and a gauge's units, signs and steps are those that were asked for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.emulator.gauge import Cell, Gauge
from profiler.emulator.power import TruePower

times = st.floats(0, 100)
watts = st.floats(-5, 5)
truths = st.builds(
    TruePower,
    start_s=st.just(0.0),
    idle_w=st.floats(0.1, 3),
    drift_w_per_s=st.floats(-0.01, 0.01),
    _steps=st.lists(st.tuples(times, watts), max_size=6),
)


@given(truth=truths, moments=st.tuples(times, times, times))
def test_energy_adds_up_over_time_and_does_not_depend_on_the_order_of_news(
    truth: TruePower, moments: tuple[float, float, float]
) -> None:
    first, second, third = sorted(moments)
    whole = truth.energy_j(first, third)
    assert whole == pytest.approx(truth.energy_j(first, second) + truth.energy_j(second, third), abs=1e-6)
    shuffled = TruePower(0.0, truth.idle_w, truth.drift_w_per_s)
    for at_s, by_w in reversed(truth._steps):
        shuffled.step(at_s, by_w)
    assert shuffled.energy_j(first, third) == pytest.approx(whole, abs=1e-6)


@given(truth=truths)
def test_energy_is_the_integral_of_power(truth: TruePower) -> None:
    grid = np.arange(0.05, 100, 0.1)
    sums = sum(truth.power_w(at_s) for at_s in grid) * 0.1
    steps = sum(abs(by_w) for _, by_w in truth._steps)
    assert truth.energy_j(0, 100) == pytest.approx(sums, abs=0.11 * steps + 1e-6)


@given(power_w=st.floats(-20, 20), charge_ah=st.floats(0, 4))
def test_current_times_voltage_under_load_is_the_power(power_w: float, charge_ah: float) -> None:
    cell = Cell()
    current_a = cell.current_a(power_w, charge_ah)
    assert cell.voltage_v(current_a, charge_ah) * current_a == pytest.approx(power_w, abs=1e-9)
    assert math.copysign(1, current_a) == math.copysign(1, power_w) or abs(power_w) < 1e-9


def test_more_than_a_cell_can_give_is_its_most() -> None:
    assert Cell().current_a(1000.0, 4.0) == pytest.approx(4.3 / (2 * 0.08))


@pytest.mark.parametrize(
    ("gauge", "current", "voltage"),
    [
        (Gauge(), "-1234568", "3987654"),
        (Gauge(sign=1), "1234568", "3987654"),
        (Gauge(current_unit="mA", voltage_unit="mV"), "-1235", "3988"),
        (Gauge(resolution_a=0.01), "-1230000", "3987654"),
        (Gauge(dropout=1.0), "", "3987654"),
    ],
)
def test_a_gauge_writes_its_own_unit_sign_and_steps(gauge: Gauge, current: str, voltage: str) -> None:
    assert gauge.current(1.2345678, np.random.default_rng(0)) == current
    assert gauge.voltage(3.987654) == voltage


def test_noise_is_relative_unbiased_and_new_for_each_value() -> None:
    generator = np.random.default_rng(1)
    told = np.array([int(Gauge(noise=0.05).current(2.0, generator)) for _ in range(4000)]) / -2e6
    assert told.mean() == pytest.approx(1, abs=0.004)
    assert told.std() == pytest.approx(0.05, rel=0.1)
    assert abs(np.corrcoef(told[1:], told[:-1])[0, 1]) < 0.06


@pytest.mark.parametrize("wrong", [{"period_s": 0.0}, {"lag_s": -1.0}, {"lag_s": 11.0}, {"dropout": 1.5}])
def test_a_gauge_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="period_s must be at least"):
        Gauge(**wrong)  # type: ignore[arg-type]
