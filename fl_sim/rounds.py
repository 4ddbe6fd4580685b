"""Rounds to converge, as somebody's training counted them: a small CSV of one row per method and data set."""

from collections.abc import Mapping
from dataclasses import dataclass

from costmodel.workload import workloads
from fl_sim.method import REGISTRY
from profiler.names import did_you_mean, fold
from profiler.sheet import Problem, Sheet, TableError

REQUIRED = ("method", "dataset", "rounds")
COLUMNS = (*REQUIRED, "epochs", "clients_per_round", "accuracy_pct", "source")


@dataclass(frozen=True)
class Rounds:
    """How many rounds a method needed on a data set, and under which settings where they are stated."""

    method: str
    dataset: str
    rounds: int
    epochs: int | None
    clients_per_round: int | None
    accuracy_pct: float | None
    source: str


def rounds_of(sheet: Sheet) -> Mapping[tuple[str, str], Rounds]:
    """Return the rounds in ``sheet`` by (method name, workload name).

    Columns: method, dataset, rounds; optional epochs, clients_per_round, accuracy_pct, source. Raises TableError
    with every bad cell.
    """
    problems = _column_problems(sheet)
    if problems:
        raise TableError(*problems)
    by_dataset = {fold(workload.dataset): name for name, workload in workloads().items()}
    by_method = {fold(name): name for name in REGISTRY}
    found: dict[tuple[str, str], Rounds] = {}
    for line, cells in zip(sheet.lines, sheet.rows, strict=True):
        row = dict.fromkeys(COLUMNS, "") | dict(zip(sheet.header, cells, strict=True))
        faults = _row_faults(row, by_dataset, by_method)
        problems += [Problem(sheet.file, rule, line, name, row[name]) for name, rule in faults]
        if faults:
            continue
        rounds = Rounds(
            method=by_method[fold(row["method"])],
            dataset=by_dataset[fold(row["dataset"])],
            rounds=int(row["rounds"]),
            epochs=int(row["epochs"]) if row["epochs"] else None,
            clients_per_round=int(row["clients_per_round"]) if row["clients_per_round"] else None,
            accuracy_pct=float(row["accuracy_pct"]) if row["accuracy_pct"] else None,
            source=row["source"],
        )
        if found.setdefault((rounds.method, rounds.dataset), rounds) is not rounds:
            problems.append(Problem(sheet.file, "repeats a method and data set; keep one", line, "method"))
    if problems:
        raise TableError(*problems)
    return found


def _column_problems(sheet: Sheet) -> list[Problem]:
    missing = [
        Problem(sheet.file, f"the column is missing; rounds need {', '.join(REQUIRED)}", 1, name)
        for name in REQUIRED
        if name not in sheet.header
    ]
    unknown = [
        Problem(sheet.file, f"is no column of a rounds file; {did_you_mean(name, COLUMNS)}", 1, name)
        for name in sheet.header
        if name not in COLUMNS
    ]
    return missing + unknown


def _row_faults(
    row: Mapping[str, str], by_dataset: Mapping[str, str], by_method: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return (column, rule) of everything wrong with a row."""
    faults = []
    if fold(row["method"]) not in by_method:
        faults.append(("method", f"is unknown; {did_you_mean(row['method'], REGISTRY)}"))
    if fold(row["dataset"]) not in by_dataset:
        faults.append(("dataset", f"is unknown; {did_you_mean(row['dataset'], by_dataset)}"))
    for name in ("rounds", "epochs", "clients_per_round"):
        text = row[name]
        optional = name != "rounds" and not text
        if not optional and not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            faults.append((name, "must be a whole number of at least 1"))
    cohort, workload = row["clients_per_round"], by_dataset.get(fold(row["dataset"]))
    if cohort and workload and not faults and int(cohort) > workloads()[workload].clients:
        faults.append(("clients_per_round", f"must not be above the {workloads()[workload].clients} clients"))
    accuracy = row["accuracy_pct"]
    if accuracy and not _is_percentage(accuracy):
        faults.append(("accuracy_pct", "must be a number from 0 to 100"))
    return faults


def _is_percentage(text: str) -> bool:
    try:
        return text.isascii() and "_" not in text and 0 <= float(text) <= 100
    except ValueError:
        return False
