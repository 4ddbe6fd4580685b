"""What a run on a fleet comes to: hours, joules, what was wasted, whether it ends, and who took part."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fl_sim.attempt import never_ready
from fl_sim.participation import OUTCOMES
from traces.fleet import Fleet

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

WORK = ("download", "train", "upload")
PHASES = (*WORK, "wait")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Phase:
    """Seconds and joules of all client-rounds in a phase: download, train, upload or wait. NaN: not measured."""

    name: str
    time_s: float
    energy_j: float


@dataclass(frozen=True)
class Outcome:
    """Client-rounds that came to one end, and their wasted work; of those that are done it is that of lost attempts."""

    name: str
    participations: int
    wasted_s: float
    wasted_j: float


@dataclass(frozen=True)
class Group:
    """Phones of a tier or a model, and their shares of the fleet, of client-rounds, and of updates (NaN: none)."""

    name: str
    phones: int
    phones_share: float
    participations_share: float
    updates_share: float


@dataclass(frozen=True)
class Summary:
    """A run on a fleet. Energies are J and NaN where training was not measured; unmeasured phases are left out of sums.

    ``hours`` are from the begin of the clock to the end of the last round; ``idle_s`` is the part between rounds, when
    nobody was ready (and the pause after a void round that took no time). ``energy_j`` is of all phones together,
    ``participation_j`` of a client-round, ``phone_j`` of a phone of the fleet, ``registered_j`` of a registered client
    (paper mode's N), all means; ``active_median_j`` and ``active_95_j`` are over the phones that took part.
    ``wasted_s_share`` is of the work (download, train, upload), ``wasted_j_share`` of ``energy_j``, waiting included.
    ``suspended_share`` and ``wait_share`` are of the phones' time from being asked to the end of the round.
    ``took_part`` phones were ever asked, ``delivered`` made an update. ``jain_*``: see ``jain``.
    """

    hours: float
    idle_s: float
    rounds: int
    void: int
    wanted: int
    updates: int
    updates_wanted: int
    participations: int
    energy_j: float
    participation_j: float
    phone_j: float
    registered_j: float
    active_median_j: float
    active_95_j: float
    phases: tuple[Phase, ...]
    wasted_s: float
    wasted_j: float
    wasted_s_share: float
    wasted_j_share: float
    outcomes: tuple[Outcome, ...]
    suspended_s: float
    suspended_share: float
    wait_share: float
    phones: int
    took_part: int
    delivered: int
    never_ready: int
    jain_participations: float
    jain_updates: float
    tiers: tuple[Group, ...]
    models: tuple[Group, ...]

    @property
    def counted(self) -> int:
        """How many rounds were not void."""
        return self.rounds - self.void

    @property
    def ended(self) -> bool:
        """Whether as many rounds counted as were wanted."""
        return self.counted >= self.wanted

    @property
    def completion(self) -> float:
        """The share of client-rounds that are done; NaN without any."""
        return _ratio(self.outcomes[OUTCOMES.index("done")].participations, self.participations)

    @property
    def updates_share(self) -> float:
        """Updates that were made, of those wanted; above 1 where rounds took more than a cohort."""
        return _ratio(self.updates, self.updates_wanted)

    @property
    def took_part_share(self) -> float:
        """The share of the fleet's phones that were ever asked."""
        return _ratio(self.took_part, self.phones)


def summarize(
    fleet: Fleet, clients: "pd.DataFrame", rounds: "pd.DataFrame", *, wanted: int, cohort: int, registered: int,
    begin_s: float = 0.0,
) -> Summary:  # fmt: skip
    """Return what the tables of ``fl_sim.fleet_log`` come to, of a run whose clock began at ``begin_s``.

    ``wanted`` rounds of ``cohort`` updates were asked for; ``registered`` is N. Raises ValueError for counts below 1, a
    log without rounds, and one that names phones that the fleet has not.
    """
    for name, value in (("wanted", wanted), ("cohort", cohort), ("registered", registered), ("rounds", len(rounds))):
        if value < 1:
            message = f"{name} must be at least 1 (got {value}); there is nothing to sum up without"
            raise ValueError(message)
    phone = clients["phone"].to_numpy(np.int64)
    if len(phone) and not 0 <= phone.min() <= phone.max() < fleet.phones:
        message = f"phone must be from 0 to {fleet.phones - 1} (got {phone.min()} to {phone.max()}); "
        raise ValueError(message + "give the fleet of the log")
    done = (clients["outcome"] == "done").to_numpy()
    asked, updates = _by_phone(fleet, phone), _by_phone(fleet, phone[done])
    phases = tuple(Phase(name, _sum(clients, f"{name}_s"), _sum(clients, f"{name}_j")) for name in PHASES)
    client_j = _client_j(clients)
    active_j = np.bincount(phone, weights=client_j, minlength=fleet.phones)[asked > 0]
    energy_j = float(client_j.sum())
    work_s = sum(phase.time_s for phase in phases if phase.name in WORK)
    wait_s, suspended_s = phases[PHASES.index("wait")].time_s, _sum(clients, "suspended_s")
    wasted_s, wasted_j = _sum(clients, "wasted_s"), _sum(clients, "wasted_j")
    ends_s = np.append(begin_s, rounds["end_s"].to_numpy(np.float64))
    everybody = np.arange(fleet.phones)
    return Summary(
        hours=float(ends_s[-1] - begin_s) / 3600,
        idle_s=float((rounds["begin_s"].to_numpy(np.float64) - ends_s[:-1]).sum()),
        rounds=len(rounds),
        void=int(rounds["void"].sum()),
        wanted=wanted,
        updates=int(done.sum()),
        updates_wanted=wanted * cohort,
        participations=len(phone),
        energy_j=energy_j,
        participation_j=_ratio(energy_j, len(phone)),
        phone_j=energy_j / fleet.phones,
        registered_j=energy_j / registered,
        active_median_j=float(np.quantile(active_j, 0.5)) if len(active_j) else np.nan,
        active_95_j=float(np.quantile(active_j, 0.95)) if len(active_j) else np.nan,
        phases=phases,
        wasted_s=wasted_s,
        wasted_j=wasted_j,
        wasted_s_share=_ratio(wasted_s, work_s),
        wasted_j_share=_ratio(wasted_j, energy_j),
        outcomes=_outcomes(clients),
        suspended_s=suspended_s,
        suspended_share=_ratio(suspended_s, work_s + suspended_s + wait_s),
        wait_share=_ratio(wait_s, work_s + suspended_s + wait_s),
        phones=fleet.phones,
        took_part=int((asked > 0).sum()),
        delivered=int((updates > 0).sum()),
        never_ready=0 if fleet.availability is None else int(never_ready(fleet, everybody).sum()),
        jain_participations=jain(asked),
        jain_updates=jain(updates),
        tiers=_groups(fleet, fleet.hardware.tiers, asked, updates),
        models=_groups(fleet, fleet.hardware.models, asked, updates),
    )


def jain(counts: Counts) -> float:
    """Return Jain's index of fairness, (sum x)^2 / (n sum x^2): 1 if all have the same, 1/n if one has everything.

    NaN where nobody has anything. Jain, Chiu, Hawe: A Quantitative Measure of Fairness, DEC TR-301, 1984.
    """
    values = counts.astype(np.float64)
    return _ratio(float(values.sum()) ** 2, len(values) * float(np.square(values).sum()))


def _client_j(clients: "pd.DataFrame") -> Floats:
    """Return the joules of each client-round in the phases that were measured; NaN where training was not."""
    total_j: Floats = clients["train_j"].to_numpy(np.float64).copy()
    for name in ("download_j", "upload_j", "wait_j"):
        values = clients[name].to_numpy(np.float64)
        if not np.isnan(values).all():
            total_j += values
    return total_j


def _outcomes(clients: "pd.DataFrame") -> tuple[Outcome, ...]:
    ends = clients["outcome"].to_numpy()
    wasted_s, wasted_j = clients["wasted_s"].to_numpy(np.float64), clients["wasted_j"].to_numpy(np.float64)
    chosen = {name: ends == name for name in OUTCOMES}
    return tuple(
        Outcome(name, int(these.sum()), float(wasted_s[these].sum()), float(wasted_j[these].sum()))
        for name, these in chosen.items()
    )


def _groups(fleet: Fleet, names: tuple[str, ...], asked: Counts, updates: Counts) -> tuple[Group, ...]:
    """Return the kinds of hardware of one name as a group, the largest first, equals by name."""
    labels, place_of = np.unique([name or UNKNOWN for name in names], return_inverse=True)
    group_of = place_of.reshape(-1)[fleet.hardware_of]
    phones, participations, delivered = (
        np.bincount(group_of, weights=values, minlength=len(labels)) for values in (None, asked, updates)
    )
    found = [
        Group(
            str(label),
            int(phones[place]),
            float(phones[place] / fleet.phones),
            _ratio(participations[place], participations.sum()),
            _ratio(delivered[place], delivered.sum()),
        )
        for place, label in enumerate(labels)
        if phones[place]
    ]
    return tuple(sorted(found, key=lambda group: (-group.phones, group.name)))


def _by_phone(fleet: Fleet, phones: Counts) -> Counts:
    return np.bincount(phones, minlength=fleet.phones).astype(np.int64)


def _sum(clients: "pd.DataFrame", name: str) -> float:
    return float(clients[name].to_numpy(np.float64).sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
