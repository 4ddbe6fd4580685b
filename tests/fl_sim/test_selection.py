"""Who is asked: every ready phone with the same chance, whatever was looked at to find them."""

from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fl_sim.selection as selection
from fl_sim.rules import Buffered, Rules
from fl_sim.selection import NOBODY, SELECTORS, drawn, open_selector, select_by_mask
from tests.fl_sim.fleets import small_fleets
from tests.fl_sim.small_fleet import small_fleet, small_load
from traces.fleet import Fleet, ready

Phones = npt.NDArray[np.int64]
ALWAYS, NEVER = ((0.0, 1000.0),), ()


def phones_of(ready_ones: list[int], phones: int) -> Fleet:
    """Return a fleet in which these phones are always ready and the others never."""
    return small_fleet([ALWAYS if phone in ready_ones else NEVER for phone in range(phones)])


def assert_even(counts: Phones) -> None:
    """Check by chi-square that all places were as likely: neither too uneven nor suspiciously even."""
    free, expected = len(counts) - 1, counts.sum() / len(counts)
    assert expected >= 20
    distance = float(((counts - expected) ** 2 / expected).sum())
    assert abs(distance - free) < 4 * (2 * free) ** 0.5


@pytest.mark.parametrize("name", SELECTORS)
def test_every_name_opens_a_selector(name: str) -> None:
    fleet = phones_of([0, 1], 4)
    for rules in (Rules(2), Buffered(2, 1)):
        selector = open_selector(name, fleet, small_load(), rules)
        chosen = selector.select(2, 5.0, np.random.default_rng(0))
        assert chosen.dtype == np.int64
        assert len(chosen) == 2


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="select 'ort' is unknown; nearest: oort"):
        open_selector("ort", phones_of([0], 1), small_load(), Rules(1))


@pytest.mark.parametrize("name", SELECTORS)
@settings(max_examples=40)
@given(fleet=small_fleets(), count=st.integers(0, 12), clock_s=st.floats(0, 500), data=st.data())
def test_those_asked_are_distinct_able_and_as_many_as_there_are(
    name: str, fleet: Fleet, count: int, clock_s: float, data: st.DataObject
) -> None:
    busy = np.array(data.draw(st.lists(st.integers(0, fleet.phones - 1), max_size=4)), dtype=np.int64)
    chosen = open_selector(name, fleet, small_load(), Rules(1)).select(count, clock_s, np.random.default_rng(1), busy)
    everybody = np.arange(fleet.phones)
    able = everybody if name == "random" else everybody[ready(fleet, everybody, clock_s)]
    able = np.setdiff1d(able, busy)
    assert chosen.dtype == np.int64
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(able))
    assert set(chosen.tolist()) <= set(able.tolist())


@pytest.mark.parametrize("name", SELECTORS)
def test_the_generator_decides_and_nothing_else(name: str) -> None:
    fleet = phones_of(list(range(0, 2000, 3)), 2000)

    def chosen(seed: int) -> list[int]:
        selector = open_selector(name, fleet, small_load(), Rules(1))
        return selector.select(20, 5.0, np.random.default_rng(seed), np.array([3, 6, 7])).tolist()

    assert chosen(1) == chosen(1)
    assert (chosen(1) == chosen(2)) == (name == "fastest")


@pytest.mark.parametrize("busy", [[], [0, 9, 9, 55, 31]])
@pytest.mark.parametrize("able", [[3, 50], [0, 9, 17, 31, 44, 59], list(range(2, 60, 4))])
def test_all_orders_of_the_able_are_as_likely(
    able: list[int], busy: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "_LEAST_BLOCK", 3)  # several blocks, and then all the rest
    fleet, taken, random = phones_of(able, 60), np.array(busy, dtype=np.int64), np.random.default_rng(4)
    left = sorted({*able} - {*busy})
    orders = {order: 0 for order in permutations(left, min(2, len(left)))}
    available = open_selector("available", fleet, small_load(), Rules(1))
    for _ in range(max(1500, 25 * len(orders))):
        orders[tuple(available.select(2, 5.0, random, taken).tolist())] += 1
    assert_even(np.array(list(orders.values())))


def test_the_mask_is_even_too() -> None:
    fleet, random = phones_of([0, 9, 17, 31, 44, 59], 60), np.random.default_rng(4)
    orders = {order: 0 for order in permutations([0, 17, 44, 59], 2)}
    for _ in range(1500):
        orders[tuple(select_by_mask(fleet, 2, 5.0, random, np.array([9, 31])).tolist())] += 1
    assert_even(np.array(list(orders.values())))


def test_asked_at_random_are_all_phones_ready_or_not() -> None:
    fleet, random = phones_of([0], 40), np.random.default_rng(8)
    anybody = open_selector("random", fleet, small_load(), Rules(1))
    counts = np.zeros(40, dtype=np.int64)
    for _ in range(1000):
        counts[anybody.select(5, 5.0, random, np.array([7]))] += 1
    assert counts[7] == 0
    assert_even(np.delete(counts, 7))


def looked_at(phones: int, able: npt.NDArray[np.bool_], count: int, busy: Phones = NOBODY) -> tuple[Phones, list[int]]:
    """Return who is drawn, and how many phones were looked at each time."""
    looks: list[int] = []

    def look(candidates: Phones) -> npt.NDArray[np.bool_]:
        looks.append(len(candidates))
        return able[candidates]

    return drawn(phones, count, np.random.default_rng(2), busy, look), looks


def test_few_of_a_large_fleet_are_looked_at() -> None:
    able = np.random.default_rng(0).random(1_000_000) < 0.08
    found, looks = looked_at(1_000_000, able, 100)
    assert len(found) == 100
    assert able[found].all()
    assert sum(looks) < 3000  # 1,250 are needed on average


def test_where_almost_nobody_is_able_each_phone_is_looked_at_once() -> None:
    able = np.zeros(100_000, dtype=np.bool_)
    able[[5, 99_999]] = True
    found, looks = looked_at(100_000, able, 100, busy=np.array([5, 7, 7]))
    assert found.tolist() == [99_999]
    assert sum(looks) == 100_000 - 2


def test_nobody_is_found_where_all_are_busy() -> None:
    for phones in (1, 10, 10_000):
        found, _ = looked_at(phones, np.ones(phones, dtype=np.bool_), 3, busy=np.arange(phones))
        assert found.dtype == np.int64
        assert not len(found)


def test_more_than_there_are_finds_all() -> None:
    found, _ = looked_at(5000, np.ones(5000, dtype=np.bool_), 10**6)
    assert sorted(found.tolist()) == list(range(5000))
