import numpy as np
import pytest

from costmodel.cohort import draw_rates, round_times_s
from costmodel.scenario import Cohort

RNG = np.random.default_rng


def test_alike_clients_on_a_constant_network_take_what_one_takes() -> None:
    times = round_times_s(Cohort(clients=50), 3.0, 3_750_000, 1_875_000, RNG(0))
    assert times.tolist() == [3.0 + 3.0 + 1.5]


def test_the_round_ends_with_the_slowest_the_share_or_the_deadline() -> None:
    phones = [1.0, 2.0, 3.0]
    assert round_times_s(Cohort(clients=9), phones, 0, 0, RNG(0)).tolist() == [3.0]
    half = Cohort(clients=9, round_end="fraction", fraction=0.5)
    assert round_times_s(half, phones, 0, 0, RNG(0)).tolist() == [2.0]  # the fifth of nine
    most = Cohort(clients=9, round_end="fraction", fraction=0.4)
    assert round_times_s(most, phones, 0, 0, RNG(0)).tolist() == [2.0]  # the fourth of nine, not the third
    third = Cohort(clients=9, round_end="fraction", fraction=1 / 3)
    assert round_times_s(third, phones, 0, 0, RNG(0)).tolist() == [1.0]
    late = Cohort(clients=9, round_end="deadline", deadline_s=2.5)
    assert round_times_s(late, phones, 0, 0, RNG(0)).tolist() == [2.5]
    assert round_times_s(late, [1.0], 0, 0, RNG(0)).tolist() == [1.0]


@pytest.mark.parametrize("network", ["lognormal", "cut_normal"])
def test_random_rates_have_their_mean_and_spread_and_are_above_zero(network: str) -> None:
    cohort = Cohort(network=network, network_cv=0.25)
    rates = draw_rates(cohort, (200_000,), RNG(1))
    assert rates.min() > 0
    assert rates.mean() == pytest.approx(10e6, rel=0.01)
    assert rates.std() == pytest.approx(2.5e6, rel=0.02)


def test_waiting_for_fewer_is_never_slower() -> None:
    cohort = Cohort(clients=50, network="lognormal", network_cv=0.5)
    everyone = round_times_s(cohort, 1.0, 10**6, 10**6, RNG(2))
    most = Cohort(clients=50, network="lognormal", network_cv=0.5, round_end="fraction", fraction=0.8)
    assert (round_times_s(most, 1.0, 10**6, 10**6, RNG(2)) <= everyone).all()
    assert len(everyone) == 4000
