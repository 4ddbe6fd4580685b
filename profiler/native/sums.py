"""Weighted sums of many weights, in whole numbers: exact, so that their order never matters."""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from profiler.native.check import FLOAT32, INT8, INT64, Array, Type, check_array, check_range
from profiler.native.library import library

Sums = npt.NDArray[np.int64]

_MOST_WEIGHT = 2**31 - 1


def add_int8(sums: Sums, values: Sequence[npt.NDArray[np.int8]], weights: Sequence[int]) -> None:
    """Do ``sums += weight * vector`` for each of the vectors; all that comes together must stay below 2^63."""
    if not values:
        return
    vectors, factors = _in_c(sums, values, INT8, weights)
    calls = library().calls_for(sums.size * len(values))
    calls.fj_add_int8(sums.ctypes.data, vectors, factors, len(values), sums.size)


def add_fp32(
    sums: Sums, values: Sequence[npt.NDArray[np.float32]], scale: float, weights: Sequence[int], limit: float = math.inf
) -> bool:
    """Do ``sums += weight * rint(vector * scale)``, ties to even, for each; ``scale`` must be a power of two.

    Returns False, and leaves the sums as they were, if a value is not finite, reaches +-``limit``, or value * scale
    reaches +-2^52.
    """
    if not (0 < scale < math.inf and math.frexp(scale)[0] == 0.5):
        message = f"scale: must be a power of two (got {scale})"
        raise ValueError(message)
    if not values:
        return True
    vectors, factors = _in_c(sums, values, FLOAT32, weights)
    add = library().calls_for(sums.size * len(values)).fj_add_fp32
    return bool(add(sums.ctypes.data, vectors, scale, limit, factors, len(values), sums.size) == 0)


def _in_c(sums: Sums, values: Sequence[Array], dtype: Type, weights: Sequence[int]) -> tuple[Any, Any]:
    """Return C's form of the vectors and their weights, once all is as C trusts it to be."""
    check_array("sums", sums, INT64, sums.shape if isinstance(sums, np.ndarray) else None)
    if not sums.flags.writeable:
        message = "sums: must be writeable; copy them"
        raise ValueError(message)
    if len(weights) != len(values):
        message = f"weights: must be {len(values)}, one for each vector (got {len(weights)})"
        raise ValueError(message)
    places = (ctypes.c_void_p * len(values))()
    for i, (vector, weight) in enumerate(zip(values, weights, strict=True)):
        check_array("values", vector, dtype, sums.shape)
        check_range("weight", weight, 0, _MOST_WEIGHT)
        places[i] = vector.ctypes.data
    return places, (ctypes.c_int64 * len(values))(*weights)
