"""Rounds one after the other: the clock, what counts, what is keyed by the seed, and both clocks over whole runs."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.clock import play
from fl_sim.events import play_events
from fl_sim.fleet_run import TRIES, fleet_rounds
from fl_sim.load import Load
from fl_sim.participation import DONE, DROPPED, OUTCOMES, FleetRound, Participation
from fl_sim.rules import Interruption, Rules
from fl_sim.selection import NOBODY, SELECTORS, open_selector
from tests.fl_sim.fleets import loads, rules_of, small_fleets
from tests.fl_sim.small_fleet import BYTE_PER_S, small_fleet, small_load
from traces.fleet import Fleet
from traces.rates import Network
from traces.synthetic import find_statistics, synthetic_fleet

Phones = npt.NDArray[np.int64]


class Noting:
    """Asks the first phones, and notes what it is asked and told."""

    def __init__(self, phones: int, *, from_s: float = 0.0) -> None:
        self.phones, self.from_s = phones, from_s
        self.asked: list[tuple[int, float]] = []
        self.told: list[tuple[int, FleetRound]] = []
        self.chances: list[float] = []

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        self.asked.append((count, clock_s))
        self.chances.append(float(random.random()))
        return np.arange(min(count, self.phones)) if clock_s >= self.from_s else NOBODY

    def learn(self, number: int, played: FleetRound) -> None:
        self.told.append((number, played))


def run(fleet: Fleet, rules: Rules, rounds: int, select: str = "available", seed: int = 0) -> list[FleetRound]:
    selector = open_selector(select, fleet, small_load(), rules)
    return list(fleet_rounds(fleet, small_load(), rules, selector, rounds, seed))


def assert_same(one: Sequence[FleetRound], other: Sequence[FleetRound], rtol: float = 0.0) -> None:
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose([first.begin_s, first.end_s], [second.begin_s, second.end_s], rtol=rtol)
        for field in fields(Participation):
            columns = [getattr(each.clients, field.name) for each in (first, second)]
            np.testing.assert_allclose(*columns, rtol=rtol, atol=1e-6 * (rtol > 0), err_msg=field.name)


def test_a_round_begins_where_the_last_one_ended_and_the_selector_is_told() -> None:
    noting = Noting(3)
    rules = Rules(2, over_commit=1.5)
    played = list(fleet_rounds(small_fleet(None, phones=3), small_load(), rules, noting, 4, 0, begin_s=7.0))
    assert [(each.begin_s, each.end_s) for each in played] == [(7, 42), (42, 77), (77, 112), (112, 147)]
    assert noting.asked == [(3, 7), (3, 42), (3, 77), (3, 112)]
    assert [number for number, _ in noting.told] == [1, 2, 3, 4]
    assert all(told is each for (_, told), each in zip(noting.told, played, strict=True))


def test_the_clock_goes_on_to_when_somebody_is_ready() -> None:
    fleet = small_fleet([[(100.0, 160.0)], [(130.0, 200.0)]])
    played = run(fleet, Rules(2, interrupted="abort"), 4)
    assert [(each.begin_s, each.end_s) for each in played] == [
        (100, 135), (135, 170), (170, 200), (1100, 1135), (1135, 1170),
    ]  # fmt: skip
    assert [sorted(each.clients.phone.tolist()) for each in played] == [[0], [0, 1], [1], [0], [0, 1]]


@pytest.mark.parametrize("select", [name for name in SELECTORS if name != "random"])
def test_selectors_that_look_wait_for_the_first_who_is_ready(select: str) -> None:
    fleet = small_fleet([[(700.0, 900.0)], [(400.0, 900.0)], []])
    first = run(fleet, Rules(3), 1, select)[0]
    assert first.begin_s == 400
    assert first.clients.phone.tolist() == [1]


def test_rounds_with_too_few_updates_do_not_count() -> None:
    fleet = small_fleet([[(0.0, 36.0), (500.0, 1000.0)], [(0.0, 20.0), (500.0, 1000.0)]])
    played = run(fleet, Rules(2, interrupted="abort", least=2), 2)
    assert [each.updates for each in played] == [0, 0, 2, 2]
    # What was delivered in the first is of no use, and waste like the work of who did not deliver.
    first = played[0].clients
    assert sorted(OUTCOMES[place] for place in first.outcome) == ["dropped", "unused"]
    work_s = first.download_s + first.train_s + first.upload_s
    np.testing.assert_allclose(first.wasted_s, work_s)
    np.testing.assert_allclose(first.wasted_j, first.train_j)
    assert (first.wasted_s > 0).all()
    assert (played[2].clients.wasted_s == 0).all()
    assert [(each.begin_s, each.end_s) for each in played] == [(0, 35), (35, 36), (500, 535), (535, 570)]
    assert played[1].clients.outcome.tolist() == [DROPPED]


def test_rounds_without_an_update_are_void_even_if_none_is_required() -> None:
    played = run(small_fleet(None, phones=2), Rules(1, dropout=1.0, least=0), 2)
    assert len(played) == 2 * TRIES
    assert not any(each.updates for each in played)


def test_it_ends_after_ten_times_as_many_rounds() -> None:
    noting = Noting(2)
    fleet = small_fleet(None, phones=2)
    played = list(fleet_rounds(fleet, small_load(), Rules(2, least=2, deadline_s=20.0), noting, 3, 0))
    assert len(played) == len(noting.told) == 30
    assert played[-1].end_s == 600


def test_a_void_round_that_took_no_time_is_followed_after_a_minute() -> None:
    fleet = small_fleet([[(150.0, 1000.0)]])
    played = run(fleet, Rules(1, interrupted="abort"), 1, "random")
    assert [(each.begin_s, each.end_s) for each in played] == [(0, 0), (60, 60), (120, 120), (180, 215)]


def test_rounds_that_count_may_take_no_time() -> None:
    noting, load = Noting(1), small_load(0, 0, 0)
    played = list(fleet_rounds(small_fleet(None, phones=1), load, Rules(1), noting, 3, 0))
    assert [(each.begin_s, each.end_s) for each in played] == [(0, 0)] * 3


def test_every_seed_and_round_selects_by_a_chance_of_its_own() -> None:
    chances = []
    for seed in (0, 1, 2**64 - 1):
        noting = Noting(1)
        list(fleet_rounds(small_fleet(None, phones=1), small_load(), Rules(1), noting, 5, seed))
        chances += noting.chances
    assert len(set(chances)) == len(chances) == 15


def test_a_selector_that_still_finds_nobody_makes_a_void_round() -> None:
    noting = Noting(1, from_s=100.0)
    played = list(fleet_rounds(small_fleet(None, phones=1), small_load(), Rules(1), noting, 1, 0))
    assert [(each.begin_s, each.end_s, len(each.clients.phone)) for each in played] == [
        (0, 0, 0), (60, 60, 0), (120, 155, 1),
    ]  # fmt: skip


def test_refusals() -> None:
    never = small_fleet([[], []])
    for rounds in (0, -1, 2**24):
        with pytest.raises(ValueError, match=rf"rounds must be from 1 to 16,777,215 \(got {rounds}\)"):
            run(small_fleet(None, phones=1), Rules(1), rounds)
    with pytest.raises(ValueError, match="no phone of the fleet 'small' is ever ready; give another"):
        run(never, Rules(1), 1)
    unmeasured = replace(small_load(), batch_time_ms=np.array([1000.0, np.nan]))
    fleet = small_fleet(None, phones=2, hardware_of=[0, 1])
    with pytest.raises(ValueError, match="batch_time_ms is not known for hardware 'fast'"):
        next(fleet_rounds(fleet, unmeasured, Rules(1), Noting(1), 1, 0))
    with pytest.raises(ValueError, match="seed must be from 0"):
        run(fleet, Rules(1), 1, seed=-1)


def test_rounds_are_made_one_by_one() -> None:
    fleet = small_fleet(None, phones=5)
    selector = open_selector("available", fleet, small_load(), Rules(2))
    rounds = fleet_rounds(fleet, small_load(), Rules(2), selector, 16_000_000, 0)
    assert [each.begin_s for each in islice(rounds, 3)] == [0, 35, 70]


NETWORK = Network("lognormal", *(np.array([value]) for value in (8.0, 8.0, 0.5, 0.5)))
TURNS = [[(0.0, 50.0 + 9 * phone), (500.0 + 7 * phone, 990.0)] for phone in range(40)]


@pytest.mark.parametrize("select", SELECTORS)
def test_the_seed_decides_and_the_number_of_rounds_does_not(select: str) -> None:
    fleet = small_fleet(TURNS, network=NETWORK, hardware_of=[0, 1] * 20)
    rules = Rules(5, over_commit=1.4, round_end="kth", dropout=0.2, retries=1, interrupted="abort")
    long, short = (run(fleet, rules, rounds, select, seed=6) for rounds in (12, 7))
    assert_same(long[: len(short)], short)
    other = run(fleet, rules, 7, select, seed=7)
    assert any(one.end_s != two.end_s for one, two in zip(short, other, strict=False))
    assert all(after.begin_s >= before.end_s for before, after in pairwise(long))


@settings(max_examples=60)
@given(small_fleets(whole=True), loads(whole=True), st.sampled_from(SELECTORS), st.integers(0, 99), st.data())
def test_both_clocks_play_the_same_run(fleet: Fleet, load: Load, select: str, seed: int, data: st.DataObject) -> None:
    rules = data.draw(rules_of(fleet.phones, whole=True, chance=False))
    fleet = replace(fleet, network=BYTE_PER_S, network_of=np.zeros(fleet.phones, np.int32))
    runs = []
    for clock in (play, play_events):
        selector = open_selector(select, fleet, load, rules)
        rounds = fleet_rounds(fleet, load, rules, selector, 4, seed, clock=clock)
        try:
            runs.append(list(rounds))
        except ValueError as error:
            assert "is ever ready" in str(error)
            runs.append([])
    assert_same(*runs, rtol=1e-9)


@pytest.mark.parametrize("interrupted", ["suspend", "abort"])
def test_both_clocks_play_the_same_days_of_a_fleet(interrupted: Interruption) -> None:
    fleet = synthetic_fleet(find_statistics("flash"), 2000, 3)
    kinds = len(fleet.hardware)
    load = Load(np.array([8.0]), np.array([4e6]), np.array([4e6]), np.full(kinds, 9e3), np.full(kinds, 1.0))
    rules = Rules(10, 1.3, interrupted, "kth", deadline_s=900.0, dropout=0.1, retries=1)
    runs = []
    for clock in (play, play_events):
        selector = open_selector("oort", fleet, load, rules)
        runs.append(list(fleet_rounds(fleet, load, rules, selector, 40, 1, clock=clock)))
    assert_same(*runs, rtol=1e-7)
    outcomes = np.concatenate([each.clients.outcome for each in runs[0]])
    assert {DONE, DROPPED} < set(outcomes.tolist())


def test_a_clock_that_runs_for_ages_is_refused() -> None:
    fleet = small_fleet(None, phones=2)
    slow = small_load(train_s=1e9)
    rules = Rules(cohort=2)
    rounds = fleet_rounds(fleet, slow, rules, open_selector("available", fleet, slow, rules), 50, 0)
    with pytest.raises(ValueError, match=r"round 1. ends 1.* s after the begin, .* give a deadline, or another fleet"):
        list(rounds)


def test_more_updates_than_there_are_phones_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="least must not be above the 2 phones"):
        run(small_fleet([[(0.0, 36.0)], [(0.0, 20.0)]]), Rules(3, least=3), 2)
