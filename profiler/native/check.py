"""Checks before C is called: C trusts what it is given, a mistake in Python must not end the process."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.names import did_you_mean, printable

Array = npt.NDArray[Any]
Type = np.dtype[Any]

# Made once: comparing with numpy.int8 itself makes one each time, and a step of a small network takes microseconds.
FLOAT32: Final = np.dtype(np.float32)
INT8: Final = np.dtype(np.int8)
UINT8: Final = np.dtype(np.uint8)
INT32: Final = np.dtype(np.int32)
INT64: Final = np.dtype(np.int64)


def check_array(field: str, array: Array, dtype: Type, shape: tuple[int, ...] | None = None) -> None:
    """Raise ValueError unless C can read the array as it lies: its type, its shape, no gaps."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        got = array.dtype.str if isinstance(array, np.ndarray) else type(array).__name__
        message = f"{field}: must be an array of {dtype.name} (got {got}); use numpy.asarray(x, {dtype.name!r})"
        raise ValueError(message)
    if shape is not None and array.shape != shape:
        message = f"{field}: must have the shape {shape} (got {array.shape}); reshape it"
        raise ValueError(message)
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned):
        message = f"{field}: must lie row by row without gaps (strides {array.strides}); use numpy.array(x, order='C')"
        raise ValueError(message)
    if array.size == 0:
        message = f"{field}: must hold at least one value (got the shape {array.shape})"
        raise ValueError(message)


def check_finite(field: str, array: npt.NDArray[np.float32]) -> None:
    """Raise ValueError if a value is infinite or no number."""
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        message = f"{field}: must be finite (got {array[place]} at {list(place)}); look at where it comes from"
        raise ValueError(message)


def known_number(field: str, name: str, known: tuple[str, ...]) -> int:
    """Return a name's place among the known ones. Raises ValueError for another name."""
    if name not in known:
        message = f"{field} {printable(name, 40)!r} is unknown; {did_you_mean(str(name), known)}"
        raise ValueError(message)
    return known.index(name)


def check_range(field: str, value: int, least: int, most: int) -> None:
    """Raise ValueError unless the value is a whole number from ``least`` to ``most``."""
    if type(value) is int and least <= value <= most:
        return
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        message = f"{field}: must be a whole number from {least} to {most} (got {printable(value, 40)})"
        raise ValueError(message)


def check_mantissas(field: str, mantissas: npt.NDArray[np.int8]) -> None:
    """Raise ValueError if a mantissa is -128, which no rounding makes."""
    if mantissas.min() == -128:
        message = f"{field}: mantissas must be from -127 to 127 (got -128)"
        raise ValueError(message)


def check_labels(labels: npt.NDArray[np.int32], count: int, classes: int) -> None:
    """Raise ValueError unless there are ``count`` labels from 0 to ``classes`` - 1."""
    check_array("labels", labels, INT32, (count,))
    if labels.view(np.uint32).max() >= classes:
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        message = f"labels: must be from 0 to {classes - 1} (got {wrong})"
        raise ValueError(message)


def checked_rate(learning_rate: float) -> float:
    """Return a learning rate as a float. Raises ValueError for one that C's float cannot hold."""
    rate = float(learning_rate)
    if not -3e38 < rate < 3e38:
        message = f"learning_rate: must be finite (got {rate})"
        raise ValueError(message)
    return rate
