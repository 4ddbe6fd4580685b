import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.power.latency import latency_of


def test_the_statistics_of_a_few_batches() -> None:
    found = latency_of(np.array([30.0, 10, 11, 12, 13]))
    assert (found.batches, found.first_ms, found.median_ms, found.mean_ms) == (5, 30.0, 12.0, 15.2)
    assert found.std_ms == pytest.approx(np.std([30, 10, 11, 12, 13], ddof=1))
    assert found.p5_ms == pytest.approx(10.2)
    assert found.p95_ms == pytest.approx(26.6)
    assert not found.throttled
    assert "too few" in found.evidence


def test_one_batch_has_no_spread() -> None:
    found = latency_of(np.array([5.0]))
    assert (found.mean_ms, found.median_ms) == (5.0, 5.0)
    assert np.isnan(found.std_ms)
    assert np.isnan(found.half_width_95_ms)


def test_equal_batches_are_all_independent_and_exact() -> None:
    found = latency_of(np.full(100, 7.0))
    assert (found.effective_n, found.mean_error_ms, found.trend) == (100.0, 0.0, 0.0)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_the_error_of_the_mean_knows_that_neighbours_resemble_each_other(memory: float) -> None:
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(200):
        noise = rng.standard_normal(2000)
        for i in range(1, 2000):
            noise[i] += memory * noise[i - 1]
        runs.append(latency_of(100 + noise[200:]))
    spread = np.std([run.mean_ms for run in runs])
    assert np.median([run.mean_error_ms for run in runs]) == pytest.approx(spread, rel=0.2)
    # Theory of an AR(1): n (1 - r) / (1 + r).
    assert np.median([run.effective_n for run in runs]) == pytest.approx(1800 * (1 - memory) / (1 + memory), rel=0.2)
    inside = [abs(run.mean_ms - 100) < run.half_width_95_ms for run in runs]
    assert 0.88 < np.mean(inside) <= 0.99


def test_a_run_that_gets_slower_was_throttled_and_one_that_is_noisy_was_not() -> None:
    rng = np.random.default_rng(1)
    steady = 50 + 5 * rng.standard_normal(400)
    assert not latency_of(steady).throttled
    slower = latency_of(steady * np.linspace(1, 1.4, 400))
    assert slower.throttled
    assert slower.trend == pytest.approx(0.31, abs=0.06)
    assert f"{slower.trend:+.1%}" in slower.evidence
    assert not latency_of(steady * np.linspace(1, 1.05, 400)).throttled
    assert not latency_of(steady * np.linspace(1.4, 1, 400)).throttled


def test_few_wild_batches_are_no_throttling() -> None:
    rng = np.random.default_rng(2)
    runs = [latency_of(10 + rng.exponential(50, 40)) for _ in range(200)]
    assert np.mean([run.trend > 0.1 for run in runs]) > 0.3
    assert np.mean([run.throttled for run in runs]) < 0.08


@pytest.mark.parametrize("times", [[], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [float("inf")], [[1.0], [2.0]]])
def test_times_that_are_none_are_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="batch_ms must be"):
        latency_of(np.array(times))


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=200))
def test_statistics_are_ordered_and_scale(times: list[float]) -> None:
    found, twice = latency_of(np.array(times)), latency_of(2 * np.array(times))
    assert min(times) <= found.p5_ms <= found.median_ms <= found.p95_ms <= max(times)
    assert 1 <= found.effective_n <= len(times)
    assert twice.mean_ms == pytest.approx(2 * found.mean_ms)
    assert twice.throttled == found.throttled
