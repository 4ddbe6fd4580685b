"""Sums of many weights, in whole numbers: exact, so that their order never matters."""

import math

import numpy as np
import numpy.typing as npt

from profiler.native.check import FLOAT32, INT8, INT64, check_array, check_range
from profiler.native.library import library

Sums = npt.NDArray[np.int64]

_MOST_WEIGHT = 2**31 - 1


def add_int8(sums: Sums, values: npt.NDArray[np.int8], weight: int) -> None:
    """Do ``sums += weight * values``; all that comes together must stay below 2^63."""
    _check(sums, values, INT8, weight)
    library().calls_for(values.size).fj_add_int8(sums.ctypes.data, values.ctypes.data, weight, values.size)


def add_fp32(sums: Sums, values: npt.NDArray[np.float32], scale: float, weight: int, limit: float = math.inf) -> bool:
    """Do ``sums += weight * rint(values * scale)``, ties to even, for a ``scale`` that is a power of two.

    Returns False, and leaves the sums as they were, if a value is not finite, reaches +-``limit``, or value * scale
    reaches +-2^52.
    """
    _check(sums, values, FLOAT32, weight)
    if not (0 < scale < math.inf and math.frexp(scale)[0] == 0.5):
        message = f"scale: must be a power of two (got {scale})"
        raise ValueError(message)
    add = library().calls_for(values.size).fj_add_fp32
    return bool(add(sums.ctypes.data, values.ctypes.data, scale, limit, weight, values.size) == 0)


def _check(sums: Sums, values: npt.NDArray[np.generic], dtype: np.dtype[np.generic], weight: int) -> None:
    check_array("values", values, dtype)
    check_array("sums", sums, INT64, values.shape)
    if not sums.flags.writeable:
        message = "sums: must be writeable; copy them"
        raise ValueError(message)
    check_range("weight", weight, 0, _MOST_WEIGHT)
