import dataclasses

import numpy as np
import pytest

from profiler.power.charge import charge_energy
from profiler.power.samples import Samples
from profiler.power.simulated import GaugeModel, PowerTrace, simulate

# Idle long enough for a counter of 1 mAh: at 0.9 W it steps every 15 s.
TRACE = PowerTrace(start_s=60, end_s=180)


@pytest.mark.parametrize("resolution", [10.0, 200.0, 1000.0])
def test_the_truth_is_inside_three_errors(resolution: float) -> None:
    inside, net_inside = [], []
    for seed in range(40):
        model = GaugeModel(charge_resolution=resolution, period_s=0.25)
        found = charge_energy(simulate(TRACE, model, np.random.default_rng(seed)), 1e-6, 1e-6, 60, 180)
        assert found is not None
        # The counter follows a gauge that lags by its period; the simulator's voltage is that of the moment.
        slack = 0.005 * TRACE.gross_j
        inside.append(abs(found.gross_j - TRACE.gross_j) < 2 * found.gross_error_j + slack)
        net_inside.append(abs(found.net_j - TRACE.net_j) < 2 * found.net_error_j + slack)
    assert np.mean(inside) >= 0.9
    assert np.mean(net_inside) >= 0.9


def test_a_coarse_counter_says_so() -> None:
    def error(resolution: float) -> float:
        model = GaugeModel(charge_resolution=resolution)
        found = charge_energy(simulate(TRACE, model, np.random.default_rng(0)), 1e-6, 1e-6, 60, 180)
        assert found is not None
        return found.gross_error_j

    # A step of 1 mAh is 3.6 As, at 3.8 V 13.7 J; at each of two ends step / sqrt 12.
    assert error(1000.0) == pytest.approx(13.7 * np.sqrt(2 / 12), rel=0.03)
    assert error(500.0) == pytest.approx(error(1000.0) / 2, rel=0.03)


def test_the_error_of_net_energy_has_two_ends_of_each_idle_side() -> None:
    samples = simulate(TRACE, GaugeModel(charge_resolution=100.0, period_s=0.1), np.random.default_rng(0))
    found = charge_energy(samples, 1e-6, 1e-6, 60, 180)
    assert found is not None
    # 120 s of load against nearly 120 s of idle in two parts: sqrt(1 + 2).
    assert found.net_error_j / found.gross_error_j == pytest.approx(np.sqrt(3), rel=0.06)


def test_a_counter_that_hardly_moves_or_has_no_unit_says_nothing() -> None:
    samples = simulate(TRACE, GaugeModel(charge_resolution=50_000.0), np.random.default_rng(0))
    assert charge_energy(samples, 1e-6, 1e-6, 60, 180) is None
    fine = simulate(TRACE, GaugeModel(), np.random.default_rng(0))
    assert charge_energy(fine, float("nan"), 1e-6, 60, 180) is None
    assert charge_energy(Samples(fine.time_s, {}, {}), 1e-6, 1e-6, 60, 180) is None


def test_without_idle_steps_there_is_no_net_energy() -> None:
    samples = simulate(TRACE, GaugeModel(charge_resolution=5000.0), np.random.default_rng(0))
    charge = samples.columns["charge"].copy()
    charge[samples.time_s < 60] = charge[np.searchsorted(samples.time_s, 60)]
    charge[samples.time_s > 180] = charge[np.searchsorted(samples.time_s, 180)]
    still = dataclasses.replace(samples, columns={**samples.columns, "charge": charge})
    found = charge_energy(still, 1e-6, 1e-6, 60, 180)
    assert found is not None
    assert found.gross_j > 0
    assert np.isnan(found.net_j)


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="end_s must be after start_s"):
        charge_energy(simulate(TRACE, GaugeModel(), np.random.default_rng(0)), 1e-6, 1e-6, 180, 60)
