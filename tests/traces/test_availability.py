import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traces.interval_walk import Trace, rough_traces, whole_traces
from traces.availability import (
    SHORTEST_S,
    Availability,
    by_hour,
    duty,
    finish_s,
    is_ready,
    make_availability,
    next_ready_s,
    ready_between_s,
    ready_s,
    ready_until_s,
)

HOUR_S, DAY_S = 3600.0, 86_400.0
INF = math.inf


def available(*traces: Trace) -> Availability:
    return make_availability(
        [trace.intervals for trace in traces],
        np.array([trace.period_s for trace in traces], float),
        np.array([trace.origin_s for trace in traces], float),
    )


@given(
    st.lists(whole_traces(), min_size=1, max_size=4),
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(-200, 1000).map(lambda quarters: quarters / 4),
            st.integers(0, 1200).map(lambda quarters: quarters / 4),
            st.integers(-60, 60),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_every_look_up_equals_a_walk_over_the_intervals(
    traces: list[Trace], asked: list[tuple[int, float, float, int]]
) -> None:
    a = available(*traces)
    trace = np.array([place % len(traces) for place, _, _, _ in asked])
    clock, work, shift = (np.array(column, float) for column in list(zip(*asked, strict=True))[1:])
    twins = [replace(traces[t], origin_s=traces[t].origin_s - s) for t, s in zip(trace, shift, strict=True)]
    walked = list(zip(twins, clock.tolist(), work.tolist(), strict=True))
    later = clock + work

    assert is_ready(a, trace, clock, shift).tolist() == [twin.is_ready(c) for twin, c, _ in walked]
    assert next_ready_s(a, trace, clock, shift).tolist() == [twin.next_ready_s(c) for twin, c, _ in walked]
    assert ready_until_s(a, trace, clock, shift).tolist() == [twin.ready_until_s(c) for twin, c, _ in walked]
    assert finish_s(a, trace, clock, work, shift).tolist() == [twin.finish_s(c, w) for twin, c, w in walked]
    between = [twin.ready_between_s(c, c + w) for twin, c, w in walked]
    assert ready_between_s(a, trace, clock, later, shift).tolist() == between
    assert (ready_s(a, trace, later, shift) - ready_s(a, trace, clock, shift)).tolist() == between


@given(
    st.lists(whole_traces(), min_size=2, max_size=4),
    st.lists(st.floats(-100, 1000), min_size=2, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_the_order_of_questions_and_their_number_change_no_answer(
    traces: list[Trace], clocks: list[float], seed: int
) -> None:
    a, random = available(*traces), np.random.default_rng(seed)
    clock = np.array(clocks)
    trace, work = random.integers(0, len(traces), len(clock)), random.uniform(0, 100, len(clock))
    order = random.permutation(len(clock))
    for ask in (is_ready, ready_s, next_ready_s, ready_until_s):
        together = ask(a, trace, clock)
        np.testing.assert_array_equal(ask(a, trace[order], clock[order]), together[order])
        np.testing.assert_array_equal([ask(a, int(t), c) for t, c in zip(trace, clocks, strict=True)], together)
        np.testing.assert_array_equal(np.diag(ask(a, trace[:, None], clock)), together)
    together = finish_s(a, trace, clock, work)
    np.testing.assert_array_equal(finish_s(a, trace[order], clock[order], work[order]), together[order])
    alone = [finish_s(a, int(t), c, w) for t, c, w in zip(trace, clocks, work.tolist(), strict=True)]
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(np.diag(finish_s(a, trace[:, None], clock, work)), together)


@given(rough_traces(), st.floats(-1e7, 1e8), st.floats(0, 1e5), st.floats(-1e6, 1e6))
def test_times_that_are_returned_are_on_the_right_side_of_their_edge(
    trace: Trace, clock: float, work: float, shift: float
) -> None:
    a = available(trace)
    begin = float(next_ready_s(a, 0, clock, shift))
    assert begin >= clock
    assert is_ready(a, 0, begin, shift)
    if begin > clock:
        assert not is_ready(a, 0, np.nextafter(begin, clock), shift)
    assert next_ready_s(a, 0, begin, shift) == begin
    until = float(ready_until_s(a, 0, begin, shift))
    assert until > begin
    if until < INF:
        assert not is_ready(a, 0, until, shift)
        assert ready_until_s(a, 0, until, shift) == until
        assert next_ready_s(a, 0, until, shift) > until
        # To the last digit: what fits is not touched, what fits just so ends with the stretch.
        assert finish_s(a, 0, begin, np.nextafter(until - begin, 0), shift) <= until
    assert until == INF or is_ready(a, 0, np.nextafter(until, begin), shift)
    if begin + work <= until:
        assert ready_between_s(a, 0, begin, begin + work, shift) == (begin + work) - begin
        assert finish_s(a, 0, begin, work, shift) == begin + work
    assert finish_s(a, 0, clock, 0.0, shift) == clock


def test_no_turn_is_missed_by_rounding() -> None:
    # Tenths are no binary fractions, so that many of these turns begin a digit before or after their place.
    a = make_availability([[(0.0, 0.1), (0.3, 0.4)], [(0.2, 0.7)], [(0.0, 0.3), (0.6, 0.7)]], 0.7, [0.1, 0.0, -0.3])
    trace = np.arange(3)[:, None]
    clock = np.random.default_rng(1).uniform(-1e5, 1e6, 100_000)
    begin = next_ready_s(a, trace, clock)
    until = ready_until_s(a, trace, begin)
    assert is_ready(a, trace, begin).all()
    assert (next_ready_s(a, trace, begin) == begin).all()
    assert not is_ready(a, trace, until).any()
    assert (until - begin < 0.5 + 1e-6).all()
    assert (next_ready_s(a, trace, until) - until < 0.4 + 1e-6).all()


@given(rough_traces(), st.floats(-1e7, 1e7), st.floats(1e-3, 20))
def test_the_work_is_done_when_it_ends_and_not_before(trace: Trace, begin: float, periods: float) -> None:
    a = available(trace)
    work = periods * float(duty(a)[0]) * trace.period_s
    end = float(finish_s(a, 0, begin, work))
    assert ready_between_s(a, 0, begin, end) == pytest.approx(work, abs=1e-6)
    assert trace.ready_between_s(begin, end) == pytest.approx(work, abs=1e-6)
    assert ready_s(a, 0, end) - ready_s(a, 0, begin) == pytest.approx(work, abs=1e-5)
    # It ends no later than it has to: just before, some of it is left. Where it ends with a stretch but for a rounding,
    # that rounding is done when the next begins.
    if is_ready(a, 0, end - 1e-4) or not is_ready(a, 0, end):
        assert ready_between_s(a, 0, begin, end - 1e-4) < work - 1e-7


def test_work_over_many_periods_ends_in_the_right_one() -> None:
    nights = Trace([(0.0, 2.0 * HOUR_S), (23.0 * HOUR_S, DAY_S)], DAY_S)
    a = available(nights)
    # Three ready hours a day: 10^7 s are 925 days and 10,000 s; from midnight on, 2 h of these before a pause of 21 h.
    assert finish_s(a, 0, 0.0, 1e7) == 925 * DAY_S + 10_000.0 + 21 * HOUR_S == nights.finish_s(0.0, 1e7)
    # 900 days to the second: done at the end of a stretch, not at the begin of the next.
    assert finish_s(a, 0, 2 * HOUR_S, 900 * 3 * HOUR_S) == 900 * DAY_S + 2 * HOUR_S
    assert finish_s(a, 0, 0.0, 1e12) == pytest.approx(1e12 * 8, rel=1e-6)


def test_a_stretch_goes_on_past_the_end_of_the_period() -> None:
    a = make_availability([[(0, 10), (50, 60), (90, 100)]], 100.0, 7.0)
    assert ready_until_s(a, 0, 7.0 + 95) == 117.0
    assert ready_until_s(a, 0, 7.0 + 205) == 217.0
    assert finish_s(a, 0, 7.0 + 95, 15.0) == 117.0
    assert finish_s(a, 0, 7.0 + 95, 16.0) == 158.0


def test_a_trace_that_is_never_ready_answers_with_infinity() -> None:
    a = make_availability([[], [(0, 5)], []], [10.0, 10.0, 30.0], [0.0, 3.0, 4.0])
    never = np.array([0, 2])
    for clock in (-7.0, 0.0, 5.0, 1e9):
        assert not is_ready(a, never, clock).any()
        assert next_ready_s(a, never, clock).tolist() == [INF, INF]
        assert ready_until_s(a, never, clock).tolist() == [clock, clock]
        assert finish_s(a, never, clock, 1e-3).tolist() == [INF, INF]
        assert finish_s(a, never, clock, 0.0).tolist() == [clock, clock]
        assert ready_between_s(a, never, clock, clock + 100).tolist() == [0.0, 0.0]
    assert ready_s(a, np.arange(3), INF).tolist() == [0.0, INF, 0.0]


def test_a_trace_that_is_always_ready_does_all_work_at_once() -> None:
    a = make_availability([[(0, 4), (4, 10)]], 10.0, 3.0)
    clock = np.array([-0.3, 3.0, 12.999, 13.0, 0.1 + 0.2])
    assert is_ready(a, 0, clock).all()
    assert (ready_until_s(a, 0, clock) == INF).all()
    np.testing.assert_array_equal(next_ready_s(a, 0, clock), clock)
    np.testing.assert_array_equal(finish_s(a, 0, clock, 1e7 / 3), clock + 1e7 / 3)
    np.testing.assert_array_equal(ready_between_s(a, 0, clock, clock + 25), (clock + 25) - clock)
    np.testing.assert_allclose(ready_s(a, 0, clock), clock - 3.0, rtol=0, atol=1e-12)


def test_what_begins_at_infinity_stays_there_and_unknown_work_stays_unknown() -> None:
    a = make_availability([[(0, 5)], [(0, 10)], []], 10.0)
    each = np.arange(3)
    assert not is_ready(a, each, INF).any()
    for ask in (next_ready_s, ready_until_s):
        assert ask(a, each, INF).tolist() == [INF] * 3
    assert finish_s(a, each, INF, 5.0).tolist() == [INF] * 3
    assert finish_s(a, each, 1.0, INF).tolist() == [INF] * 3
    assert np.isnan(finish_s(a, each, 1.0, math.nan)).all()


def test_sums_keep_their_digits_in_long_tables() -> None:
    # Traces of 8 intervals of a third of a second behind one of ready years: a running sum over all would have lost
    # digits at once.
    short = [(float(i), i + 1 / 3) for i in range(8)]
    a = make_availability([[(0.0, 3e9)], *[short] * 5], [4e9, *[10.0] * 5])
    assert ready_s(a, np.arange(1, 6), 9.5).tolist() == pytest.approx([8 / 3] * 5, abs=1e-14)


def test_duty_is_the_ready_share_of_the_period() -> None:
    a = make_availability([[(0, 10), (20, 25)], [], [(0, 60)]], [60.0, 5.0, 60.0])
    assert duty(a).tolist() == [0.25, 0.0, 1.0]


def test_hours_of_the_day_are_those_of_the_clock() -> None:
    # Two days from 22 h on: ready for the first half hour of each day; and half a day, always ready.
    twice = [(2 * HOUR_S, 2.5 * HOUR_S), (26 * HOUR_S, 26.5 * HOUR_S)]
    a = make_availability([twice, [(0, DAY_S / 2)]], [2 * DAY_S, DAY_S / 2], [22 * HOUR_S, DAY_S])
    assert by_hour(a).tolist() == [0.75, *[0.5] * 11, *[0.0] * 12]
    only = make_availability([[(0, 1800)]], 2 * HOUR_S, 5 * HOUR_S)
    shares = by_hour(only)
    assert shares[5:7].tolist() == [0.5, 0.0]
    assert np.isnan(np.delete(shares, [5, 6])).all()


def test_intervals_that_touch_become_one() -> None:
    a = make_availability([[(0, 1), (1, 2), (3, 4)], [(4, 5), (5, 6)], []], 10.0, [1.0, 2.0, 3.0])
    assert a.offsets.tolist() == [0, 2, 3, 3]
    assert (a.start_s.tolist(), a.end_s.tolist()) == ([0.0, 3.0, 4.0], [2.0, 4.0, 6.0])
    assert (a.origin_s.tolist(), a.period_s.tolist(), a.traces) == ([1.0, 2.0, 3.0], [10.0] * 3, 3)
    assert make_availability([], 10.0).traces == 0


@pytest.mark.parametrize(
    ("intervals", "rule"),
    [
        ([(0, 5), (4, 6)], "sort the intervals and merge"),
        ([(5, 6), (0, 1)], "sort the intervals and merge"),
        ([(0, 8), (1, 2), (3, 4)], "sort the intervals and merge"),
        ([(5, 5)], "at least"),
        ([(5, 5 + SHORTEST_S / 2)], "at least"),
        ([(6, 5)], "at least"),
        ([(-1, 5)], "before 0"),
        ([(5, 11)], "within the period"),
        ([(5, math.nan)], "finite"),
        ([(5, INF)], "finite"),
    ],
)
def test_intervals_that_are_none_are_refused(intervals: list[tuple[float, float]], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        make_availability([[(0, 1)], intervals], 10.0)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"offsets": np.array([0, 2, 1])}, "offsets"),
        ({"offsets": np.array([1, 1, 2])}, "offsets"),
        ({"offsets": np.array([0, 2])}, "offsets"),
        ({"offsets": np.array([0, 1, 2], np.int32)}, "offsets"),
        ({"period_s": np.array([0.0, 10.0])}, "period_s must be above 0"),
        ({"period_s": np.array([INF, 10.0])}, "period_s must be finite"),
        ({"origin_s": np.array([0.0])}, "origin_s"),
        ({"end_s": np.array([1.0])}, "end_s"),
        ({"end_s": np.array([1, 2])}, "end_s must be a float64"),
        ({"start_s": np.array([0.0, 0.5]), "offsets": np.array([0, 2, 2])}, "sort"),
        ({"start_s": np.array([0.0, 1.0]), "offsets": np.array([0, 2, 2])}, "touch"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changes: dict[str, np.ndarray], rule: str) -> None:
    a = make_availability([[(0, 1)], [(0, 2)]], 10.0)
    with pytest.raises(ValueError, match=rule):
        replace(a, **changes)


def test_work_too_small_for_the_clock_does_not_end_before_it_begins() -> None:
    a = make_availability([[(0, 5e6), (9e6, 9.5e6)]], 1e7, -6e6)
    assert finish_s(a, 0, 0.0, 1e-12) == 0.0  # 5e6 s were ready before, and a picosecond is lost in them
    assert finish_s(a, 0, 0.0, 1.0) == 3e6 + 1.0


def test_whole_numbers_are_seconds_too() -> None:
    a = make_availability([[(0, 10), (50, 60)], []], 100.0)
    assert finish_s(a, np.array([0, 1]), 30, 1).tolist() == [51.0, INF]
    assert next_ready_s(a, 0, 30) == 50.0


def test_negative_work_is_refused() -> None:
    with pytest.raises(ValueError, match="work_s must be at least 0"):
        finish_s(make_availability([[(0, 1)]], 10.0), 0, 0.0, np.array([1.0, -1.0]))
