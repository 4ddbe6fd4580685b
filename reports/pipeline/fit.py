"""Calibration and validation as tables."""

from collections.abc import Sequence

import pandas as pd

from costmodel.calibrate import Calibration
from costmodel.observation import Measured
from costmodel.power_fit import PowerFit
from costmodel.scenario import POOR_FIT
from costmodel.validate import Compared, error_summary
from profiler.names import printable
from reports.table import Cell, Column, Table, number, signed_percent

_MODE = "your table"


def calibration_table(measured: Measured, found: Calibration, power: PowerFit) -> Table:
    """Return the fitted numbers with their intervals, what is not identifiable, and the runs that would settle it."""
    rows, data = [], []
    for each in (*found.fitted, *power.fitted):
        shown = number(each.value) if each.known else Cell("-", "faint")
        half = Cell("-", "faint") if each.half_width is None else number(each.half_width, 2)
        verdict = Cell("known", "good") if each.known else Cell("not identifiable", "warn")
        if each.known and found.poor:
            verdict = Cell("known, if the model holds", "warn", short="if it holds")
        if each.known and each.half_width is not None and each.half_width >= each.value:
            verdict = Cell("not told from 0", "warn")
        if each.assumed:
            verdict = Cell("if training is longest", "warn", short="assumed")
        rows.append((Cell(each.name), shown, half, Cell(each.unit), verdict, Cell(each.about, "faint")))
        data.append(
            {"parameter": each.name, "value": each.value if each.known else None, "unit": each.unit}
            | {
                "ci95_half_width": each.half_width,
                "identifiable": each.known and not each.assumed,
                "assumed": each.assumed,
                "poor_fit": found.poor,
                "about": each.about,
            }
        )
    notes = [f"Known only together: {', '.join(group)}." for group in found.open if len(group) > 1]
    notes += [f"Nothing in the rows shows: {group[0]}." for group in found.open if len(group) == 1]
    if measured.ignored:
        notes.append(
            f"{measured.ignored} row(s) of stage total were left out: their conditions say neither 'overlap: on' nor"
            " 'overlap: off', spelt so."
        )
    if found.poor:
        notes.append(f"{POOR_FIT.capitalize()}.")
    if any(each.assumed for each in found.fitted):
        notes.append("The rows fit as well when stages change roles; training was taken to be the longest stage.")
    runs = [*found.runs, *power.runs]
    if runs:
        notes.append(f"Would settle it: {'; '.join(runs)}.")
    if any(each.known and each.half_width is None for each in found.fitted):
        notes.append("No interval: there are no more rows than numbers.")
    notes.append("A model's bytes cost every batch the same, so they show as a cost per call; a second model tells.")
    return Table(
        name="calibration",
        title=f"Calibration: {_configuration(measured)}",
        mode=_MODE,
        units="as named, +- half of a 95 % confidence interval",
        columns=(
            Column("parameter"),
            Column("value", numeric=True),
            Column("+-", numeric=True),
            Column("unit"),
            Column("verdict"),
            Column("what it is", spare=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(mode=_MODE),
        headline=f"{found.rows} row(s) fitted within {found.rms_error_pct:.2f} % (root mean square).",
        notes=tuple(notes),
    )


def validation_table(measured: Measured, compared: Sequence[Compared], how: str) -> Table:
    """Return predicted beside measured with the signed error; ``how`` says what the prediction knew."""
    summary = error_summary(compared)
    return Table(
        name="validation",
        title=f"Validation: {_configuration(measured)}",
        mode=_MODE,
        units="ms per batch; error is predicted minus measured, in % of measured",
        columns=(
            Column("row"),
            Column("batches", numeric=True, spare=True),
            Column("measured", numeric=True),
            Column("predicted", numeric=True),
            Column("error %", numeric=True),
        ),
        rows=tuple(
            (
                Cell(each.row.words),
                Cell("-" if each.row.batches is None else f"{each.row.batches:,}"),
                number(each.row.time_ms),
                number(each.predicted_ms),
                Cell(signed_percent(each.error_pct), "bad" if abs(each.error_pct) > 10 else "plain"),
            )
            for each in compared
        ),
        data=pd.DataFrame(
            [
                {"kind": each.row.kind, "batch_size": each.row.batch_size or None, "batches": each.row.batches}
                | {"measured_ms": each.row.time_ms, "predicted_ms": each.predicted_ms, "error_pct": each.error_pct}
                for each in compared
            ]
        ).assign(mode=_MODE),
        headline=(
            f"{len(compared)} rows: mean error {summary.mean_pct:+.1f} %, mean size {summary.mean_size_pct:.1f} %,"
            f" worst {summary.worst_pct:+.1f} %."
        ),
        notes=(how,),
    )


def _configuration(measured: Measured) -> str:
    return printable(" ".join(filter(None, (measured.device, measured.model, measured.dataset))), 120)
