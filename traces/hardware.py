"""Kinds of hardware: what a trace says about the phones in it, for somebody to map to measured devices."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Tier = Literal["low", "medium", "high", ""]
TIERS: tuple[Tier, ...] = ("low", "medium", "high")


@dataclass(frozen=True, eq=False)
class Hardware:
    """Kinds of phones, one place each: model name, SoC, tier (empty: not known) and a benchmark's score (NaN: none).

    Raises ValueError if the lengths differ, for an unknown tier, or for a score that is negative or infinite.
    """

    models: tuple[str, ...]
    socs: tuple[str, ...]
    tiers: tuple[Tier, ...]
    scores: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return len(self.models)


def _check(hardware: Hardware) -> None:
    kinds = len(hardware.models)
    if len(hardware.socs) != kinds or len(hardware.tiers) != kinds:
        message = (
            f"socs and tiers must be as many as models (got {len(hardware.socs)}, {len(hardware.tiers)} and {kinds});"
            " an empty text means not known"
        )
        raise ValueError(message)
    for tier in hardware.tiers:
        if tier not in (*TIERS, ""):
            message = f"tiers must be {', '.join(TIERS)}, or empty where it is not known (got {str(tier)[:40]!r})"
            raise ValueError(message)
    scores = hardware.scores
    if scores.dtype != np.float64 or scores.shape != (kinds,):
        message = f"scores must be float64 [{kinds}], NaN where there is none (got {scores.dtype} {scores.shape})"
        raise ValueError(message)
    bad = (scores < 0) | np.isinf(scores)
    if bad.any():
        message = f"scores must be finite and at least 0, or NaN for none (got {scores[int(np.argmax(bad))]})"
        raise ValueError(message)
