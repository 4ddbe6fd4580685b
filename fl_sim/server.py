"""The server: its weights, what it broadcasts, and what a round makes of them."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fl_sim.aggregator import AccumulateUpdates, Aggregator, aggregate, kept_in_range
from fl_sim.codec import Memory, Message, Quantize, decode, encode
from fl_sim.model import Floats, Model
from fl_sim.setting import Setting
from fl_sim.streams import Purpose, stream
from fl_sim.weights import LARGEST, FloatWeights, IntWeights, Weights, layer_exponents, quantized

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Server:
    """The server after ``round_number`` rounds. ``exponents`` are those of the first model and stay.

    ``velocity`` stays 0 without momentum; ``memories`` are the clients' error feedback, by client.
    """

    round_number: int
    weights: Floats
    exponents: tuple[int, ...]
    velocity: Values
    memories: dict[int, Memory] = field(default_factory=dict)
    _nearest: list[IntWeights] = field(default_factory=list, init=False, repr=False)

    def nearest(self, model: Model) -> IntWeights:
        """Return the weights rounded to nearest with the run's exponents: broadcast, judged and compared, found once.

        Raises ArithmeticError if a weight is not finite.
        """
        if not self._nearest:
            self._nearest.append(quantized(model, self.weights, self.exponents))
        return self._nearest[0]


@dataclass(frozen=True)
class GridShares:
    """Shares of the weights in a round: see ``runlog.RoundRow``. NaN where nothing is on a grid."""

    above_half_lsb: float = float("nan")
    changed: float = float("nan")
    saturated: float = float("nan")


def first_server(setting: Setting) -> Server:
    """Return the server before the first round."""
    weights = setting.initial()
    return Server(0, weights, layer_exponents(setting.model, weights), np.zeros(len(weights)))


def aggregator_of(setting: Setting) -> Aggregator:
    """Return the method's aggregator with the configuration's server settings.

    Raises ValueError for a setting that the method's aggregator does not have.
    """
    config, found = setting.config, setting.method.aggregator
    rate, momentum = config.server_rate, config.server_momentum
    for name, value in (("server_rate", rate), ("server_momentum", momentum)):
        if value is not None and not isinstance(found, AccumulateUpdates):
            message = f"{name} needs a method that accumulates updates, such as qfedupdate (got {config.method})"
            raise ValueError(message)
    if not isinstance(found, AccumulateUpdates):
        return found
    return AccumulateUpdates(found.rate if rate is None else rate, found.momentum if momentum is None else momentum)


def broadcast(setting: Setting, server: Server) -> tuple[Message, Weights]:
    """Return what the server sends in the next round and how clients read it: the round's reference."""
    codec, model = setting.method.downlink, setting.model
    rng = stream(setting.config.seed, Purpose.DISPATCH, server.round_number + 1) if codec.draws else None
    weights: Weights = server.nearest(model) if codec.form == Quantize() else FloatWeights(server.weights)
    sent, _ = encode(codec, model, weights, exponents=server.exponents, rng=rng)
    return sent, decode(codec, model, sent)


def next_server(setting: Setting, server: Server, reference: Values, mean: Values) -> Server:
    """Return the server after a round with this weighted mean of what the clients sent, float64 [parameters].

    ``reference`` are the values of what was broadcast.
    """
    aggregator = aggregator_of(setting)
    weights, velocity = aggregate(
        aggregator, server.weights.astype(np.float64), reference, mean, server.velocity,
        update=setting.method.uplink.update,
    )  # fmt: skip
    leaves = isinstance(aggregator, AccumulateUpdates) and (aggregator.momentum or aggregator.rate > 1)
    if setting.method.fixed_exponents and leaves:
        weights = kept_in_range(setting.model, weights, server.exponents)
    return replace(server, round_number=server.round_number + 1, weights=weights.astype(np.float32), velocity=velocity)


def reference_values(setting: Setting, reference: Weights) -> Values:
    """Return a reference in float64; exact."""
    values = reference.values.astype(np.float64)
    if isinstance(reference, IntWeights):
        for part, e in zip(setting.model.split(values), reference.exponents, strict=True):
            part *= 2.0**e
    return values


def deployed(setting: Setting, server: Server) -> IntWeights | None:
    """Return the INT8 model of the server's weights, rounded to nearest; None if the method never sends INT8."""
    if setting.method.downlink.format != "int8" or setting.model.bias:
        return None
    if setting.method.fixed_exponents:
        return server.nearest(setting.model)
    return quantized(setting.model, server.weights, layer_exponents(setting.model, server.weights))


def grid_shares(setting: Setting, server: Server, after: Server, reference: Values, mean: Values) -> GridShares:
    """Return how much of a round survives on the grid; ``server`` before the round, ``after`` behind it.

    ``reference`` are the values of what was broadcast.
    """
    if not setting.method.fixed_exponents:
        return GridShares()
    model, above, change = setting.model, 0, mean - reference
    np.abs(change, out=change)
    for part, e in zip(model.split(change), server.exponents, strict=True):
        above += int(np.count_nonzero(part >= 2.0**e / 2))
    now, before = after.nearest(model).values, server.nearest(model).values
    return GridShares(
        above_half_lsb=above / len(now),
        changed=np.count_nonzero(now != before) / len(now),
        saturated=np.count_nonzero(np.abs(now) == LARGEST) / len(now),
    )
