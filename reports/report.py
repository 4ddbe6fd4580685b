"""A report: what one run of ``fedjoule tables`` shows, computed whole before anything is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from costmodel.batch import BatchCost, batch_costs
from costmodel.overlap import measured_stages, without_twins
from costmodel.workload import workloads
from fl_sim.method import METHODS
from fl_sim.reading import Reading, find_reading, readings
from fl_sim.rounds import rounds_of
from profiler.names import printable
from profiler.plausibility import plausibility_warnings
from profiler.sheet import file_name, read_sheet
from profiler.table import table_of
from reports.batch_table import batch_table, own_batch_table, stage_table
from reports.claims import claims_table
from reports.further import MeasuredRounds, fits, further_rows, further_table
from reports.manifest import Input, Manifest, input_of, manifest
from reports.table import Table
from reports.table4 import Changes, paper_costs, table4
from reports.verdict import Verdict

TABLES = ("1", "2", "3", "4", "stages", "claims")


@dataclass(frozen=True)
class Request:
    """What a person asks for; the empty request is everything in paper mode."""

    tables: tuple[str, ...] = TABLES
    readings: tuple[str, ...] = ()
    measurements: tuple[Path, ...] = ()
    rounds: Path | None = None
    changes: Changes = field(default_factory=Changes)

    @property
    def wanted(self) -> tuple[Reading, ...]:
        """The readings asked for, each once; all if none is named. Raises ValueError for an unknown one."""
        return tuple(find_reading(name) for name in dict.fromkeys(self.readings or readings()))


@dataclass(frozen=True)
class Report:
    """Tables in the order they are shown, what made them, and lines a person should see beside them.

    ``reproduced`` is whether no cell differs from the printed one; ``summary`` says in a few lines how it went.
    """

    tables: tuple[Table, ...]
    manifest: Manifest
    warnings: tuple[str, ...]
    reproduced: bool
    summary: tuple[str, ...]
    request: Request


def read_measurements(paths: Iterable[Path]) -> tuple[dict[str, pd.DataFrame], tuple[Input, ...]]:
    """Return checked measurement tables by file name, and their manifest entries. Raises TableError, ValueError."""
    tables: dict[str, pd.DataFrame] = {}
    inputs = []
    for path in paths:
        name = file_name(path)
        if name in tables:
            message = f"two measurement files are called {name!r}; rename one, because names tell their rows apart"
            raise ValueError(message)
        sheet = read_sheet(path)
        tables[name] = table_of(sheet)
        inputs.append(input_of(name, sheet.raw))
    return tables, tuple(inputs)


def build_report(request: Request) -> Report:
    """Return the report on ``request``: all files read and checked, everything computed, nothing written."""
    shown, inputs = read_measurements(request.measurements)
    own = {name: table[table["provenance"] != "emulated"] for name, table in shown.items()}
    changes = request.changes
    if changes.pipelining.overlap != "as-measured":
        pipelining = replace(changes.pipelining, stages=measured_stages(own))
        changes = replace(changes, pipelining=pipelining)
    costs = without_twins(batch_costs(own), changes.pipelining)
    measured: MeasuredRounds | None = None
    if request.rounds is not None:
        sheet = read_sheet(request.rounds)
        measured, inputs = rounds_of(sheet), (*inputs, input_of(file_name(request.rounds), sheet.raw))

    tables = [batch_table(int(name)) for name in request.tables if name in ("1", "2", "3")]
    if shown and {"2", "3", "4"} & set(request.tables):
        tables.append(own_batch_table(shown))
    used: set[tuple[object, ...]] = set()
    for reading in request.wanted if "4" in request.tables else ():
        tables.append(table4(reading, changes))
        if own or measured is not None:
            phones = costs if measured is None else (*paper_costs(), *costs)
            rows = further_rows(phones, reading, measured, changes)
            used |= {_measurement(row.result.batch) for row in rows}
            rounds_from = None if request.rounds is None else file_name(request.rounds)
            tables += [further_table(rows, reading, rounds_from, changes)] if rows else []
    if "stages" in request.tables:
        tables.append(stage_table())
    if "claims" in request.tables:
        tables.append(claims_table(request.wanted[0]))

    warnings = [line for name, table in own.items() for line in plausibility_warnings(table, name)]
    warnings += [
        f"{name}: {len(table) - len(own[name])} row(s) timed under emulation are shown and go no further: they are no "
        "phone's cost, so no row of Table 4 is computed from them; measure a real phone"
        for name, table in shown.items()
        if len(table) > len(own[name])
    ]
    if "4" in request.tables:
        warnings += [line for name in own if len(own[name]) for line in _unused(name, costs, used, measured)]
    verdicts = [verdict for table in tables for verdict in _verdicts(table)]
    return Report(
        tables=tuple(tables),
        manifest=manifest("fedjoule tables", _parameters(request), inputs),
        warnings=tuple(warnings),
        reproduced=Verdict.DIFFERS.value not in verdicts,
        summary=tuple(f"{table.title}: {table.headline}" for table in tables if table.headline),
        request=request,
    )


def _verdicts(table: Table) -> list[str]:
    columns = [name for name in ("time_verdict", "energy_verdict") if name in table.data]
    return [str(verdict) for name in columns for verdict in table.data[name]]


def _unused(
    name: str, costs: Iterable[BatchCost], used: set[tuple[object, ...]], measured: MeasuredRounds | None
) -> Iterable[str]:
    """Yield a line for every batch cost in a file that has no row in Table 4, and why."""
    mine = [cost for cost in costs if cost.table == name]
    if not mine:
        yield f"{name}: no row of stage 'total', the complete batch, so no row of Table 4 can be computed from it"
    known = "; ".join(f"{each.model} {each.dataset} batch {each.batch_size}" for each in workloads().values())
    precisions = sorted({method.precision for method in METHODS.values()})
    for cost in mine:
        if _measurement(cost) in used:
            continue
        if cost.precision not in precisions:
            why = f"no method here trains in {cost.precision}, only in {' and '.join(precisions)}"
        elif not any(fits(cost, workload) for workload in workloads().values()):
            why = f"Table 4 has {known}; cost it with 'fedjoule cost'"
        else:
            why = "no rounds are given for it" if measured is not None else "no method has rounds for it"
        yield f"{name}: {printable(cost.configuration, 200)} has no row in Table 4: {why}"


def _measurement(cost: BatchCost) -> tuple[object, ...]:
    """Return what tells one measured configuration from another, whatever overlap made of its time."""
    return (cost.table, cost.configuration)


def _parameters(request: Request) -> Mapping[str, object]:
    further = bool(request.measurements) or request.rounds is not None
    return {
        "tables": " ".join(request.tables),
        "readings": " ".join(reading.name for reading in request.wanted),
        "changed": request.changes.words or "nothing",
        "mode": request.changes.mode("paper") + (", and further rows" if further else ""),
    }
