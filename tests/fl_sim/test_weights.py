import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fl_sim.model import find_model
from fl_sim.weights import (
    LARGEST_EXPONENT,
    LEAST_EXPONENT,
    FloatWeights,
    IntWeights,
    exponent_of,
    floats,
    layer_exponents,
    quantized,
    scales,
)

MODEL = find_model("3x3x1:conv1k3,fc2", 2)  # 9 and 2 weights
SIZES = (9, 2)
COUNT = 11
EVERY_EXPONENT = range(LEAST_EXPONENT, LARGEST_EXPONENT + 1)

exponents = st.tuples(*[st.integers(LEAST_EXPONENT, LARGEST_EXPONENT)] * 2)
mantissas = st.lists(st.integers(-127, 127), min_size=COUNT, max_size=COUNT).map(lambda m: np.array(m, dtype=np.int8))
finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(finite32, min_size=COUNT, max_size=COUNT)


def half_away(x: Fraction) -> int:
    whole = math.floor(abs(x) + Fraction(1, 2))
    return whole if x >= 0 else -whole


def clipped(whole: int, most: int = 127) -> int:
    return max(-most, min(most, whole))


def smallest_exponent(largest: float, bits: int) -> int:
    """Twin of exponent_of in fractions: from the least exponent up."""
    most = 2 ** (bits - 1) - 1
    return next((e for e in EVERY_EXPONENT if Fraction(largest) <= most * Fraction(2) ** e), LARGEST_EXPONENT)


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [(0.0, 0), (127.0, 0), (128.0, 1), (254.0, 1), (255.0, 2), (1.0, -6), (63.5, -1), (0.5, -7), (2.0**-140, -126),
     (5e-324, -126), (1e300, 121)],
)  # fmt: skip
def test_exponents(largest: float, exponent: int) -> None:
    assert exponent_of(largest) == exponent


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False), st.integers(2, 8))
@example(5e-324, 8)
@example(2.0**-1074 * 127, 8)
@example(1.7976931348623157e308, 2)
def test_the_exponent_is_the_smallest_in_exact_arithmetic(largest: float, bits: int) -> None:
    assert exponent_of(largest, bits) == smallest_exponent(largest, bits)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("power", range(-150, 129, 9))
def test_the_exponent_at_its_edges(bits: int, power: int) -> None:
    most = 2 ** (bits - 1) - 1
    for edge in (2.0**power, most * 2.0**power):
        for largest in (edge, math.nextafter(edge, math.inf), math.nextafter(edge, 0)):
            assert exponent_of(largest, bits) == smallest_exponent(largest, bits)


@pytest.mark.parametrize("largest", [math.nan, math.inf, -1.0])
def test_a_weight_that_is_not_finite_has_no_exponent(largest: float) -> None:
    with pytest.raises(ArithmeticError, match="lower learning_rate"):
        exponent_of(largest)


@pytest.mark.parametrize("place", [0, 8, 9, 10])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_not_rounded(place: int, wrong: float) -> None:
    values = np.full(COUNT, 0.25, dtype=np.float32)
    values[place] = wrong
    with pytest.raises(ArithmeticError, match="diverged"):
        layer_exponents(MODEL, values)
    for rng in (None, np.random.default_rng(0)):
        with pytest.raises(ArithmeticError, match="diverged"):
            quantized(MODEL, values, (0, 0), rng=rng)


def test_every_layer_has_its_own_exponent() -> None:
    values = np.array([0.5] * 8 + [-0.9] + [0.01] * 2, dtype=np.float32)
    assert layer_exponents(MODEL, values) == (exponent_of(0.9), exponent_of(0.01)) == (-7, -13)
    assert scales(MODEL, (-7, -13)).tolist() == [2.0**-7] * 9 + [2.0**-13] * 2


@given(vectors, exponents, st.booleans(), st.integers(2, 8))
def test_nearest_is_what_fractions_say(values: list[float], chosen: tuple[int, int], wide: bool, bits: int) -> None:
    x = np.array(values, dtype=np.float64 if wide else np.float32)
    x[:8] *= 2.0**-60  # whatever hypothesis draws, many are near the grid of some exponent
    most = 2 ** (bits - 1) - 1
    steps = [Fraction(2) ** e for e, count in zip(chosen, SIZES, strict=True) for _ in range(count)]
    expected = [clipped(half_away(Fraction(float(w)) / s), most) for w, s in zip(x, steps, strict=True)]
    assert quantized(MODEL, x, chosen, bits=bits).values.tolist() == expected


@given(
    st.lists(
        st.tuples(st.integers(-130, 130), st.sampled_from([0.0, 0.25, 0.5, 0.75])), min_size=COUNT, max_size=COUNT
    ),
    st.tuples(*[st.integers(-100, 100)] * 2),
    st.sampled_from([-1, 0, 1]),
    st.booleans(),
)
def test_nearest_around_halves(
    places: list[tuple[int, float]], chosen: tuple[int, int], nudge: int, wide: bool
) -> None:
    kind = np.float64 if wide else np.float32
    x = np.array([whole + part for whole, part in places], dtype=kind)
    x = np.nextafter(x, kind(np.inf * nudge)) if nudge else x
    expected = [clipped(half_away(Fraction(float(w)))) for w in x]
    scaled = x * scales(MODEL, chosen).astype(kind)
    assert quantized(MODEL, scaled, chosen).values.tolist() == expected


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_number_before_one_half_is_rounded_down(kind: type[np.floating]) -> None:
    x = np.full(COUNT, np.nextafter(kind(0.5), kind(0)), dtype=kind)
    assert not quantized(MODEL, x, (0, 0)).values.any()
    assert not quantized(MODEL, -x, (0, 0)).values.any()
    assert (quantized(MODEL, np.full(COUNT, kind(0.5)), (0, 0)).values == 1).all()


@given(vectors, exponents)
def test_rounding_is_odd(values: list[float], chosen: tuple[int, int]) -> None:
    x = np.array(values, dtype=np.float32)
    assert np.array_equal(quantized(MODEL, -x, chosen).values, -quantized(MODEL, x, chosen).values)


@given(mantissas, exponents, st.integers(0, 9))
def test_rounding_leaves_the_grid_alone(values: np.ndarray, chosen: tuple[int, int], seed: int) -> None:
    on_grid = floats(MODEL, IntWeights(values, chosen))
    assert np.array_equal(quantized(MODEL, on_grid, chosen).values, values)
    assert np.array_equal(quantized(MODEL, on_grid, chosen, rng=np.random.default_rng(seed)).values, values)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=COUNT, max_size=COUNT))
def test_a_round_trip_is_at_most_half_a_step_off(values: list[float]) -> None:
    """With a layer's own exponent nothing is clipped: |w - w_d| <= 2^(beta - 1)."""
    x = np.array(values, dtype=np.float32)
    chosen = layer_exponents(MODEL, x)
    again = floats(MODEL, quantized(MODEL, x, chosen)).astype(np.float64)
    assert (np.abs(x - again) <= scales(MODEL, chosen) / 2).all()


def test_floats_of_mantissas_are_exact_and_normal() -> None:
    rows = np.resize(np.arange(-127, 128, dtype=np.int8), (24, COUNT))
    for e, row in ((e, row) for e in EVERY_EXPONENT for row in rows):
        values = floats(MODEL, IntWeights(row, (e, e)))
        assert values.dtype == np.float32
        assert np.array_equal(values.astype(np.float64), np.ldexp(row.astype(np.float64), e))
        assert (np.abs(values[row != 0]) >= np.finfo(np.float32).tiny).all()


@pytest.mark.parametrize("chosen", [(0,), (0, 0, 0), (-127, 0), (0, 122), (0, 1000)])
def test_exponents_that_cannot_be_sent_are_refused(chosen: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="exponents must be"):
        quantized(MODEL, np.zeros(COUNT, dtype=np.float32), chosen)


def equation_1(x: Fraction, c: Fraction) -> int:
    """The paper's Eq. 1: round(clip(x, c) / s) with s = c / 127."""
    return half_away(max(-c, min(c, x)) / (c / 127))


@given(vectors, st.integers(-120, 120))
def test_equation_1_with_a_power_of_two_is_ours(values: list[float], beta: int) -> None:
    x = np.array(values, dtype=np.float32)
    c = 127 * Fraction(2) ** beta
    assert quantized(MODEL, x, (beta, beta)).values.tolist() == [equation_1(Fraction(float(w)), c) for w in x]


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=COUNT, max_size=COUNT), st.integers(1, 25))
def test_equation_1_with_a_power_of_two_is_a_shift(values: list[int], beta: int) -> None:
    c = 127 * Fraction(2) ** beta
    shifted = [clipped((abs(x) + (1 << (beta - 1)) >> beta) * (1 if x >= 0 else -1)) for x in values]
    assert [equation_1(Fraction(x), c) for x in values] == shifted
    assert quantized(MODEL, np.array(values, dtype=np.float64), (beta, beta)).values.tolist() == shifted


@pytest.mark.parametrize("w", [0.3, -0.3, 0.5, 0.9999, 1e-3, -126.25, 126.999])
@pytest.mark.parametrize("e", [-20, 0, 9])
def test_stochastic_rounding_is_unbiased(w: float, e: int) -> None:
    model = find_model("40x40x1:fc64", 64)
    count = model.parameters
    x = np.full(count, w * 2.0**e)
    drawn = quantized(model, x, (e,), rng=np.random.default_rng(17)).values.astype(np.float64)
    assert set(drawn) <= {math.floor(w), math.floor(w) + 1}
    share = w - math.floor(w)
    assert abs(drawn.mean() - w) <= 5 * math.sqrt(share * (1 - share) / count)


def test_stochastic_rounding_follows_from_the_generator() -> None:
    x = np.linspace(-3, 3, COUNT, dtype=np.float32)
    one, same, other = (quantized(MODEL, x, (0, 0), rng=np.random.default_rng(seed)).values for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_floats_are_handed_on_without_a_copy() -> None:
    values = np.zeros(COUNT, dtype=np.float32)
    assert floats(MODEL, FloatWeights(values)) is values


def artifact_round_trip(x: float, largest: float) -> float:
    """The authors' public code: quantize with largest / 127, dequantize with 2^(ceil(log2 largest) - 7)."""
    return round(x / largest * 127) * 2.0 ** (math.ceil(math.log2(largest)) - 7)


@given(st.floats(1e-3, 1e3))
def test_why_the_scale_is_a_power_of_two_both_ways(largest: float) -> None:
    """Two scales stretch a layer by 0.99 to 1.98; one leaves it within half a step (docs/background/federated_int8)."""
    stretch = artifact_round_trip(largest, largest) / largest
    assert 0.99 < stretch < 1.985
    again = artifact_round_trip(stretch * largest, stretch * largest)
    assert again == pytest.approx(stretch * largest)  # a layer that was stretched stays as it is
    x = np.full(COUNT, np.float32(largest))
    chosen = layer_exponents(MODEL, x)
    assert abs(floats(MODEL, quantized(MODEL, x, chosen))[0] / x[0] - 1) <= 0.5 / 63


def test_the_stretch_of_the_page() -> None:
    assert artifact_round_trip(0.3, 0.3) / 0.3 == pytest.approx(1.654, abs=5e-4)
    x = np.full(COUNT, np.float32(0.3))
    assert floats(MODEL, quantized(MODEL, x, layer_exponents(MODEL, x)))[0] / 0.3 == pytest.approx(1.0026, abs=5e-5)
