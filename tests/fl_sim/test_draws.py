from dataclasses import replace

import numpy as np
import pytest

from fl_sim.draws import draw
from fl_sim.rules import Buffered, Rules
from traces.fleet import uniform_fleet
from traces.rates import Network

PHONES = np.arange(20_000)
EVEN = uniform_fleet("even", len(PHONES), model="m", soc="", tier="", bit_per_s=1.0)
UNEVEN = replace(EVEN, network=Network("lognormal", *(np.array([rate]) for rate in (1.0, 1.0, 0.5, 0.2))))


def seeded() -> np.random.Generator:
    return np.random.default_rng(3)


def test_no_chance_is_left_to_constant_networks_without_failures() -> None:
    random = seeded()
    draws = draw(EVEN, PHONES, Rules(1, retries=2), random)
    assert draws.download.shape == draws.upload.shape == draws.fails_at.shape == (len(PHONES), 3)
    assert (draws.download == 1).all()
    assert (draws.upload == 1).all()
    assert np.isnan(draws.fails_at).all()
    assert random.random() == seeded().random()


@pytest.mark.parametrize("rules", [Rules(1, dropout=0.3, retries=1), Buffered(1, 1, dropout=0.3, retries=1)])
def test_attempts_fail_as_often_as_the_rules_say_and_evenly_over_their_work(rules: Rules | Buffered) -> None:
    draws = draw(UNEVEN, PHONES, rules, seeded())
    failing = ~np.isnan(draws.fails_at)
    assert failing.mean() == pytest.approx(0.3, abs=5 * 0.46 / np.sqrt(failing.size))
    shares = np.sort(draws.fails_at[failing])
    assert np.abs(shares - np.linspace(0, 1, len(shares))).max() < 2 / np.sqrt(len(shares))
    assert np.abs(np.corrcoef(failing.T)[0, 1]) < 5 / np.sqrt(len(PHONES))
    assert np.abs(np.corrcoef(draws.download.T)[0, 1]) < 5 / np.sqrt(len(PHONES))
    assert draws.download.mean() == pytest.approx(1, abs=5 * 0.5 / np.sqrt(failing.size))


def test_rates_stay_the_same_whatever_the_chance_of_failing_and_the_retries() -> None:
    plain = draw(UNEVEN, PHONES, Rules(1), seeded())
    often = draw(UNEVEN, PHONES, Rules(1, dropout=0.9, retries=3), seeded())
    seldom = draw(UNEVEN, PHONES, Rules(1, dropout=0.1, retries=3), seeded())
    assert (plain.download[:, 0] == often.download[:, 0]).all()
    assert (plain.upload[:, 0] == often.upload[:, 0]).all()
    # Whoever fails at the lower chance fails at the higher one, too, at the same time.
    failing = ~np.isnan(seldom.fails_at)
    assert (seldom.fails_at[failing] == often.fails_at[failing]).all()
