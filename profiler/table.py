"""The measurement table: one row is one measured or published figure, and a person can read the CSV.

From the profiler, from a paper or typed by hand, it is the same thing. Units are in the column names
(ms, mJ, mW); missing is an empty cell, never zero. ``docs/reference/measurement_table.md`` describes every column.
"""

import csv
import io
import math
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from profiler.columns import COLUMNS, REAL, REQUIRED, VOCABULARIES, WHOLE
from profiler.names import did_you_mean
from profiler.sheet import Problem, Sheet, TableError, parse_sheet, read_sheet


def read_table(path: str | Path) -> pd.DataFrame:
    """Return the checked measurement table in the CSV file ``path``, see ``table_of``."""
    return table_of(read_sheet(path))


def paper_table(name: str) -> pd.DataFrame:
    """Return one of the shipped tables of the paper: ``table1``, ``table2``, ``table3`` or ``stages``.

    They are part of the program and checked by its tests, not at every start.
    """
    return _paper_table(name).copy()


@cache
def _paper_table(name: str) -> pd.DataFrame:
    file = resources.files("profiler") / "paper" / f"{name}.csv"
    table, _ = _parsed(parse_sheet(file.read_bytes(), f"{name}.csv"))
    return table


def check_table(table: pd.DataFrame, file: str = "table", lines: Iterable[int] | None = None) -> pd.DataFrame:
    """Return ``table`` with all ``COLUMNS`` in order and their types, or raise TableError with every bad cell.

    Empty text becomes missing. ``lines`` gives each row its line in ``file``; by default the line it has after
    ``write_table``.
    """
    problems = _column_problems(table.columns, file)
    if problems:
        raise TableError(*problems)
    typed = _typed(table, file)
    line_of = list(lines) if lines is not None else [row + 2 for row in range(len(typed))]
    from profiler.schema import problems_of

    problems = problems_of(typed, file, line_of)
    if problems:
        raise TableError(*problems)
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


def table_of(sheet: Sheet) -> pd.DataFrame:
    """Return the checked measurement table in ``sheet``, with all of ``COLUMNS`` in order.

    Optional columns that the file lacks come back as missing. Raises TableError naming every bad cell.
    """
    typed, problems = _parsed(sheet)
    try:
        table = check_table(typed, sheet.file, sheet.lines)
    except TableError as error:
        # A cell that was no number is missing by now: do not complain of it twice.
        seen = {(problem.line, problem.column) for problem in problems}
        problems += [problem for problem in error.problems if (problem.line, problem.column) not in seen]
    if problems:
        raise TableError(*sorted(problems, key=lambda problem: problem.line or 0))
    return table


def _parsed(sheet: Sheet) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the typed but unchecked table in ``sheet``, and the cells that are no numbers, missing in the table."""
    problems = _column_problems(sheet.header, sheet.file)
    if problems:
        raise TableError(*problems)
    columns: dict[str, list[Any]] = {}
    for position, name in enumerate(sheet.header):
        cells = [row[position] for row in sheet.rows]
        if name in REAL or name in WHOLE:
            columns[name] = []
            for line, cell in zip(sheet.lines, cells, strict=True):
                number = _number(cell, whole=name in WHOLE)
                columns[name].append(None if isinstance(number, str) else number)
                if isinstance(number, str):
                    problems.append(Problem(sheet.file, number, line, name, cell))
        else:
            words = [cell.lower() for cell in cells] if name in VOCABULARIES else cells
            columns[name] = [word or None for word in words]
    return _typed(pd.DataFrame(columns), sheet.file), problems


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
        if name in REAL or name in WHOLE:
            try:
                columns[name] = values.astype("float64" if name in REAL else "Int64")
            except (ValueError, TypeError, OverflowError) as error:
                raise TableError(Problem(file, f"does not hold numbers only: {error}", column=name)) from error
        else:
            text = values.astype("str")
            columns[name] = text.where(text != "")
    return pd.DataFrame(columns).reset_index(drop=True)
