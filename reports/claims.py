"""The paper's ratio and percentage claims, computed again: from its printed cells and from unrounded ones."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

from fl_sim.reading import Reading
from profiler.names import fold
from reports.printed import printed_table
from reports.table import Cell, Column, Table, Tone, plain_number
from reports.table4 import Row4, paper_rows
from reports.verdict import Verdict, judge

Values = tuple[float, ...]
Computed = tuple[Values, Values]  # from printed cells, from unrounded cells; empty where there is none
Cells = Mapping[tuple[str, str], Mapping[str, float]]  # (row, workload) -> metric -> value


@dataclass(frozen=True)
class Claim:
    """One claim: what is said where, the figures printed, and ``parameters`` of the ``kind`` that computes it."""

    says: str
    where: str
    printed: tuple[str, ...]
    unit: str
    kind: str
    contradiction: int | None
    note: str
    used_to_infer: bool
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What claims are computed from: Table 4's cells as printed and unrounded, and its 18 rows."""

    printed: Cells
    unrounded: Cells
    rows: Mapping[tuple[str, str], Row4]
    workloads: tuple[str, ...]


@cache
def claims() -> tuple[Claim, ...]:
    """Return the shipped claims in the order of the file."""
    text = (resources.files("reports") / "paper" / "claims.toml").read_text(encoding="utf-8")
    own = {"says", "where", "printed", "unit", "kind", "contradiction", "note", "used_to_infer"}
    return tuple(
        Claim(
            says=entry["says"],
            where=entry["where"],
            printed=tuple(entry["printed"]),
            unit=entry["unit"],
            kind=entry["kind"],
            contradiction=entry.get("contradiction"),
            note=entry.get("note", ""),
            used_to_infer=entry.get("used_to_infer", False),
            parameters={name: value for name, value in entry.items() if name not in own},
        )
        for entry in tomllib.loads(text)["claim"]
    )


def evidence(reading: Reading) -> Evidence:
    """Return Table 4's cells and rows under ``reading``, for computing claims."""
    rows = {(row.title, row.workload.name): row for row in paper_rows(reading)}
    metrics = ("time_h", "energy_kj", "accuracy_pct")
    printed = {
        (cells["row"], cells["workload"]): {metric: float(cells[metric]) for metric in metrics}
        for cells in printed_table(4)
    }
    unrounded = {
        key: {"time_h": row.result.time_h or 0.0, "energy_kj": row.result.client_kj or 0.0} for key, row in rows.items()
    }
    return Evidence(printed, unrounded, rows, tuple(dict.fromkeys(workload for _, workload in rows)))


def compute(claim: Claim, given: Evidence) -> Computed:
    """Return the claim's figures computed from printed and from unrounded cells."""
    return _KINDS[claim.kind](given, **claim.parameters)


def outcome(claim: Claim, computed: Computed) -> str:
    """Return whether the claim agrees with the printed cells, the unrounded ones, both or neither.

    Agreement of a claim that the readings were inferred from is called so.
    """
    agrees = [_agree(claim.printed, values) for values in computed if values]
    if not agrees:
        return "contradiction in words"
    if all(agrees):
        return "agrees (used to infer)" if claim.used_to_infer else "agrees"
    if not any(agrees):
        return "differs"
    return "agrees with printed cells only" if agrees[0] else "agrees with unrounded cells only"


def claims_table(reading: Reading) -> Table:
    """Return every claim of the paper beside its recomputation, with the contradictions numbered."""
    given = evidence(reading)
    rows, outcomes = [], []
    data: list[dict[str, object]] = []
    for claim in claims():
        computed = compute(claim, given)
        result = outcome(claim, computed)
        outcomes.append(result)
        rows.append(
            (
                Cell(claim.says),
                Cell(claim.where, "faint"),
                Cell(f"{' / '.join(claim.printed)} {claim.unit}".strip() or "-"),
                *(Cell(_shown(values)) for values in computed),
                Cell(result, _tone(result)),
                Cell("" if claim.contradiction is None else f"{claim.contradiction}", "faint"),
                Cell(claim.note, "faint"),
            )
        )
        data.append(
            {
                "says": claim.says,
                "where": claim.where,
                "unit": claim.unit,
                "claimed": " / ".join(claim.printed),
            }
            | {"from_printed_cells": " / ".join(f"{value!r}" for value in computed[0])}
            | {"from_unrounded_cells": " / ".join(f"{value!r}" for value in computed[1])}
            | {"outcome": result, "note": claim.note}
            | {"contradiction": claim.contradiction}
        )
    counts = ", ".join(f"{result} {outcomes.count(result)}" for result in sorted(set(outcomes)))
    titles = (
        "claim",
        "where",
        "claimed",
        "from printed cells",
        "from unrounded cells",
        "outcome",
        "no.",
        "note",
    )
    return Table(
        name="claims",
        title=f"Claims of the paper, computed again under reading {reading.name}",
        mode="paper",
        units="as in the column 'claimed'",
        columns=tuple(Column(title) for title in titles),
        rows=tuple(rows),
        data=pd.DataFrame(data).astype({"contradiction": "Int64"}).assign(mode="paper", reading=reading.name),
        headline=f"{len(outcomes)} claims: {counts}.",
        notes=(
            "Of the claims only those on rounds depend on the reading, and of their outcomes only contradiction 7's.",
            "'no.' numbers the places where the paper disagrees with itself: docs/background/paper_contradictions.md.",
        ),
    )


def _agree(printed: Iterable[str], values: Values) -> bool:
    return all(judge(value, text) is Verdict.WITHIN for text, value in zip(printed, values, strict=True))


def _shown(values: Values) -> str:
    return " / ".join(plain_number(value, 3) for value in values) or "-"


def _tone(result: str) -> Tone:
    return "good" if result == "agrees" else "warn" if result.startswith("agrees") else "bad"


def _summarise(values: list[float], summary: str) -> Values:
    summaries: dict[str, Callable[[list[float]], Values]] = {
        "each": tuple,
        "range": lambda ratios: (min(ratios), max(ratios)),
        "mean": lambda ratios: (sum(ratios) / len(ratios),),
        "most": lambda ratios: (max(ratios),),
        "most_percent_more": lambda ratios: (100 * (max(ratios) - 1),),
    }
    return summaries[summary](values)


def _table4_ratio(given: Evidence, *, metric: str, row: str, over: str, summary: str) -> Computed:
    def ratios(cells: Cells) -> Values:
        each = [cells[row, name][metric] / cells[over, name][metric] for name in given.workloads]
        return _summarise(each, summary)

    return ratios(given.printed), ratios(given.unrounded)


def _table4_cell(given: Evidence, *, metric: str, row: str, workloads: list[str]) -> Computed:
    return (
        tuple(given.printed[row, name][metric] for name in workloads),
        tuple(given.unrounded[row, name][metric] for name in workloads),
    )


def _rounds(given: Evidence, row: str, workload: str) -> int:
    return given.rows[row, workload].result.plan.rounds or 0


def _fewer_rounds(given: Evidence, *, row: str, than: str) -> Computed:
    pairs = [(_rounds(given, row, name), _rounds(given, than, name)) for name in given.workloads]
    return (), tuple(100 * (1 - fewer / more) for fewer, more in pairs)


def _nearest_fewer_rounds(given: Evidence, *, row: str, claimed_pct: list[float]) -> Computed:
    """For each claimed percentage, the nearest that a whole number of rounds of the other method can give."""

    def nearest(workload: str, goal: float) -> float:
        rounds = _rounds(given, row, workload)
        guess = int(rounds / (1 - goal / 100))
        options = [100 * (1 - rounds / other) for other in (guess, guess + 1)]
        return min(options, key=lambda option: abs(option - goal))

    return (), tuple(nearest(name, goal) for name, goal in zip(given.workloads, claimed_pct, strict=True))


def _implied_slowdown(given: Evidence, *, row: str, than: str, workload: str, fewer_rounds_pct: float) -> Computed:
    other = _rounds(given, row, workload) / (1 - fewer_rounds_pct / 100)
    return (), (other / _rounds(given, than, workload),)


def _accuracy_gap(given: Evidence, *, row: str, under: str) -> Computed:
    metric = "accuracy_pct"
    gaps = tuple(given.printed[row, name][metric] - given.printed[under, name][metric] for name in given.workloads)
    return gaps, ()


def _accuracy_less(given: Evidence, *, row: str, points: list[float]) -> Computed:
    printed = [given.printed[row, name]["accuracy_pct"] for name in given.workloads]
    return tuple(value - less for value, less in zip(printed, points, strict=True)), ()


def _batch_seconds(given: Evidence, *, row: str, workload: str) -> Computed:
    return (), (given.rows[row, workload].result.batch.time_ms / 1e3,)


def _table1_ratio(_given: Evidence, *, metric: str, summary: str) -> Computed:
    column = {"time_ms": "time_ms", "energy_mj": "energy_j"}[metric]
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for line in printed_table(1):
        place = cells.setdefault((line["processor"], line["precision"]), {})
        place[fold(line["model"])] = float(line[column].replace(",", ""))
    cpu, dsp = cells["cpu", "fp32"], cells["dsp", "int8"]
    return _summarise([cpu[model] / dsp[model] for model in cpu], summary), ()


def _quotient(_given: Evidence, *, terms: list[float], divisor: float) -> Computed:
    return (sum(terms) / divisor,), ()


def _remark(_given: Evidence) -> Computed:
    return (), ()


_KINDS: dict[str, Callable[..., Computed]] = {
    "table4_ratio": _table4_ratio,
    "table4_cell": _table4_cell,
    "fewer_rounds": _fewer_rounds,
    "nearest_fewer_rounds": _nearest_fewer_rounds,
    "implied_slowdown": _implied_slowdown,
    "accuracy_gap": _accuracy_gap,
    "accuracy_less": _accuracy_less,
    "batch_seconds": _batch_seconds,
    "table1_ratio": _table1_ratio,
    "quotient": _quotient,
    "remark": _remark,
}
