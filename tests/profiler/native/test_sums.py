"""Sums in C equal those of numpy's whole numbers, and refuse what is no number."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.native.sums import add_fp32, add_int8

floats = st.floats(-8191, 8191, width=32) | st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.5, -2.5, 1e-38, -1e-45, 8191.9995])
weights = st.integers(0, 2**10)


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=70), st.integers(0, 2**31 - 1))
def test_mantissas(values: list[int], weight: int) -> None:
    sums = np.arange(len(values), dtype=np.int64) - 5
    expected = sums + np.array(values, dtype=np.int64) * weight
    add_int8(sums, [np.array(values, dtype=np.int8)], [weight])
    assert (sums == expected).all()


@given(st.lists(floats, min_size=1, max_size=70), st.integers(-3, 39), weights)
def test_floats(values: list[float], places: int, weight: int) -> None:
    x, scale = np.array(values, dtype=np.float32), 2.0**places
    sums = np.arange(len(values), dtype=np.int64) - 5
    expected = sums + np.rint(x.astype(np.float64) * scale).astype(np.int64) * weight
    assert add_fp32(sums, [x], scale, [weight])
    assert (sums == expected).all()


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 7), st.sampled_from([200, 2**23, 2**31 - 1]))
def test_many_at_once_are_one_after_the_other(seed: int, numbers: int, count: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    factors = rng.integers(0, most, count, endpoint=True).tolist()
    whole = [rng.integers(-128, 128, numbers).astype(np.int8) for _ in range(count)]
    real = [rng.normal(0, 1, numbers).astype(np.float32) for _ in range(count)]
    before = rng.integers(-(2**40), 2**40, numbers)
    sums, floats_too, expected, of_floats = (before.copy() for _ in range(4))
    add_int8(sums, whole, factors)
    assert add_fp32(floats_too, real, 2.0**20, factors)
    for m, x, factor in zip(whole, real, factors, strict=True):
        expected += m.astype(np.int64) * factor
        of_floats += np.rint(x.astype(np.float64) * 2.0**20).astype(np.int64) * factor
    assert (sums == expected).all()
    assert (floats_too == of_floats).all()


def test_ties_go_to_even_and_the_largest_are_exact() -> None:
    sums = np.zeros(6, dtype=np.int64)
    assert add_fp32(sums, [np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], dtype=np.float32)], 1.0, [1])
    assert sums.tolist() == [0, 2, 2, 0, -2, -2]
    below = np.array([np.nextafter(np.float32(2.0**52), np.float32(0)), -(2.0**51)], dtype=np.float32)
    sums = np.zeros(2, dtype=np.int64)
    assert add_fp32(sums, [below], 1.0, [1])
    assert sums.tolist() == [int(below[0]), -(2**51)]


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf, 2.0**52, -(2.0**52), 3e38])
def test_what_is_too_large_leaves_the_sums(value: float) -> None:
    for place in (0, 17, 39):
        values = np.ones(40, dtype=np.float32)
        values[place] = value
        sums = np.arange(40, dtype=np.int64)
        assert not add_fp32(sums, [np.ones_like(values), values], 1.0, [5, 3])
        assert (sums == np.arange(40)).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_limit_is_not_reached(sign: int) -> None:
    values, sums = np.zeros(40, dtype=np.float32), np.zeros(40, dtype=np.int64)
    values[17] = sign * np.nextafter(np.float32(8192), np.float32(0))
    assert add_fp32(sums, [values], 2.0**38, [1], limit=8192.0)
    values[17] = sign * 8192
    assert not add_fp32(sums, [values], 2.0**38, [1], limit=8192.0)
    assert add_fp32(sums, [values], 2.0**38, [1])


def test_wrong_arguments() -> None:
    sums, x, m = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.float32), np.zeros(3, dtype=np.int8)
    frozen = np.zeros(3, dtype=np.int64)
    frozen.flags.writeable = False
    wrong: list[tuple[Any, str]] = [
        (lambda: add_int8(sums, [x], [1]), "values: must be an array of int8"),
        (lambda: add_int8(sums.astype(np.int32), [m], [1]), "sums: must be an array of int64"),
        (lambda: add_int8(sums[:2], [m], [1]), r"values: must have the shape \(2,\)"),
        (lambda: add_int8(frozen, [m], [1]), "sums: must be writeable"),
        (lambda: add_int8(sums, [m], [-1]), "weight: must be a whole number"),
        (lambda: add_int8(sums, [m, m], [1]), "weights: must be 2, one for each vector"),
        (lambda: add_fp32(sums, [x], 3.0, [1]), "scale: must be a power of two"),
        (lambda: add_fp32(sums, [x], np.inf, [1]), "scale: must be a power of two"),
        (lambda: add_fp32(sums, [x], -2.0, [1]), "scale: must be a power of two"),
    ]
    for call, message in wrong:
        with pytest.raises(ValueError, match=message):
            call()
