"""The load of a client-round: batches and bytes, and what they cost on each kind of hardware."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from costmodel.round import PhasePower
from traces.fleet import Fleet

Floats = npt.NDArray[np.float64]
Phones = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Load:
    """What training asks of phones. Phone p holds the data of client ``p % clients``.

    float64 [clients]: ``batches`` of a client-round (need not be whole), ``download_bytes``, ``upload_bytes``.
    float64 [kinds of hardware]: ``batch_time_ms`` and ``batch_energy_mj`` (NaN: not measured).
    """

    batches: Floats
    download_bytes: Floats
    upload_bytes: Floats
    batch_time_ms: Floats
    batch_energy_mj: Floats
    power: PhasePower = field(default_factory=PhasePower)


@dataclass(frozen=True, eq=False)
class Demand:
    """What a client-round asks of given phones, float64 [phones]; ``train_j`` is NaN where it was not measured."""

    train_s: Floats
    train_j: Floats
    download_bytes: Floats
    upload_bytes: Floats


def demand(load: Load, fleet: Fleet, phones: Phones) -> Demand:
    """Return what the load asks of phones, int64 [any]: batches times the batch cost of each one's hardware."""
    clients = phones % len(load.batches)
    kinds = fleet.hardware_of[phones]
    batches = load.batches[clients]
    return Demand(
        train_s=batches * load.batch_time_ms[kinds] / 1e3,
        train_j=batches * load.batch_energy_mj[kinds] / 1e3,
        download_bytes=load.download_bytes[clients],
        upload_bytes=load.upload_bytes[clients],
    )
