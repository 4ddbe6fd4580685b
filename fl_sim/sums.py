"""Sums of what clients send, weighted by their samples: whole numbers, so exact, and their order never matters."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model
from fl_sim.weights import FloatWeights, IntWeights, Weights, scales

Sums = npt.NDArray[np.int64]
Means = npt.NDArray[np.float64]

# A float32 is summed as a whole number of 2^-unit: 2^62 holds all samples of a round at weights up to LARGEST.
_LARGEST_LOG2 = 13
_MOST_UNIT = 40


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
    """Return the unit for contributions of ``samples`` in all, mantissas of fixed exponents or (None) floats."""
    return Unit(exponents, min(_MOST_UNIT, 62 - _LARGEST_LOG2 - max(samples, 1).bit_length()))


def add(sums: Sums, weights: Weights, samples: int, unit: Unit) -> None:
    """Add ``samples`` times the weights to ``sums``, int64 [parameters].

    Raises ArithmeticError if a float is not finite or at 2^13 or more: training has diverged. The native library's
    ``add_int8`` and ``add_fp32`` do the same in one pass; this is their slow twin.
    """
    if isinstance(weights, IntWeights):
        if weights.exponents != unit.exponents:
            message = f"exponents must be {unit.exponents}, those that were sent out (got {weights.exponents})"
            raise ValueError(message)
        sums += weights.values.astype(np.int64) * samples
        return
    if not np.all(np.abs(weights.values) < 2.0**_LARGEST_LOG2):
        message = "a weight is no longer finite or above 8192: training diverged; lower learning_rate"
        raise ArithmeticError(message)
    sums += np.rint(weights.values.astype(np.float64) * unit.scale).astype(np.int64) * samples


def mean(sums: Sums, samples: int, unit: Unit, model: Model) -> Means:
    """Return the weighted mean of what was summed, float64 [parameters]."""
    if unit.exponents is not None:
        return sums / float(samples) * scales(model, unit.exponents)
    return sums / float(samples) / unit.scale


def as_unit(model: Model, weights: Weights, unit: Unit) -> Weights:
    """Return weights as they are summed: mantissas stay if they have the unit's exponents, others become floats."""
    if isinstance(weights, IntWeights) and weights.exponents != unit.exponents:
        from fl_sim.weights import floats

        return FloatWeights(floats(model, weights))
    return weights
