import numpy as np
import pytest
from scipy import integrate

from profiler.power.gauge import Gauge
from profiler.power.series import series_of
from profiler.power.simulated import GaugeModel, PowerTrace, simulate

TRACE = PowerTrace(drift_w_per_s=0.004, slope_w_per_s=-0.01, ripple_period_s=0.7)


def test_energy_is_the_integral_of_power() -> None:
    time_s = np.linspace(0, 70, 700_001)
    total = integrate.cumulative_trapezoid(TRACE.power_w(time_s), time_s, initial=0)
    np.testing.assert_allclose(TRACE.energy_j(time_s), total, atol=2e-3)
    idle = TRACE.idle_w * 30 + TRACE.drift_w_per_s * (50**2 - 20**2) / 2
    assert TRACE.gross_j - TRACE.net_j == pytest.approx(idle)


def test_an_averaging_gauge_loses_no_energy() -> None:
    gauge = GaugeModel(period_s=1.0, noise=0, voltage_noise_v=0, resistance_ohm=0, lag_s=0.5)
    samples = simulate(PowerTrace(), gauge, np.random.default_rng(0))
    shown = series_of(samples, Gauge(1e-6, 1e-6, 1e-6, -1, 1.0)).integral_j(18, 55)
    true = PowerTrace().net_j + 0.9 * 37
    assert shown == pytest.approx(true, rel=0.004)


def test_a_gauge_of_moments_shows_the_power_of_the_moment() -> None:
    gauge = GaugeModel(period_s=1.0, kind="instant", noise=0, voltage_noise_v=0, resistance_ohm=0)
    samples = simulate(PowerTrace(ripple_w=0), gauge, np.random.default_rng(0))
    assert len(np.unique(samples.columns["current"])) == 2


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("unit", "scale"), [("uA", 1e-6), ("mA", 1e-3)])
def test_unit_and_sign_are_as_asked(unit: str, scale: float, sign: int) -> None:
    samples = simulate(PowerTrace(), GaugeModel(current_unit=unit, sign=sign, noise=0), np.random.default_rng(0))
    busy = (samples.time_s > 25) & (samples.time_s < 49)
    watts = sign * scale * samples.columns["current"][busy] * samples.columns["voltage"][busy] * 1e-6
    assert watts.mean() == pytest.approx(5.2, rel=0.01)


def test_the_charge_counter_falls_by_what_was_drawn() -> None:
    samples = simulate(PowerTrace(), GaugeModel(charge_resolution=1, period_s=0.1), np.random.default_rng(0))
    charge = samples.columns["charge"]
    drawn_j = (charge[0] - charge[-1]) * 1e-6 * 3600 * 3.85
    assert drawn_j == pytest.approx(PowerTrace().energy_j(70.0), rel=0.02)


def test_dropouts_and_gaps_are_unreadable_cells_of_all_columns() -> None:
    gauge = GaugeModel(dropout=0.2, gaps=((30, 32),))
    samples = simulate(PowerTrace(), gauge, np.random.default_rng(0))
    lost = np.isnan(samples.columns["current"])
    assert (lost == np.isnan(samples.columns["voltage"])).all()
    assert lost[(samples.time_s > 30.01) & (samples.time_s < 31.99)].all()
    assert 0.15 < lost.mean() < 0.3


def test_one_seed_gives_one_record() -> None:
    first, second = (simulate(PowerTrace(), GaugeModel(), np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.columns["current"], second.columns["current"])
    third = simulate(PowerTrace(), GaugeModel(), np.random.default_rng(4))
    assert not np.array_equal(first.columns["current"][:100], third.columns["current"][:100])
