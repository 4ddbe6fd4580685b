"""An attempt at a client-round: download, train and upload one after another, and what an interruption does to it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.load import Demand
from fl_sim.rules import Interruption
from traces.fleet import Fleet, finish, ready, ready_until, transfer, work_done

Floats = npt.NDArray[np.float64]
Phones = npt.NDArray[np.int64]
DOWNLOAD, TRAIN, UPLOAD = range(3)


@dataclass(frozen=True, eq=False)
class Attempts:
    """Attempts as columns, one of each client.

    ``work_s`` [3, clients]: seconds of work of download, train and upload. ``edge_s`` [4, clients]: when each phase
    begins and, last, when the upload ends, as if the attempt were not lost. ``stop_s`` and ``delivered`` [clients]:
    when it was delivered or lost, and which of the two.
    """

    work_s: Floats
    edge_s: Floats
    stop_s: Floats
    delivered: npt.NDArray[np.bool_]


def attempt(
    fleet: Fleet,
    interrupted: Interruption,
    phones: Phones,
    begin_s: Floats | float,
    demand: Demand,
    rates: tuple[Floats, Floats],
    fails_at: Floats,
) -> Attempts:
    """Return what becomes of attempts that phones, int64 [clients], begin at ``begin_s`` on the clock.

    ``suspend``: each phase ends once it has had its seconds of ready time. ``abort``: lost when the phone stops being
    ready before the end, or is not ready at the begin. ``check_end``: lost at the end if the phone is not ready then.
    ``rates`` multiply those of download and upload; a transfer takes what the network of the time when it begins gives.
    ``fails_at`` is the share of the work after which the attempt is lost (NaN: never). Under ``suspend`` phones that
    are never ready must be left out. The walk in tests/fl_sim/slow_clock.py returns the same, client by client.
    """
    edge_s, work_s = np.empty((4, len(phones))), np.empty((3, len(phones)))
    edge_s[0] = begin_s
    suspend = interrupted == "suspend" and fleet.availability is not None
    for phase in range(3):
        begun_s = edge_s[phase]
        if phase == DOWNLOAD:
            work_s[phase] = transfer(fleet, phones, begun_s, demand.download_bytes, "download", rates[0])
        elif phase == TRAIN:
            work_s[phase] = demand.train_s
        else:
            work_s[phase] = transfer(fleet, phones, begun_s, demand.upload_bytes, "upload", rates[1])
        edge_s[phase + 1] = finish(fleet, phones, begun_s, work_s[phase]) if suspend else begun_s + work_s[phase]
    end_s = edge_s[3]
    stop_s, lost = end_s, np.zeros(len(phones), dtype=np.bool_)
    if interrupted == "abort" and fleet.availability is not None:
        until_s = ready_until(fleet, phones, edge_s[0])  # the begin itself for a phone that is not ready then
        lost = (until_s < end_s) | (until_s <= edge_s[0])
        stop_s = np.minimum(end_s, until_s)
    elif interrupted == "check_end" and fleet.availability is not None:
        lost = ~_ready_up_to(fleet, phones, end_s)
    failing = np.flatnonzero(~np.isnan(fails_at))
    if len(failing):
        fails_s = _failed(fleet, suspend, phones[failing], work_s[:, failing], edge_s[:, failing], fails_at[failing])
        lost[failing] = True
        stop_s = stop_s.copy()
        stop_s[failing] = np.minimum(stop_s[failing], fails_s)
    return Attempts(work_s, edge_s, stop_s, ~lost)


def done(fleet: Fleet, interrupted: Interruption, phones: Phones, attempts: Attempts, clock_s: float) -> Floats:
    """Return the seconds of work of each phase that attempts have done by ``clock_s``, float64 [3, clients]."""
    until_s = np.minimum(attempts.stop_s, clock_s)
    done_s = attempts.work_s.copy()
    cut = np.flatnonzero(until_s < attempts.edge_s[3])
    if not len(cut):
        return done_s
    until_s, edge_s, work_s = until_s[cut], attempts.edge_s[:, cut], attempts.work_s[:, cut]
    suspend = interrupted == "suspend" and fleet.availability is not None
    current, places = (until_s >= edge_s[1:3]).sum(axis=0), np.arange(len(cut))
    begun_s = edge_s[current, places]
    passed_s = work_done(fleet, phones[cut], begun_s, np.maximum(until_s, begun_s)) if suspend else until_s - begun_s
    part_s = np.where(np.arange(3)[:, None] < current, work_s, 0.0)
    part_s[current, places] = np.clip(passed_s, 0.0, work_s[current, places])
    done_s[:, cut] = part_s
    return done_s


def never_ready(fleet: Fleet, phones: Phones) -> npt.NDArray[np.bool_]:
    """Return which phones, int64 [any], have a trace without intervals."""
    if fleet.availability is None:
        return np.zeros(phones.shape, dtype=np.bool_)
    offsets, trace = fleet.availability.offsets, fleet.trace_of[phones]
    return np.asarray(offsets[trace] == offsets[trace + 1])


def _failed(fleet: Fleet, suspend: bool, phones: Phones, work_s: Floats, edge_s: Floats, fails_at: Floats) -> Floats:
    """Return when a share of the work is done, float64 [clients]."""
    before_s = np.zeros_like(work_s)
    np.cumsum(work_s[:2], axis=0, out=before_s[1:])
    target_s = fails_at * (before_s[2] + work_s[2])
    current, places = (target_s > before_s[1:]).sum(axis=0), np.arange(len(phones))
    begun_s = edge_s[current, places]
    # Rounding must not make more of a phase than there is of it.
    part_s = np.minimum(target_s - before_s[current, places], work_s[current, places])
    return finish(fleet, phones, begun_s, part_s) if suspend else begun_s + part_s


def _ready_up_to(fleet: Fleet, phones: Phones, clock_s: Floats) -> npt.NDArray[np.bool_]:
    """Return which phones are ready, or were up to this very moment: intervals with both their ends."""
    held = ready(fleet, phones, clock_s)
    if not held.all():
        others = np.flatnonzero(~held)
        phones, clock_s = phones[others], clock_s[others]
        # Look-ups compare on the clock, so the last number before it is enough.
        before_s = np.nextafter(clock_s, -np.inf)
        held[others] = ready(fleet, phones, before_s)
    return held
