"""Sums of what clients send, weighted by their samples: whole numbers, so exact, and their order never matters."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model
from fl_sim.weights import Floats, FloatWeights, IntWeights, Mantissas, Weights, floats

Sums = npt.NDArray[np.int64]
Means = npt.NDArray[np.float64]

# A float32 below 2^13 is summed as a whole number of 2^-places. A round's sum stays below
# 2^13 * 2^places * samples < 2^62 for places = 49 - bit_length(samples); mantissas below 2^7 need less.
_LARGEST_LOG2 = 13
_MOST_PLACES, _LEAST_PLACES = 38, 24  # finer is of no use to a float32; coarser would show
_MOST_SAMPLES = 2 ** (62 - _LARGEST_LOG2 - _LEAST_PLACES) - 1

_BLOCK = 8192  # numbers that are summed at a time, so that what lies between stays in the cache


@dataclass(frozen=True)
class Unit:
    """In what a round's contributions are summed: mantissas of these exponents, or parts of 2^-``places``."""

    exponents: tuple[int, ...] | None
    places: int

    @property
    def scale(self) -> float:
        """2^places."""
        return float(2**self.places)


def unit_of(samples: int, exponents: tuple[int, ...] | None) -> Unit:
    """Return the unit for contributions of ``samples`` in all, mantissas of fixed exponents or (None) floats.

    Raises ValueError for more samples than can be summed without overflow at 24 places: 33,554,431.
    """
    if not 1 <= samples <= _MOST_SAMPLES:
        message = f"the samples of a round must be from 1 to {_MOST_SAMPLES:,} (got {samples:,}); draw fewer clients"
        raise ValueError(message)
    return Unit(exponents, min(_MOST_PLACES, 62 - _LARGEST_LOG2 - int(samples).bit_length()))


def add(sums: Sums, clients: Sequence[Weights], samples: Sequence[int], unit: Unit) -> None:
    """Add each client's samples times its weights to ``sums``, int64 [parameters].

    Raises ArithmeticError if a float is not finite or at 2^13 or more: training has diverged, and ``sums`` are as they
    were; ValueError if the weights are not in the unit. Where the native library is loaded, its sums are taken; their
    slow twins are ``add_int8`` and ``add_fp32`` below.
    """
    for weights, count in zip(clients, samples, strict=True):
        if not 1 <= count <= _MOST_SAMPLES:
            message = f"samples must be from 1 to {_MOST_SAMPLES:,} (got {count:,})"
            raise ValueError(message)
        if weights.values.shape != sums.shape:
            message = f"weights must be {len(sums)} numbers, as the sums are (got {list(weights.values.shape)})"
            raise ValueError(message)
    kernels = _kernels()
    if unit.exponents is not None:
        mantissas = [_mantissas(weights, unit.exponents) for weights in clients]
        (kernels.add_int8 if kernels else add_int8)(sums, mantissas, samples)
        return
    values, most = [_floats(weights) for weights in clients], 2.0**_LARGEST_LOG2
    if kernels is not None and kernels.add_fp32(sums, values, unit.scale, samples, most):
        return
    for of_client in values:
        low, high = of_client.min(), of_client.max()
        if not (low > -most and high < most):
            rule = f"weights must be finite and within +-8192 (got {low} to {high})"
            message = f"{rule}: training diverged; lower learning_rate"
            raise ArithmeticError(message)
    add_fp32(sums, values, unit.scale, samples)


def _mantissas(weights: Weights, exponents: tuple[int, ...]) -> Mantissas:
    if isinstance(weights, IntWeights) and weights.exponents == exponents:
        return weights.values
    if isinstance(weights, IntWeights):
        message = f"exponents must be {exponents}, those that were sent out (got {weights.exponents})"
    else:
        message = f"weights must be mantissas of the exponents {exponents} that were sent out (got floats)"
    raise ValueError(message)


def _floats(weights: Weights) -> Floats:
    if isinstance(weights, FloatWeights):
        return weights.values
    message = "weights must be floats where exponents differ from client to client; as_unit makes them such"
    raise ValueError(message)


def mean(sums: Sums, samples: int, unit: Unit, model: Model) -> Means:
    """Return the weighted mean of what was summed, float64 [parameters].

    Raises ValueError if ``samples`` are not those of a unit: 0, or so many that the sums may have overflowed.
    """
    if not 1 <= samples <= _MOST_SAMPLES or unit.places > unit_of(samples, unit.exponents).places:
        message = f"samples must be from 1 to those that unit_of was given (got {samples:,})"
        raise ValueError(message)
    if unit.exponents is None:
        return sums / (float(samples) * unit.scale)
    values = np.empty(len(sums))
    for part, out, e in zip(model.split(sums), model.split(values), unit.exponents, strict=True):
        np.divide(part, samples * 2.0**-e, out=out)  # one division: by a power of two it is exact
    return values


def as_unit(model: Model, weights: Weights, unit: Unit) -> Weights:
    """Return weights as they are summed: where that is in floats, mantissas become such."""
    return FloatWeights(floats(model, weights)) if unit.exponents is None else weights


def add_int8(sums: Sums, values: Sequence[Mantissas], samples: Sequence[int]) -> None:
    """Add each vector of mantissas times its samples, in numpy; below 2^24 in int32, which is faster."""
    kind = np.int32 if max(samples, default=0) < 2**24 else np.int64
    product = np.empty(min(_BLOCK, len(sums)), dtype=kind)
    for of_client, count in zip(values, samples, strict=True):
        for begin in range(0, len(sums), _BLOCK):
            part = of_client[begin : begin + _BLOCK]
            sums[begin : begin + _BLOCK] += np.multiply(part, kind(count), out=product[: len(part)])


def add_fp32(sums: Sums, values: Sequence[Floats], scale: float, samples: Sequence[int]) -> None:
    """Add each vector's round(value * scale) times its samples, in numpy; halves to even, exact below 2^52."""
    scaled = np.empty(min(_BLOCK, len(sums)))
    whole = np.empty(len(scaled), dtype=np.int64)
    for of_client, count in zip(values, samples, strict=True):
        for begin in range(0, len(sums), _BLOCK):
            part = of_client[begin : begin + _BLOCK]
            x, n = scaled[: len(part)], whole[: len(part)]
            np.rint(np.multiply(part, scale, out=x), out=x)
            n[...] = x
            n *= count
            sums[begin : begin + _BLOCK] += n


def _kernels() -> ModuleType | None:
    """Return the native library's sums if a native engine has loaded it: no sum is worth waiting for a compiler."""
    loaded = sys.modules.get("profiler.native.library")
    if loaded is None or not loaded.library.cache_info().currsize:
        return None
    from profiler.native import sums

    return sums
