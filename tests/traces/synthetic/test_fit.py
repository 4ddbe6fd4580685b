from pathlib import Path

import numpy as np
import pytest

from traces.availability import duty, make_availability
from traces.hardware import Hardware
from traces.rates import Network, constant_network
from traces.synthetic import Statistics, find_statistics, fit
from traces.synthetic.fit import fit_rates, fit_readiness
from traces.synthetic.originals import fit_fedscale, fit_flash, known_half_hours
from traces.synthetic.statistics import DAY_S

DATA = Path(__file__).parents[4] / "shared/data"
HOUR_S = 3600.0
PHONES = Hardware(("a", "b", "c"), ("",) * 3, ("high", "low", ""), np.full(3, np.nan))


def near(one: Statistics, other: Statistics) -> None:
    assert (one.name, one.title) == (other.name, other.title)
    for part in ("readiness", "network", "hardware"):
        first, second = vars(getattr(one, part)), vars(getattr(other, part))
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert value == (second[key] if isinstance(value, str) else pytest.approx(second[key], rel=2e-3)), key


@pytest.mark.skipif(not (DATA / "flash").exists(), reason="FLASH's files are not there")
def test_the_flash_fleet_is_what_its_files_say() -> None:
    near(fit_flash(DATA / "flash"), find_statistics("flash"))


@pytest.mark.skipif(not (DATA / "fedscale").exists(), reason="FedScale's files are not there")
def test_the_fedscale_fleet_is_what_its_files_say() -> None:
    near(fit_fedscale(DATA / "fedscale"), find_statistics("fedscale"))


def test_statistics_by_hand() -> None:
    # Over two days: never; two hours on the first; an hour at 6 and at 18 each day.
    traces = [
        [],
        [(0.0, 2 * HOUR_S)],
        [(HOUR_S * hour, HOUR_S * (hour + 1)) for hour in (6, 18, 30, 42)],
    ]
    found = fit(
        make_availability(traces, 2 * DAY_S),
        constant_network(np.array([4e6, 1e6]), 1e6),
        PHONES,
        np.array([0, 1, 1, 1, 2, 2]),
        name="x",
        title="x",
        sources=("a", "n", "h"),
    )
    r = found.readiness
    assert r is not None
    assert (r.days, r.never, r.source) == (2, 0.3333, "a")
    assert (r.duty[0], r.duty[-1]) == (0.04167, 0.08333)
    assert (r.per_day[0], r.per_day[-1]) == (0.5, 2.0)
    assert (r.length_s[0], r.length_s[-1]) == (3600.0, 7200.0)
    assert r.within == 0.0
    hours = np.zeros(24)
    hours[[0, 1, 6, 18]] = 0.5, 0.5, 1.0, 1.0
    hours = np.maximum(hours / hours.mean(), 0.011)
    assert r.hour_of_day == pytest.approx(hours / hours.mean(), rel=1e-3)
    assert (found.hardware.low, found.hardware.medium, found.hardware.high) == (0.75, 0.0, 0.25)
    assert found.network.download_bit_per_s == 2e6
    assert found.network.download_spread == pytest.approx(np.log(4) / np.sqrt(2), rel=1e-3)
    assert (found.network.upload_spread, found.network.correlation) == (0.0, 0.0)


def test_correlation_and_spread_within_a_trace() -> None:
    # Four traces: those with more intervals are ready longer, or less long.
    for sign in (1, -1):
        lengths = [1000.0 * 2**count / count if sign > 0 else 1000.0 / count**2 for count in range(1, 5)]
        traces = [
            [(20_000.0 * n, 20_000.0 * n + length) for n in range(count)] for count, length in enumerate(lengths, 1)
        ]
        r = fit_readiness(make_availability(traces, 2 * DAY_S), "x")
        assert r.correlation == pytest.approx(sign, abs=1e-6)
    r = fit_readiness(make_availability([[(0.0, 100.0), (200.0, 600.0)], [(0.0, 50.0)]], DAY_S), "x")
    assert r.within == pytest.approx(np.log(4) / np.sqrt(2), rel=1e-3)


def test_a_single_network_has_no_spread() -> None:
    one = np.array([5e6])
    rates = fit_rates(Network("lognormal", one, one * 2, np.array([0.3]), np.array([0.4])), "x")
    assert (rates.download_bit_per_s, rates.upload_bit_per_s, rates.download_spread) == (5e6, 1e7, 0.0)
    assert (rates.download_cv, rates.upload_cv) == (0.3, 0.4)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match=r"a trace that is ever ready .got 2 that never are"):
        fit_readiness(make_availability([[], []], DAY_S), "x")
    with pytest.raises(ValueError, match="a tier for some of the phones"):
        fit(None, constant_network(1e6, 1e6), PHONES, np.array([2]), name="x", title="x", sources=("", "n", "h"))


def test_only_half_hours_that_are_known_count(tmp_path: Path) -> None:
    # Rows are half hours: known from the second on, with a hole, not at all; the last row is left out.
    grid = np.array([[-1, 1, -1], [1, -1, -1], [0, 1, -1], [1, 0, -1], [1, 1, 1]], np.int8)
    path = tmp_path / "half.npz"
    np.savez_compressed(path, available=grid)
    a = known_half_hours(path)
    assert a.origin_s.tolist() == [1800.0, 0.0]
    assert a.period_s.tolist() == [3 * 1800.0, 4 * 1800.0]
    assert duty(a).tolist() == pytest.approx([2 / 3, 1 / 2])
    assert a.start_s.tolist() == [0.0, 3600.0, 0.0, 3600.0]
