"""Table 4 in fleet mode: its rows on a fleet, one factor of heterogeneity at a time, beside paper mode."""

from collections.abc import Callable, Collection, Iterable

import numpy as np
import pandas as pd

from reports.fleet.cells import SETTINGS, Floats, Found, Request, Setting, mixed
from reports.table import Cell, Column, Table, plain_number
from reports.table4 import Row4


def fleet_tables(request: Request, found: Collection[Found], read: Collection[str] = ()) -> tuple[Table, ...]:
    """Return Table 4 in fleet mode: its times, its energies, and what became of the rounds.

    ``read``: notes on what became of the traces that the fleet was read from.
    """
    notes = _notes(request, read)
    return (
        _table(
            request, found, "time", "Time to converge", "hours", lambda each: each.time_h, _paper_h, notes
        ),
        _table(
            request, found, "energy", "Energy to converge", "kJ a client", lambda each: each.client_kj, _paper_kj,
            (*notes, *_ENERGY),
        ),
        _rounds_table(request, found),
    )  # fmt: skip


def _paper_h(row: Row4) -> float:
    return row.result.time_h or float("nan")


def _paper_kj(row: Row4) -> float:
    return float("nan") if row.result.client_kj is None else row.result.client_kj


def _table(
    request: Request, found: Collection[Found], what: str, title: str, unit: str,
    values: Callable[[Found], Floats], paper: Callable[[Row4], float], notes: tuple[str, ...],
) -> Table:  # fmt: skip
    rows = []
    for row in request.rows:
        cells = [Cell(row.workload.dataset), Cell(row.title), Cell(plain_number(paper(row), 3))]
        for setting in SETTINGS:
            each = _of(found, row, setting)
            mark = "=" * _unmeasured(row, setting) + "!" * bool(each.filled.mean() < _FULL)
            cells.append(_banded(values(each), mark))
        rows.append(tuple(cells))
    return Table(
        name=f"table4_fleet_{what}",
        title=f"Table 4 on the fleet {request.name}. {title}, reading {request.reading.name}",
        mode="paper in its column, fleet in all others",
        units=f"{unit}; mean over {_seeds(request)}, lowest and highest in brackets",
        columns=(
            Column("data set"),
            Column("method"),
            Column("paper mode", numeric=True, short="paper"),
            *(Column(setting.name, numeric=True, short=_SHORT[setting.name]) for setting in SETTINGS),
        ),
        rows=tuple(rows),
        data=_data(request, found),
        notes=notes,
    )


_FULL = 0.9  # rounds with a smaller share of the updates wanted are not those that paper mode counts
_SHORT = {
    "hardware": "hardw.", "network": "network", "availability": "avail.", "all three": "all",
    "with a deadline": "deadline",
}  # fmt: skip


def _rounds_table(request: Request, found: Collection[Found]) -> Table:
    rows = []
    for row in request.rows:
        cells = [Cell(row.workload.dataset), Cell(row.title), Cell(f"{row.result.plan.rounds}")]
        for setting in SETTINGS:
            each = _of(found, row, setting)
            filled, wasted = 100 * each.filled.mean(), 100 * each.wasted.mean()
            void = f", {each.tried.mean():.2f} x" if each.tried.mean() > 1 else ""
            cells.append(Cell(f"{filled:.0f} % / {wasted:.1f} %{void}", short=f"{filled:.0f}/{wasted:.0f}{void}"))
        rows.append(tuple(cells))
    return Table(
        name="table4_fleet_rounds",
        title=f"Table 4 on the fleet {request.name}. Updates that came, of those wanted / energy that was wasted",
        mode="fleet",
        units=f"% of the updates wanted, % of the joules; mean over {_seeds(request)}",
        columns=(
            Column("data set"),
            Column("method"),
            Column("rounds", numeric=True),
            *(Column(setting.name, numeric=True, short=_SHORT[setting.name]) for setting in SETTINGS),
        ),
        rows=tuple(rows),
        data=_data(request, found),
        notes=(
            "Rounds to converge are paper mode's, of full cohorts. A round in which fewer updates came teaches less;"
            " how much is not counted here. A factor after a comma: rounds tried for each that had any update.",
        ),
    )


def _notes(request: Request, read: Collection[str]) -> tuple[str, ...]:
    phones = request.fleets[0].phones
    return (
        f"Fleet {request.name}: {phones:,} phones drawn for each seed. {request.fleets[0].source}",
        *read,
        "hardware: tiers as the fleet has them, each with its phone of Table 3 (low Redmi Note 9, medium"
        " Xiaomi 10, high Xiaomi 11 Pro), so that the three DSP rows are one where hardware differs.",
        "= : on the CPU the paper measured Xiaomi 10 alone; what other phones take is unmeasured, so the row keeps its"
        " phone in all columns.",
        f"! : less than {100 * _FULL:g} % of the updates wanted came (last table): such rounds do not teach what paper"
        " mode's do, and the figure is too low.",
        f"Without network: {request.reading.bandwidth_bit_per_s / 1e6:g} Mbit/s both ways. With availability: the"
        f" cohort is drawn from the phones that are ready; interrupted work: {request.interrupted}. A round waits for"
        f" all; in the last column until {request.deadline.words}.",
    )


_ENERGY = (
    "Energy counts training, also that of updates that came too late, shared among the N clients of paper mode.",
)


def _seeds(request: Request) -> str:
    count = len(request.fleets)
    return f"{count} seed{'s' * (count > 1)}"


def _unmeasured(row: Row4, setting: Setting) -> bool:
    return "hardware" in setting.factors and not mixed(row, setting)


def _banded(values: Floats, mark: str) -> Cell:
    if np.isinf(values).any():
        return Cell("does not end", "warn", short="no end")
    mean = plain_number(float(values.mean()), 3)
    low, high = (plain_number(float(value), 3) for value in (values.min(), values.max()))
    band = f" ({low}-{high})" if low != high else ""
    return Cell(f"{mean}{band}{mark}", short=f"{mean}{mark}")


def _of(found: Iterable[Found], row: Row4, setting: Setting) -> Found:
    return next(
        each for each in found
        if each.setting is setting and (each.row.workload.name, each.row.title) == (row.workload.name, row.title)
    )  # fmt: skip


def _data(request: Request, found: Iterable[Found]) -> pd.DataFrame:
    """Return one row for each row, setting and seed, and one for each row of paper mode."""
    rows = [
        {"workload": row.workload.name, "row": row.title, "setting": "paper", "mode": "paper", "seed": None,
         "time_h": _paper_h(row), "client_kj": _paper_kj(row), "wasted_share": 0.0, "filled_share": 1.0,
         "rounds_tried": row.result.plan.rounds, "hardware_measured": True}
        for row in request.rows
    ]  # fmt: skip
    for each in found:
        for seed in range(len(each.time_h)):
            rows.append(
                {"workload": each.row.workload.name, "row": each.row.title, "setting": each.setting.name,
                 "mode": "fleet", "seed": seed, "time_h": each.time_h[seed], "client_kj": each.client_kj[seed],
                 "wasted_share": each.wasted[seed], "filled_share": each.filled[seed],
                 "rounds_tried": round(each.tried[seed] * (each.row.result.plan.rounds or 1)),
                 "hardware_measured": not _unmeasured(each.row, each.setting)}
            )  # fmt: skip
    return pd.DataFrame(rows).assign(fleet=request.name, reading=request.reading.name)
