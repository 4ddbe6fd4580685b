"""The rules of an INT8 step: how it rounds, and how large its updates are."""

from dataclasses import dataclass
from typing import Final, Literal

from profiler.native.check import check_range, known_number

Rounding = Literal["nearest", "pseudo-stochastic", "stochastic"]
ROUNDINGS: Final = ("nearest", "pseudo-stochastic", "stochastic")

# An update of 2^31 is all that int32 holds.
_MU = (-31, 31)


@dataclass(frozen=True)
class Rules:
    """How an INT8 step is rounded, and ``mu``: the bits of a layer's largest update (Eq. 2 of the paper)."""

    mu_conv: int = 3
    mu_fc: int = 3
    activation: Rounding = "nearest"
    error: Rounding = "nearest"
    update: Rounding = "pseudo-stochastic"
    loss: Rounding = "pseudo-stochastic"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("mu_conv", "mu_fc"):
            check_range(name, getattr(self, name), *_MU)
        for name in ("activation", "error", "update", "loss"):
            known_number(name, getattr(self, name), ROUNDINGS)
        check_range("seed", self.seed, 0, 2**64 - 1)
