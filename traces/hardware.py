"""Kinds of hardware: what a trace says about the phones in it, for somebody to map to measured devices."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Tier = Literal["low", "medium", "high", ""]
TIERS: tuple[Tier, ...] = ("low", "medium", "high")


@dataclass(frozen=True, eq=False)
class Hardware:
    """Kinds of phones, one place each: model name, SoC, tier (empty: not known) and a benchmark's score (NaN: none)."""

    models: tuple[str, ...]
    socs: tuple[str, ...]
    tiers: tuple[Tier, ...]
    scores: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.models)
