"""Samples: images and labels as C reads them in place, a batch at a time, many steps in one call."""

import ctypes
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from profiler.native.check import (
    FLOAT32,
    INT8,
    INT32,
    UINT8,
    check_array,
    check_finite,
    check_mantissas,
    check_range,
)
from profiler.native.library import CBatches, COutcome, Precision

Indices = npt.NDArray[np.int32]

_LEVELS = 256
_EXPONENT = (-127, 127)
_WRONG_BOUNDS, _WRONG_SAMPLE, _WRONG_LABEL, _NOT_FINITE, _NO_MEMORY, _STOPPED = range(1, 7)
_INDICES: Final = "indices"


class Stop:
    """A flag that ends work on batches before the next one, set from any thread; that work says so in its outcome."""

    def __init__(self) -> None:
        self.word = ctypes.c_int32(0)
        self.at = ctypes.pointer(self.word)

    def set(self) -> None:
        """End the work that has this flag."""
        self.word.value = 1


class Outcome(NamedTuple):
    """What came of batches: images that were right, each before its own step, and their summed cross-entropy.

    The loss of a batch is rounded to 2^-20, so that sums of losses are exact below 2^33 and their order never matters.
    ``batches`` were done; fewer than given if it was stopped, or not ``finite``: the loss of the next, or a weight at
    the end, was no finite number (judging does all batches and gives what loss there is). ``saturated`` counts an INT8
    network's weights at +-127 when training ended.
    """

    right: int
    loss: float
    batches: int
    finite: bool
    saturated: int


@dataclass(frozen=True, eq=False)
class Samples:
    """Images with labels, kept as they are: ``pixels`` uint8 [n, h, w, c], ``labels`` int32 [n].

    ``table`` [c, 256] says what a pixel is worth: float32 for an FP32 network; int8 mantissas, with their ``exponent``,
    for an INT8 one. The arrays are read by C, also while other Python threads run: do not change them.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    table: npt.NDArray[np.float32] | npt.NDArray[np.int8]
    exponent: int = 0
    _places: tuple[int, int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_array("pixels", self.pixels, UINT8)
        if self.pixels.ndim != 4:
            message = f"pixels: must be [samples, height, width, channels] (got {self.pixels.shape}); reshape them"
            raise ValueError(message)
        check_array("labels", self.labels, INT32, self.pixels.shape[:1])
        kind = INT8 if isinstance(self.table, np.ndarray) and self.table.dtype == INT8 else FLOAT32
        check_array("table", self.table, kind, (self.pixels.shape[3], _LEVELS))
        if self.table.dtype == INT8:
            check_mantissas("table", self.table.view(np.int8))
        else:
            check_finite("table", self.table.view(np.float32))
        check_range("exponent", self.exponent, *_EXPONENT)
        places = self.pixels.ctypes.data, self.labels.ctypes.data, self.table.ctypes.data
        object.__setattr__(self, "_places", places)

    @property
    def precision(self) -> Precision:
        """Of the networks that it is for."""
        return "int8" if self.table.dtype == INT8 else "fp32"

    def in_c(self, indices: Indices, bounds: Indices, stop: Stop | None) -> CBatches:
        """Return C's form of batches: batch b is ``indices[bounds[b]:bounds[b + 1]]``; C checks what is in them."""
        check_array(_INDICES, indices, INT32, indices.shape[:1] if isinstance(indices, np.ndarray) else None)
        check_array("bounds", bounds, INT32, bounds.shape[:1] if isinstance(bounds, np.ndarray) else None)
        pixels, labels, table = self._places
        return CBatches(
            pixels, labels, len(self.labels), table, self.exponent, indices.ctypes.data, bounds.ctypes.data,
            len(indices), len(bounds) - 1, stop.at if stop else None,
        )  # fmt: skip

    def outcome(
        self, end: int, found: COutcome, indices: Indices, bounds: Indices, batch_size: int, classes: int
    ) -> Outcome:
        """Return what C says came of batches. Raises ValueError for what it refused, MemoryError."""
        if end not in (0, _NOT_FINITE, _STOPPED):
            self._refuse(end, found.at, indices, bounds, batch_size, classes)
        return Outcome(found.right, found.loss, found.batches, end != _NOT_FINITE, found.saturated)

    def _refuse(self, end: int, at: int, indices: Indices, bounds: Indices, batch_size: int, classes: int) -> NoReturn:
        if end == _NO_MEMORY:
            message = f"a batch of {batch_size} images could not be kept in memory"
            raise MemoryError(message)
        if end == _WRONG_BOUNDS:
            message = (
                f"bounds: batch {at} must have 1 to {batch_size} of the {len(indices)} indices (got {bounds[at]} to "
                f"{bounds[at + 1]}); bounds rise from 0 to the number of indices"
            )
        elif end == _WRONG_SAMPLE:
            message = f"indices: must be from 0 to {len(self.labels) - 1} (got {indices[at]} at {at})"
        else:
            sample = indices[at]
            message = f"labels: must be from 0 to {classes - 1} (got {self.labels[sample]} of sample {sample})"
        raise ValueError(message)
