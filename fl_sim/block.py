"""A block of phones of a fleet that is asked as a whole: what each needs, and what a round asks of those ready."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.attempt import DOWNLOAD, TRAIN, UPLOAD, Attempts, attempt, done
from fl_sim.load import Demand, Load, demand, part_of
from fl_sim.readiness import Readiness, advance, begin_readiness
from fl_sim.rules import Interruption
from traces.fleet import Fleet, transfer
from traces.rates import Network

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Which = Places | slice

# Phones worked on at a time: few enough that two processors share a million, many enough that calls cost little.
BLOCK = 1 << 17
_EVERYBODY = slice(None)
_SWEEP = 0x53574545  # keeps these streams apart from others of the same seed


@dataclass(frozen=True, eq=False)
class Block:
    """Phones ``first`` and following, float64 [phones]: what they are asked, and transfers in seconds at median luck.

    ``spread`` float32 [2, phones]: the standard deviation of the logarithm of a transfer's time, down and up.
    """

    first: int
    demand: Demand
    download_s: Floats
    upload_s: Floats
    spread: Singles
    readiness: Readiness | None


@dataclass(frozen=True, eq=False)
class Asked:
    """The ready phones of a block in one round, in order: ``which`` of the block, and when each stops, and how.

    ``odd``: places among them of those that the attempts in ``attempts`` are of, because something interrupts them.
    """

    which: Which
    begin_s: float
    work_s: Floats
    stop_s: Floats
    delivered: npt.NDArray[np.bool_]
    odd: Places
    attempts: Attempts | None


@dataclass(frozen=True, eq=False)
class Sums:
    """What phones did in a round, all together; seconds of the three phases as float64 [3].

    ``lost`` were dropped by the end; ``wait_s`` is that of the phones that delivered, ``wasted_s`` and
    ``wasted_train_j`` are the work of those that did not.
    """

    ready: int
    updates: int
    lost: int
    work_s: Floats
    train_j: float
    wait_s: float
    wasted_s: Floats
    wasted_train_j: float


def make_block(fleet: Fleet, load: Load, first: int, last: int, clock_s: float) -> Block:
    """Return the block of phones ``first`` up to ``last``, at a time of the clock that it then only moves on from."""
    phones = np.arange(first, last)
    asked, network = demand(load, fleet, phones), fleet.network
    spread = np.zeros((2, len(phones)), dtype=np.float32)
    download_s = upload_s = np.zeros(len(phones))
    if network.kind != "trace":  # those are looked up when they begin
        variance = _variance(network)[:, fleet.network_of[phones]]
        spread[:] = np.sqrt(variance)
        download_s = transfer(fleet, phones, 0.0, asked.download_bytes, "download", 1.0) * np.exp(variance[0] / 2)
        upload_s = transfer(fleet, phones, 0.0, asked.upload_bytes, "upload", 1.0) * np.exp(variance[1] / 2)
    return Block(first, asked, download_s, upload_s, spread, begin_readiness(fleet, phones, clock_s))


def luck(fleet: Fleet, block: Block, which: Which, seed: int, number: int) -> Singles | None:
    """Return what transfers of a round take by what they take at median luck, float32 [2, ready], down and up.

    exp(-s z), z standard normal; None for networks without chance. Every seed, round and block has its own stream.
    """
    if fleet.network.kind != "lognormal":
        return None
    spread = block.spread[:, which]
    random = np.random.Generator(np.random.SFC64(np.random.SeedSequence((_SWEEP, seed, number, block.first))))
    drawn = random.standard_normal(spread.shape, dtype=np.float32)
    drawn *= spread
    return np.exp(drawn, out=drawn)


def multipliers_of(fleet: Fleet, phones: Places, lucky: Singles) -> Floats:
    """Return what the mean rates of phones are multiplied by with that luck, float64 [2, phones]: of mean 1."""
    middle: Floats = np.exp(-_variance(fleet.network)[:, fleet.network_of[phones]] / 2)
    return middle / lucky


def ask(fleet: Fleet, interrupted: Interruption, block: Block, begin_s: float, seed: int, number: int) -> Asked:
    """Return what becomes of the phones of a block that are ready at ``begin_s``, as if nothing ended the round."""
    which: Which = _EVERYBODY
    until_s = None
    if block.readiness is not None:
        which = advance(block.readiness, begin_s)
        until_s = block.readiness.closes_s[which]
    train_s, lucky = block.demand.train_s[which], luck(fleet, block, which, seed, number)
    work_s = np.empty((3, len(train_s)))
    work_s[DOWNLOAD], work_s[TRAIN], work_s[UPLOAD] = block.download_s[which], train_s, block.upload_s[which]
    if lucky is not None:
        work_s[DOWNLOAD] *= lucky[0]
        work_s[UPLOAD] *= lucky[1]
    stop_s = begin_s + work_s[DOWNLOAD]
    stop_s += work_s[TRAIN]
    stop_s += work_s[UPLOAD]
    delivered, odd, attempts = np.ones(len(stop_s), dtype=np.bool_), np.empty(0, dtype=np.int64), None
    if fleet.network.kind == "trace":
        odd = np.arange(len(stop_s))
    elif until_s is not None:
        odd = np.flatnonzero(stop_s > until_s)
    if len(odd):
        place = odd if isinstance(which, slice) else which[odd]
        phones, rates = block.first + place, np.ones((2, len(odd)))
        if lucky is not None:
            rates = multipliers_of(fleet, phones, lucky[:, odd])
        never = np.full(len(odd), np.nan)
        part = part_of(block.demand, place)
        attempts = attempt(fleet, interrupted, phones, begin_s, part, (rates[0], rates[1]), never)
        stop_s[odd], delivered[odd], work_s[:, odd] = attempts.stop_s, attempts.delivered, attempts.work_s
    return Asked(which, begin_s, work_s, stop_s, delivered, odd, attempts)


def count(fleet: Fleet, interrupted: Interruption, block: Block, asked: Asked, end_s: float) -> Sums:
    """Return what a block did in a round that ends at ``end_s``."""
    work_s, train_j = asked.work_s, block.demand.train_j[asked.which]
    over = asked.stop_s <= end_s
    updated = asked.delivered & over
    total_s, total_j = work_s.sum(axis=1), float(train_j.sum())
    wasted_s, wasted_j = np.zeros(3), 0.0
    short = ~over
    short[asked.odd] = True
    places = np.flatnonzero(short)
    if len(places):
        whole_s = work_s[:, places]
        part_s = _by(asked, places, end_s)
        if asked.attempts is not None:
            odd = asked.odd if isinstance(asked.which, slice) else asked.which[asked.odd]
            part_s[:, np.searchsorted(places, asked.odd)] = done(
                fleet, interrupted, block.first + odd, asked.attempts, end_s
            )
        share = np.divide(part_s[TRAIN], whole_s[TRAIN], out=np.zeros(len(places)), where=whole_s[TRAIN] > 0)
        part_j, lost = train_j[places] * share, ~updated[places]
        total_s += (part_s - whole_s).sum(axis=1)
        total_j += float((part_j - train_j[places]).sum())
        wasted_s, wasted_j = part_s[:, lost].sum(axis=1), float(part_j[lost].sum())
    updates = int(updated.sum())
    waits_s = end_s - asked.stop_s if updates == len(over) else end_s - asked.stop_s[updated]
    return Sums(
        ready=len(over),
        updates=updates,
        lost=int(over.sum()) - updates,
        work_s=total_s,
        train_j=total_j,
        wait_s=float(waits_s.sum()),
        wasted_s=wasted_s,
        wasted_train_j=wasted_j,
    )


def _by(asked: Asked, places: Places, clock_s: float) -> Floats:
    """Return the seconds of work of each phase that phones at work without a pause have done by a time."""
    work_s, begun_s = asked.work_s[:, places], np.empty((3, len(places)))
    begun_s[0] = asked.begin_s
    np.add(begun_s[0], work_s[0], out=begun_s[1])
    np.add(begun_s[1], work_s[1], out=begun_s[2])
    return np.clip(clock_s - begun_s, 0.0, work_s)


def _variance(network: Network) -> Floats:
    """Return the variance of the logarithm of log-normal rates, float64 [2, profiles], down and up; else 0."""
    cv = np.array([network.download_cv, network.upload_cv])
    return np.log1p(np.square(cv)) if network.kind == "lognormal" else np.zeros_like(cv)
