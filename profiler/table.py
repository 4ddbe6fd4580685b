"""The measurement table: one row is one measured or published figure, and a person can read the CSV.

From the profiler, from a paper or typed by hand, it is the same thing. Units are in the column names
(ms, mJ, mW); missing is an empty cell, never zero. ``docs/reference/measurement_table.md`` describes every column.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator
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
_REAL = ("time_ms", "time_ms_std", "energy_mj", "energy_mj_std", "power_idle_mw")
_WHOLE = ("batch_size", "batches")
_LARGEST_COUNT = 2**53  # every whole number up to here is exact as a float, too

# Mean power of a phone while it works. Outside the first band a row is warned about; outside the second a unit
# must be wrong, because every slip of a factor 1,000 from the first band lands there.
PLAUSIBLE_POWER_W = (0.1, 15.0)
POSSIBLE_POWER_W = (0.015, 100.0)

_POWER_RULE = (
    "implies {power:.3g} W, outside {low:g} to {high:g} W: a unit is wrong; "
    "time is in ms and energy in mJ (1 J = 1,000 mJ)"
)
_DUPLICATE_RULE = f"repeats an earlier row's key ({', '.join(KEY)}); keep one, or tell them apart in 'conditions'"
_PER_BATCH_RULE = "is needed for the stages train, total and infer"
_IDLE_RULE = "is needed for every stage but idle"


def read_table(path: str | Path) -> pd.DataFrame:
    """Return the checked measurement table in the CSV file ``path``, with all of ``COLUMNS`` in order.

    Optional columns that the file lacks come back as missing. Raises TableError naming every bad cell.
    """
    return _from_sheet(read_sheet(path))


def paper_table(name: str) -> pd.DataFrame:
    """Return one of the shipped tables of the paper: ``table1``, ``table2``, ``table3`` or ``stages``."""
    return _paper_table(name).copy()


@cache
def _paper_table(name: str) -> pd.DataFrame:
    file = resources.files("profiler") / "paper" / f"{name}.csv"
    return _from_sheet(parse_sheet(file.read_text(encoding="utf-8"), f"{name}.csv"))


def check_table(table: pd.DataFrame, file: str = "table", lines: Iterable[int] | None = None) -> pd.DataFrame:
    """Return ``table`` with all ``COLUMNS`` in order and their types, or raise TableError with every bad cell.

    Empty text becomes missing. A column that cannot have its type (text in ``time_ms``) raises ValueError.

    ``lines`` gives each row its line in ``file``; by default the line it has after ``write_table``.
    """
    problems = _column_problems(table.columns, file)
    if problems:
        raise TableError(*problems)
    typed = _typed(table)
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
    return (table["energy_mj"] / table["time_ms"]).where((table["stage"] != "idle") & (table["time_ms"] > 0))


def power_warnings(table: pd.DataFrame, file: str = "table") -> list[str]:
    """Return one line for every row whose implied power is outside ``PLAUSIBLE_POWER_W``."""
    low, high = PLAUSIBLE_POWER_W
    rows = table.assign(power_w=implied_power_w(table)).to_dict("records")
    return [
        f"{file}: {row['device']} {row['processor']} {row['precision']} {row['model']} implies {row['power_w']:.3g} W, "
        f"outside {low:g} to {high:g} W; check the units (ms, mJ)"
        for row in rows
        if row["power_w"] < low or row["power_w"] > high
    ]


def _from_sheet(sheet: Sheet) -> pd.DataFrame:
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
    kind = "a whole number" if whole else "a number"
    wrong = f"must be {kind} with a decimal point and no unit, or empty if it was not measured"
    if not cell.isascii() or "_" in cell:
        return wrong
    try:
        if whole:
            count = int(cell)
            return count if abs(count) <= _LARGEST_COUNT else f"must be at most {_LARGEST_COUNT:,}"
        number = float(cell)
    except ValueError:
        return wrong
    return number if math.isfinite(number) else "must be finite, or empty if it was not measured"


def _column_problems(names: Iterable[object], file: str) -> list[Problem]:
    given = [str(name) for name in names]
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


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with every column present and typed: float64, Int64 or str."""
    columns: dict[str, pd.Series] = {}
    for name in COLUMNS:
        values = table[name] if name in table.columns else pd.Series([None] * len(table), index=table.index)
        if name in _REAL:
            columns[name] = values.astype("float64")
        elif name in _WHOLE:
            columns[name] = values.astype("Int64")
        else:
            text = values.astype("str")
            columns[name] = text.where(text != "")
    return pd.DataFrame(columns).reset_index(drop=True)


def _schema() -> pa.DataFrameSchema:
    finite = pa.Check(lambda values: values.abs() < math.inf, error="must be finite")
    at_least_one = pa.Check.ge(1, error="must be at least 1")
    not_negative = pa.Check.ge(0, error="must not be negative")
    plain_text = [
        pa.Check(lambda words: ~words.map(has_control_characters), error="must not hold control characters"),
        pa.Check(lambda words: words == words.str.strip(), error="must not begin or end with a blank"),
        pa.Check.str_length(max_value=MAX_CELL_CHARACTERS, error=f"must have at most {MAX_CELL_CHARACTERS} characters"),
    ]
    columns: dict[str, pa.Column] = {}
    for name in COLUMNS:
        needed = name in ("device", "processor", "precision", "stage", "source")
        if name == "time_ms":
            checks, kind = [finite, pa.Check.gt(0, error="must be above 0")], "float64"
        elif name in _REAL:
            checks, kind = [finite, not_negative], "float64"
        elif name in _WHOLE:
            checks, kind = [at_least_one], "Int64"
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
    return table[list(KEY)].map(lambda cell: fold(cell) if isinstance(cell, str) else cell)


def _problems(error: SchemaErrors, table: pd.DataFrame, file: str, line_of: list[int]) -> Iterator[Problem]:
    """Turn pandera's failure cases into one Problem for each bad cell."""
    seen: set[tuple[int, str]] = set()
    for case in error.failure_cases.sort_values("index", kind="stable").to_dict("records"):
        row, rule, column = int(case["index"]), str(case["check"]), str(case["column"])
        value: Any = case["failure_case"]
        if case["schema_context"] == "DataFrameSchema":
            column, value, rule = _whole_row(rule, table.iloc[row])
        elif rule == "not_nullable":
            value, rule = None, "must not be empty"
        if (row, column + rule) in seen:
            continue
        seen.add((row, column + rule))
        yield Problem(file, rule, line_of[row], column, None if value is None else str(value))


def _whole_row(rule: str, row: "pd.Series[Any]") -> tuple[str, Any, str]:
    """Return the column, value and text of a rule about several columns of a row."""
    if rule == _DUPLICATE_RULE:
        return "device", row["device"], rule
    if rule == _POWER_RULE:
        low, high = POSSIBLE_POWER_W
        return (
            "energy_mj",
            row["energy_mj"],
            rule.format(power=row["energy_mj"] / row["time_ms"], low=low, high=high),
        )
    if rule == _IDLE_RULE:
        return "time_ms", None, rule
    column, _, text = rule.partition(" ")
    return column, None, text


_SCHEMA = _schema()
