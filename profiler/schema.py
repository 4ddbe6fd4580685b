"""The rules of a measurement table, checked by pandera; loaded only when somebody's table is checked."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from profiler.columns import (
    COLUMNS,
    KEY,
    POSSIBLE_POWER_W,
    REAL,
    SHORTEST_MS,
    VOCABULARIES,
    WHOLE,
    implied_power_w,
    same_conditions,
)
from profiler.names import fold, has_control_characters
from profiler.sheet import MAX_CELL_CHARACTERS, Problem

_POWER_RULE = (
    "with time_ms = {time:g} implies {power:.3g} W, outside {low:g} to {high:g} W: a unit of the two is wrong; "
    "time is in ms and energy in mJ (1 J = 1,000 mJ)"
)
_DUPLICATE_RULE = f"repeats an earlier row's key ({', '.join(KEY)}); keep one, or tell them apart in 'conditions'"
_PER_BATCH_RULE = "is needed for the stages train, total and infer"
_IDLE_RULE = "is needed for every stage but idle"


def problems_of(table: pd.DataFrame, file: str, line_of: list[int]) -> list[Problem]:
    """Return every bad cell of a typed table, by line; ``line_of[row]`` is the row's line in ``file``."""
    try:
        _schema().validate(table, lazy=True)
    except SchemaErrors as error:
        return list(_problems(error, table, file, line_of))
    return []


@cache
def _schema() -> pa.DataFrameSchema:
    plain_text = [
        pa.Check(lambda words: ~words.map(has_control_characters), error="must not hold control characters"),
        pa.Check(lambda words: words == words.str.strip(), error="must not begin or end with a blank"),
        pa.Check.str_length(max_value=MAX_CELL_CHARACTERS, error=f"must have at most {MAX_CELL_CHARACTERS} characters"),
    ]
    columns: dict[str, pa.Column] = {}
    for name in COLUMNS:
        needed = name in ("device", "processor", "precision", "stage", "source")
        largest = {**REAL, **WHOLE}.get(name, 0)
        at_most = pa.Check.le(largest, error=f"must be at most {largest:,.0f}")
        if name == "time_ms":
            checks, kind = (
                [pa.Check.ge(SHORTEST_MS, error="must be above 0 (a nanosecond at least)"), at_most],
                "float64",
            )
        elif name in REAL:
            checks, kind = [pa.Check.ge(0, error="must not be negative"), at_most], "float64"
        elif name in WHOLE:
            checks, kind = [pa.Check.ge(1, error="must be at least 1"), at_most], "Int64"
        elif name in VOCABULARIES:
            rule = f"is unknown; one of {', '.join(VOCABULARIES[name])}"
            checks, kind = [pa.Check.isin(VOCABULARIES[name], error=rule)], "str"
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
