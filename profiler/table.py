"""The measurement table: one row is one measured or published figure, and a person can read the CSV.

From the profiler, from a paper or typed by hand, it is the same thing. Units are in the column names
(ms, mJ, mW); missing is an empty cell, never zero. ``docs/reference/measurement_table.md`` describes every column.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from profiler.names import did_you_mean, fold, has_control_characters
from profiler.sheet import MAX_CELL_CHARACTERS, Problem, Sheet, TableError, parse_sheet, read_sheet

PROCESSORS = ("cpu", "dsp", "gpu", "npu")
PRECISIONS = ("fp32", "fp16", "bf16", "int16", "int8", "int4")
STAGES = ("sample", "quantize", "transfer", "train", "total", "infer", "idle")
PROVENANCES = ("measured", "published", "inferred", "emulated")

REQUIRED = (
    "device",
    "processor",
    "precision",
    "model",
    "dataset",
    "batch_size",
    "stage",
    "time_ms",
    "energy_mj",
    "source",
)
COLUMNS = (
    "device",
    "soc",
    "processor",
    "precision",
    "model",
    "dataset",
    "batch_size",
    "stage",
    "time_ms",
    "time_ms_std",
    "energy_mj",
    "energy_mj_std",
    "power_idle_mw",
    "batches",
    "conditions",
    "provenance",
    "source",
    "note",
)
KEY = ("device", "processor", "precision", "model", "dataset", "batch_size", "stage", "conditions")

_VOCABULARIES = {
    "processor": PROCESSORS,
    "precision": PRECISIONS,
    "stage": STAGES,
    "provenance": PROVENANCES,
}
# Column -> largest value: far beyond any phone, and small enough that no product of them overflows.
_REAL = {"time_ms": 1e9, "time_ms_std": 1e9, "energy_mj": 1e12, "energy_mj_std": 1e12, "power_idle_mw": 1e6}
_WHOLE = {"batch_size": 10**9, "batches": 10**12}
_SHORTEST_MS = 1e-6

# Mean power of a phone while it works. Outside the first band a row is warned about; outside the second a unit
# must be wrong, because every slip of a factor 1,000 from the first band lands there.
PLAUSIBLE_POWER_W = (0.1, 15.0)
POSSIBLE_POWER_W = (0.015, 100.0)

_POWER_RULE = (
    "with time_ms = {time:g} implies {power:.3g} W, outside {low:g} to {high:g} W: a unit of the two is wrong; "
    "time is in ms and energy in mJ (1 J = 1,000 mJ)"
)
_DUPLICATE_RULE = f"repeats an earlier row's key ({', '.join(KEY)}); keep one, or tell them apart in 'conditions'"
_PER_BATCH_RULE = "is needed for the stages train, total and infer"
_IDLE_RULE = "is needed for every stage but idle"


def read_table(path: str | Path) -> pd.DataFrame:
    """Return the checked measurement table in the CSV file ``path``, see ``table_of``."""
    return table_of(read_sheet(path))


def paper_table(name: str) -> pd.DataFrame:
    """Return one of the shipped tables of the paper: ``table1``, ``table2``, ``table3`` or ``stages``."""
    return _paper_table(name).copy()


@cache
def _paper_table(name: str) -> pd.DataFrame:
    file = resources.files("profiler") / "paper" / f"{name}.csv"
    return table_of(parse_sheet(file.read_bytes(), f"{name}.csv"))


def check_table(table: pd.DataFrame, file: str = "table", lines: Iterable[int] | None = None) -> pd.DataFrame:
    """Return ``table`` with all ``COLUMNS`` in order and their types, or raise TableError with every bad cell.

    Empty text becomes missing.

    ``lines`` gives each row its line in ``file``; by default the line it has after ``write_table``.
    """
    problems = _column_problems(table.columns, file)
    if problems:
        raise TableError(*problems)
    typed = _typed(table, file)
    line_of = list(lines) if lines is not None else [row + 2 for row in range(len(typed))]
    try:
        _SCHEMA.validate(typed, lazy=True)
    except SchemaErrors as error:
        raise TableError(*_problems(error, typed, file, line_of)) from None
    return typed


def write_table(table: pd.DataFrame) -> str:
    """Return the CSV text of a checked table; ``read_table`` of it gives back the same table, bit for bit.

    Columns that hold nothing and are not required are left out.
    """
    checked = check_table(table)
    kept = [name for name in COLUMNS if name in REQUIRED or bool(checked[name].notna().any())]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(kept)
    for row in checked[kept].itertuples(index=False, name=None):
        writer.writerow(["" if pd.isna(cell) else cell for cell in row])
    return out.getvalue()


def implied_power_w(table: pd.DataFrame) -> pd.Series:
    """Return energy / time of each row in watts (mJ / ms); missing without both, and for the stage idle."""
    working = (table["stage"] != "idle") & (table["time_ms"] >= _SHORTEST_MS)
    return table["energy_mj"] / table["time_ms"].where(working)


def table_of(sheet: Sheet) -> pd.DataFrame:
    """Return the checked measurement table in ``sheet``, with all of ``COLUMNS`` in order.

    Optional columns that the file lacks come back as missing. Raises TableError naming every bad cell.
    """
    problems = _column_problems(sheet.header, sheet.file)
    if problems:
        raise TableError(*problems)
    columns: dict[str, list[Any]] = {}
    for position, name in enumerate(sheet.header):
        cells = [row[position] for row in sheet.rows]
        if name in _REAL or name in _WHOLE:
            columns[name] = []
            for line, cell in zip(sheet.lines, cells, strict=True):
                number = _number(cell, whole=name in _WHOLE)
                columns[name].append(None if isinstance(number, str) else number)
                if isinstance(number, str):
                    problems.append(Problem(sheet.file, number, line, name, cell))
        else:
            words = [cell.lower() for cell in cells] if name in _VOCABULARIES else cells
            columns[name] = [word or None for word in words]
    try:
        table = check_table(pd.DataFrame(columns), sheet.file, sheet.lines)
    except TableError as error:
        # A cell that was no number is missing from here on: do not complain of it twice.
        seen = {(problem.line, problem.column) for problem in problems}
        problems += [problem for problem in error.problems if (problem.line, problem.column) not in seen]
    if problems:
        raise TableError(*sorted(problems, key=lambda problem: problem.line or 0))
    return table


def _number(cell: str, *, whole: bool) -> float | int | str | None:
    """Return the number in a cell, None if it is empty, or the rule it breaks."""
    if not cell:
        return None
    kind = "a whole number" if whole else "a number with a decimal point and no unit"
    wrong = f"must be {kind}, or empty if it was not measured"
    if not cell.isascii() or "_" in cell:
        return wrong
    try:
        if whole:
            count = int(cell)
            return count if abs(count) < 2**63 else "must be smaller"
        number = float(cell)
    except ValueError:
        return wrong
    return number if math.isfinite(number) else "must be finite, or empty if it was not measured"


def _column_problems(names: Iterable[object], file: str) -> list[Problem]:
    given = [str(name) for name in names]
    if not set(given) & set(COLUMNS):
        return [Problem(file, f"must name the columns, among them {', '.join(REQUIRED)}", 1)]
    missing = [
        Problem(file, f"the column is missing; a table needs {', '.join(REQUIRED)}", 1, name)
        for name in REQUIRED
        if name not in given
    ]
    unknown = [
        Problem(
            file,
            f"is no column of a measurement table; {did_you_mean(name, COLUMNS)}",
            1,
            name or "(unnamed)",
        )
        for name in given
        if name not in COLUMNS
    ]
    return missing + unknown


def _typed(table: pd.DataFrame, file: str) -> pd.DataFrame:
    """Return the table with every column present and typed: float64, Int64 or str; or raise TableError."""
    columns: dict[str, pd.Series] = {}
    for name in COLUMNS:
        values = table[name] if name in table.columns else pd.Series([None] * len(table), index=table.index)
        if name in _REAL or name in _WHOLE:
            try:
                columns[name] = values.astype("float64" if name in _REAL else "Int64")
            except (ValueError, TypeError, OverflowError) as error:
                raise TableError(Problem(file, f"does not hold numbers only: {error}", column=name)) from error
        else:
            text = values.astype("str")
            columns[name] = text.where(text != "")
    return pd.DataFrame(columns).reset_index(drop=True)


def _schema() -> pa.DataFrameSchema:
    plain_text = [
        pa.Check(lambda words: ~words.map(has_control_characters), error="must not hold control characters"),
        pa.Check(lambda words: words == words.str.strip(), error="must not begin or end with a blank"),
        pa.Check.str_length(max_value=MAX_CELL_CHARACTERS, error=f"must have at most {MAX_CELL_CHARACTERS} characters"),
    ]
    columns: dict[str, pa.Column] = {}
    for name in COLUMNS:
        needed = name in ("device", "processor", "precision", "stage", "source")
        largest = {**_REAL, **_WHOLE}.get(name, 0)
        at_most = pa.Check.le(largest, error=f"must be at most {largest:,.0f}")
        if name == "time_ms":
            checks, kind = (
                [pa.Check.ge(_SHORTEST_MS, error="must be above 0 (a nanosecond at least)"), at_most],
                "float64",
            )
        elif name in _REAL:
            checks, kind = [pa.Check.ge(0, error="must not be negative"), at_most], "float64"
        elif name in _WHOLE:
            checks, kind = [pa.Check.ge(1, error="must be at least 1"), at_most], "Int64"
        elif name in _VOCABULARIES:
            rule = f"is unknown; one of {', '.join(_VOCABULARIES[name])}"
            checks, kind = [pa.Check.isin(_VOCABULARIES[name], error=rule)], "str"
        else:
            checks, kind = plain_text, "str"
        columns[name] = pa.Column(kind, checks, nullable=not needed)
    whole_rows = [
        pa.Check(_has_time, error=_IDLE_RULE),
        *(pa.Check(_has_batch(name), error=f"{name} {_PER_BATCH_RULE}") for name in ("model", "batch_size")),
        pa.Check(_possible_power, error=_POWER_RULE),
        pa.Check(lambda table: ~_keys(table).duplicated(), error=_DUPLICATE_RULE),
    ]
    return pa.DataFrameSchema(columns, checks=whole_rows)


def _has_time(table: pd.DataFrame) -> pd.Series:
    return table["time_ms"].notna() | (table["stage"] == "idle")


def _has_batch(name: str) -> Any:
    return lambda table: table[name].notna() | ~table["stage"].isin(["train", "total", "infer"])


def _possible_power(table: pd.DataFrame) -> pd.Series:
    power = implied_power_w(table)
    low, high = POSSIBLE_POWER_W
    return power.isna() | (power < 0) | power.between(low, high)  # a negative energy has a rule of its own


def _keys(table: pd.DataFrame) -> pd.DataFrame:
    """Return the key columns in the form in which they are compared: names folded, conditions all but verbatim."""
    keys = table[list(KEY)].map(lambda cell: fold(cell) if isinstance(cell, str) else cell)
    return keys.assign(conditions=table["conditions"].map(same_conditions))


def same_conditions(conditions: object) -> str:
    """Return conditions in the form in which they are compared: without case and extra blanks, missing as empty."""
    return " ".join(conditions.casefold().split()) if isinstance(conditions, str) else ""


def _problems(error: SchemaErrors, table: pd.DataFrame, file: str, line_of: list[int]) -> Iterator[Problem]:
    """Turn pandera's failure cases into one Problem for each bad cell."""
    cases = error.failure_cases
    # A rule about a whole row fails once for each of its columns: keep the first.
    whole_row = cases["schema_context"] == "DataFrameSchema"
    cases = cases[~(whole_row & cases.duplicated(["schema_context", "check", "index"]))]
    rows = table.to_dict("records")
    for case in cases.sort_values("index", kind="stable").to_dict("records"):
        row, rule, column = int(case["index"]), str(case["check"]), str(case["column"])
        value: Any = case["failure_case"]
        if case["schema_context"] == "DataFrameSchema":
            column, value, rule = _whole_row(rule, rows[row])
        elif rule == "not_nullable":
            value, rule = None, "must not be empty"
        yield Problem(file, rule, line_of[row], column, None if value is None else str(value))


def _whole_row(rule: str, row: Mapping[Any, Any]) -> tuple[str, Any, str]:
    """Return the column, value and text of a rule about several columns of a row."""
    if rule == _DUPLICATE_RULE:
        return "device", row["device"], rule
    if rule == _POWER_RULE:
        low, high = POSSIBLE_POWER_W
        return (
            "energy_mj",
            row["energy_mj"],
            rule.format(time=row["time_ms"], power=row["energy_mj"] / row["time_ms"], low=low, high=high),
        )
    if rule == _IDLE_RULE:
        return "time_ms", None, rule
    column, _, text = rule.partition(" ")
    return column, None, text


_SCHEMA = _schema()
