"""Tables 1-3: per-inference and per-batch cost, which are inputs, beside what the paper prints."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from profiler.columns import implied_power_w
from profiler.names import fold, printable
from profiler.table import paper_table
from reports.printed import Row, printed_table
from reports.table import VERDICT, Cell, Column, Table, number, plain_number, verdict_cell
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

    These are the inputs of everything else: a verdict here says that a figure was typed in as printed.

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
        time_verdict = _retyped(row["time_ms"], printed["time_ms"])
        energy_verdict = _retyped(energy, printed["energy_j"])
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
                Cell(number(row["power_w"], 3).text + ("*" if inferred else "")),
            )
        )
        data.append(
            {name: row[name] for name in (*_KEY, "time_ms", "energy_mj", "power_w", "provenance", "source", "note")}
            | {"time_ms_printed": printed["time_ms"], "time_verdict": time_verdict.value}
            | {"energy_j_printed": printed["energy_j"], "energy_verdict": energy_verdict.value}
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
        notes=("These figures are inputs: 'as printed' says that they were typed in right.", *doubts),
    )


def stage_table() -> Table:
    """Return the paper's figures of single stages (sections 2.3 and 3.2), which no other table uses yet."""
    stages = paper_table("stages").assign(table="stages.csv")
    doubts = tuple(dict.fromkeys(doubt for note in stages["note"] for doubt in note.split("; ")))
    return _measurements(stages, "stages", "Stage figures of sections 2.3 and 3.2", "paper", doubts)


def own_batch_table(own: Mapping[str, pd.DataFrame]) -> Table:
    """Return a person's own measurements (file name -> checked table), as further rows of Tables 2 and 3."""
    everything = pd.concat([table.assign(table=name) for name, table in own.items()], ignore_index=True)
    return _measurements(everything, "own_batches", "Tables 2 and 3, further rows: your table", "your table", ())


def _measurements(table: pd.DataFrame, name: str, title: str, mode: str, notes: tuple[str, ...]) -> Table:
    """Return measurement rows as they are, an inferred time with a star."""
    table = table.assign(power_w=implied_power_w(table))
    names = ("model", "dataset", "device")
    rows = []
    for row in table.to_dict("records"):
        star = "*" if row["provenance"] == "inferred" else ""
        rows.append(
            (
                *(Cell(_text(row[column])) for column in names),
                Cell(f"{row['processor']} {row['precision']}"),
                Cell(_text(row["batch_size"])),
                Cell(row["stage"]),
                _with_std(row["time_ms"], row["time_ms_std"], star),
                _with_std(row["energy_mj"] / 1e3, row["energy_mj_std"] / 1e3, ""),
                number(row["power_w"], 3),
                Cell("not stated" if pd.isna(row["provenance"]) else row["provenance"], "faint"),
                Cell(f"{printable(row['table'])}: {_text(row['source'])}", "faint"),
            )
        )
    return Table(
        name=name,
        title=title,
        mode=mode,
        units="time in ms, energy in J, implied mean power in W, +- one standard deviation where it was measured",
        columns=(
            *(Column(heading) for heading in (*names, "processor", "batch", "stage")),
            *(Column(heading, numeric=True) for heading in ("T (ms)", "E (J)")),
            Column("power (W)", numeric=True, spare=True),
            Column("provenance", spare=True),
            Column("source", spare=True),
        ),
        rows=tuple(rows),
        data=table.assign(mode=mode),
        notes=(*(["* inferred, not measured"] if (table["provenance"] == "inferred").any() else []), *notes),
    )


def _retyped(value: float, printed: str) -> Verdict:
    """Return whether an input is the printed figure; it was typed from it, so agreement is no reproduction."""
    if not printed:
        return Verdict.NOT_PRINTED
    return Verdict.AS_PRINTED if judge(value, printed) is Verdict.WITHIN else Verdict.DIFFERS


def _columns(names: tuple[str, ...], energy_unit: str, energy_printed: str) -> tuple[Column, ...]:
    time = (Column("T (ms)", numeric=True), Column("printed", numeric=True), VERDICT)
    energy = (Column(f"E ({energy_unit})", numeric=True), Column(energy_printed, numeric=True), VERDICT)
    where = (*(Column(name) for name in names), Column("processor"))
    return (*where, *time, *energy, Column("power (W)", numeric=True, spare=True))


def _key(row: Row | Mapping[Any, Any]) -> tuple[str, ...]:
    return tuple("" if pd.isna(row[name]) else fold(row[name]) for name in _KEY)


def _text(value: Any) -> str:
    return "-" if pd.isna(value) else printable(value)


def _with_std(value: float, std: float, star: str) -> Cell:
    cell = number(value)
    spread = "" if pd.isna(std) else f" +- {plain_number(std, 2)}"
    return Cell(f"{cell.text}{star}{spread}", cell.tone)
