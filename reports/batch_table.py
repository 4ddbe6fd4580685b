"""Tables 1-3: per-inference and per-batch cost, measured beside printed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from profiler.names import fold, printable
from profiler.table import implied_power_w, paper_table
from reports.printed import Row, printed_table
from reports.table import Cell, Column, Table, number, plain_number, verdict_cell
from reports.verdict import Verdict, judge

_KEY = ("device", "processor", "precision", "model", "dataset")
_NAMES = {1: ("model",), 2: ("model", "dataset"), 3: ("model", "dataset", "device")}
_TITLES = {
    1: "Table 1. Inference: time and energy of one pass on Xiaomi 10",
    2: "Table 2. Training: time and energy of one batch on Xiaomi 10",
    3: "Table 3. Training: time and energy of one batch on DSPs of three levels",
}


def batch_table(which: int) -> Table:
    """Return Table 1, 2 or 3 of the paper from the shipped measurement table, each cell beside the printed one.

    Energy of Table 1 is in mJ (the paper's J is a slip, see its note), of Tables 2 and 3 in J.
    """
    measured = paper_table(f"table{which}")
    energy_unit, per_unit = ("mJ", 1.0) if which == 1 else ("J", 1e3)
    index = {_key(row): row for row in measured.assign(power_w=implied_power_w(measured)).to_dict("records")}
    rows, data = [], []
    doubts: dict[str, None] = {}
    for printed in printed_table(which):
        row = index[_key(printed)]
        inferred = row["provenance"] == "inferred"
        energy = row["energy_mj"] / per_unit
        time_verdict = judge(row["time_ms"], printed["time_ms"]) if printed["time_ms"] else Verdict.NOT_PRINTED
        energy_verdict = judge(energy, printed["energy_j"])
        rows.append(
            (
                *(Cell(_text(row[name])) for name in _NAMES[which]),
                Cell(f"{row['processor']} {row['precision']}"),
                Cell(plain_number(row["time_ms"]) + ("*" if inferred else ""), "warn" if inferred else "plain"),
                Cell(printed["time_ms"] or "-", "faint"),
                verdict_cell(time_verdict),
                number(energy),
                Cell(printed["energy_j"], "faint"),
                verdict_cell(energy_verdict),
                number(row["power_w"], 3),
            )
        )
        data.append(
            {name: row[name] for name in (*_KEY, "time_ms", "energy_mj", "power_w", "provenance", "source", "note")}
            | {"time_printed": printed["time_ms"], "time_verdict": time_verdict.value}
            | {"energy_printed": printed["energy_j"], "energy_verdict": energy_verdict.value}
        )
        star = "* inferred, not measured: " if inferred else ""
        doubts |= dict.fromkeys(f"{star}{doubt}" for doubt in row["note"].split("; ")[: 1 if inferred else None])
    return Table(
        name=f"table{which}",
        title=_TITLES[which],
        mode="paper",
        units=f"time in ms, energy in {energy_unit}, implied mean power in W",
        columns=_columns(_NAMES[which], energy_unit, "printed (as J)" if which == 1 else "printed"),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(mode="paper"),
        notes=tuple(doubts),
    )


def own_batch_table(own: Mapping[str, pd.DataFrame]) -> Table:
    """Return a person's own measurements (file name -> checked table), as further rows of Tables 2 and 3."""
    everything = pd.concat([table.assign(table=name) for name, table in own.items()], ignore_index=True)
    everything = everything.assign(power_w=implied_power_w(everything))
    rows = tuple(
        (
            *(Cell(_text(row[name])) for name in ("model", "dataset", "device", "processor", "precision")),
            Cell(_text(row["batch_size"])),
            Cell(row["stage"]),
            _with_std(row["time_ms"], row["time_ms_std"]),
            _with_std(row["energy_mj"] / 1e3, row["energy_mj_std"] / 1e3),
            number(row["power_w"], 3),
            Cell(_text(row["provenance"]) if not pd.isna(row["provenance"]) else "not stated", "faint"),
            Cell(f"{printable(row['table'])}: {_text(row['source'])}", "faint"),
        )
        for row in everything.to_dict("records")
    )
    titles = ("model", "dataset", "device", "processor", "precision", "batch", "stage")
    return Table(
        name="own_batches",
        title="Tables 2 and 3, further rows: your measurements",
        mode="measured",
        units="time in ms, energy in J, implied mean power in W, +- one standard deviation where it was measured",
        columns=(
            *(Column(title) for title in titles),
            *(Column(title, numeric=True) for title in ("T (ms)", "E (J)", "power (W)")),
            Column("provenance"),
            Column("source"),
        ),
        rows=rows,
        data=everything.assign(mode="measured"),
    )


def _columns(names: tuple[str, ...], energy_unit: str, energy_printed: str) -> tuple[Column, ...]:
    time = (Column("T (ms)", numeric=True), Column("printed", numeric=True), Column("verdict"))
    energy = (Column(f"E ({energy_unit})", numeric=True), Column(energy_printed, numeric=True), Column("verdict"))
    where = (*(Column(name) for name in names), Column("processor"))
    return (*where, *time, *energy, Column("power (W)", numeric=True))


def _key(row: Row | Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple("" if pd.isna(row[name]) else fold(row[name]) for name in _KEY)


def _text(value: Any) -> str:
    return "-" if pd.isna(value) else printable(value)


def _with_std(value: float, std: float) -> Cell:
    cell = number(value)
    return cell if pd.isna(std) else Cell(f"{cell.text} +- {plain_number(std, 2)}")
