"""The rounding that every path must equal: golden vectors, laws, and the C of rounding.h against the oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.int8.oracle import (
    Ints,
    bits,
    clipped,
    loss_gradient,
    random_key,
    requantised,
    shifted,
)
from profiler.native.rules import ROUNDINGS, Rounding
from tests.profiler.runner.check_program import answers, check_program

WIDTHS = {
    0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 64: 6, 65: 7, 127: 7, 128: 7, 129: 8, 256: 8, 257: 9, 16384: 14, 16385: 15,
    2**24: 24, 2**24 + 1: 25, 2**31 - 1: 31,
}  # fmt: skip
X = [0, 1, -1, 7, 8, 9, -7, -8, -9, 15, 16, 17, 23, 24, 25, -23, -24, -25, 100, -100, 2047, -2047, 2048]
NEAREST_4 = [0, 0, 0, 0, 1, 1, 0, -1, -1, 1, 1, 1, 1, 2, 2, -1, -2, -2, 6, -6, 128, -128, 128]
PSEUDO_4 = [0, 0, 0, 0, 1, 1, 0, -1, -1, 0, 1, 1, 1, 2, 2, -1, -2, -2, 7, -7, 127, -127, 128]
PSEUDO_5 = [0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 1, 1, 0, 1, 1, 0, -1, -1, 4, -4, 64, -64, 64]

whole = st.integers(-(2**31) + 1, 2**31 - 1)
accumulators = st.lists(whole, min_size=1, max_size=40).map(lambda values: np.array(values, dtype=np.int64))


def test_bit_widths_are_the_golden_ones() -> None:
    assert {x: bits(x) for x in WIDTHS} == WIDTHS


@pytest.mark.parametrize(
    ("rounding", "s", "golden"),
    [("nearest", 4, NEAREST_4), ("pseudo-stochastic", 4, PSEUDO_4), ("pseudo-stochastic", 5, PSEUDO_5)],
)
def test_roundings_are_the_golden_ones(rounding: Rounding, s: int, golden: list[int]) -> None:
    assert shifted(X, s, rounding).tolist() == golden


def test_rounding_in_c_is_the_golden_one() -> None:
    cases = [f"round 0 {s} {x} 0" for s in (4, 5) for x in X]
    found = np.array([line.split() for line in answers([check_program()], cases)], dtype=np.int64)
    assert found[: len(X), 2].tolist() == NEAREST_4
    assert found[: len(X), 3].tolist() == PSEUDO_4
    assert found[len(X) :, 3].tolist() == PSEUDO_5
    widths = [line.split() for line in answers([check_program()], [f"round 0 1 {x} 0" for x in WIDTHS])]
    assert [int(line[0]) for line in widths] == list(WIDTHS.values())
    assert [int(line[1]) for line in widths] == [max(width - 7, 0) for width in WIDTHS.values()]


def test_rounding_in_c_equals_the_oracle() -> None:
    rng = np.random.default_rng(1)
    size = 4000
    x = rng.choice([-1, 1], size) * (2 ** (31 * rng.random(size))).astype(np.int64)
    s, keys, places = rng.integers(-2, 32, size), rng.integers(0, 2**32, size), rng.integers(0, 2**32, size)
    cases = [
        f"round {key} {shift} {value} {place}" for key, shift, value, place in zip(keys, s, x, places, strict=True)
    ]
    found = np.array([line.split() for line in answers([check_program()], cases)], dtype=np.int64)
    for i in range(size):
        shift = int(s[i])
        assert found[i, 2] == shifted(x[i], shift, "nearest"), cases[i]
        assert found[i, 3] == shifted(x[i], shift, "pseudo-stochastic"), cases[i]
        assert found[i, 4] == stochastic_at(int(x[i]), shift, int(keys[i]), int(places[i])), cases[i]


def stochastic_at(x: int, s: int, key: int, place: int) -> int:
    """Return one number rounded with the draw of its place, written with Python's integers."""
    if s <= 0:
        return x
    word = (key + place * 0x9E3779B9) % 2**32
    word = (word ^ word >> 16) * 0x7FEB352D % 2**32
    word = (word ^ word >> 15) * 0x846CA68B % 2**32
    word ^= word >> 16
    a = abs(x)
    return int(math.copysign(1, x)) * ((a >> s) + (word % 2**s < a % 2**s))


@given(accumulators)
def test_a_requantised_tensor_keeps_its_value(accumulator: Ints) -> None:
    m, s = requantised(accumulator, "nearest")
    largest = int(np.abs(accumulator).max())
    assert np.abs(m).max() <= 127
    assert (s == 0) == (largest <= 128)
    off = np.abs(accumulator - m * 2**s)
    saturated = (np.abs(m) == 127) & (np.abs(shifted(accumulator, s, "nearest")) > 127)
    assert (off[~saturated] <= (2**s) // 2).all()
    assert (off <= 2**s).all()
    assert s == 0 or np.abs(m).max() >= 64


@given(accumulators, st.integers(1, 10))
def test_a_tensor_of_twice_the_size_has_one_shift_more(accumulator: Ints, j: int) -> None:
    m, s = requantised(accumulator, "nearest")
    again, more = requantised(accumulator * 2**j, "nearest")
    if s > 0:
        assert more == s + j
        assert (again == m).all()


def test_a_tensor_of_zeros_stays_one() -> None:
    m, s = requantised(np.zeros((3, 4), dtype=np.int64), "nearest")
    assert s == 0
    assert not m.any()


@given(whole, st.integers(1, 30), st.sampled_from(["nearest", "pseudo-stochastic"]))
def test_rounding_is_odd_and_never_leaves_the_neighbours(x: int, s: int, rounding: Rounding) -> None:
    found = int(shifted(x, s, rounding))
    assert int(shifted(-x, s, rounding)) == -found
    assert found in {x >> s, -(-x >> s)}


@given(st.integers(-(2**20), 2**20), st.integers(1, 10), st.sampled_from(ROUNDINGS))
def test_exact_multiples_are_not_rounded(x: int, s: int, rounding: Rounding) -> None:
    assert shifted([x * 2**s] * 5, s, rounding, 17).tolist() == [x] * 5


def test_with_one_bit_pseudo_stochastic_is_nearest() -> None:
    x = np.arange(-300, 301)
    assert (shifted(x, 1, "pseudo-stochastic") == shifted(x, 1, "nearest")).all()


@pytest.mark.parametrize("s", range(1, 13))
def test_pseudo_stochastic_is_off_by_what_its_formula_says(s: int) -> None:
    """Over a whole period of magnitudes, in units of the result."""
    period = np.arange(2**s)
    off = (shifted(period, s, "pseudo-stochastic") - period / 2**s).mean()
    assert off == (2.0 ** (-s - 1) if s % 2 else -(2.0 ** (-s / 2 - 1) - 2.0 ** (-s - 1)))


@pytest.mark.parametrize(("x", "s"), [(37, 4), (-37, 4), (1, 8), (-255, 8), (1000003, 12)])
def test_stochastic_rounding_has_no_bias(x: int, s: int) -> None:
    size = 40000
    found = shifted(np.full(size, x), s, "stochastic", random_key(1, 2, 3, 3))
    assert set(found.tolist()) == {x >> s, -(-x >> s)}
    assert abs(found.mean() - x / 2**s) < 5 * found.std() / math.sqrt(size)


def test_keys_differ_in_each_of_their_parts() -> None:
    parts = [(a, b, c, d) for a in (0, 1, 2**32, 2**63) for b in (0, 1, 2**32) for c in range(64) for d in range(1, 5)]
    assert len({random_key(*part) for part in parts}) == len(parts)


LOGITS = [([10, -20, 30, 0], 2), ([127, 127, -127, 0], 0), ([1, 2, 3, 4], 3)]
LOSSES = {
    0: ([0, 0, 0, 0], [-64, 64, 0, 0], [5, 9, 38, -52]),
    -3: ([7, 0, -11, 4], [-64, 64, 0, 0], [32, 32, 32, -96]),
    -6: ([32, 32, -96, 32], [-73, 55, 3, 14], [32, 32, 32, -96]),
    -7: ([33, 26, -89, 30], [-79, 49, 10, 20], [32, 32, 32, -96]),
    -9: ([32, 30, -94, 32], [-90, 38, 23, 29], [32, 32, 32, -96]),
}


@pytest.mark.parametrize("e", LOSSES)
def test_loss_gradients_are_the_golden_ones(e: int) -> None:
    m, labels = np.array([row for row, _ in LOGITS]), [label for _, label in LOGITS]
    assert loss_gradient(m, e, labels, "nearest").tolist() == [list(row) for row in LOSSES[e]]


@pytest.mark.parametrize("e", range(-12, 4))
def test_loss_gradients_point_where_the_softmax_does(e: int) -> None:
    rng = np.random.default_rng(e + 50)
    m, labels = rng.integers(-127, 128, (64, 10)), rng.integers(0, 10, 64)
    g = loss_gradient(m, e, labels, "nearest").astype(np.float64)
    exp = np.exp(m * 2.0**e - (m * 2.0**e).max(axis=1, keepdims=True))
    true = exp / exp.sum(axis=1, keepdims=True) - np.eye(10)[labels]
    assert (g * true).sum() / np.linalg.norm(g) / np.linalg.norm(true) >= 0.99
    assert 0.9 < np.linalg.norm(g) / np.linalg.norm(128 * true) < 1.1
    assert np.abs(g.sum(axis=1)).max() <= 10 / 2 + 1
    of_label = g[np.arange(64), labels]
    assert (of_label <= 0).all()
    assert (g.sum(axis=1) - of_label == np.where(np.eye(10)[labels] == 1, 0, np.maximum(g, 0)).sum(axis=1)).all()


@settings(max_examples=100)
@given(accumulators, st.integers(-8, 8), st.sampled_from(ROUNDINGS))
def test_an_update_is_as_large_as_mu_says(gradient: Ints, mu: int, rounding: Rounding) -> None:
    s = bits(int(np.abs(gradient).max())) - mu
    u = shifted(gradient, s, rounding, 5)
    assert np.abs(u).max() <= 2 ** max(mu, 0)
    if mu >= 1 and s >= 1:
        assert np.abs(u).max() >= 2 ** (mu - 1)
    if rounding == "nearest" and s >= 1:
        assert (shifted(gradient * 8, bits(int(np.abs(gradient * 8).max())) - mu, rounding) == u).all()
    assert np.abs(clipped(-127 - u)).max() <= 127
