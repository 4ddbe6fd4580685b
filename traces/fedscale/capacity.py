"""FedScale's capacity: how fast each client computes and transfers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from traces.fedscale.client_file import ClientFile, read_clients
from traces.rates import Network
from traces.report import Report, clean

Unit = Literal["kbit/s", "kB/s"]
_BIT_PER_S: dict[Unit, float] = {"kbit/s": 1e3, "kB/s": 8e3}
_RATES = (1e-3, 1e9)  # of either unit: far beyond any phone at both ends
_MS = (1e-6, 1e9)


@dataclass(frozen=True, eq=False)
class Capacity:
    """Clients' ids, float64 [clients] milliseconds of inference for one sample, and bit/s in either direction."""

    ids: tuple[str, ...]
    computation_ms: npt.NDArray[np.float64]
    rate_bit_per_s: npt.NDArray[np.float64]
    report: Report

    def network(self) -> Network:
        """Return a constant profile for each client, the same rate down and up."""
        still = np.zeros(len(self.ids))
        return Network("constant", self.rate_bit_per_s, self.rate_bit_per_s, still, still)


def read_capacity(source: Path | bytes | ClientFile, *, unit: Unit = "kbit/s") -> Capacity:
    """Return clients' capacity. ``unit`` is that of ``communication``, which the file does not say.

    FedScale divides sizes in kbit by it, so kbit/s is what it means there. FedScale takes 3 x ``computation`` for a
    sample of training; that is no part of what is read here. Clients without two finite numbers above 0 are dropped
    and counted. Raises ValueError if the file is not of that kind or no client is left, and OSError.
    """
    if unit not in _BIT_PER_S:
        message = f"unit must be {' or '.join(_BIT_PER_S)} (got {unit!r})"
        raise ValueError(message)
    file = source if isinstance(source, ClientFile) else read_clients(source)
    ids, computation, rate = [], [], []
    for client, entry in file.entries.items():
        reason = _reason(entry)
        if reason:
            file.tally.drop(reason, f"client {client}")
            continue
        ids.append(client)
        computation.append(float(entry["computation"]))
        rate.append(float(entry["communication"]))
    if not ids:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in file.tally.report(0).dropped)
        message = (
            f"{clean(file.file.name, 300)}: no client of {file.given} has a capacity: {reasons or 'it is empty'}; "
            "entries must have computation and communication, as FedScale writes them"
        )
        raise ValueError(message)
    bit_per_s = np.array(rate) * _BIT_PER_S[unit]
    return Capacity(tuple(ids), np.array(computation), bit_per_s, file.tally.report(len(ids)))


def _reason(entry: Mapping[Any, Any]) -> str:
    """Return why a client is dropped; empty: it is not."""
    for key, (least, most) in (("computation", _MS), ("communication", _RATES)):
        value = entry.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return f"{key} is missing or no number"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{key} is not finite"
        if not 0 < value <= most:
            return f"{key} is not above 0, or beyond {most:g}"
        if value < least:
            return f"{key} is below {least:g}"
    return ""
