"""How a client trains: in floats, or in integers (NITI)."""

from dataclasses import dataclass

from fl_sim.schedule import Schedule
from profiler.native.rules import Rounding, Rules


@dataclass(frozen=True)
class Fp32:
    """SGD in float32 on the mean cross-entropy of a batch; v <- momentum v + g + decay w, w <- w - rate v.

    The velocity v begins at 0 with every client-round.
    """

    learning_rate: Schedule
    momentum: float = 0.0
    weight_decay: float = 0.0
    precision = "fp32"


@dataclass(frozen=True)
class Niti:
    """Integer SGD (int8_training.md 1): ``mu`` are the bits of a layer's largest update, by kind of layer and round."""

    mu_conv: Schedule
    mu_fc: Schedule
    activation: Rounding = "nearest"
    error: Rounding = "nearest"
    update: Rounding = "pseudo-stochastic"
    loss: Rounding = "pseudo-stochastic"
    precision = "int8"

    def rules(self, round_number: int, seed: int = 0) -> Rules:
        """Return the rules of a round for a client whose stochastic rounding has that seed."""
        mu_conv, mu_fc = int(self.mu_conv.at(round_number)), int(self.mu_fc.at(round_number))
        return Rules(mu_conv, mu_fc, self.activation, self.error, self.update, self.loss, seed)


Trainer = Fp32 | Niti
