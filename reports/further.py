"""Further rows of Table 4: a person's own phones, and everybody's phones under rounds from a training run."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from costmodel.batch import BatchCost
from costmodel.round import PhasePower
from costmodel.workload import Workload, workloads
from fl_sim.method import METHODS, REGISTRY
from fl_sim.plan import read_plan, with_rounds
from fl_sim.reading import Reading
from fl_sim.rounds import Rounds
from profiler.names import fold, printable
from reports.table import Cell, Column, Table, number
from reports.table4 import NO_CHANGES, NOT_COUNTED, Changes, Row4, overlap_notes, row_figures

MeasuredRounds = Mapping[tuple[str, str], Rounds]


def further_rows(
    costs: Sequence[BatchCost],
    reading: Reading,
    measured: MeasuredRounds | None = None,
    changes: Changes = NO_CHANGES,
) -> tuple[Row4, ...]:
    """Return a row for every workload, method and phone that fit together.

    A cost fits a workload with the same model, data set and batch size, and a method with the same precision.
    Rounds come from ``measured`` if given, else from ``reading``; a method without rounds has no row.
    """
    rows = []
    for workload in workloads().values():
        for method in (METHODS if measured is None else REGISTRY).values():
            plan = read_plan(reading, workload, method)
            run = None if measured is None else measured.get((method.name, workload.name))
            if run is not None:
                plan = with_rounds(plan, run)
            elif measured is not None or plan.rounds is None:
                continue
            fitting = [cost for cost in costs if cost.precision == method.precision and fits(cost, workload)]
            names = [f"{method.title} on {cost.device} {cost.processor}" for cost in fitting]
            for cost, name in zip(fitting, names, strict=True):
                title = f"{name} ({cost.conditions or 'no conditions'})" if names.count(name) > 1 else name
                result, changed = changes.converge(plan, cost)
                rows.append(Row4(workload, method, title, result, run=run, overlap=changed.how))
    return tuple(rows)


def fits(cost: BatchCost, workload: Workload) -> bool:
    """Return whether a cost was measured on the workload's model, data set and batch size."""
    names = (fold(cost.model), fold(cost.dataset), cost.batch_size)
    return names == (fold(workload.model), fold(workload.dataset), workload.batch_size)


def further_table(rows: Sequence[Row4], reading: Reading, rounds_from: str | None, changes: Changes) -> Table:
    """Return further rows of Table 4; ``rounds_from`` names the file of measured rounds, None is the paper's rounds."""
    mode = changes.mode("paper's rounds, own costs" if rounds_from is None else "measured")
    accuracies = [None if row.run is None else row.run.accuracy_pct for row in rows]
    return Table(
        name=f"table4_own_{reading.name}",
        title=f"Table 4, further rows, reading {reading.name}",
        mode=mode,
        units="T in hours, E in kJ per client averaged over all clients, phases in seconds of one round",
        columns=(
            Column("data set"),
            Column("method and phone"),
            *(Column(title, numeric=True) for title in ("rounds", "epochs")),
            Column("acc. (%)", numeric=True, spare=True),
            *(Column(title, numeric=True) for title in ("T (h)", "E (kJ)")),
            *(Column(phase, numeric=True, spare=True) for phase in ("download", "train", "upload")),
            Column("cost from", spare=True),
        ),
        rows=tuple(
            (
                Cell(row.workload.dataset),
                Cell(printable(row.title)),
                Cell(f"{row.result.plan.rounds}"),
                Cell(f"{row.result.plan.epochs}"),
                number(accuracy),
                number(row.result.time_h),
                number(row.result.client_kj),
                number(float(row.result.round.download_s)),
                number(float(row.result.round.train_s)),
                number(float(row.result.round.upload_s)),
                Cell(_origin(row.result.batch), "warn" if row.result.batch.provenance == "inferred" else "faint"),
            )
            for row, accuracy in zip(rows, accuracies, strict=True)
        ),
        data=pd.DataFrame([row_figures(row) for row in rows]).assign(
            accuracy_pct=pd.Series(accuracies, dtype="float64"), mode=mode, reading=reading.name
        ),
        notes=tuple(_further_notes(rows, reading, rounds_from, changes)),
    )


def _further_notes(rows: Sequence[Row4], reading: Reading, rounds_from: str | None, changes: Changes) -> Iterator[str]:
    if rounds_from is None:
        yield "Rounds: inferred from the paper, the learning is not re-run."
    else:
        runs = list(dict.fromkeys(row.run for row in rows if row.run is not None))
        sources = ", ".join(dict.fromkeys(printable(run.source) for run in runs if run.source))
        yield f"Rounds: measured in training, from {rounds_from}" + (f" ({sources})." if sources else ".")
        found = dict.fromkeys(row.workload for row in rows)
        taken = [name for name in ("epochs", "clients_per_round") if any(getattr(run, name) is None for run in runs)]
        yield (
            f"Taken from reading {reading.name}, inferred and not measured: {', '.join([*taken, 'payload bytes'])}."
            " The other reading has others."
        )
        holds = (f"{each.dataset} {each.clients:,} clients of {each.samples_per_client:g} samples" for each in found)
        yield f"As in the paper, whoever took part in your training: {', '.join(holds)}."
    if changes.words:
        yield f"Changed: {changes.words}."
    yield from overlap_notes(changes)
    if changes.pipelining.overlap != "as-measured":
        left = sorted({row.title for row in rows if row.overlap.startswith("left as measured")})
        if left:
            yield f"Left as measured, because no stages were: {printable('; '.join(left), 300)}."
    yield "A dash means not measured."
    yield NOT_COUNTED.format(", ".join(PhasePower().not_counted))


def _origin(batch: BatchCost) -> str:
    """Return the table a cost is from; its source is in the CSV."""
    return printable(batch.table, 30) + (" (inferred)" if batch.provenance == "inferred" else "")
