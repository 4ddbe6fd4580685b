"""The whole fleet asked every round, for planning: how many are ready, how long they take, and what it costs."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from costmodel.round import PhasePower
from fl_sim.attempt import DOWNLOAD, UPLOAD
from fl_sim.block import BLOCK, Block, Sums, ask, count, luck, make_block, multipliers_of
from fl_sim.clock import play, round_end
from fl_sim.draws import Draws
from fl_sim.load import Load, check_load
from fl_sim.participation import DONE, DROPPED, FleetRound
from fl_sim.rules import Rules
from traces.fleet import Fleet, ready

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Rounds in which every ready phone is asked, one place each, from ``begin_s`` to ``end_s`` on the clock.

    int64: ``ready`` phones were asked, ``updates`` delivered, ``lost`` were dropped; the rest was at work at the end.
    Seconds and joules are of all phones together, as in ``fl_sim.participation``; ``wait_s`` is that of the phones that
    delivered. Joules are NaN where a phase was not measured.
    """

    begin_s: Floats
    end_s: Floats
    ready: Places
    updates: Places
    lost: Places
    download_s: Floats
    train_s: Floats
    upload_s: Floats
    wait_s: Floats
    wasted_s: Floats
    download_j: Floats
    train_j: Floats
    upload_j: Floats
    wait_j: Floats
    wasted_j: Floats


def sweep(fleet: Fleet, load: Load, rules: Rules, clock_s: Floats, seed: int, *, threads: int | None = None) -> Sweep:
    """Return what rounds come to that begin at ``clock_s``, float64 [rounds], and ask every phone that is ready then.

    Rounds know nothing of each other and may overlap. Of the rules the interruption, the round's end and the deadline
    count; ``kth`` awaits ``cohort`` updates. Log-normal rates are drawn anew for each phone and round, in float32 (a
    random number is off by 1e-7 of itself); all else is float64. A seed gives the same whatever the ``threads``, by
    default one for each processor. The slow twin is ``sweep_by_play``.
    Raises ValueError for drop-outs and retries, which need ``fl_sim.clock``, and for times that fall.
    """
    blocks = _blocks(fleet, load, rules, clock_s)
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        rows = []
        for number, begin_s in enumerate(clock_s.tolist()):
            asks = partial(ask, fleet, rules.interrupted, begin_s=begin_s, seed=seed, number=number)
            asked = list(pool.map(asks, blocks))
            stop_s = np.concatenate([part.stop_s for part in asked])
            delivered = np.concatenate([part.delivered for part in asked])
            end_s = round_end(rules, begin_s, stop_s, delivered)[0]
            counts = partial(count, fleet, rules.interrupted, end_s=end_s)
            rows.append(_row(begin_s, end_s, load.power, list(pool.map(counts, blocks, asked))))
    return _sweep(rows)


def sweep_by_play(fleet: Fleet, load: Load, rules: Rules, clock_s: Floats, seed: int) -> Sweep:
    """Return what ``sweep`` returns, each round played by ``fl_sim.clock.play`` with the phones that are ready."""
    blocks = _blocks(fleet, load, rules, clock_s)
    everybody = np.arange(fleet.phones)
    rows = []
    for number, begin_s in enumerate(clock_s.tolist()):
        held = ready(fleet, everybody, begin_s)
        rates = [np.empty((2, 0))]
        for block in blocks:
            places = np.flatnonzero(held[block.first : block.first + len(block.download_s)])
            lucky = luck(fleet, block, places, seed, number)
            even = np.ones((2, len(places)))
            rates.append(even if lucky is None else multipliers_of(fleet, block.first + places, lucky))
        download, upload = np.concatenate(rates, axis=1)[:, :, None]
        draws = Draws(download, upload, np.full_like(download, np.nan))
        played = play(fleet, load, rules, everybody[held], begin_s, draws)
        rows.append(_row(begin_s, played.end_s, load.power, [_sums(load.power, played)]))
    return _sweep(rows)


def _blocks(fleet: Fleet, load: Load, rules: Rules, clock_s: Floats) -> list[Block]:
    if rules.dropout or rules.retries:
        got = f"{rules.dropout:g} and {rules.retries}"
        message = f"dropout and retries must be 0 where the whole fleet is asked (got {got}); play rounds with a cohort"
        raise ValueError(message)
    if clock_s.ndim != 1 or not len(clock_s) or not np.isfinite(clock_s).all() or (np.diff(clock_s) < 0).any():
        message = "clock_s must be one or more finite times that do not fall (got others); sort them"
        raise ValueError(message)
    check_load(load, fleet)
    cuts = range(0, fleet.phones, BLOCK)
    return [make_block(fleet, load, first, min(first + BLOCK, fleet.phones), float(clock_s[0])) for first in cuts]


def _sums(power: PhasePower, played: FleetRound) -> Sums:
    clients = played.clients
    outcome = clients.outcome
    updated = outcome == DONE
    work_s = np.stack([clients.download_s, clients.train_s, clients.upload_s])
    return Sums(
        ready=len(outcome),
        updates=played.updates,
        lost=int((outcome == DROPPED).sum()),
        work_s=work_s.sum(axis=1),
        train_j=float(clients.train_j.sum()),
        wait_s=float(clients.wait_s[updated].sum()),
        wasted_s=work_s[:, ~updated].sum(axis=1),
        wasted_train_j=float(clients.train_j[~updated].sum()),
    )


def _row(begin_s: float, end_s: float, power: PhasePower, parts: list[Sums]) -> tuple[float, ...]:
    """Return a round in the order of the fields of ``Sweep``."""
    work_s = np.sum([part.work_s for part in parts], axis=0)
    wasted_s = np.sum([part.wasted_s for part in parts], axis=0)
    wait_s = sum(part.wait_s for part in parts)
    wasted_j = sum(part.wasted_train_j for part in parts)
    wasted_j += (power.download_w or 0.0) * wasted_s[DOWNLOAD] + (power.upload_w or 0.0) * wasted_s[UPLOAD]
    return (
        begin_s,
        end_s,
        sum(part.ready for part in parts),
        sum(part.updates for part in parts),
        sum(part.lost for part in parts),
        *work_s.tolist(),
        wait_s,
        wasted_s.sum(),
        _joules(power.download_w, work_s[DOWNLOAD]),
        sum(part.train_j for part in parts),
        _joules(power.upload_w, work_s[UPLOAD]),
        _joules(power.wait_w, wait_s),
        wasted_j,
    )


def _joules(power_w: float | None, time_s: float) -> float:
    return np.nan if power_w is None else power_w * time_s


def _sweep(rows: list[tuple[float, ...]]) -> Sweep:
    begin_s, end_s, asked, updates, lost, *rest = np.array(rows, dtype=np.float64).T
    return Sweep(begin_s, end_s, asked.astype(np.int64), updates.astype(np.int64), lost.astype(np.int64), *rest)
