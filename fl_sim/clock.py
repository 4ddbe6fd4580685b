"""The clock of synchronous rounds: when each asked phone delivers, when the round ends, and what all that costs."""

import numpy as np
import numpy.typing as npt

from costmodel.round import PhasePower
from fl_sim.attempt import DOWNLOAD, TRAIN, UPLOAD, Attempts, attempt, done, never_ready
from fl_sim.draws import Draws
from fl_sim.load import Demand, Load, demand, part_of
from fl_sim.participation import CANCELLED, DONE, DROPPED, LATE, FleetRound, Participation
from fl_sim.rules import Rules
from traces.fleet import Fleet, next_ready

Floats = npt.NDArray[np.float64]
Phones = npt.NDArray[np.int64]
Places = npt.NDArray[np.int64]
Tries = list[tuple[Places, Attempts]]


def play(fleet: Fleet, load: Load, rules: Rules, phones: Phones, begin_s: float, draws: Draws) -> FleetRound:
    """Return the round in which phones, int64 [clients], distinct, are asked at ``begin_s`` on the clock.

    It ends at the deadline, with the awaited delivery, or when nobody is at work any more, whichever is first; what
    happens at that very time still counts. Whoever is at work then is ``late`` if the deadline ended the round, else
    ``cancelled``, and has done the work up to then. ``fl_sim.events.play_events`` is the slow twin.
    Raises ValueError for a phone whose hardware has no batch time.
    """
    asked = demand(load, fleet, phones)
    tries, stop_s, delivered = _tries(fleet, rules, phones, begin_s, asked, draws)
    end_s, left = round_end(rules, begin_s, stop_s, delivered)
    attempts = np.ones(len(phones), dtype=np.int64)
    done_s, shares = np.zeros((3, len(phones))), np.zeros((3, len(phones)))
    wasted_s, wasted_share = np.zeros((3, len(phones))), np.zeros(len(phones))
    for number, (places, made) in enumerate(tries):
        part_s = done(fleet, rules.interrupted, phones[places], made, end_s)
        share = np.divide(part_s, made.work_s, out=np.zeros_like(part_s), where=made.work_s > 0)
        lost = ~(made.delivered & (made.stop_s <= end_s))
        done_s[:, places] += part_s
        shares[:, places] += share
        wasted_s[:, places] += part_s * lost
        wasted_share[places] += share[TRAIN] * lost
        if number:
            attempts[places] += made.edge_s[0] <= end_s
    over = stop_s <= end_s
    outcome = np.where(over, np.where(delivered, DONE, DROPPED), left).astype(np.int8)
    ended_s = np.where(over, stop_s, end_s)
    wait_s = end_s - ended_s
    power, waiting_j = load.power, _joules(load.power.wait_w, np.where(outcome == DONE, wait_s, 0.0))
    clients = Participation(
        phone=phones,
        outcome=outcome,
        attempts=attempts,
        begin_s=np.full(len(phones), float(begin_s)),
        end_s=ended_s,
        download_s=done_s[DOWNLOAD],
        train_s=done_s[TRAIN],
        upload_s=done_s[UPLOAD],
        suspended_s=np.maximum(0.0, ended_s - begin_s - done_s.sum(axis=0)),
        wait_s=wait_s,
        download_j=_joules(power.download_w, done_s[DOWNLOAD]),
        train_j=asked.train_j * shares[TRAIN],
        upload_j=_joules(power.upload_w, done_s[UPLOAD]),
        wait_j=waiting_j,
        wasted_s=wasted_s.sum(axis=0),
        wasted_j=asked.train_j * wasted_share + _counted_j(power, wasted_s),
        download_bytes=asked.download_bytes * shares[DOWNLOAD],
        upload_bytes=asked.upload_bytes * shares[UPLOAD],
        staleness=np.zeros(len(phones), dtype=np.int64),
    )
    return FleetRound(float(begin_s), end_s, clients)


def round_end(rules: Rules, begin_s: float, stop_s: Floats, delivered: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """Return when a round ends, and the outcome of whoever is at work then.

    ``stop_s`` and ``delivered`` [clients]: when each would deliver or be lost for good, and which of the two.
    """
    if not len(stop_s):
        return float(begin_s), CANCELLED
    end_s = float(stop_s.max())
    awaited = rules.awaited(len(stop_s))
    if awaited < len(stop_s):  # else the last delivery is that time
        deliveries_s = stop_s[delivered]
        if len(deliveries_s) >= awaited:
            end_s = min(end_s, float(np.partition(deliveries_s, awaited - 1)[awaited - 1]))
    if rules.deadline_s is not None and begin_s + rules.deadline_s < end_s:
        return begin_s + rules.deadline_s, LATE
    return end_s, CANCELLED


def _tries(
    fleet: Fleet, rules: Rules, phones: Phones, begin_s: float, asked: Demand, draws: Draws
) -> tuple[Tries, Floats, npt.NDArray[np.bool_]]:
    """Return all attempts, as if nothing ended the round, and when each client delivered or was lost for good."""
    stop_s, delivered = np.full(len(phones), float(begin_s)), np.zeros(len(phones), dtype=np.bool_)
    places = np.arange(len(phones))
    if rules.interrupted == "suspend":
        places = places[~never_ready(fleet, phones)]
    begun_s: Floats | float = begin_s
    tries: Tries = []
    for number in range(1 + rules.retries):
        rates = draws.download[places, number], draws.upload[places, number]
        fails_at = draws.fails_at[places, number]
        part = asked if len(places) == len(phones) else part_of(asked, places)
        made = attempt(fleet, rules.interrupted, phones[places], begun_s, part, rates, fails_at)
        tries.append((places, made))
        stop_s[places], delivered[places] = made.stop_s, made.delivered
        places = places[~made.delivered]
        if number == rules.retries or not len(places):
            break
        again_s = next_ready(fleet, phones[places], stop_s[places])
        able = np.isfinite(again_s)
        places, begun_s = places[able], again_s[able]
    return tries, stop_s, delivered


def _joules(power_w: float | None, time_s: Floats) -> Floats:
    return np.full(len(time_s), np.nan) if power_w is None else power_w * time_s


def _counted_j(power: PhasePower, time_s: Floats) -> Floats | float:
    """Return the radio's joules of seconds [3, clients], without phases whose power is not known."""
    download_j = 0.0 if power.download_w is None else power.download_w * time_s[DOWNLOAD]
    return download_j + (0.0 if power.upload_w is None else power.upload_w * time_s[UPLOAD])
