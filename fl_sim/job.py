"""Jobs: what each phone that was asked has to do, and what became of it, as columns in the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fl_sim.draws import Draws
from fl_sim.load import Load, demand
from fl_sim.participation import DONE, DROPPED, Participation
from fl_sim.walk import Intervals, Rates, intervals_of, rates_of
from traces.fleet import Fleet


@dataclass(slots=True)
class Job:
    """A phone that was asked: what it has to do, and what has become of it. Phases are download, train, upload.

    ``work_s``: seconds of every attempt's phases; those of transfers are worked out when they begin where the network
    follows a trace (``rates``). ``fails_at``: as in `fl_sim.draws.Draws`. ``done_s``: work done so far, by phase;
    ``lost_s``: the part of it that lost attempts did; ``moved``: transfers done, where 1 is a whole one.
    """

    phone: int
    intervals: Intervals | None
    rates: tuple[Rates, Rates] | None
    work_s: list[list[float]]
    size_bytes: tuple[float, float]
    multiplier: list[list[float]]
    fails_at: list[float]
    begin_s: float
    outcome: int = DROPPED
    staleness: int = 0
    attempts: int = 0
    end_s: float = math.nan
    done_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    lost_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    moved: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])


def jobs(fleet: Fleet, load: Load, phones: npt.NDArray[np.int64], begin_s: float, draws: Draws) -> list[Job]:
    """Return a job for each of the phones, int64 [phones], asked at ``begin_s``."""
    asked = demand(load, fleet, phones)
    attempts = draws.fails_at.shape[1]
    work = np.empty((len(phones), attempts, 3))
    profiles = fleet.network_of[phones]
    down_bit_per_s = fleet.network.download_bit_per_s[profiles][:, None] * draws.download
    up_bit_per_s = fleet.network.upload_bit_per_s[profiles][:, None] * draws.upload
    work[:, :, 0] = 8 * asked.download_bytes[:, None] / down_bit_per_s
    work[:, :, 1] = asked.train_s[:, None]
    work[:, :, 2] = 8 * asked.upload_bytes[:, None] / up_bit_per_s
    sizes = zip(asked.download_bytes.tolist(), asked.upload_bytes.tolist(), strict=True)
    multipliers = np.stack([draws.download, draws.upload], axis=2).tolist()
    columns = zip(phones.tolist(), work.tolist(), sizes, multipliers, draws.fails_at.tolist(), strict=True)
    return [
        Job(phone, intervals_of(fleet, phone), rates_of(fleet, phone), works, size, multiplier, fails_at, begin_s)
        for phone, works, size, multiplier, fails_at in columns
    ]


def participation(asked: Sequence[Job], fleet: Fleet, load: Load, round_end_s: float | None) -> Participation:
    """Return what became of jobs as columns; nobody waits for the end of a round where there is none (None)."""
    places = len(asked)
    phone = np.fromiter((job.phone for job in asked), np.int64, places)
    outcome = np.fromiter((job.outcome for job in asked), np.int8, places)
    begin_s = np.fromiter((job.begin_s for job in asked), np.float64, places)
    end_s = np.fromiter((job.end_s for job in asked), np.float64, places)
    done_s, lost_s, moved = (
        np.array([getattr(job, name) for job in asked], dtype=np.float64).reshape(places, 3).T
        for name in ("done_s", "lost_s", "moved")
    )
    wait_s = np.zeros(places)
    if round_end_s is not None:
        wait_s = np.where((outcome == DONE) | (outcome == DROPPED), round_end_s - end_s, 0.0)
    wanted, power = demand(load, fleet, phone), load.power
    # Joules per second of work; training that takes no time costs nothing.
    train_w = wanted.train_j / np.where(wanted.train_s > 0, wanted.train_s, 1.0)
    download_w = math.nan if power.download_w is None else power.download_w
    upload_w = math.nan if power.upload_w is None else power.upload_w
    wait_w = math.nan if power.wait_w is None else power.wait_w
    wasted_s = np.where(outcome == DONE, lost_s, done_s)
    wasted_j = train_w * wasted_s[1] + np.nan_to_num(download_w * wasted_s[0]) + np.nan_to_num(upload_w * wasted_s[2])
    return Participation(
        phone=phone,
        outcome=outcome,
        attempts=np.fromiter((job.attempts for job in asked), np.int64, places),
        begin_s=begin_s,
        end_s=end_s,
        download_s=done_s[0],
        train_s=done_s[1],
        upload_s=done_s[2],
        suspended_s=np.maximum(end_s - begin_s - done_s.sum(axis=0), 0.0),
        wait_s=wait_s,
        download_j=download_w * done_s[0],
        train_j=train_w * done_s[1],
        upload_j=upload_w * done_s[2],
        wait_j=wait_w * np.where(outcome == DONE, wait_s, 0.0),
        wasted_s=wasted_s.sum(axis=0),
        wasted_j=wasted_j,
        download_bytes=wanted.download_bytes * moved[0],
        upload_bytes=wanted.upload_bytes * moved[2],
        staleness=np.fromiter((job.staleness for job in asked), np.int64, places),
    )
