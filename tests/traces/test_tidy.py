"""Intervals put in order, against painting them second by second."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traces.tidy import tidied

PAIRS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=9
)


@given(PAIRS)
def test_the_same_seconds_are_covered(pairs: list[tuple[int, int]]) -> None:
    given_ = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    found = tidied(given_[:, 0], given_[:, 1])
    painted = np.zeros(60, bool)
    for start, end in pairs:
        painted[start:end] = True
    again = np.zeros(60, bool)
    for start, end in zip(found.start_s.astype(int), found.end_s.astype(int), strict=True):
        again[start:end] = True
    np.testing.assert_array_equal(again, painted)
    assert (found.start_s[1:] > found.end_s[:-1]).all()
    assert (found.end_s > found.start_s).all()
    assert found.empty == sum(start == end for start, end in pairs)


def test_what_was_done_is_counted() -> None:
    found = tidied(np.array([5.0, 0, 2, 9, 20]), np.array([9.0, 3, 4, 9, 30]))
    assert list(zip(found.start_s, found.end_s, strict=True)) == [(0, 4), (5, 9), (20, 30)]
    assert (found.empty, found.unsorted, found.overlapping) == (1, 1, 1)
    nothing = tidied(np.zeros(0), np.zeros(0))
    assert len(nothing.start_s) == 0


def test_what_is_shorter_than_a_trace_can_hold_is_empty() -> None:
    assert tidied(np.array([1.0]), np.array([1.000001])).empty == 1
