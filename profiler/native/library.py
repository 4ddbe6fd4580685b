"""The library: the C kernels in this process, loaded when a network first needs them."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from profiler.names import printable
from profiler.native.build import built_library
from profiler.native.check import FLOAT32, check_array, check_finite, known_number

Precision = Literal["fp32", "int8"]
Floats = npt.NDArray[np.float32]
Mantissas = npt.NDArray[np.int8]

PRECISIONS: Final = ("fp32", "int8")
PATHS: Final = ("scalar", "avx2", "avx512", "vnni", "neon", "dotprod", "i8mm")
BEST: Final = -1

_API_VERSION = 5
_ERROR_BYTES = 512
_FEW = 1 << 18  # numbers that are copied or added up in 0.1 ms


class COptions(ctypes.Structure):
    """``fj_options`` of fedjoule.h."""

    _fields_ = (
        ("model", ctypes.c_char_p),
        ("classes", ctypes.c_int),
        ("precision", ctypes.c_int),
        ("batch_size", ctypes.c_int),
        ("path", ctypes.c_int),
        ("threads", ctypes.c_int),
        ("cpus", ctypes.POINTER(ctypes.c_int)),
        ("cpu_count", ctypes.c_int),
        ("bias", ctypes.c_int),
    )


class CStep(ctypes.Structure):
    """``fj_step`` of fedjoule.h."""

    _fields_ = (
        ("learning_rate", ctypes.c_float),
        ("mu_conv", ctypes.c_int),
        ("mu_fc", ctypes.c_int),
        ("activation", ctypes.c_int),
        ("error", ctypes.c_int),
        ("update", ctypes.c_int),
        ("loss", ctypes.c_int),
        ("seed", ctypes.c_uint64),
        ("step", ctypes.c_uint64),
    )


class CLayer(ctypes.Structure):
    """``fj_layer`` of fedjoule.h."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("kind", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c")),
        *((name, ctypes.c_int) for name in ("kernel", "pad", "relu", "pool")),
        ("weights", ctypes.c_size_t),
    )


class CShifts(ctypes.Structure):
    """``fj_shifts`` of fedjoule.h."""

    _fields_ = (("activation", ctypes.c_int), ("error", ctypes.c_int), ("update", ctypes.c_int))


class CBatches(ctypes.Structure):
    """``fj_batches`` of fedjoule.h."""

    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("samples", ctypes.c_int64),
        ("table", ctypes.c_void_p),
        ("exponent", ctypes.c_int),
        ("order", ctypes.c_void_p),
        ("bounds", ctypes.c_void_p),
        ("ordered", ctypes.c_int64),
        ("batches", ctypes.c_int64),
        ("stop", ctypes.POINTER(ctypes.c_int32)),
    )


class COutcome(ctypes.Structure):
    """``fj_outcome`` of fedjoule.h."""

    _fields_ = (
        ("right", ctypes.c_int64),
        ("loss", ctypes.c_double),
        ("batches", ctypes.c_int64),
        ("saturated", ctypes.c_int64),
        ("at", ctypes.c_int64),
        ("is_read", ctypes.c_int64),
    )


_INT, _AT, _STEP = ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(CStep)
_LOSS = ctypes.POINTER(ctypes.c_float)
_MANY = (_AT, ctypes.POINTER(CBatches), _STEP, ctypes.POINTER(COutcome))
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "fj_network_new": (_INT, (ctypes.POINTER(_AT), ctypes.POINTER(COptions), ctypes.c_char_p, ctypes.c_size_t)),
    "fj_network_free": (None, (_AT,)),
    "fj_layer_count": (_INT, (_AT,)),
    "fj_layer_at": (CLayer, (_AT, _INT)),
    "fj_set_weights_fp32": (None, (_AT, _INT, _AT)),
    "fj_get_weights_fp32": (None, (_AT, _INT, _AT)),
    "fj_set_weights_int8": (None, (_AT, _INT, _AT, _INT)),
    "fj_get_weights_int8": (_INT, (_AT, _INT, _AT)),
    "fj_value_count": (ctypes.c_size_t, (_AT,)),
    "fj_set_all_fp32": (None, (_AT, _AT)),
    "fj_get_all_fp32": (None, (_AT, _AT)),
    "fj_set_all_int8": (None, (_AT, _AT, _AT)),
    "fj_get_all_int8": (None, (_AT, _AT, _AT)),
    "fj_keep_weights": (_INT, (_AT,)),
    "fj_recall_weights": (None, (_AT,)),
    "fj_init_weights": (None, (_AT, ctypes.c_uint64)),
    "fj_checksum": (ctypes.c_uint64, (_AT,)),
    "fj_forward_fp32": (None, (_AT, _AT, _INT, _AT)),
    "fj_forward_int8": (_INT, (_AT, _AT, _INT, _INT, _STEP, _AT)),
    "fj_train_fp32": (_INT, (_AT, _AT, _AT, _INT, _STEP, _LOSS)),
    "fj_train_int8": (_INT, (_AT, _AT, _INT, _AT, _INT, _STEP, _LOSS)),
    "fj_train_batches": (_INT, _MANY),
    "fj_train_clients": (_INT, (_AT, _AT, _AT, ctypes.c_int64, _AT, _AT, _AT)),
    "fj_judge_batches": (_INT, _MANY),
    "fj_add_int8": (None, (_AT, _AT, _AT, ctypes.c_size_t, ctypes.c_size_t)),
    "fj_add_fp32": (_INT, (_AT, _AT, ctypes.c_double, ctypes.c_double, _AT, ctypes.c_size_t, ctypes.c_size_t)),
    "fj_get_gradient_int8": (None, (_AT, _INT, _AT)),
    "fj_get_shifts_int8": (CShifts, (_AT, _INT)),
    "fj_get_loss_gradient_int8": (None, (_AT, _INT, _AT)),
    "fj_quantize": (_INT, (_AT, ctypes.c_size_t, _AT, _INT)),
    "fj_path_works": (_INT, (_INT,)),
    "fj_path_best": (_INT, (_INT,)),
    "fj_network_path": (_INT, (_AT,)),
    "fj_build_id": (ctypes.c_char_p, ()),
    "fj_api_version": (_INT, ()),
}


class Library:
    """The kernels of one shared library.

    ctypes lets other Python threads run during ``calls``, not during ``short_calls``: these are for what takes
    microseconds, since a thread that lets go of Python may wait for many to have it back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.calls, self.short_calls = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
            for name, (result, arguments) in _FUNCTIONS.items():
                for calls in (self.calls, self.short_calls):
                    function = getattr(calls, name)
                    function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            reason = f"{printable(path, 200)}: not a library of the kernels ({printable(error, 200)})"
            message = f"{reason}; delete it, it will be built again"
            raise ValueError(message) from error
        if (version := self.calls.fj_api_version()) != _API_VERSION:
            message = f"{printable(path, 200)}: has API version {version}, not {_API_VERSION}; delete it"
            raise ValueError(message)

    def calls_for(self, numbers: int) -> ctypes.CDLL:
        """Return the calls that go once over so many numbers: short ones where they are few."""
        return self.short_calls if numbers <= _FEW else self.calls

    @property
    def build_id(self) -> str:
        """The hash of the sources it was built from."""
        return str(self.calls.fj_build_id().decode())

    def paths(self) -> tuple[str, ...]:
        """Return the paths that this processor can run, by name; ``scalar`` always is."""
        return tuple(name for number, name in enumerate(PATHS) if self.calls.fj_path_works(number))

    def best_path(self, precision: Precision) -> str:
        """Return the path that a network of that precision takes unless it is told another."""
        return PATHS[self.calls.fj_path_best(known_number("precision", precision, PRECISIONS))]

    def quantize(self, x: Floats, path: str = "best") -> tuple[Mantissas, int]:
        """Return mantissas and the exponent of floats: x is about mantissa * 2^exponent, one exponent for all."""
        check_array("x", x, FLOAT32)
        check_finite("x", x)
        mantissas = np.empty(x.shape, dtype=np.int8)
        number = self.path_number(path)
        return mantissas, int(self.calls.fj_quantize(x.ctypes.data, x.size, mantissas.ctypes.data, number))

    def path_number(self, path: str) -> int:
        """Return a path's number in C. Raises ValueError for an unknown one or one this processor cannot run."""
        number = BEST if path == "best" else known_number("path", path, PATHS)
        if number != BEST and not self.calls.fj_path_works(number):
            message = f"path: this processor cannot run {path!r}; it can run best, {', '.join(self.paths())}"
            raise ValueError(message)
        return number

    def open(self, options: COptions) -> int:
        """Return a new network's handle. Raises ValueError with the reason if there can be none."""
        handle, said = ctypes.c_void_p(), ctypes.create_string_buffer(_ERROR_BYTES)
        if self.calls.fj_network_new(ctypes.byref(handle), ctypes.byref(options), said, _ERROR_BYTES) != 0:
            raise ValueError(printable(said.value.decode(errors="replace"), _ERROR_BYTES))
        return handle.value or 0


@cache
def library(path: Path | None = None) -> Library:
    """Return the library in ``path``, or the one for this machine, built now unless it lies in the cache."""
    return Library(path or built_library())
