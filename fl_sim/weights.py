"""The weights of a model as one vector: floats, or mantissas with one power-of-two scale per layer."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model

Floats = npt.NDArray[np.float32]
Mantissas = npt.NDArray[np.int8]

LARGEST = 127  # -128 never appears: rounding would not be symmetric


@dataclass(frozen=True)
class FloatWeights:
    """All weights of a model, float32 [parameters]."""

    values: Floats


@dataclass(frozen=True)
class IntWeights:
    """All weights of a model as value = mantissa * 2^exponent; int8 [parameters], one exponent per layer."""

    values: Mantissas
    exponents: tuple[int, ...]


Weights = FloatWeights | IntWeights


def exponent_of(largest: float, bits: int = 8) -> int:
    """Return the smallest e with largest <= (2^(bits-1) - 1) * 2^e, -127 to 127; 0 for a layer of zeros.

    beta = ceil(log2(max|w| / 127)) of int8_training.md 1.5, computed without a logarithm's rounding.
    """
    if not largest > 0 or not np.isfinite(largest):
        return 0
    most = 2 ** (bits - 1) - 1
    e = int(np.ceil(np.log2(largest / most)))
    while largest <= most * 2.0 ** (e - 1):
        e -= 1
    while largest > most * 2.0**e:
        e += 1
    return min(max(e, -127), 127)


def layer_exponents(model: Model, values: npt.NDArray[np.floating], bits: int = 8) -> tuple[int, ...]:
    """Return each layer's exponent for its largest magnitude."""
    return tuple(exponent_of(float(np.abs(part).max(initial=0.0)), bits) for part in model.split(values))


def scales(model: Model, exponents: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return 2^exponent for every number of the vector."""
    return np.repeat(np.ldexp(1.0, np.array(exponents)), model.sizes)


def quantized(
    model: Model, values: npt.NDArray[np.floating], exponents: tuple[int, ...], *, bits: int = 8,
    rng: np.random.Generator | None = None,
) -> IntWeights:  # fmt: skip
    """Return mantissas clip(round(w / 2^e)): nearest (ties away from zero), or stochastic with an ``rng``."""
    most = 2 ** (bits - 1) - 1
    mantissas = np.empty(len(values), dtype=np.int8)
    for part, out, e in zip(model.split(values), model.split(mantissas), exponents, strict=True):
        x = np.ldexp(part.astype(np.float64), -e)
        x = np.copysign(np.floor(np.abs(x) + 0.5), x) if rng is None else np.floor(x + rng.random(len(x)))
        out[:] = np.clip(x, -most, most)
    return IntWeights(mantissas, exponents)


def floats(model: Model, weights: Weights) -> Floats:
    """Return the values of weights as float32; exact for mantissas."""
    if isinstance(weights, FloatWeights):
        return weights.values
    values = weights.values.astype(np.float32)
    for part, e in zip(model.split(values), weights.exponents, strict=True):
        np.ldexp(part, e, out=part)
    return values
