import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.power.period import period_of
from profiler.power.simulated import GaugeModel, PowerTrace, simulate

KNOWN = (0.1, 0.175, 0.25, 0.5, 1.0, 1.5, 10.0)


def found_period(gauge: GaugeModel, seed: int = 0, **options: float) -> float:
    samples = simulate(PowerTrace(), gauge, np.random.default_rng(seed), **options)
    found = period_of(samples.time_s, samples.column("current"))
    assert found is not None
    return found.period_s


@pytest.mark.parametrize("period_s", KNOWN)
@pytest.mark.parametrize("kind", ["average", "instant"])
@pytest.mark.parametrize("jitter_s", [0.0, 0.005, 0.03])
def test_the_period_is_found_from_change_points(period_s: float, kind: str, jitter_s: float) -> None:
    gauge = GaugeModel(period_s=period_s, kind=kind)  # type: ignore[arg-type]
    assert found_period(gauge, poll_jitter_s=jitter_s) == pytest.approx(period_s, rel=0.06)


@pytest.mark.parametrize("period_s", KNOWN[1:-1])
@pytest.mark.parametrize(("noise", "resolution"), [(0.05, 20_000), (0.01, 20_000), (0.02, 10_000)])
def test_values_that_repeat_do_not_make_the_period_longer(period_s: float, noise: float, resolution: float) -> None:
    gauge = GaugeModel(period_s=period_s, noise=noise, resolution=resolution)
    assert found_period(gauge) == pytest.approx(period_s, rel=0.06)


@pytest.mark.parametrize("period_s", [0.25, 1.0])
def test_polls_that_fail_do_not_change_the_period(period_s: float) -> None:
    assert found_period(GaugeModel(period_s=period_s, dropout=0.2)) == pytest.approx(period_s, rel=0.06)
    assert found_period(GaugeModel(period_s=period_s, gaps=((10, 14), (33, 36)))) == pytest.approx(period_s, rel=0.06)


def test_a_change_while_nobody_looked_says_nothing_of_the_period() -> None:
    rng = np.random.default_rng(3)
    polls = np.arange(0, 120, 0.1)
    values = rng.standard_normal(200)[(polls / 1.0 + 0.37).astype(int)]
    seen = (polls % 4.3) > 0.9
    found = period_of(polls[seen], values[seen])
    assert found is not None
    assert found.period_s == pytest.approx(1.0, rel=0.01)
    assert found.fit == 1.0


def test_a_gauge_faster_than_the_polls_has_their_period_at_most() -> None:
    samples = simulate(PowerTrace(), GaugeModel(period_s=0.03), np.random.default_rng(0))
    found = period_of(samples.time_s, samples.column("current"))
    assert found is not None
    assert found.at_most
    assert found.period_s == pytest.approx(0.1, rel=0.05)


def test_a_timer_that_drifts_has_its_mean_period() -> None:
    rng = np.random.default_rng(1)
    updates = np.cumsum(1.0 + 0.03 * rng.standard_normal(100))
    polls = np.arange(0, 100, 0.1)
    values = rng.standard_normal(101)[np.searchsorted(updates, polls)]
    found = period_of(polls, values)
    assert found is not None
    assert found.period_s == pytest.approx(1.0, rel=0.02)
    assert found.fit > 0.9
    assert not found.at_most


def test_changes_without_a_beat_are_said_to_be_mostly_repeats() -> None:
    rng = np.random.default_rng(2)
    polls = np.arange(0, 300, 0.1)
    updates = np.cumsum(rng.exponential(2.0, 400))
    found = period_of(polls, rng.standard_normal(401)[np.searchsorted(updates, polls)])
    regular = period_of(polls, rng.standard_normal(401)[np.searchsorted(np.arange(1, 400) * 2.0, polls)])
    assert found is not None
    assert regular is not None
    assert regular.period_s == pytest.approx(2.0, rel=0.02)
    assert regular.repeats < 0.05
    assert found.repeats > 0.6


@pytest.mark.parametrize("values", [[1.0] * 50, [1.0, 2.0] + [3.0] * 48, [float("nan")] * 50, []])
def test_too_few_changes_have_no_period(values: list[float]) -> None:
    assert period_of(np.arange(len(values)) / 10, np.array(values)) is None


def test_a_real_gauge_has_news_about_once_a_second(series_folder) -> None:  # type: ignore[no-untyped-def]
    # A Quest 2 polled every 100 ms for 154 s: 132 values (its source says: refreshes about once a second).
    rows = np.genfromtxt(series_folder / "quest2_batterymanager.csv", delimiter=",", skip_header=1)
    found = period_of(rows[:, 0] / 1000 - rows[0, 0] / 1000, rows[:, 2])
    assert found is not None
    assert 0.9 < found.period_s < 1.3


@settings(max_examples=25)
@given(st.floats(0.15, 8), st.integers(0, 1000))
def test_any_period_is_found(period_s: float, seed: int) -> None:
    assert found_period(GaugeModel(period_s=period_s), seed) == pytest.approx(period_s, rel=0.06)
