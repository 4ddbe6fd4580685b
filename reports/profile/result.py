"""What a campaign measured, as a table for a person."""

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from profiler.campaign.rows import Rows
from profiler.names import printable
from reports.table import Cell, Column, Table, number


def result_table(found: Rows, energy: str) -> Table:
    """Return the rows of a measurement table with their 95 % intervals and doubts."""
    rows = found.table
    cells = []
    for row, interval in zip(rows.to_dict("records"), found.intervals, strict=True):
        batch = "" if pd.isna(row["batch_size"]) else str(row["batch_size"])
        power = row["energy_mj"] / row["time_ms"] if row["time_ms"] else math.nan
        cells.append(
            (
                Cell("-" if pd.isna(row["model"]) else printable(row["model"], 24)),
                Cell(f"{row['processor']} {row['precision']}"),
                Cell(batch),
                Cell(_stage(row)),
                number(float(row["time_ms"])),
                _percent(interval.time_percent),
                number(float(row["energy_mj"])),
                _percent(interval.energy_percent),
                number(float(power), 3),
                Cell(", ".join(interval.doubts), "warn") if interval.doubts else Cell("none", "faint"),
                Cell("" if pd.isna(row["conditions"]) else printable(row["conditions"], 60)),
            )
        )
    emulated = bool((rows["provenance"] == "emulated").any())
    return Table(
        name="profile",
        title=f"Measured: {printable(rows['device'].iloc[0], 60)}",
        mode="EMULATED, no device's cost" if emulated else "measured",
        units=f"ms and mJ per batch, {energy} energy; +-: half of a 95 % interval; idle: of the whole time",
        columns=(
            Column("model"),
            Column("on"),
            Column("batch", numeric=True),
            Column("stage"),
            Column("ms", numeric=True),
            Column("+-", numeric=True),
            Column("mJ", numeric=True),
            Column("+-", numeric=True),
            Column("W", numeric=True, spare=True),
            Column("doubts"),
            Column("conditions", spare=True),
        ),
        rows=tuple(cells),
        data=rows,
    )


def _percent(value: float) -> Cell:
    return Cell("-", "faint") if math.isnan(value) else Cell(f"{value:.1f} %")


def _stage(row: Mapping[Any, Any]) -> str:
    """Return the stage, with overlap where it is on or off."""
    found = re.search(r"\boverlap: (on|off)\b", "" if pd.isna(row["conditions"]) else str(row["conditions"]))
    if found is None:
        return "empty call" if "empty call" in str(row["conditions"]) else str(row["stage"])
    return "overlapped" if found[1] == "on" else "in turn"
