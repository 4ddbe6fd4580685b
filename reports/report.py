"""A report: what one run of ``fedjoule tables`` shows, as tables and as files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from costmodel.batch import BatchCost, batch_costs
from costmodel.workload import workloads
from fl_sim.method import METHODS
from fl_sim.reading import find_reading, readings
from fl_sim.rounds import read_rounds
from profiler.names import printable
from profiler.sheet import read_text
from profiler.table import power_warnings, read_table
from reports.batch_table import batch_table, own_batch_table
from reports.claims import claims_table
from reports.manifest import Input, Manifest, input_of, manifest
from reports.table import Table
from reports.table4 import Changes, fits, further_rows, further_table, paper_costs, paper_rows, table4
from reports.verdict import Verdict

TABLES = ("1", "2", "3", "4", "claims")
FILE_FORMATS = ("markdown", "csv", "latex", "html", "svg", "png")


@dataclass(frozen=True)
class Request:
    """What a person asks for; the empty request is everything in paper mode."""

    tables: tuple[str, ...] = TABLES
    readings: tuple[str, ...] = ()
    measurements: tuple[Path, ...] = ()
    rounds: Path | None = None
    changes: Changes = field(default_factory=Changes)


@dataclass(frozen=True)
class Report:
    """Tables in the order they are shown, what made them, and lines a person should see beside them.

    ``reproduced`` is whether no cell of Table 4 differs from the printed one.
    """

    tables: tuple[Table, ...]
    manifest: Manifest
    warnings: tuple[str, ...]
    reproduced: bool
    request: Request


def read_measurements(paths: Iterable[Path]) -> tuple[dict[str, pd.DataFrame], tuple[Input, ...]]:
    """Return checked measurement tables by file name, and their manifest entries. Raises TableError, ValueError."""
    tables: dict[str, pd.DataFrame] = {}
    inputs = []
    for path in paths:
        name = printable(path.name)
        if name in tables:
            message = f"two measurement files are called {name!r}; rename one, because names tell their rows apart"
            raise ValueError(message)
        tables[name] = read_table(path)
        inputs.append(input_of(name, read_text(path)[1]))
    return tables, tuple(inputs)


def build_report(request: Request) -> Report:
    """Return the report on ``request``: all files read and checked, everything computed, nothing written."""
    own, own_inputs = read_measurements(request.measurements)
    own_costs = batch_costs(own)
    measured = None if request.rounds is None else read_rounds(request.rounds)
    if request.rounds is not None:
        own_inputs += (input_of(printable(request.rounds.name), read_text(request.rounds)[1]),)
    wanted = [find_reading(name) for name in request.readings or readings()]

    tables = [batch_table(int(name)) for name in request.tables if name in ("1", "2", "3")]
    if own:
        tables.append(own_batch_table(own))
    reproduced = True
    if "4" in request.tables:
        for reading in wanted:
            paper = table4(reading, request.changes)
            reproduced &= not bool(
                (paper.data[["time_verdict", "energy_verdict"]] == Verdict.DIFFERS.value).any(axis=None)
            )
            tables.append(paper)
            if own or measured is not None:
                costs = own_costs if measured is None else (*paper_costs(), *own_costs)
                rows = further_rows(costs, reading, measured, request.changes)
                if rows:
                    tables.append(further_table(rows, reading, *_mode(request)))
    if "claims" in request.tables:
        tables.append(claims_table(wanted[0]))
    warnings = [line for name, table in own.items() for line in power_warnings(table, name)]
    warnings += [line for name, table in own.items() for line in _unused(name, table, own_costs)]
    return Report(
        tables=tuple(tables),
        manifest=manifest("fedjoule tables", _parameters(request), own_inputs),
        warnings=tuple(warnings),
        reproduced=reproduced,
        request=request,
    )


def report_files(report: Report, formats: Iterable[str]) -> Mapping[str, bytes]:
    """Return the files of a report in ``formats`` (of FILE_FORMATS) by name, and always ``manifest.json``."""
    chosen = set(formats)
    files: dict[str, str | bytes] = {}
    svg = None
    if "4" in report.request.tables and chosen & {"html", "svg", "png"}:
        from reports.figures import figure6, figure6_data

        data = figure6_data(
            paper_rows(find_reading((report.request.readings or tuple(readings()))[0]), report.request.changes)
        )
        svg, png = figure6(data)
        files |= {"figure6.csv": data.to_csv(index=False, lineterminator="\n")}
        files |= {"figure6.svg": svg} if "svg" in chosen else {}
        files |= {"figure6.png": png} if "png" in chosen else {}
    if "markdown" in chosen:
        from reports.formats.markdown import to_markdown

        files["tables.md"] = to_markdown(report.tables, report.manifest)
    if "latex" in chosen:
        from reports.formats.latex import to_latex

        files["tables.tex"] = to_latex(report.tables, report.manifest)
    if "html" in chosen:
        from reports.formats.page import to_page

        files["tables.html"] = to_page(report.tables, report.manifest, None if svg is None else svg.decode())
    if "csv" in chosen:
        from reports.formats.csv import to_csv

        files |= {f"{table.name}.csv": to_csv(table) for table in report.tables}
    files["manifest.json"] = report.manifest.to_json()
    return {name: text.encode() if isinstance(text, str) else text for name, text in sorted(files.items())}


def _mode(request: Request) -> tuple[str, str]:
    """Return the mode of further rows, and where their rounds are from."""
    if request.rounds is not None:
        return "measured", f"measured in training, from {printable(request.rounds.name)}"
    return "paper's rounds, own costs", "inferred from the paper, the learning is not re-run"


def _unused(name: str, table: pd.DataFrame, costs: Iterable[BatchCost]) -> list[str]:
    """Return a line for every batch cost in a file that has no row in Table 4, and why."""
    mine = [cost for cost in costs if cost.table == name]
    if not mine:
        return [f"{name}: no row of stage 'total', the complete batch, so no row of Table 4 can be computed from it"]
    known = "; ".join(f"{each.model} {each.dataset} batch {each.batch_size}" for each in workloads().values())
    precisions = {method.precision for method in METHODS.values()}
    return [
        f"{name}: {printable(cost.configuration, 200)} is no row of Table 4, which has {known} in "
        f"{' and '.join(sorted(precisions))}; cost it with 'fedjoule cost'"
        for cost in mine
        if cost.precision not in precisions or not any(fits(cost, workload) for workload in workloads().values())
    ]


def _parameters(request: Request) -> dict[str, object]:
    changes = request.changes
    return {
        "tables": " ".join(request.tables),
        "readings": " ".join(request.readings or readings()),
        "bandwidth_bit_per_s": changes.bandwidth_bit_per_s or "as read",
        "batches": changes.batches or "as read",
        "mode": "paper" if not request.measurements and request.rounds is None else "paper, and further rows",
    }
