"""Table 4: hours and kilojoules to converge, computed beside printed, and further rows for a person's own phones."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from costmodel.batch import BatchCost, batch_costs, find_batch_cost
from costmodel.round import BatchRule, PhasePower
from costmodel.workload import Workload, workloads
from fl_sim.converge import Convergence, converge
from fl_sim.method import METHODS, Method
from fl_sim.plan import Plan, read_plan, with_rounds
from fl_sim.reading import Reading
from fl_sim.rounds import Rounds
from profiler.names import fold, printable
from profiler.table import paper_table
from reports.printed import Row, printed_table
from reports.table import Cell, Column, Table, fixed, number, verdict_cell
from reports.verdict import Verdict, judge

MeasuredRounds = Mapping[tuple[str, str], Rounds]
_NOT_COUNTED = (
    "Energy counts training, which is what the tables measured. Not counted: {}. Time holds no server work, no"
    " stragglers and no absence: every client is the same phone with the same share of the data."
)
_INFERRED_TIME = "* the batch time of this row is inferred from this very cell, so the cell checks nothing."


@dataclass(frozen=True)
class Changes:
    """What a person changed about every plan; None leaves the reading's value."""

    bandwidth_bit_per_s: float | None = None
    batches: BatchRule | None = None

    def apply(self, plan: Plan) -> Plan:
        """Return the plan with the changes."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(plan, **given)


@dataclass(frozen=True)
class Row4:
    """One computed row of Table 4; ``printed`` is the row it stands beside, ``accuracy_pct`` from a training run."""

    workload: Workload
    method: Method
    title: str
    result: Convergence
    printed: Row | None = None
    accuracy_pct: float | None = None


def paper_costs() -> tuple[BatchCost, ...]:
    """Return the published per-batch costs of Tables 2 and 3."""
    return batch_costs({f"table{number}.csv": paper_table(f"table{number}") for number in (2, 3)})


def paper_rows(reading: Reading, changes: Changes = Changes()) -> tuple[Row4, ...]:
    """Return the paper's 18 rows (three data sets, six settings), computed from its per-batch costs."""
    costs = paper_costs()
    rows = []
    for printed in printed_table(4):
        workload, method = workloads()[printed["workload"]], METHODS[printed["method"]]
        batch = find_batch_cost(
            costs,
            device=printed["device"],
            model=workload.model,
            dataset=workload.dataset,
            processor=printed["processor"],
            precision=printed["precision"],
        )
        plan = changes.apply(read_plan(reading, workload, method))
        rows.append(Row4(workload, method, printed["row"], converge(plan, batch), printed))
    return tuple(rows)


def further_rows(
    costs: Iterable[BatchCost],
    reading: Reading,
    measured: MeasuredRounds | None = None,
    changes: Changes = Changes(),
) -> tuple[Row4, ...]:
    """Return a row for every workload, method and phone that fit together.

    A cost fits a workload with the same model, data set and batch size, and a method with the same precision.
    Rounds come from ``measured`` if given, else from ``reading``; a method without rounds has no row.
    """
    rows = []
    for workload in workloads().values():
        for method in METHODS.values():
            plan = read_plan(reading, workload, method)
            run = None if measured is None else measured.get((method.name, workload.name))
            if run is not None:
                plan = with_rounds(plan, run)
            elif measured is not None or plan.rounds is None:
                continue
            rows += [
                Row4(
                    workload,
                    method,
                    f"{method.title} on {cost.device} {cost.processor}",
                    converge(changes.apply(plan), cost),
                    accuracy_pct=None if run is None else run.accuracy_pct,
                )
                for cost in costs
                if cost.precision == method.precision and fits(cost, workload)
            ]
    return tuple(rows)


def fits(cost: BatchCost, workload: Workload) -> bool:
    """Return whether a cost was measured on the workload's model, data set and batch size."""
    names = (fold(cost.model), fold(cost.dataset), cost.batch_size)
    return names == (fold(workload.model), fold(workload.dataset), workload.batch_size)


def table4(reading: Reading, changes: Changes = Changes()) -> Table:
    """Return Table 4 in paper mode: all 36 cells computed / printed / verdict.

    With ``changes`` the cells are no reproduction any more and the verdicts say so.
    """
    changed = changes != Changes()
    judged: Callable[[float, str], Verdict] = (lambda _value, _printed: Verdict.OTHER_INPUTS) if changed else judge
    verdicts: list[Verdict] = []
    rows, data = [], []
    for row in paper_rows(reading, changes):
        result, printed = row.result, row.printed or {}
        if result.time_h is None or result.client_kj is None:
            message = f"reading {reading.name!r} has no rounds for {row.method.name} on {row.workload.name}"
            raise ValueError(message)
        inferred = result.batch.provenance == "inferred"
        pair = judged(result.time_h, printed["time_h"]), judged(result.client_kj, printed["energy_kj"])
        verdicts += pair
        rows.append(
            (
                Cell(row.workload.dataset),
                Cell(row.title),
                Cell(f"{result.plan.rounds}"),
                Cell(printed["accuracy_pct"], "faint"),
                Cell(fixed(result.time_h, 4).text + ("*" if inferred else "")),
                Cell(printed["time_h"], "faint"),
                verdict_cell(pair[0]),
                fixed(result.client_kj, 4),
                Cell(printed["energy_kj"], "faint"),
                verdict_cell(pair[1]),
            )
        )
        data.append(
            _figures(row)
            | {"time_h_printed": printed["time_h"], "time_verdict": pair[0].value}
            | {"energy_kj_printed": printed["energy_kj"], "energy_verdict": pair[1].value}
            | {"accuracy_pct_printed": printed["accuracy_pct"]}
        )
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict if verdict in verdicts)
    mode = "what-if on paper mode" if changed else "paper"
    return Table(
        name=f"table4_{reading.name}",
        title=f"Table 4. Time and energy to converge, reading {reading.name}",
        mode=mode,
        units="time in hours, energy in kJ per client averaged over all clients, accuracy in % as printed",
        columns=(
            Column("data set"),
            Column("method"),
            Column("rounds", numeric=True),
            Column("acc.", numeric=True),
            *(Column("T (h)", numeric=True), Column("printed", numeric=True), Column("verdict")),
            *(Column("E (kJ)", numeric=True), Column("printed", numeric=True), Column("verdict")),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(mode=mode, reading=reading.name),
        notes=(
            f"{len(verdicts)} cells: {counts}.",
            f"Reading {reading.name}: {reading.title} ({reading.source}).",
            _INFERRED_TIME,
            _NOT_COUNTED.format(", ".join(PhasePower().not_counted)),
        ),
    )


def further_table(rows: Iterable[Row4], reading: Reading, mode: str, rounds_from: str) -> Table:
    """Return further rows of Table 4. ``mode`` and ``rounds_from`` say what they are made of."""
    rows = tuple(rows)
    return Table(
        name=f"table4_own_{reading.name}",
        title=f"Table 4, further rows, reading {reading.name}",
        mode=mode,
        units="T in hours, E in kJ per client averaged over all clients, phases in seconds of one round",
        columns=(
            Column("data set"),
            Column("method and phone"),
            *(Column(title, numeric=True) for title in ("rounds", "epochs", "acc. (%)", "T (h)", "E (kJ)")),
            *(Column(phase, numeric=True) for phase in ("download", "train", "upload")),
            Column("cost from"),
        ),
        rows=tuple(
            (
                Cell(row.workload.dataset),
                Cell(printable(row.title)),
                Cell(f"{row.result.plan.rounds}"),
                Cell(f"{row.result.plan.epochs}"),
                number(row.accuracy_pct),
                fixed(row.result.time_h, 4),
                fixed(row.result.client_kj, 4),
                number(float(row.result.round.download_s)),
                number(float(row.result.round.train_s)),
                number(float(row.result.round.upload_s)),
                Cell(
                    printable(f"{row.result.batch.table}: {row.result.batch.provenance or 'not stated'}"),
                    "faint",
                ),
            )
            for row in rows
        ),
        data=pd.DataFrame([_figures(row) | {"accuracy_pct": row.accuracy_pct} for row in rows]).assign(
            mode=mode, reading=reading.name
        ),
        notes=(
            f"Rounds: {rounds_from}.",
            "A dash means not measured.",
            _NOT_COUNTED.format(", ".join(PhasePower().not_counted)),
        ),
    )


def _figures(row: Row4) -> dict[str, object]:
    """Return a row's figures at full precision, with the breakdown of a client-round by phase."""
    result, plan, batch = row.result, row.result.plan, row.result.batch
    return {
        "workload": row.workload.name,
        "row": row.title,
        "method": row.method.name,
        "device": batch.device,
        "processor": batch.processor,
        "precision": batch.precision,
        "batch_time_ms": batch.time_ms,
        "batch_energy_mj": batch.energy_mj,
        "provenance": batch.provenance,
        "rounds": plan.rounds,
        "epochs": plan.epochs,
        "clients_per_round": plan.clients_per_round,
        "clients": plan.clients,
        "download_s": float(result.round.download_s),
        "train_s": float(result.round.train_s),
        "upload_s": float(result.round.upload_s),
        "wait_s": float(result.round.wait_s),
        "train_j": None if result.round.train_j is None else float(result.round.train_j),
        "time_h": result.time_h,
        "energy_kj": result.client_kj,
    }
