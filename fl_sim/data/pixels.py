"""Pixels as what a network is fed: standardised numbers, or int8 mantissas with one exponent for the whole data set."""

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fl_sim.data.dataset import Dataset, Pixels, chunks

_LEVELS = 256
LARGEST_MANTISSA = 127
_Kind = TypeVar("_Kind", bound=np.generic)


class MantissaTable(NamedTuple):
    """``mantissas`` int8 [c, 256]: pixel value p of channel c stands for mantissas[c, p] * 2^exponent."""

    mantissas: NDArray[np.int8]
    exponent: int


def float_table(dataset: Dataset) -> NDArray[np.float32]:
    """Return float32 [c, 256]: what pixel value p of channel c is worth, (p / 255 - mean) / std."""
    return _standardised(dataset).astype(np.float32)


def mantissa_table(dataset: Dataset) -> MantissaTable:
    """Return the int8 mantissa of every pixel value, and the one exponent that all images share.

    e = ceil(log2 max|x|) - 7 over the pixel values that occur in the data set (train and test), and
    m = clip(round(x * 2^-e), -127, 127), ties away from zero. The exponent does not depend on the batch, so batches
    do not depend on one another. Values that do not occur are clipped like any other.
    """
    values = _standardised(dataset)
    channels = len(values)
    lowest, highest = np.full(channels, _LEVELS - 1), np.zeros(channels, dtype=np.int64)
    for images in (dataset.train, dataset.test):
        for piece in chunks(images.pixels):
            lowest = np.minimum(lowest, piece.min(axis=(0, 1, 2)))
            highest = np.maximum(highest, piece.max(axis=(0, 1, 2)))
    rows = np.arange(channels)
    largest = float(max(np.abs(values[rows, lowest]).max(), np.abs(values[rows, highest]).max()))
    # largest = fraction * 2^power with fraction in [0.5, 1): the ceiling of log2 without a rounded logarithm.
    fraction, power = math.frexp(largest)
    exponent = (power - 1 if fraction == 0.5 else power) - 7
    scaled = values * 2.0**-exponent
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    return MantissaTable(np.clip(rounded, -LARGEST_MANTISSA, LARGEST_MANTISSA).astype(np.int8), exponent)


def mantissas(pixels: Pixels, table: MantissaTable) -> NDArray[np.int8]:
    """Return int8 [n, h, w, c]: the mantissa of every pixel."""
    return _looked_up(pixels, table.mantissas)


def floats(pixels: Pixels, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32 [n, h, w, c]: what every pixel is worth by ``float_table``."""
    return _looked_up(pixels, table)


def _standardised(dataset: Dataset) -> NDArray[np.float64]:
    levels = np.arange(_LEVELS) / 255
    mean, std = (np.asarray(values)[:, None] for values in (dataset.mean, dataset.std))
    return np.asarray((levels - mean) / std)


def _looked_up(pixels: Pixels, table: NDArray[_Kind]) -> NDArray[_Kind]:
    if table.shape != (pixels.shape[-1], _LEVELS):
        message = f"table must be [{pixels.shape[-1]}, {_LEVELS}] for these images (got {list(table.shape)})"
        raise ValueError(message)
    out = np.empty(pixels.shape, dtype=table.dtype)
    for channel, row in enumerate(table):
        out[..., channel] = row[pixels[..., channel]]
    return out
