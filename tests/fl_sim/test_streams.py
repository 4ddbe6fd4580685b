import tracemalloc
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.config import Config
from fl_sim.partition import Partition
from fl_sim.setting import Setting
from fl_sim.streams import Purpose, client_streams, rounding_seed, stream

Place = tuple[int, Purpose, int, int]

places = st.tuples(
    st.integers(0, 2**64 - 1), st.sampled_from(Purpose), st.integers(0, 2**24 - 1), st.integers(0, 2**32 - 1)
)


def first(place: Place) -> tuple[int, ...]:
    return tuple(stream(*place).integers(0, 2**63, 4).tolist())


@given(places, places)
def test_streams_are_one_where_all_four_are_one(one: Place, other: Place) -> None:
    assert first(one) == first(one)
    assert (first(one) == first(other)) == (one == other)


@given(places, st.integers(0, 3), st.integers(0, 23))
def test_one_bit_makes_another_stream(place: Place, part: int, bit: int) -> None:
    changed = list(place)
    changed[part] = Purpose(place[1] % 7 + 1) if part == 1 else changed[part] ^ (1 << bit)
    assert first(cast("Place", tuple(changed))) != first(place)


@given(places, st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5))
def test_the_streams_of_clients_are_theirs_whatever_was_drawn_before(place: Place, clients: list[int]) -> None:
    seed, purpose, number, _ = place
    for client, rng in zip(clients, client_streams(seed, purpose, number, clients), strict=True):
        twin = stream(seed, purpose, number, client)
        for one in (rng, twin):
            one.integers(0, 2**31, 3, dtype=np.uint32)  # half a word is left over
        assert rng.permutation(9).tolist() == twin.permutation(9).tolist()
        assert rng.random() == twin.random()


def test_a_client_beyond_is_refused_among_others() -> None:
    with pytest.raises(ValueError, match="client must be from 0"):
        list(client_streams(0, Purpose.ORDER, 1, [1, 2**32]))


def test_neighbours_share_nothing() -> None:
    near = list(product((0, 1, 2), (Purpose.ORDER, Purpose.UPLOAD), range(12), range(12)))
    assert len({first(place) for place in near}) == len(near)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ((-1, Purpose.ORDER, 1, 1), "seed must be from 0"),
        ((2**64, Purpose.ORDER, 1, 1), "seed must be from 0"),
        ((0, Purpose.ORDER, 2**24, 1), "round_number must be from 0"),
        ((0, Purpose.ORDER, -1, 1), "round_number must be from 0"),
        ((0, Purpose.ORDER, 1, 2**32), "client must be from 0"),
        ((0, Purpose.ORDER, 1, -1), "client must be from 0"),
    ],
)
def test_what_would_be_another_stream_is_refused(place: Place, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        stream(*place)
    with pytest.raises(ValueError, match=says):
        rounding_seed(place[0], place[2], place[3])


def test_numbers_of_numpy_make_the_same_stream() -> None:
    assert first((7, Purpose.ORDER, 3, 5)) == first((7, Purpose.ORDER, np.int32(3), np.int64(5)))  # type: ignore[arg-type]


def test_the_first_numbers_stay_what_they_are() -> None:
    """A run must be the same tomorrow: numpy promises Philox and these methods' streams, and the key is ours."""
    assert first((0, Purpose.COHORT, 1, 0))[:2] == (7885449371696050548, 5082532774237228860)
    assert rounding_seed(0, 1, 0) == 11458186303648927191


@given(places, places)
def test_clients_and_rounds_round_by_seeds_of_their_own(one: Place, other: Place) -> None:
    """Within a run, which has one seed."""
    a, b = (rounding_seed(one[0], place[2], place[3]) for place in (one, other))
    assert (a == b) == (one[2:] == other[2:])
    assert 0 <= a < 2**64


def setting_of(clients: int, cohort: int, seed: int = 0) -> Setting:
    """A setting that can do nothing but draw."""
    nothing = cast("Setting", SimpleNamespace())
    partition = cast("Partition", SimpleNamespace(clients=clients))
    config = replace(Config(), cohort=cohort, seed=seed)
    return Setting(config, nothing, nothing, nothing, nothing, partition)  # type: ignore[arg-type]


@given(st.integers(1, 400), st.data(), st.integers(1, 9))
def test_a_cohort_is_drawn_without_replacement(clients: int, data: st.DataObject, number: int) -> None:
    size = data.draw(st.integers(1, clients))
    cohort = setting_of(clients, size).cohort(number)
    assert cohort == sorted(set(cohort))
    assert len(cohort) == size
    assert 0 <= cohort[0] <= cohort[-1] < clients
    assert cohort == setting_of(clients, size).cohort(number)


def test_every_client_is_drawn_as_often() -> None:
    setting = setting_of(20, 5)
    counts = np.bincount(np.concatenate([setting.cohort(number) for number in range(4000)]), minlength=20)
    sigma = np.sqrt(4000 * 0.25 * 0.75)
    assert (np.abs(counts - 1000) < 5 * sigma).all()


def test_seeds_and_rounds_draw_others() -> None:
    drawn = {tuple(setting_of(10**6, 20, seed).cohort(number)) for seed in range(10) for number in range(10)}
    assert len(drawn) == 100


@pytest.mark.parametrize("clients", [200, 20_000, 10**6, 10**7])
def test_drawing_needs_memory_for_the_cohort_alone(clients: int) -> None:
    """O(K) in time, too: who touches every client needs a place for each."""
    setting = setting_of(clients, 20)
    setting.cohort(1)
    tracemalloc.start()
    try:
        for number in range(2, 12):
            setting.cohort(number)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000
