"""Time and energy of a client-round, by phase, and of all the rounds of a training run.

Every number may be an array; arrays broadcast as in numpy, so ``(rounds, 1)`` against ``(devices,)`` costs every
client-round on every device. A phase keeps the smallest shape its inputs allow. Not counted is None, never zero.
"""

from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
BatchRule = Literal["fractional", "ceil", "floor"]
BATCH_RULES: tuple[BatchRule, ...] = ("fractional", "ceil", "floor")


@dataclass(frozen=True)
class PhasePower:
    """Mean power in W of the phases that a measurement of training does not cover; None means not counted.

    ``download_w`` and ``upload_w`` are the radio's, ``wait_w`` is the phone's while it waits for the round to end.
    """

    download_w: float | None = None
    upload_w: float | None = None
    wait_w: float | None = None

    def __post_init__(self) -> None:
        for field in ("download_w", "upload_w", "wait_w"):
            value = getattr(self, field)
            if value is not None and not 0 <= value <= 1e6:
                message = f"{field} must be a power from 0 to 1e6 W (got {value})"
                raise ValueError(message)

    @property
    def not_counted(self) -> tuple[str, ...]:
        """The phases whose energy is left out, in the words the output uses."""
        names = {"download_w": "radio (download)", "upload_w": "radio (upload)", "wait_w": "idle (waiting)"}
        return tuple(words for field, words in names.items() if getattr(self, field) is None)


@dataclass(frozen=True)
class RoundCost:
    """Seconds and joules of a client-round by phase; ``*_j`` is None where the phase's energy is not counted."""

    download_s: Array
    train_s: Array
    upload_s: Array
    wait_s: Array
    train_j: Array | None
    download_j: Array | None
    upload_j: Array | None
    wait_j: Array | None

    @property
    def busy_s(self) -> Array:
        """Seconds until the client has delivered: download + train + upload."""
        return self.download_s + self.train_s + self.upload_s

    @property
    def time_s(self) -> Array:
        """Seconds of the client-round: download + train + upload + wait."""
        return self.busy_s + self.wait_s

    @property
    def energy_j(self) -> Array | None:
        """Joules of all counted phases; None when training, the phase a table measures, has no energy."""
        if self.train_j is None:
            return None
        phases = (self.train_j, self.download_j, self.upload_j, self.wait_j)
        return reduce(np.add, [energy for energy in phases if energy is not None])


def count_batches(samples: ArrayLike, batch_size: ArrayLike, rule: str = "fractional") -> Array:
    """Return the batches of one local epoch, samples / batch_size: as the fraction, rounded up, or rounded down.

    The paper's Table 4 needs the fraction; loaders round up (keep the last short batch) or down (drop it).
    Raises ValueError for an unknown rule.
    """
    fraction = _positive("samples", samples) / _positive("batch_size", batch_size)
    if rule == "fractional":
        return fraction
    if rule == "ceil":
        return np.ceil(fraction)
    if rule == "floor":
        return np.floor(fraction)
    message = f"batches must be one of {', '.join(BATCH_RULES)} (got {rule!r})"
    raise ValueError(message)


def client_round(
    *,
    batch_time_ms: ArrayLike,
    batch_energy_mj: ArrayLike | None,
    samples: ArrayLike,
    batch_size: ArrayLike,
    epochs: ArrayLike,
    download_bytes: ArrayLike,
    upload_bytes: ArrayLike,
    bandwidth_bit_per_s: ArrayLike,
    upload_bit_per_s: ArrayLike | None = None,
    wait_s: ArrayLike = 0.0,
    batches: BatchRule = "fractional",
    power: PhasePower | None = None,
) -> RoundCost:
    """Return what one client-round costs.

        train    = epochs * batches * batch_time          energy: epochs * batches * batch_energy
        transfer = 8 * bytes / bandwidth, each way        energy: radio power * time, if a power is given

    This is the closed form behind Table 4 (docs/background/table4.md). ``upload_bit_per_s`` defaults to the
    download's bandwidth; ``wait_s`` is known waiting, ``synchronous`` computes it from the other clients. An energy
    may be NaN where it was not measured. Raises ValueError for a number that is not finite or not above zero
    (bytes, energies and waiting: not below zero).
    """
    power = power or PhasePower()
    trained = _positive("epochs", epochs) * count_batches(samples, batch_size, batches)
    down_rate = _positive("bandwidth_bit_per_s", bandwidth_bit_per_s)
    up_rate = down_rate if upload_bit_per_s is None else _positive("upload_bit_per_s", upload_bit_per_s)
    download_s = 8 * _not_negative("download_bytes", download_bytes) / down_rate
    upload_s = 8 * _not_negative("upload_bytes", upload_bytes) / up_rate
    train_j = None
    if batch_energy_mj is not None:
        train_j = trained * _energy("batch_energy_mj", batch_energy_mj) / 1e3
    waited_s = _not_negative("wait_s", wait_s)
    return RoundCost(
        download_s=download_s,
        train_s=trained * _positive("batch_time_ms", batch_time_ms) / 1e3,
        upload_s=upload_s,
        wait_s=waited_s,
        train_j=train_j,
        download_j=None if power.download_w is None else power.download_w * download_s,
        upload_j=None if power.upload_w is None else power.upload_w * upload_s,
        wait_j=None if power.wait_w is None else power.wait_w * waited_s,
    )


def synchronous(cost: RoundCost, axis: int = -1, power: PhasePower | None = None) -> RoundCost:
    """Return the same client-rounds when all clients along ``axis`` wait for the slowest of them.

    Afterwards ``time_s`` is equal along ``axis``, up to rounding. ``power.wait_w`` counts the energy of waiting.
    """
    busy_s = np.asarray(cost.busy_s)
    wait_s = busy_s.max(axis=axis, keepdims=True) - busy_s if busy_s.ndim else np.zeros(())
    wait_w = None if power is None else power.wait_w
    return replace(cost, wait_s=wait_s, wait_j=None if wait_w is None else wait_w * wait_s)


def run_time_s(round_time_s: ArrayLike, rounds: ArrayLike) -> Array:
    """Return the seconds of ``rounds`` rounds that each take ``round_time_s``, one after the other."""
    return _not_negative("round_time_s", round_time_s) * _positive("rounds", rounds)


def mean_client_energy_j(
    round_energy_j: ArrayLike, rounds: ArrayLike, clients_per_round: ArrayLike, clients: ArrayLike
) -> Array:
    """Return the joules a run costs a client on average: rounds * energy * K / N, over all N registered clients.

    A client that is selected in every round spends N / K times as much. Raises ValueError if K is above N.
    """
    chosen, registered = _positive("clients_per_round", clients_per_round), _positive("clients", clients)
    if (chosen > registered).any():
        message = f"clients_per_round must not be above clients (got {chosen} of {registered})"
        raise ValueError(message)
    energy_j = _energy("round_energy_j", round_energy_j)
    return energy_j * _positive("rounds", rounds) * (chosen / registered)


def _positive(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=np.float64)
    return _checked(name, array, array > 0, "above 0")


def _not_negative(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=np.float64)
    return _checked(name, array, array >= 0, "0 or more")


def _energy(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=np.float64)
    return _checked(name, array, (array >= 0) | np.isnan(array), "0 or more, or NaN where it was not measured")


def _checked(name: str, array: Array, kept: NDArray[np.bool_], rule: str) -> Array:
    kept = kept & (array != np.inf)
    if not kept.all():
        message = f"{name} must be finite and {rule} (got {array[~kept].flat[0]})"
        raise ValueError(message)
    return array
