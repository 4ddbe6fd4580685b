"""Table 4: hours and kilojoules to converge, computed beside printed, and further rows for a person's own phones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from costmodel.batch import BatchCost, batch_costs, find_batch_cost
from costmodel.overlap import AS_MEASURED, Pipelined, Pipelining, pipelined
from costmodel.round import BatchRule, PhasePower
from costmodel.workload import Workload, workloads
from fl_sim.converge import Convergence, converge
from fl_sim.method import METHODS, Method
from fl_sim.plan import Plan, read_plan
from fl_sim.reading import Reading
from fl_sim.rounds import Rounds
from profiler.table import paper_table
from reports.printed import Row, printed_table
from reports.table import VERDICT, Cell, Column, Table, fixed, verdict_cell
from reports.verdict import Verdict, judge
from traces.network import format_rate

MeasuredRounds = Mapping[tuple[str, str], Rounds]
NOT_COUNTED = (
    "Energy counts training, which is what the tables measured. Not counted: {}. Time holds no server work, no"
    " stragglers and no absence: every client is the same phone with the same share of the data."
)
_INFERRED_TIME = "* the batch time of this row is inferred from this very cell, so the cell checks nothing."
_FITTED = (
    "Rounds, epochs and clients per round are inferred from these cells and six percentages of the text: that they"
    " close says that the arithmetic is understood, not that a training run needs those rounds."
)


@dataclass(frozen=True)
class Changes:
    """What a person changed about every plan; None leaves the reading's value."""

    bandwidth_bit_per_s: float | None = None
    batches: BatchRule | None = None
    pipelining: Pipelining = AS_MEASURED

    def apply(self, plan: Plan) -> Plan:
        """Return the plan with the changes."""
        given: dict[str, Any] = {"bandwidth_bit_per_s": self.bandwidth_bit_per_s, "batches": self.batches}
        return replace(plan, **{name: value for name, value in given.items() if value is not None})

    def converge(self, plan: Plan, cost: BatchCost) -> tuple[Convergence, Pipelined]:
        """Return what the changed plan costs with the changed batch cost, and how that came about."""
        changed = self.apply(plan)
        batch = pipelined(cost, self.pipelining, changed.epochs)
        return converge(changed, batch.cost), batch

    @property
    def words(self) -> str:
        """The changes in words: ``bandwidth 5 Mbit/s, batches ceil``; empty if there are none."""
        rate = None if self.bandwidth_bit_per_s is None else f"bandwidth {format_rate(self.bandwidth_bit_per_s)}"
        rule = None if self.batches is None else f"batches {self.batches}"
        return ", ".join(filter(None, (rate, rule, self.pipelining.words)))

    def mode(self, base: str) -> str:
        """Return the mode of a table that is ``base`` but for the changes."""
        return f"{base}, inputs changed" if self.words else base


NO_CHANGES = Changes()


@dataclass(frozen=True)
class Row4:
    """One computed row of Table 4; ``printed`` is the row it stands beside, ``run`` a training run it is made of."""

    workload: Workload
    method: Method
    title: str
    result: Convergence
    printed: Row | None = None
    run: Rounds | None = None
    overlap: str = "as measured"


def paper_costs() -> tuple[BatchCost, ...]:
    """Return the published per-batch costs of Tables 2 and 3."""
    return batch_costs({f"table{number}.csv": paper_table(f"table{number}") for number in (2, 3)})


def paper_rows(reading: Reading, changes: Changes = NO_CHANGES) -> tuple[Row4, ...]:
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
        result, changed = changes.converge(read_plan(reading, workload, method), batch)
        rows.append(Row4(workload, method, printed["row"], result, printed, overlap=changed.how))
    return tuple(rows)


def table4(reading: Reading, changes: Changes = NO_CHANGES) -> Table:
    """Return Table 4 in paper mode: all 36 cells computed / printed / verdict.

    With ``changes`` the cells are no reproduction any more and the verdicts say so.
    """
    judged: Callable[[float, str], Verdict] = (
        (lambda _value, _printed: Verdict.OTHER_INPUTS) if changes.words else judge
    )
    verdicts: list[Verdict] = []
    rows, data = [], []
    for row in paper_rows(reading, changes):
        result, printed = row.result, row.printed or {}
        if result.time_h is None:
            message = f"reading {reading.name!r} has no rounds for {row.method.name} on {row.workload.name}"
            raise ValueError(message)
        inferred = result.batch.provenance == "inferred"
        pair = judged(result.time_h, printed["time_h"]), judged(result.client_kj or 0.0, printed["energy_kj"])
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
            row_figures(row)
            | {"time_h_printed": printed["time_h"], "time_verdict": pair[0].value}
            | {"energy_kj_printed": printed["energy_kj"], "energy_verdict": pair[1].value}
            | {"accuracy_pct_printed": printed["accuracy_pct"]}
        )
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in Verdict if verdict in verdicts)
    mode = changes.mode("paper")
    return Table(
        name=f"table4_{reading.name}",
        title=f"Table 4. Time and energy to converge, reading {reading.name}",
        mode=mode,
        units="time in hours, energy in kJ per client averaged over all clients, accuracy in % as printed",
        columns=(
            Column("data set"),
            Column("method"),
            Column("rounds", numeric=True),
            Column("acc.", numeric=True, spare=True),
            *(Column("T (h)", numeric=True), Column("printed", numeric=True), VERDICT),
            *(Column("E (kJ)", numeric=True), Column("printed", numeric=True), VERDICT),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(mode=mode, reading=reading.name),
        headline=f"{len(verdicts)} cells: {counts}.",
        notes=(
            *([f"Changed: {changes.words}."] if changes.words else []),
            *overlap_notes(changes),
            f"Reading {reading.name}: {reading.title} ({reading.source}).",
            _FITTED,
            _INFERRED_TIME,
            NOT_COUNTED.format(", ".join(PhasePower().not_counted)),
        ),
    )


def overlap_notes(changes: Changes) -> tuple[str, ...]:
    """Return what a person should know about overlap that was switched on or off."""
    how = changes.pipelining
    if how.overlap == "as-measured":
        return ()
    notes = [
        f"Overlap {how.overlap}: published DSP rows get stage times from reading {how.reading.upper()} of the 25 ms"
        " transfer (inferred; E, F and G fit Table 2 and differ: for FEMNIST F saves four times as much as the others);"
        " rows on the CPU have nothing to overlap. F's INT8 model is 3.75 or 0.4 MB under both readings of Table 4."
    ]
    if how.idle_w is None:
        notes.append(
            "Where overlap changes a time, the energy changes by idle power times that: unknown (a dash) unless"
            " --idle-power-w, or the table's power_idle_mw, gives it."
        )
    return tuple(notes)


def row_figures(row: Row4) -> dict[str, object]:
    """Return a row's figures at full precision, with the breakdown of a client-round by phase."""
    result, plan, batch = row.result, row.result.plan, row.result.batch
    return {
        "workload": row.workload.name,
        "row": row.title,
        "method": row.method.name,
        "device": batch.device,
        "processor": batch.processor,
        "precision": batch.precision,
        "conditions": batch.conditions,
        "batch_time_ms": batch.time_ms,
        "batch_energy_mj": batch.energy_mj,
        "overlap": row.overlap,
        "provenance": batch.provenance,
        "source": batch.source,
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
