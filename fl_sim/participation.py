"""What became of the clients of a round: times and joules by phase, and what was wasted."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
DONE, LATE, DROPPED, CANCELLED, STALE, UNUSED = range(6)
OUTCOMES = ("done", "late", "dropped", "cancelled", "stale", "unused")


@dataclass(frozen=True, eq=False)
class Participation:
    """Client-rounds as columns, one place each.

    ``outcome`` is a place in OUTCOMES: ``late`` was at work at the deadline, ``cancelled`` when enough others had
    delivered, ``dropped`` lost its last attempt, ``stale`` was delivered and thrown away, ``unused`` delivered in a
    round that counts for nothing. ``begin_s`` is when the phone was asked, ``end_s`` when it delivered, was lost, or
    was told to stop, both on the clock.
    ``download_s``, ``train_s``, ``upload_s`` are work done in all attempts; ``suspended_s`` is the rest of
    begin to end; ``wait_s`` is from its end to the round's. Joules are NaN where a phase was not measured.
    ``wasted_s`` and ``wasted_j`` are the part of the work that went into no update: all of a client that is not done,
    and lost attempts of one that is.
    """

    phone: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int8]
    attempts: npt.NDArray[np.int64]
    begin_s: Floats
    end_s: Floats
    download_s: Floats
    train_s: Floats
    upload_s: Floats
    suspended_s: Floats
    wait_s: Floats
    download_j: Floats
    train_j: Floats
    upload_j: Floats
    wait_j: Floats
    wasted_s: Floats
    wasted_j: Floats
    download_bytes: Floats
    upload_bytes: Floats
    staleness: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FleetRound:
    """A round, or a version of an asynchronous server: when it began and ended on the clock, and its clients."""

    begin_s: float
    end_s: float
    clients: Participation

    @property
    def updates(self) -> int:
        """How many updates went into the model."""
        return int((self.clients.outcome == DONE).sum())


def voided(played: FleetRound) -> FleetRound:
    """Return a round that counts for nothing: what was delivered in it is ``unused``, and all its work wasted."""
    clients = played.clients
    work_j = clients.train_j.copy()
    for radio_j in (clients.download_j, clients.upload_j):
        work_j += np.nan_to_num(radio_j)
    vain = clients.outcome == DONE
    wasted = replace(
        clients,
        outcome=np.where(vain, UNUSED, clients.outcome).astype(np.int8),
        wasted_s=np.where(vain, clients.download_s + clients.train_s + clients.upload_s, clients.wasted_s),
        wasted_j=np.where(vain, work_j, clients.wasted_j),
    )
    return replace(played, clients=wasted)
