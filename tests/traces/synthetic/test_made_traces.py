import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.availability import by_hour, duty
from traces.synthetic import find_statistics
from traces.synthetic.fit import fit_readiness
from traces.synthetic.made_traces import hours_of_day, make_traces
from traces.synthetic.statistics import DAY_S, MOST_DUTY, Readiness

TRACES = 2_000


@st.composite
def readinesses(draw: st.DrawFn) -> Readiness:
    days = draw(st.integers(1, 3))

    def pair(least: float, most: float) -> tuple[float, ...]:
        return tuple(sorted(draw(st.floats(least, most)) for _ in range(3)))

    hours = np.array(draw(st.lists(st.floats(0.05, 3), min_size=24, max_size=24)))
    return Readiness(
        days=days,
        never=draw(st.floats(0, 1)),
        probabilities=(0.0, 0.5, 1.0),
        duty=pair(1e-6, MOST_DUTY),
        per_day=pair(1e-3, 40),
        length_s=pair(1.0, days * DAY_S),
        correlation=draw(st.floats(-1, 1)),
        within=draw(st.floats(0, 4)),
        hour_of_day=tuple(hours / hours.mean()),
        jitter_s=0.0,
        source="drawn",
    )


@settings(max_examples=150, deadline=None)
@given(readinesses(), st.integers(1, 12), st.integers(0, 2**32))
def test_whatever_is_stated_traces_are_whole_and_ready_for_their_duty(r: Readiness, traces: int, seed: int) -> None:
    made = make_traces(r, traces, np.random.default_rng(seed))  # checks that intervals are sorted, apart and within
    shares = np.sort(duty(made))
    never = round(r.never * traces)
    assert np.count_nonzero(shares == 0) == never
    ranks = (np.arange(traces - never) + 0.5) / max(traces - never, 1)
    assert shares[never:] == pytest.approx(np.exp(np.interp(ranks, r.probabilities, np.log(r.duty))), rel=1e-6)
    assert set(made.period_s) == {r.days * DAY_S}


@pytest.mark.parametrize("name", ["flash", "fedscale"])
def test_made_traces_have_the_statistics_that_are_stated(name: str) -> None:
    stated = find_statistics(name).readiness
    assert stated is not None
    made = make_traces(stated, TRACES, np.random.default_rng(7))
    found = fit_readiness(made, "made")
    assert found.never == pytest.approx(stated.never, abs=0.5 / TRACES)
    length = made.end_s - made.start_s
    assert length.min() >= stated.length_s[0] * (1 - 1e-9)
    for p, length_s in zip(stated.probabilities, stated.length_s, strict=True):
        # Four standard errors of a quantile's rank; lengths within 15 %: those of each trace are scaled to its duty.
        near = 4 * np.sqrt(p * (1 - p) / len(length)) + 0.002
        assert np.mean(length < length_s / 1.15) <= p + near
        assert np.mean(length <= length_s * 1.15) >= p - near
    # Whole intervals: one more or less in a trace's days, as the draw falls. Traces that are seldom ready have no more
    # than so many of the shortest, which takes some of FLASH's.
    counts = np.diff(made.offsets)[np.diff(made.offsets) > 0]
    ranks = (np.arange(len(counts)) + 0.5) / len(counts)
    expected = np.exp(np.interp(ranks, stated.probabilities, np.log(stated.per_day))) * stated.days
    assert np.max(np.abs(np.sort(counts) - np.maximum(expected, 1))) <= 1 + 0.01 * expected.max()
    assert counts.mean() == pytest.approx(np.maximum(expected, 1).mean(), rel=0.04)
    assert found.correlation == pytest.approx(stated.correlation, abs=4 / np.sqrt(len(counts)))
    assert found.within == pytest.approx(stated.within, rel=0.07)
    hours = by_hour(made) / np.mean(by_hour(made))
    away = np.abs(hours / np.array(stated.hour_of_day) - 1)
    assert away.max() < 0.08
    assert np.sort(away)[-3] < 0.04  # all but two hours


def test_a_profile_that_is_not_stated_is_not_met() -> None:
    # The bounds above can fail: the same traces are far from the profile turned by six hours.
    stated = find_statistics("flash").readiness
    assert stated is not None
    hours = by_hour(make_traces(stated, TRACES, np.random.default_rng(7)))
    turned = np.roll(stated.hour_of_day, 6)
    assert np.max(np.abs(hours / hours.mean() / turned - 1)) > 0.3


@given(st.integers(0, 2**32))
def test_all_hours_at_once_are_as_one_after_the_other(seed: int) -> None:
    stated = find_statistics("flash").readiness
    assert stated is not None
    made = make_traces(stated, 7, np.random.default_rng(seed))
    begin = made.origin_s[np.repeat(np.arange(7), np.diff(made.offsets))] + made.start_s
    shares = hours_of_day(begin, begin + made.end_s - made.start_s) / (7 * stated.days * 3600)
    assert shares == pytest.approx(by_hour(made), abs=1e-9)
