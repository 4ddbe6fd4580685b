"""What a campaign measured, as a table for a person."""

import math

import pandas as pd

from profiler.names import printable
from reports.table import Cell, Column, Table, number


def result_table(rows: pd.DataFrame, name: str) -> Table:
    """Return the rows of a measurement table with their intervals, which stand in the notes."""
    cells = []
    for row in rows.to_dict("records"):
        batch = "" if pd.isna(row["batch_size"]) else str(row["batch_size"])
        power = row["energy_mj"] / row["time_ms"] if row["time_ms"] else math.nan
        cells.append(
            (
                Cell("-" if pd.isna(row["model"]) else printable(row["model"], 24)),
                Cell(f"{row['processor']} {row['precision']}"),
                Cell(batch),
                Cell(printable(row["stage"], 12)),
                number(float(row["time_ms"])),
                number(float(row["energy_mj"])),
                number(float(power), 3),
                Cell("" if pd.isna(row["conditions"]) else printable(row["conditions"], 60)),
                Cell("" if pd.isna(row["note"]) else printable(row["note"], 90)),
            )
        )
    emulated = bool((rows["provenance"] == "emulated").any())
    return Table(
        name="profile",
        title=f"Measured: {printable(rows['device'].iloc[0], 60)}",
        mode="EMULATED, no device's cost" if emulated else "measured",
        units="ms and mJ per batch; idle: of the whole time; W is energy over time",
        columns=(
            Column("model"),
            Column("on"),
            Column("batch", numeric=True),
            Column("stage"),
            Column("ms", numeric=True),
            Column("mJ", numeric=True),
            Column("W", numeric=True),
            Column("conditions", spare=True),
            Column("runs and 95 % intervals", spare=True),
        ),
        rows=tuple(cells),
        data=rows,
    )
