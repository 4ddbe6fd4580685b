"""Drawing phones: all different while there are enough, else copies on other days at the same hour."""

from dataclasses import replace

import numpy as np
import pytest

from traces.availability import make_availability
from traces.fleet import Fleet, ready, uniform_fleet
from traces.sample import MOST_PHONES, sample


def fleet() -> Fleet:
    """Four phones that are ready for an hour a day later each day, and so for four days: each by its own hour."""
    days = [
        [(day * 86_400.0 + hour * 3600, day * 86_400.0 + (hour + 1) * 3600) for day in range(4)] for hour in range(4)
    ]
    days[3] = [(86_400.0 + 3 * 3600, 86_400.0 + 4 * 3600)]
    base = uniform_fleet("four", 4, model="m", soc="", tier="low", bit_per_s=1e6)
    return replace(base, availability=make_availability(days, 4 * 86_400.0), trace_of=np.arange(4, dtype=np.int32))


def test_fewer_are_all_different() -> None:
    drawn = sample(fleet(), 3, np.random.default_rng(1))
    assert drawn.phones == 3
    assert len(set(drawn.trace_of.tolist())) == 3
    assert not drawn.shift_s.any()
    assert "3 of its 4 phones" in drawn.source


def test_as_many_are_the_same() -> None:
    whole = fleet()
    assert sample(whole, 4, np.random.default_rng(1)) is whole


def test_copies_are_shifted_by_whole_days_and_the_first_is_not() -> None:
    drawn = sample(fleet(), 400, np.random.default_rng(1))
    assert drawn.phones == 400
    assert set(drawn.shift_s.tolist()) == {0.0, 86_400.0, 2 * 86_400.0, 3 * 86_400.0}
    for trace in range(4):
        assert drawn.shift_s[np.flatnonzero(drawn.trace_of == trace)[0]] == 0
    counts = np.bincount(drawn.trace_of)
    assert counts.min() > 70
    share = np.bincount((drawn.shift_s // 86_400).astype(int)) / 400
    np.testing.assert_allclose(share, 0.25, atol=0.09)
    # The hour of the day stays: phone 3 is ready at its hour on one day of four, its copies on all of them.
    copies = np.flatnonzero(drawn.trace_of == np.bincount(drawn.trace_of).size - 1)
    hours = np.arange(4 * 24) * 3600.0 + 1800
    shared = np.array([ready(drawn, copies, hour).mean() for hour in hours]).reshape(4, 24)
    assert (shared[:, 3] > 0.05).all()
    assert not np.delete(shared, 3, axis=1).any()


def test_traces_of_less_than_two_days_and_phones_always_ready_are_not_shifted() -> None:
    short = replace(fleet(), availability=make_availability([[(0.0, 9.0)]] * 4, 100_000.0))
    assert not sample(short, 50, np.random.default_rng(1)).shift_s.any()
    always = replace(fleet(), availability=None)
    assert not sample(always, 50, np.random.default_rng(1)).shift_s.any()


def test_the_source_says_which_copies_are_in_step() -> None:
    def said(whole: Fleet) -> str:
        return sample(whole, 2000, np.random.default_rng(1)).source

    whole = fleet()
    drawn = f"{whole.source}; 2,000 phones drawn with replacement from its 4"
    assert said(whole) == f"{drawn}, copies shifted by whole days"
    daily = replace(whole, availability=make_availability([[(0.0, 9.0)]] * 4, 86_400.0))
    assert said(daily) == f"{drawn}, copies in step: their traces repeat within two days"
    some = replace(whole, availability=make_availability([[(0.0, 9.0)]] * 4, [86_400.0, 172_800.0, 1e6, 1e6]))
    assert said(some) == f"{drawn}, copies shifted by whole days, those in step whose traces repeat within two days"
    assert said(replace(whole, availability=None)) == drawn


def test_the_seed_says_which() -> None:
    first, again, other = (sample(fleet(), 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.trace_of, again.trace_of)
    np.testing.assert_array_equal(first.shift_s, again.shift_s)
    assert (first.trace_of != other.trace_of).any()


@pytest.mark.parametrize("phones", [0, -1, MOST_PHONES + 1])
def test_a_fleet_has_some_phones_and_not_too_many(phones: int) -> None:
    with pytest.raises(ValueError, match="phones must be 1 to 20,000,000"):
        sample(fleet(), phones, np.random.default_rng(1))
