"""The load of a client-round: batches and bytes, and what they cost on each kind of hardware."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from costmodel.round import PhasePower
from fl_sim.plan import LARGEST
from profiler.names import printable
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

    def __post_init__(self) -> None:
        for name in ("batches", "download_bytes", "upload_bytes", "batch_time_ms", "batch_energy_mj"):
            values = getattr(self, name)
            if values.ndim != 1 or not len(values):
                message = f"{name} must be an array of one dimension with an entry or more (got shape {values.shape})"
                raise ValueError(message)
            measured = name.startswith("batch_")
            allowed = (values >= 0) & (values <= LARGEST) | (np.isnan(values) & measured)
            if not allowed.all():
                rule = f"from 0 to {LARGEST:g}" + (", or NaN where nobody measured it" if measured else "")
                message = f"{name} must be {rule} (got {values[~allowed][0]:g} in place {int(np.argmin(allowed))})"
                raise ValueError(message)
        for name, other in (
            ("download_bytes", "batches"),
            ("upload_bytes", "batches"),
            ("batch_energy_mj", "batch_time_ms"),
        ):
            if len(getattr(self, name)) != len(getattr(self, other)):
                counts = f"{len(getattr(self, name))} for {len(getattr(self, other))}"
                message = f"{name} must have as many entries as {other} (got {counts})"
                raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Demand:
    """What a client-round asks of given phones, float64 [phones]; ``train_j`` is NaN where it was not measured."""

    train_s: Floats
    train_j: Floats
    download_bytes: Floats
    upload_bytes: Floats


def demand(load: Load, fleet: Fleet, phones: Phones) -> Demand:
    """Return what the load asks of phones, int64 [any]: batches times the batch cost of each one's hardware.

    Raises ValueError for a phone of hardware that has no batch time.
    """
    clients = phones % len(load.batches)
    kinds = fleet.hardware_of[phones]
    batches = load.batches[clients]
    train_s = batches * load.batch_time_ms[kinds] / 1e3
    if np.isnan(train_s).any():
        _refuse(load, fleet, kinds)
    return Demand(
        train_s=train_s,
        train_j=batches * load.batch_energy_mj[kinds] / 1e3,
        download_bytes=load.download_bytes[clients],
        upload_bytes=load.upload_bytes[clients],
    )


def part_of(asked: Demand, places: Phones) -> Demand:
    """Return what is asked of some of the phones, int64 [any] places among them."""
    return Demand(
        asked.train_s[places], asked.train_j[places], asked.download_bytes[places], asked.upload_bytes[places]
    )


def check_load(load: Load, fleet: Fleet) -> None:
    """Raise ValueError if the load does not know every kind of hardware that the fleet's phones have."""
    if len(load.batch_time_ms) != len(fleet.hardware):
        counts = f"{len(load.batch_time_ms)} for {len(fleet.hardware)}"
        message = (
            f"batch_time_ms must have an entry for each kind of the fleet's hardware (got {counts}); map its kinds"
        )
        raise ValueError(message)
    used = np.unique(fleet.hardware_of)
    if np.isnan(load.batch_time_ms[used]).any():
        _refuse(load, fleet, used)


def _refuse(load: Load, fleet: Fleet, kinds: npt.NDArray[np.int32]) -> None:
    unmeasured = kinds[np.isnan(load.batch_time_ms[kinds])]
    model = printable(fleet.hardware.models[int(unmeasured[0])], 60)
    message = f"batch_time_ms is not known for hardware {model!r}, which phones have; map it to a measured device"
    raise ValueError(message)
