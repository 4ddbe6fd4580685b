"""Oort, against its published formulas written out phone by phone, and against what it is for."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from fl_sim.clock import play
from fl_sim.draws import draw
from fl_sim.load import Load
from fl_sim.oort import Oort
from fl_sim.participation import CANCELLED, DONE, DROPPED, LATE, STALE, FleetRound, Participation
from fl_sim.rules import Rules
from tests.fl_sim.small_fleet import small_fleet, small_load
from traces.fleet import Fleet, ready
from traces.rates import Network

Phones = npt.NDArray[np.int64]
LIMITS = Rules(12, dropout=0.1, deadline_s=60.0)


def uneven(phones: int = 200) -> tuple[Fleet, Load]:
    """Return phones of two speeds that come and go, with log-normal rates, and seven sizes of data."""
    random = np.random.default_rng(3)
    ready_for = [[(0.0, end), (end + 300, 1000.0)] for end in random.uniform(1, 690, phones)]
    network = Network("lognormal", *(np.array([value]) for value in (8.0, 8.0, 0.8, 0.4)))
    fleet = small_fleet(ready_for, network=network, hardware_of=random.integers(0, 2, phones).tolist())
    batches = np.array([3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0])
    return fleet, Load(batches, np.full(7, 5.0), np.full(7, 5.0), np.array([1000.0, 500.0]), np.array([1.0, 1.0]))


def told(phones: Sequence[int], took_s: Sequence[float], outcomes: Sequence[int] | int = DONE) -> FleetRound:
    """Return a round of which Oort learns these phones, times and outcomes."""
    count = len(phones)
    columns = {name: np.zeros(count) for name in Participation.__dataclass_fields__}
    columns["end_s"] = np.array(took_s)
    columns |= {"phone": np.array(phones), "outcome": np.broadcast_to(outcomes, count).astype(np.int8)}
    return FleetRound(0.0, 100.0, Participation(**columns))


class Plain:
    """What methods of the publication say, as dictionaries and loops."""

    def __init__(self, load: Load) -> None:
        self.batches = load.batches.tolist()
        self.utility, self.time_s, self.last = dict[int, float](), dict[int, float](), dict[int, int]()
        self.percentile, self.history, self.delivered = 10.0, list[float](), set[int]()

    def explore(self, number: int) -> float:
        share = 0.9
        for _ in range(number):
            share = max(0.2, share * 0.95)
        return share

    def scores(self, phones: list[int], number: int) -> list[float]:
        clip = rank(sorted(self.utility[phone] for phone in phones), 98)
        times_s = sorted(self.time_s[phone] for phone in self.delivered)
        wanted_s = rank(times_s, self.percentile) if times_s else math.inf
        clipped = [min(self.utility[phone], clip) for phone in phones]
        least, span = min(clipped), max(clipped) - min(clipped)
        found = []
        for phone, utility in zip(phones, clipped, strict=True):
            score = (utility - least) / span if span else 1.0
            score += math.sqrt(0.1 * math.log(number) / self.last[phone])
            if self.time_s[phone] > wanted_s:
                score *= (wanted_s / self.time_s[phone]) ** 2
            found.append(score)
        return found

    def learn(self, number: int, played: FleetRound, by_score: set[int]) -> None:
        clients, taught = played.clients, []
        for place, phone in enumerate(clients.phone.tolist()):
            took_s, worth = float(clients.end_s[place] - clients.begin_s[place]), self.batches[phone % 7]
            done = clients.outcome[place] == DONE
            if done and phone in by_score:
                taught.append(worth)
            self.utility[phone] = worth if done else 0.0
            self.time_s[phone] = took_s if done else max(took_s, self.time_s.get(phone, 0.0))
            self.last[phone] = number
            self.delivered |= {phone} if done else set()
        self.history.append(sum(taught) / len(taught) if taught else 0.0)
        if number >= 40 and number % 20 == 0:
            before, now = sum(self.history[-40:-20]), sum(self.history[-20:])
            if abs(now - before) <= before / 10:
                self.percentile = min(100.0, self.percentile + 5)
            elif abs(now - before) >= 5 * before:
                self.percentile = max(5.0, self.percentile - 5)


def rank(values: list[float], percent: float) -> float:
    """Return a percentile, between two values in proportion."""
    place = (len(values) - 1) * percent / 100
    low, high = values[math.floor(place)], values[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def test_a_whole_run_follows_the_published_formulas() -> None:
    fleet, load = uneven()
    oort, plain, random, clock_s = Oort(fleet, load, LIMITS), Plain(load), np.random.default_rng(5), 0.0
    outcomes = set[int]()
    moved = set[float]()
    for number in range(1, 131):
        able = np.flatnonzero(ready(fleet, np.arange(fleet.phones), clock_s)).tolist()
        known = [phone for phone in able if phone in plain.last]
        assert oort.explore == pytest.approx(plain.explore(number), rel=1e-12)
        if known:
            expected = plain.scores(known, number)
            np.testing.assert_allclose(oort.scores(np.array(known)), expected, rtol=1e-9)
        chosen = oort.select(12, clock_s, random).tolist()
        assert len(chosen) == 12
        fresh = [phone for phone in chosen if phone not in plain.last]
        share = oort.explore * 12 if len(plain.last) < fleet.phones else 0.0
        exploits = {min(12 - wanted, len(known)) for wanted in (math.floor(share), math.ceil(share))}
        exploited = max(len(chosen) - len(fresh), min(exploits))
        assert len(fresh) in {min(12 - each, len(able) - len(known)) for each in exploits}
        if exploited and len(fresh) == 12 - exploited:
            cut = 0.7 * sorted(expected, reverse=True)[exploited - 1]
            assert all(expected[known.index(phone)] >= cut * (1 - 1e-9) for phone in set(chosen) - {*fresh})
        phones = np.array(chosen)
        played = play(fleet, load, LIMITS, phones, clock_s, draw(fleet, phones, LIMITS, random))
        oort.learn(number, played)
        plain.learn(number, played, set(chosen) - {*fresh})
        assert oort.percentile == plain.percentile
        moved.add(oort.percentile)
        outcomes |= set(played.clients.outcome.tolist())
        clock_s = played.end_s
    assert outcomes == {DONE, LATE, DROPPED}
    assert len(moved) > 1


@pytest.mark.parametrize(
    ("leaps", "expected"),
    [
        ([0, 0, 1, 0, 0, 1], [10, 15, 10, 10, 15, 10]),
        ([0, 1, 0, 1, 0, 0], [10, 5, 5, 5, 5, 10]),
    ],
)
def test_the_pace_slackens_when_nothing_new_is_taught_and_tightens_on_a_leap(
    leaps: list[int], expected: list[float]
) -> None:
    load = Load(np.array([1.0, 10.0]), np.ones(2), np.ones(2), np.ones(2), np.ones(2))
    oort, random = Oort(small_fleet(None, phones=2), load, LIMITS), np.random.default_rng(0)
    oort.learn(1, told(oort.select(2, 0.0, random).tolist(), [1.0, 1.0]))
    oort.select(2, 0.0, random)  # both by score from now on
    found = []
    for number in range(2, 121):
        oort.learn(number, told([leaps[(number - 1) // 20]], [1.0]))
        found.append(oort.percentile)
    assert found[18::20] == expected
    assert found[:18] == [10] * 18
    assert all(found[turn - 1] == found[turn - 19] for turn in range(38, 119, 20))


def test_the_pace_stays_within_its_bounds() -> None:
    oort, random = Oort(small_fleet(None, phones=2), small_load(), LIMITS), np.random.default_rng(0)
    oort.learn(1, told(oort.select(2, 0.0, random).tolist(), [1.0, 1.0]))
    oort.select(2, 0.0, random)
    for number in range(2, 601):
        oort.learn(number, told([0], [1.0]))
    assert oort.percentile == 100


def test_whoever_delivers_nothing_teaches_nothing_and_is_as_slow_as_was_seen() -> None:
    load = Load(np.array([4.0]), np.ones(1), np.ones(1), np.ones(2), np.ones(2))
    oort = Oort(small_fleet(None, phones=8), load, LIMITS)
    oort.learn(1, told([0, 1, 2, 3, 4], [10.0, 10.0, 10.0, 10.0, 10.0]))
    oort.learn(2, told([1, 2, 3, 4, 5], [3.0, 30.0, 3.0, 1.0, 0.0], [LATE, CANCELLED, DONE, STALE, DROPPED]))
    age = math.sqrt(0.1 * math.log(3) / 2)
    times_s = [10.0, 10.0, 30.0, 3.0, 10.0]  # by phone
    wanted_s = rank(sorted(times_s), 10)  # the sixth phone never delivered, its time of 0 s says nothing
    relative = [1 + math.sqrt(0.1 * math.log(3)), age, age, 1 + age, age]
    slow = [min(1.0, wanted_s / time_s) ** 2 for time_s in times_s]
    expected = [a * b for a, b in zip(relative, slow, strict=True)]
    np.testing.assert_allclose(oort.scores(np.arange(5)), expected, rtol=1e-12)


def test_new_phones_are_asked_first_and_a_fifth_of_them_always() -> None:
    fleet, load = uneven(5000)
    oort, random = Oort(fleet, load, Rules(10)), np.random.default_rng(1)
    seen, shares = set[int](), []
    for number in range(1, 41):
        chosen = oort.select(10, 400.0, random).tolist()
        shares.append(len(set(chosen) - seen))
        seen |= set(chosen)
        oort.learn(number, told(chosen, [1.0] * 10))
    for number, share in enumerate(shares, start=1):
        wanted = 10 * max(0.2, 0.9 * 0.95**number) if number > 1 else 10
        assert math.floor(wanted) <= share <= math.ceil(wanted)


def test_one_place_at_a_time_is_explored_now_and_then() -> None:
    fleet, load = uneven(5000)
    oort, random = Oort(fleet, load, Rules(1)), np.random.default_rng(1)
    oort.learn(40, told(list(range(100)), [1.0] * 100))
    fresh = sum(int(oort.select(1, 0.0, random)[0]) >= 100 for _ in range(500))
    assert 70 < fresh < 130  # a fifth, and four standard deviations


def test_where_nobody_has_delivered_nobody_is_slow() -> None:
    oort = Oort(small_fleet(None, phones=2), small_load(), LIMITS)
    oort.learn(1, told([0, 1], [1.0, 99.0], LATE))
    assert oort.scores(np.arange(2)).tolist() == pytest.approx([1 + math.sqrt(0.1 * math.log(2))] * 2)


def test_where_all_are_known_all_are_asked_by_score() -> None:
    fleet, load = small_fleet(None, phones=30), small_load()
    oort, random = Oort(fleet, load, Rules(5)), np.random.default_rng(1)
    oort.learn(1, told(list(range(30)), [1.0] * 15 + [100.0] * 15))
    counts = np.zeros(30, dtype=np.int64)
    for _ in range(100):
        counts[oort.select(5, 0.0, random)] += 1
    assert counts[15:].sum() == 0  # a ten-thousandth of the others' score, below the cut
    assert (counts[:15] > 0).all()


def test_of_those_near_the_best_each_is_asked_in_proportion_to_its_score() -> None:
    load = Load(np.array([1.0, 9.0, 10.0]), np.ones(3), np.ones(3), np.ones(2), np.ones(2))
    oort, random = Oort(small_fleet(None, phones=3), load, Rules(1)), np.random.default_rng(1)
    oort.learn(1, told([0, 1, 2], [1.0, 1.1, 1.0]))
    counts = np.bincount([int(oort.select(1, 0.0, random)[0]) for _ in range(3000)], minlength=3)
    scores = oort.scores(np.arange(3))
    assert scores[0] < 0.7 * scores.max() < scores[1] < 0.8 * scores.max()
    assert counts[0] == 0
    share = scores[1] / scores[1:].sum()
    assert abs(counts[1] / 3000 - share) < 4 * (share * (1 - share) / 3000) ** 0.5 < 0.5 - share


def test_those_who_are_known_fill_in_where_no_new_one_is_ready() -> None:
    ready_for = [[(0.0, 1000.0)]] * 10 + [[(500.0, 1000.0)]] * 10
    oort, random = Oort(small_fleet(ready_for), small_load(), Rules(5)), np.random.default_rng(1)
    oort.learn(1, told(list(range(8)), [1.0] * 8))
    chosen = oort.select(7, 10.0, random)
    assert len(set(chosen.tolist())) == 7
    assert {8, 9} < set(chosen.tolist()) < set(range(10))
    assert set(oort.select(50, 10.0, random, np.array([3, 9])).tolist()) == {0, 1, 2, 4, 5, 6, 7, 8}


def test_asking_twice_at_one_time_is_one_round() -> None:
    fleet, load = uneven()
    oort, random = Oort(fleet, load, LIMITS), np.random.default_rng(0)
    before = oort.explore
    for _ in range(3):
        oort.select(4, 0.0, random)
    assert oort.explore == before == pytest.approx(0.855)


def test_oort_is_faster_than_chance() -> None:
    fleet, rules = uneven()[0], Rules(12)

    def mean_s(by_oort: bool) -> float:
        oort, random, took_s = Oort(fleet, small_load(), rules), np.random.default_rng(9), []
        able = np.flatnonzero(ready(fleet, np.arange(fleet.phones), 0.0))
        for number in range(1, 61):
            phones = oort.select(12, 0.0, random) if by_oort else random.choice(able, 12, replace=False)
            played = play(fleet, small_load(), rules, phones, 0.0, draw(fleet, phones, rules, random))
            oort.learn(number, played)
            took_s.append(float(played.clients.end_s.mean()))
        return float(np.mean(took_s[30:]))

    assert mean_s(by_oort=True) < 0.8 * mean_s(by_oort=False)
