import numpy as np
import pytest

from profiler.power.gauge import Gauge
from profiler.power.level import level_of
from profiler.power.samples import Array, Samples
from profiler.power.series import Line, Series, series_of

GAUGE = Gauge(1.0, 1.0, 1.0, 1, 0.5)
NAN = float("nan")


def series(current: list[float], voltage: list[float], step_s: float = 0.1) -> Series:
    columns = {"current": np.array(current), "voltage": np.array(voltage)}
    return series_of(Samples(np.arange(len(current)) * step_s, columns, {}), GAUGE)


def test_current_and_voltage_hold_until_their_own_next_value() -> None:
    power = series([1, NAN, 2, 2, 2], [4, 4, NAN, 5, 5]).power_w
    assert power.tolist() == [4, 4, 8, 10]


def test_nothing_is_held_over_more_than_one_and_a_half_periods() -> None:
    power = series([1] + [NAN] * 6 + [3, 3], [1.0] * 9).power_w
    assert power.tolist() == [1] * 7 + [3]
    power = series([1] + [NAN] * 7 + [3, 3], [1.0] * 10).power_w
    assert np.isnan(power[:8]).all()
    assert power[8] == 3


def test_what_was_not_read_at_the_ends_is_unknown() -> None:
    power = series([NAN, 1, 1] + [NAN] * 12, [1.0] * 15).power_w
    assert np.isnan(power[0])
    assert power[1] == 1
    assert np.isnan(power[3:]).all()


def test_an_integral_cuts_the_stretches_at_its_ends_and_skips_gaps() -> None:
    power = Series(np.array([0.0, 1.0, 2.0, 3.0]), np.array([2.0, NAN, 4.0]))
    assert power.integral_j(0.5, 2.25) == pytest.approx(2 * 0.5 + 4 * 0.25)
    assert power.covered_s(0.5, 2.25) == pytest.approx(0.75)
    assert power.integral_j(0.5, 2.25, Line(0.0, 1.0, 1.0)) == pytest.approx(2 - (0.5 * 1.75 + 0.25 * 3.125))
    assert power.integral_j(-5, 0) == 0
    assert power.integral_j(3, 9) == 0
    assert power.within(0.5, 2.25)[[0, 2]].tolist() == [2.0, 4.0]


def noisy(rng: np.random.Generator, period_s: float, seconds: float, noise: float = 0.1) -> Series:
    edges = np.arange(0, seconds + 0.05, 0.1)
    values = 1 + noise * rng.standard_normal(int(seconds / period_s) + 2)
    return Series(edges, values[((edges[:-1] + rng.uniform(0, period_s)) / period_s).astype(int)])


@pytest.mark.parametrize(("period_s", "seconds"), [(0.1, 17.0), (0.5, 30.0), (1.0, 30.0), (1.0, 17.0), (1.5, 15.0)])
def test_the_error_of_a_level_is_the_spread_of_levels(period_s: float, seconds: float) -> None:
    rng = np.random.default_rng(0)
    levels = [level_of(noisy(rng, period_s, seconds), 0.0, seconds, period_s) for _ in range(1500)]
    means: Array = np.array([level.power_w for level in levels if level is not None])
    errors = np.array([level.error_w for level in levels if level is not None])
    assert means.mean() == pytest.approx(1, abs=0.01)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(means.std(), rel=0.07)


def test_a_steady_change_is_no_noise_but_a_slow_swing_is() -> None:
    edges = np.arange(0, 30.05, 0.1)
    ramp = level_of(Series(edges, edges[:-1]), 0.0, 30.0, 0.5)
    swing = level_of(Series(edges, 15 + np.sin(edges[:-1])), 0.0, 30.0, 0.5)
    assert ramp is not None
    assert swing is not None
    assert ramp.power_w == pytest.approx(15, abs=0.1)
    assert ramp.error_w < 1e-6
    assert swing.error_w > 0.05


def test_a_stretch_too_short_to_tell_has_an_assumed_noise() -> None:
    edges = np.arange(0, 5.05, 0.1)
    level = level_of(Series(edges, np.full(50, 2.0)), 0.0, 5.0, 1.0)
    assert level is not None
    assert level.error_w == pytest.approx(0.1 * 2.0 / np.sqrt(5))
    assert level.freedom == 2


def test_a_glitch_is_no_idle_power_but_a_short_waking_is() -> None:
    edges = np.arange(0, 20.05, 0.1)
    power = np.ones(200)
    power[50:60] = 3.0
    woken = level_of(Series(edges, power), 0.0, 20.0, 0.5, clip=True)
    power[100] = 1e6
    glitch = level_of(Series(edges, power), 0.0, 20.0, 0.5, clip=True)
    assert woken is not None
    assert glitch is not None
    assert woken.power_w == pytest.approx(1.1)
    assert glitch.power_w == pytest.approx(1.1 + 3 / 200)


@pytest.mark.parametrize(("start_s", "end_s"), [(5.0, 5.0), (5.0, 4.0), (30.0, 40.0)])
def test_there_is_no_level_where_nothing_was_read(start_s: float, end_s: float) -> None:
    edges = np.arange(0, 20.05, 0.1)
    assert level_of(Series(edges, np.ones(200)), start_s, end_s, 0.5) is None
