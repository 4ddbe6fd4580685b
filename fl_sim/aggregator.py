"""What the server makes of the clients' contributions. Only here is decided: replace, or accumulate."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model
from fl_sim.weights import LARGEST, scales

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AverageWeights:
    """w <- mean of the clients' weights (FedAvg, Algorithm 1 of the paper)."""


@dataclass(frozen=True)
class AccumulateUpdates:
    """w <- w + rate v, v <- momentum v + mean change (Algorithm 2 of the paper with rate 1 and momentum 0).

    The change is the mean of the clients' weights less the decoded broadcast; v begins at 0. With rate 1 and without
    momentum w - w_d stays within half a step of the grid for ever; else w must be kept in range (``kept_in_range``).
    """

    rate: float = 1.0
    momentum: float = 0.0


@dataclass(frozen=True)
class MajorityVote:
    """w <- w + rate * sign of the weighted mean of the signs of the clients' changes; a tie leaves w as it is."""

    rate: float


Aggregator = AverageWeights | AccumulateUpdates | MajorityVote


def aggregate(
    aggregator: Aggregator, server: Values, reference: Values, mean: Values, velocity: Values, *, update: bool
) -> tuple[Values, Values]:
    """Return the server's new weights and velocity, float64 [parameters].

    ``reference`` is the decoded broadcast, ``mean`` the weighted mean of what was decoded from the clients: their
    weights, or with ``update`` their changes. Raises ValueError for a vote on weights.
    """
    if isinstance(aggregator, MajorityVote):
        if not update:
            message = "MajorityVote needs an uplink codec with update=True: the signs of weights are no vote"
            raise ValueError(message)
        return server + aggregator.rate * np.sign(mean), velocity
    if isinstance(aggregator, AverageWeights):
        return (reference + mean if update else mean), velocity
    change = mean if update else mean - reference
    if aggregator.momentum:
        change = velocity = aggregator.momentum * velocity + change
    return server + aggregator.rate * change, velocity


def kept_in_range(model: Model, values: Values, exponents: tuple[int, ...]) -> Values:
    """Return weights cut at +-127.5 * 2^exponent: farther away the broadcast, at most 127, is more than half off."""
    most = (LARGEST + 0.5) * scales(model, exponents)
    return np.clip(values, -most, most)
