from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fl_sim.whole_fleet as whole_fleet
from fl_sim.block import luck, make_block, multipliers_of
from fl_sim.load import Load
from fl_sim.rules import Rules
from fl_sim.whole_fleet import Sweep, sweep, sweep_by_play
from tests.fl_sim.fleets import loads, rules_of, small_fleets
from traces.fleet import Fleet, uniform_fleet
from traces.rates import Network

PLAIN = uniform_fleet("plain", 20_000, model="m", soc="", tier="", bit_per_s=8.0)
LOAD = Load(np.ones(1), np.ones(1), np.ones(1), np.array([1000.0]), np.array([500.0]))


@st.composite
def sweeps(draw: st.DrawFn, whole: bool) -> tuple[Fleet, Load, Rules, np.ndarray, int, int]:
    fleet = draw(small_fleets(whole, most=12))
    rules = draw(rules_of(fleet.phones, whole, chance=False))
    steps = draw(st.lists(st.integers(0, 300) if whole else st.floats(0, 300), min_size=1, max_size=4))
    clock_s = np.cumsum(np.array(steps, dtype=np.float64)) + draw(st.integers(-500, 500))
    return fleet, draw(loads(whole)), rules, clock_s, draw(st.integers(0, 100)), draw(st.integers(1, 5))


def assert_equal(swept: Sweep, played: Sweep) -> None:
    for field in fields(Sweep):
        got, expected = getattr(swept, field.name), getattr(played, field.name)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-6, err_msg=field.name)


@pytest.mark.parametrize("whole", [False, True])
def test_a_sweep_equals_rounds_that_are_played(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(max_examples=100)
    @given(sweeps(whole))
    def check(scene: tuple[Fleet, Load, Rules, np.ndarray, int, int]) -> None:
        fleet, load, rules, clock_s, seed, block = scene
        monkeypatch.setattr(whole_fleet, "BLOCK", block)
        assert_equal(
            sweep(fleet, load, rules, clock_s, seed, threads=1), sweep_by_play(fleet, load, rules, clock_s, seed)
        )

    check()


def test_threads_change_nothing() -> None:
    fleet = replace(PLAIN, network=Network("lognormal", *(np.array([rate]) for rate in (8.0, 8.0, 0.7, 0.7))))
    rules, clock_s = Rules(1, round_end="fraction", fraction=0.8), np.arange(3.0)
    one, many = (sweep(fleet, LOAD, rules, clock_s, 5, threads=threads) for threads in (1, 4))
    for field in fields(Sweep):
        assert np.array_equal(getattr(one, field.name), getattr(many, field.name), equal_nan=True)


def test_log_normal_rates_are_fresh_and_have_their_mean_and_spread() -> None:
    network = Network("lognormal", *(np.array([rate]) for rate in (8.0, 8.0, 0.3, 0.6)))
    fleet = replace(PLAIN, network=network)
    block = make_block(fleet, LOAD, 0, fleet.phones, 0.0)
    drawn = []
    for seed, number in ((1, 0), (1, 1), (2, 0)):
        lucky = luck(fleet, block, slice(None), seed, number)
        assert lucky is not None
        drawn.append(multipliers_of(fleet, np.arange(fleet.phones), lucky))
    together = np.stack([*drawn[0], *drawn[1], *drawn[2]])
    assert np.abs(np.corrcoef(together)[~np.eye(6, dtype=bool)]).max() < 5 / np.sqrt(fleet.phones)
    for rates, cv in zip(together, (0.3, 0.6) * 3, strict=True):
        assert rates.mean() == pytest.approx(1, abs=5 * cv / np.sqrt(fleet.phones))
        assert rates.std() == pytest.approx(cv, rel=0.06)


@pytest.mark.parametrize(
    ("rules", "clock_s", "words"),
    [
        (Rules(1, dropout=0.1), np.zeros(1), "dropout and retries must be 0"),
        (Rules(1, retries=1), np.zeros(1), "dropout and retries must be 0"),
        (Rules(1), np.array([2.0, 1.0]), "clock_s must be"),
        (Rules(1), np.array([np.nan]), "clock_s must be"),
        (Rules(1), np.zeros(0), "clock_s must be"),
    ],
)
def test_what_a_sweep_refuses(rules: Rules, clock_s: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sweep(PLAIN, LOAD, rules, clock_s, 1)
