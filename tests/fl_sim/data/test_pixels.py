"""Pixels as floats and as mantissas: the tables against the formulas, one number at a time."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.data.pixels import MantissaTable, float_table, floats, mantissa_table, mantissas
from tests.fl_sim.data.made import dataset


def slow_mantissa_table(made: Dataset) -> tuple[list[list[int]], int]:
    """The same with exact fractions of the rounded means, and every pixel looked at."""
    largest = Fraction(0)
    values = []
    for channel, (mean, std) in enumerate(zip(made.mean, made.std, strict=True)):
        row = [Fraction((pixel / 255 - mean) / std) for pixel in range(256)]
        values.append(row)
        for part in (made.train, made.test):
            occurring = {int(pixel) for pixel in part.pixels[..., channel].ravel()}
            largest = max(largest, *(abs(row[pixel]) for pixel in occurring))
    power = -100
    while Fraction(2) ** power < largest:
        power += 1
    exponent = power - 7
    scale = Fraction(2) ** -exponent
    table = []
    for row in values:
        rounded = [int(abs(x) * scale + Fraction(1, 2)) * (1 if x >= 0 else -1) for x in row]
        table.append([max(-127, min(127, number)) for number in rounded])
    return table, exponent


@given(st.integers(1, 3), st.integers(0, 10_000))
def test_mantissas_are_those_of_the_formula(channels: int, seed: int) -> None:
    made = dataset(channels, seed)
    table, exponent = mantissa_table(made)
    assert table.dtype == np.int8
    assert (table.tolist(), exponent) == slow_mantissa_table(made)


def two_levels(low: int, high: int, highs: int) -> Dataset:
    pixels = np.full((8, 1, 1, 1), low, dtype=np.uint8)
    pixels[:highs] = high
    images = Images(pixels, np.zeros(8, dtype=np.int32))
    return make_dataset("two", 2, images, images, "made")


def test_a_largest_value_that_is_a_power_of_two_is_clipped_to_127() -> None:
    # Half black, half white: every pixel is -1 or 1.
    table, exponent = mantissa_table(two_levels(0, 255, 4))
    assert exponent == -7
    assert (table[0, 0], table[0, 255]) == (-127, 127)


def test_the_exponent_follows_the_values_that_occur() -> None:
    # Digits have levels up to 16 of 255; the 239 above must not cost bits.
    made = two_levels(0, 16, 2)
    table, exponent = mantissa_table(made)
    assert math.sqrt(3) <= 2.0 ** (exponent + 7) < 4
    assert 64 <= abs(int(table[0, 16])) <= 127
    assert table[0, 255] == 127


@given(st.integers(1, 3), st.integers(0, 10_000))
def test_lookups_are_the_formula(channels: int, seed: int) -> None:
    made = dataset(channels, seed)
    table = float_table(made)
    assert table.dtype == np.float32
    mean, std = np.array(made.mean), np.array(made.std)
    expected = (made.train.pixels / 255 - mean) / std
    assert np.array_equal(floats(made.train.pixels, table), expected.astype(np.float32))
    whole = mantissa_table(made)
    found = mantissas(made.train.pixels, whole)
    assert found.dtype == np.int8
    error = np.abs(found * 2.0**whole.exponent - expected)[np.abs(found) < 127]
    assert error.max() <= 2.0 ** (whole.exponent - 1) + 1e-12
    for image, pixel in np.ndindex(2, 4):
        value = made.train.pixels[image, pixel, 0, channels - 1]
        assert found[image, pixel, 0, channels - 1] == whole.mantissas[channels - 1, value]


def test_standardised_train_images_have_mean_0_and_deviation_1() -> None:
    made = dataset(3)
    values = floats(made.train.pixels, float_table(made)).astype(np.float64)
    assert values.mean((0, 1, 2)) == pytest.approx(np.zeros(3), abs=1e-6)
    assert values.std((0, 1, 2)) == pytest.approx(np.ones(3), rel=1e-6)


def test_a_table_of_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"table must be \[3, 256\]"):
        mantissas(dataset(3).train.pixels, MantissaTable(np.zeros((1, 256), np.int8), 0))
