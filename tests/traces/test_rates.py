import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.rates import (
    Direction,
    Network,
    RateSeries,
    constant_network,
    draw_multipliers,
    series_network,
    transfer_s,
)

Rates = list[tuple[float, float, float]]  # from when, bit/s down, bit/s up


def series_of(profiles: list[Rates], period_s: list[float]) -> RateSeries:
    begin, down, up = (
        np.array(column, float) for column in zip(*(rate for rates in profiles for rate in rates), strict=True)
    )
    offsets = np.cumsum([0, *map(len, profiles)])
    return RateSeries(offsets, begin, down, up, np.array(period_s, float))


def walk(rates: Rates, period_s: float, column: int, begin_s: float, size_bytes: float, multiplier: float) -> float:
    """The slow twin: from rate to rate, in exact fractions."""
    period, left = Fraction(period_s), 8 * Fraction(size_bytes) / Fraction(multiplier)
    ends = [Fraction(begin) for begin, _, _ in rates[1:]] + [period]
    base, begin = Fraction(begin_s) // period * period, Fraction(begin_s)
    now = begin
    while left > 0:
        for rate, end in zip(rates, ends, strict=True):
            if now >= base + end:
                continue
            carried = Fraction(rate[column]) * (base + end - now)
            if left <= carried:
                return float(now + left / Fraction(rate[column]) - begin)
            left, now = left - carried, base + end
        base += period
    return 0.0


@st.composite
def profiles(draw: st.DrawFn) -> tuple[Rates, int]:
    """Series in whole seconds, with pauses, that carry something both ways."""
    begins = [0, *draw(st.lists(st.integers(1, 30), unique=True, max_size=6).map(sorted))]
    rates = [(float(begin), draw(st.sampled_from([0.0, 8.0, 5e3, 1e6])), draw(st.floats(0, 1e6))) for begin in begins]
    busy = draw(st.integers(0, len(rates) - 1))
    rates[busy] = (rates[busy][0], 64.0, 1e3)
    return rates, begins[-1] + draw(st.integers(1, 20))


@given(
    st.lists(profiles(), min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(-100, 1000),
            st.just(0.0) | st.floats(1e-3, 40),
            st.sampled_from([0.25, 1.0, 1.7]),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["download", "upload"]),
)
def test_a_series_carries_what_a_walk_from_rate_to_rate_does(
    given_profiles: list[tuple[Rates, int]], asked: list[tuple[int, float, float, float]], direction: Direction
) -> None:
    network = series_network(
        series_of([rates for rates, _ in given_profiles], [period for _, period in given_profiles])
    )
    profile = np.array([place % len(given_profiles) for place, _, _, _ in asked])
    begin, periods, multiplier = (np.array(column) for column in list(zip(*asked, strict=True))[1:])
    column = 1 if direction == "download" else 2
    means = network.download_bit_per_s if direction == "download" else network.upload_bit_per_s
    assert network.series is not None
    size = periods * means[profile] * network.series.period_s[profile] * multiplier / 8
    seconds = transfer_s(network, profile, begin, size, direction, multiplier)
    walked = [
        walk(*given_profiles[p], column, b, s, m)
        for p, b, s, m in zip(profile, begin.tolist(), size.tolist(), multiplier.tolist(), strict=True)
    ]
    # Where nothing is carried for a while a rounding may take the other side of it: what was carried has to agree.
    again = [
        walk(*given_profiles[p], column, b, s * (1 + sign * 1e-12), m)
        for p, b, s, m in zip(profile, begin.tolist(), size.tolist(), multiplier.tolist(), strict=True)
        for sign in (-1, 1)
    ]
    low, high = np.array(again[::2]), np.array(again[1::2])
    close = np.abs(seconds - walked) <= 1e-9 * np.maximum(1, walked)
    assert (close | (seconds >= low - 1e-6) & (seconds <= high + 1e-6)).all()
    assert close.mean() > 0.5 or len(close) < 3
    order = np.arange(len(profile))[::-1]
    np.testing.assert_array_equal(
        transfer_s(network, profile[order], begin[order], size[order], direction, multiplier[order]), seconds[order]
    )
    alone = [
        transfer_s(network, int(p), b, s, direction, m)
        for p, b, s, m in zip(profile, begin, size, multiplier, strict=True)
    ]
    np.testing.assert_array_equal(alone, seconds)


def test_a_series_worked_by_hand() -> None:
    # 80 bit/s for 10 s, a pause of 10 s, 8 bit/s for 10 s: 110 bytes in a period of 30 s.
    series = series_of([[(0.0, 80.0, 8.0), (10.0, 0.0, 8.0), (20.0, 8.0, 8.0)]], [30.0])
    network = series_network(series)
    begin = np.array([0.0, 5.0, 5.0, 10.0, 25.0, 0.0, 0.0, 3000.0 + 29.0, 0.0, 7.0])
    size = np.array([100.0, 50.0, 51.0, 1.0, 6.0, 110.0, 1100.0, 2.0, 1111.0, 0.0])
    expected = [10.0, 5.0, 16.0, 11.0, 5.1, 30.0, 300.0, 1.1, 301.1, 0.0]
    assert transfer_s(network, np.zeros(10, int), begin, size, "download").tolist() == pytest.approx(
        expected, rel=1e-12
    )
    assert transfer_s(network, 0, begin, size, "upload").tolist() == pytest.approx(size.tolist(), rel=1e-12)
    assert network.download_bit_per_s.tolist() == pytest.approx([880 / 30])
    assert (network.upload_bit_per_s.tolist(), network.upload_cv.tolist()) == ([8.0], [0.0])
    variance = (10 * (80 - 880 / 30) ** 2 + 10 * (880 / 30) ** 2 + 10 * (8 - 880 / 30) ** 2) / 30
    assert network.download_cv.tolist() == pytest.approx([math.sqrt(variance) / (880 / 30)])


def test_constant_rates_take_eight_bits_a_byte() -> None:
    network = constant_network(np.array([1e6, 2e6]), 5e5)
    assert network.profiles == 2
    profile, size = np.array([0, 1, 1]), np.array([1e6, 1e6, 0.0])
    assert transfer_s(network, profile, 1e9, size, "download").tolist() == [8.0, 4.0, 0.0]
    assert transfer_s(network, profile, np.zeros(3), size, "upload", np.array([1.0, 0.5, 3.0])).tolist() == [16, 32, 0]
    assert transfer_s(network, 0, np.zeros(3), 1e6, "upload").tolist() == [16.0] * 3
    assert transfer_s(constant_network(8.0, 8.0), 0, 0.0, 1.0, "upload") == 1.0


def test_what_begins_at_infinity_takes_a_finite_time() -> None:
    network = series_network(series_of([[(0.0, 80.0, 8.0), (10.0, 0.0, 8.0)]], [30.0]))
    assert np.isfinite(transfer_s(network, 0, np.array([math.inf, 0.0]), 1e3, "download")).all()


def test_drawn_multipliers_have_the_mean_and_the_variation_of_the_profile() -> None:
    cv = np.array([0.0, 0.37, 1.5])
    network = Network("lognormal", np.full(3, 1e6), np.full(3, 1e6), cv, cv[::-1].copy())
    draws = 200_000
    for profile in range(3):
        down, up = draw_multipliers(network, np.full(draws, profile), np.random.default_rng(7 + profile))
        for drawn, wanted in ((down, cv[profile]), (up, cv[2 - profile])):
            assert drawn.min() > 0
            # Six standard errors: of the mean from the cv, of the deviation from the fourth moment of the logarithm.
            assert drawn.mean() == pytest.approx(1.0, abs=6 * wanted / math.sqrt(draws) + 1e-12)
            spread, sigma = np.log(drawn).std(), math.sqrt(math.log1p(wanted**2))
            assert spread == pytest.approx(sigma, abs=6 * sigma / math.sqrt(2 * draws) + 1e-12)
        if 0 < profile < 2:
            assert abs(np.corrcoef(np.log(down), np.log(up))[0, 1]) < 6 / math.sqrt(draws)
    assert draw_multipliers(network, np.zeros((4, 3), int), np.random.default_rng(0))[0].shape == (4, 3)


def test_rates_that_do_not_vary_draw_nothing() -> None:
    random, profile = np.random.default_rng(3), np.zeros(5, int)
    varied = Network("lognormal", np.full(1, 1e6), np.full(1, 1e6), np.ones(1), np.ones(1))
    down, up = draw_multipliers(replace(varied, kind="constant"), profile, random)
    assert down.tolist() == up.tolist() == [1.0] * 5
    assert random.random() == np.random.default_rng(3).random()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"kind": "normal"}, "kind of a network must be one of constant, lognormal, trace"),
        ({"kind": "trace"}, "series must have the 1 profiles"),
        ({"download_bit_per_s": np.array([0.0])}, "download_bit_per_s must be finite and above 0"),
        ({"upload_bit_per_s": np.array([math.nan])}, "upload_bit_per_s must be finite and above 0"),
        ({"upload_bit_per_s": np.array([-1.0])}, "upload_bit_per_s must be finite and above 0"),
        ({"upload_bit_per_s": np.array([1.0, 1.0])}, "upload_bit_per_s of a network must be float64"),
        ({"download_cv": np.array([-0.1])}, "download_cv must be finite and at least 0"),
        ({"download_cv": np.array([1])}, "download_cv of a network must be float64"),
    ],
)
def test_networks_that_are_none_are_refused(changes: dict[str, object], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(constant_network(1e6, 1e6), **changes)


@pytest.mark.parametrize(
    ("rates", "period_s", "rule"),
    [
        ([(1.0, 1.0, 1.0)], 10.0, "begin_s must be 0"),
        ([(0.0, 1.0, 1.0), (5.0, 1.0, 1.0), (5.0, 1.0, 1.0)], 10.0, "begin_s must rise"),
        ([(0.0, 1.0, 1.0), (5.0, 1.0, 1.0), (4.0, 1.0, 1.0)], 10.0, "begin_s must rise"),
        ([(0.0, 1.0, 1.0), (10.0, 1.0, 1.0)], 10.0, "below the profile's period_s"),
        ([(0.0, -1.0, 1.0)], 10.0, "download_bit_per_s must be finite and at least 0"),
        ([(0.0, 1.0, math.inf)], 10.0, "upload_bit_per_s must be finite"),
        ([(0.0, 1.0, 0.0), (5.0, 1.0, 0.0)], 10.0, "upload_bit_per_s must be above 0 somewhere"),
        ([(0.0, 1.0, 1.0)], 0.0, "begin_s must be below"),
    ],
)
def test_series_that_are_none_are_refused(rates: Rates, period_s: float, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        series_of([[(0.0, 1.0, 1.0)], rates], [10.0, period_s])


def test_a_profile_without_rates_is_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="must hold a rate for every profile"):
        RateSeries(np.array([0, 1, 1]), np.zeros(1), one, one, np.full(2, 10.0))
