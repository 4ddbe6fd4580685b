"""The cells of Table 4 in fleet mode: each of its rows on a fleet, one factor of heterogeneity at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from costmodel.batch import BatchCost, find_batch_cost
from fl_sim.device_map import PAPER_TIERS, Mapped
from fl_sim.factors import FACTORS, Factor, with_factors
from fl_sim.fleet_plan import paper_plan
from fl_sim.fleet_run import fleet_rounds
from fl_sim.reading import Reading
from fl_sim.rules import Interruption, Rules
from fl_sim.selection import open_selector
from reports.table4 import Row4, paper_costs, paper_rows
from traces.fleet import Fleet
from traces.hardware import TIERS

Floats = npt.NDArray[np.float64]
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Setting:
    """A column of the table: what differs between phones, and whether rounds have a deadline."""

    name: str
    factors: tuple[Factor, ...]
    deadline: bool = False


SETTINGS = (
    *(Setting(name, (name,)) for name in FACTORS),
    Setting("all three", FACTORS),
    Setting("with a deadline", FACTORS, deadline=True),
)


@dataclass(frozen=True)
class Deadline:
    """Seconds, or so many times as long as a client-round takes in paper mode."""

    value: float
    of_paper: bool

    def seconds(self, row: Row4) -> float:
        """Return the deadline of a row in s."""
        return self.value * float(row.result.round.busy_s) if self.of_paper else self.value

    @property
    def words(self) -> str:
        """The deadline in words."""
        return f"{self.value:g} x the row's client-round in paper mode" if self.of_paper else f"{self.value:g} s"


def read_deadline(text: str) -> Deadline:
    """Return the deadline that ``2x`` or ``90s`` names. Raises ValueError for another text or nothing above 0."""
    stripped = text.strip()
    number, unit = stripped[:-1], stripped[-1:]
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if unit not in ("x", "s") or not 0 < value <= 1e9:
        message = f"deadline must be a number above 0 with s or x, such as 90s or 2x (got {text[:40]!r}); "
        raise ValueError(message + "2x is twice as long as a client-round takes in paper mode")
    return Deadline(value, unit == "x")


@dataclass(frozen=True, eq=False)
class Request:
    """``fleets`` has one entry for each seed, drawn from ``name``."""

    name: str
    fleets: tuple[Fleet, ...]
    reading: Reading
    deadline: Deadline
    workloads: tuple[str, ...] = ()
    interrupted: Interruption = "suspend"

    @property
    def rows(self) -> tuple[Row4, ...]:
        """The rows of Table 4 that are asked for."""
        every = paper_rows(self.reading)
        return tuple(row for row in every if not self.workloads or row.workload.name in self.workloads)


@dataclass(frozen=True, eq=False)
class Found:
    """A row in a setting, float64 [seeds]: hours, kJ a client (over the N of paper mode), shares.

    ``wasted`` is the share of the joules that went into no update, ``filled`` the updates for each one wanted,
    ``tried`` the rounds for each one that counts.
    """

    row: Row4
    setting: Setting
    time_h: Floats
    client_kj: Floats
    wasted: Floats
    filled: Floats
    tried: Floats


def fleet_cells(request: Request, tell: Tell = lambda _done, _all: None) -> tuple[Found, ...]:
    """Return every row in every setting; ``tell`` is told how many of all runs are done.

    Rows on the DSP have the fleet's mix of phones where hardware differs, so Q-FedUpdate (L), (M) and (H) are one
    there. Rows on the CPU keep their phone: no other one was measured.
    """
    rows, seeds = request.rows, range(len(request.fleets))
    made: dict[tuple[object, ...], tuple[float, ...]] = {}
    found, done, total = [], 0, len(rows) * len(SETTINGS) * len(request.fleets)
    for row in rows:
        for setting in SETTINGS:
            figures = []
            for seed in seeds:
                key = (*_alike(request, row, setting), seed)
                if key not in made:
                    made[key] = _run(request, row, setting, seed)
                figures.append(made[key])
                done += 1
                tell(done, total)
            found.append(Found(row, setting, *np.array(figures).T))
    return tuple(found)


def _alike(request: Request, row: Row4, setting: Setting) -> tuple[object, ...]:
    """Return what rows share that are one in a setting; their deadlines may differ."""
    device = "" if mixed(row, setting) else row.result.batch.device
    batch = row.result.batch
    deadline_s = request.deadline.seconds(row) if setting.deadline else None
    return row.workload.name, row.method.name, device, batch.processor, batch.precision, setting.name, deadline_s


def mixed(row: Row4, setting: Setting) -> bool:
    """Return whether a row has the fleet's mix of phones in a setting."""
    return "hardware" in setting.factors and row.result.batch.processor == "dsp"


def _run(request: Request, row: Row4, setting: Setting, seed: int) -> tuple[float, ...]:
    plan = row.result.plan
    fleet = with_factors(request.fleets[seed], setting.factors, plan.bandwidth_bit_per_s)
    load = paper_plan(request.reading, row.workload, row.method).load(Mapped(_kind_costs(fleet, row, setting), ()))
    rules = Rules(
        cohort=plan.clients_per_round,
        interrupted=request.interrupted,
        deadline_s=request.deadline.seconds(row) if setting.deadline else None,
    )
    selector = open_selector("available", fleet, load, rules)
    wanted = plan.rounds or 1
    end_s, joules, wasted_j, updates, tried, counted = 0.0, 0.0, 0.0, 0, 0, 0
    for each in fleet_rounds(fleet, load, rules, selector, wanted, seed):
        clients = each.clients
        end_s, tried = each.end_s, tried + 1
        joules += float(clients.train_j.sum())
        wasted_j += float(clients.wasted_j.sum())
        updates += each.updates
        counted += each.updates > 0
    wasted = wasted_j / joules if joules else 0.0
    if counted < wanted:
        end_s = joules = float("inf")  # it gave up: nearly all rounds are void
    filled = updates / (tried * plan.clients_per_round)
    return end_s / 3600, joules / plan.clients / 1e3, wasted, filled, tried / wanted


def _kind_costs(fleet: Fleet, row: Row4, setting: Setting) -> tuple[BatchCost, ...]:
    """Return the batch cost of each kind of hardware: the row's, or that of the tier's phone in Table 3."""
    batch = row.result.batch
    if not mixed(row, setting):
        return (batch,) * len(fleet.hardware)
    return tuple(
        find_batch_cost(
            paper_costs(), device=_device(fleet, kind), model=batch.model, dataset=batch.dataset,
            processor=batch.processor, precision=batch.precision,
        )
        for kind in range(len(fleet.hardware))
    )  # fmt: skip


def _device(fleet: Fleet, kind: int) -> str:
    tier = fleet.hardware.tiers[kind]
    if tier not in PAPER_TIERS:
        message = (
            f"fleet {fleet.name[:60]!r} has hardware of unknown tier ({fleet.hardware.models[kind][:60]!r}); Table 4 "
            f"needs every phone in a tier ({', '.join(TIERS)}): give another fleet"
        )
        raise ValueError(message)
    return PAPER_TIERS[tier]
