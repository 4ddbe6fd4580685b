"""The weights of a model as one vector: floats, or mantissas with one power-of-two scale per layer."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model

Floats = npt.NDArray[np.float32]
Mantissas = npt.NDArray[np.int8]

LARGEST = 127  # -128 never appears: rounding would not be symmetric

# Between these every mantissa times 2^exponent is 0 or a normal float32: nothing overflows, nothing is lost.
LEAST_EXPONENT, LARGEST_EXPONENT = -126, 121


@dataclass(frozen=True, eq=False)
class FloatWeights:
    """All weights of a model, float32 [parameters]. What was decoded is a view of the message and read-only."""

    values: Floats


@dataclass(frozen=True, eq=False)
class IntWeights:
    """All weights of a model as value = mantissa * 2^exponent; int8 [parameters], one exponent per layer."""

    values: Mantissas
    exponents: tuple[int, ...]


Weights = FloatWeights | IntWeights


def exponent_of(largest: float, bits: int = 8) -> int:
    """Return the smallest e with largest <= (2^(bits-1) - 1) * 2^e, -126 to 121; 0 for a layer of zeros.

    beta = ceil(log2(max|w| / 127)) of int8_training.md 1.5, from the float's own exponent instead of a logarithm, so
    exact: largest = f * 2^x with 1/2 <= f < 1. Raises ArithmeticError if ``largest`` is not finite.
    """
    if not math.isfinite(largest) or largest < 0:
        message = (
            f"the largest weight of a layer must be finite (got {largest}): training diverged; lower learning_rate"
        )
        raise ArithmeticError(message)
    if largest == 0:
        return 0
    fraction, x = math.frexp(largest)
    half = 1 << (bits - 1)
    e = x - (bits - 1) + (fraction * half > half - 1)
    return min(max(e, LEAST_EXPONENT), LARGEST_EXPONENT)


def layer_exponents(model: Model, values: npt.NDArray[np.floating], bits: int = 8) -> tuple[int, ...]:
    """Return each layer's exponent for its largest magnitude. Raises ArithmeticError if a weight is not finite."""
    return tuple(exponent_of(max(float(part.max()), -float(part.min())), bits) for part in model.split(values))


def check_exponents(model: Model, exponents: tuple[int, ...]) -> None:
    """Raise ValueError unless there is one exponent for each layer and all are from -126 to 121."""
    if len(exponents) != len(model.sizes):
        message = f"exponents must be {len(model.sizes)}, one for each layer of {model.name} (got {len(exponents)})"
        raise ValueError(message)
    for e in exponents:
        if not LEAST_EXPONENT <= e <= LARGEST_EXPONENT:
            message = f"exponents must be from {LEAST_EXPONENT} to {LARGEST_EXPONENT} (got {e})"
            raise ValueError(message)


def scales(model: Model, exponents: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return 2^exponent for every number of the vector."""
    return np.repeat(np.ldexp(1.0, np.array(exponents)), model.sizes)


def quantized(
    model: Model, values: npt.NDArray[np.floating], exponents: tuple[int, ...], *, bits: int = 8,
    rng: np.random.Generator | None = None,
) -> IntWeights:  # fmt: skip
    """Return mantissas clip(round(w / 2^e)): nearest (ties away from zero), or stochastic with an ``rng``.

    Raises ArithmeticError if a weight is not finite, ValueError if an exponent cannot be sent.
    """
    check_exponents(model, exponents)
    if not (np.isfinite(values.min()) and np.isfinite(values.max())):
        message = "a weight is no longer finite: training diverged; lower learning_rate"
        raise ArithmeticError(message)
    most = (1 << (bits - 1)) - 1
    kind: type[np.floating] = np.float32 if values.dtype == np.float32 and rng is None else np.float64
    x: npt.NDArray[np.floating] = np.empty(len(values), dtype=kind)
    with np.errstate(over="ignore"):  # what is too large for a float32 is clipped
        for part, out, e in zip(model.split(values), model.split(x), exponents, strict=True):
            np.multiply(part, kind(2.0**-e), out=out, dtype=kind)  # a power of two: exact
    np.minimum(x, kind(most), out=x)
    np.maximum(x, kind(-most), out=x)
    if rng is None:  # trunc(2x) - trunc(x) is x to the nearest, halves away from 0, and exact
        low = np.trunc(x)
        x += x
        np.trunc(x, out=x)
        x -= low
    else:
        low = np.floor(x)
        x -= low
        np.add(low, rng.random(len(x)) < x, out=x)  # what is on the grid stays
    return IntWeights(x.astype(np.int8), exponents)


def floats(model: Model, weights: Weights) -> Floats:
    """Return the values of weights as float32; exact for mantissas."""
    if isinstance(weights, FloatWeights):
        return weights.values
    values = weights.values.astype(np.float32)
    for part, e in zip(model.split(values), weights.exponents, strict=True):
        part *= np.float32(2.0**e)
    return values
