"""Rounds to converge of training runs, beside the paper's, and how much they depend on what counts as converged."""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from costmodel.workload import Workload
from fl_sim.converged import Rule, Spread, converged, spread
from fl_sim.reading import readings
from profiler.sheet import parse_sheet
from reports.manifest import Input, input_of
from reports.printed import printed_table
from reports.table import Cell, Column, Table, number, plain_number, signed_percent
from reports.training.ended import Ended, conditions, judged_words

WINDOWS, MARGINS_POINTS = (1, 5, 10, 20), (0.5, 1.0, 2.0)
_QFEDAVG = "qfedavg.csv"


def rounds_table(found: Sequence[Ended], rule: Rule, target: float | None) -> Table:
    """Return accuracies and rounds to converge of groups of runs, beside what the paper prints or implies."""
    read = readings().values()
    reached = () if target is None else (Column(f"to {100 * target:g} %", numeric=True),)
    rows = []
    for each in found:
        told = () if target is None else (spread_cell(each.rounds_to(rule, target)),)
        rows.append(
            (
                Cell(each.group.dataset),
                Cell(each.label),
                Cell(f"{len(each.ends)}"),
                _percent_cell([end.final for end in each.ends]),
                _percent_cell([end.best for end in each.ends]),
                rounds_cell(each),
                _rising_cell(each),
                *told,
                _paper_cell(paper_accuracy_pct(each.group.method, each.workload)),
                *(_paper_cell(_paper_rounds(each, reading.name)) for reading in read),
            )
        )
    return Table(
        name="rounds",
        title="Rounds to converge",
        mode="measured",
        units="accuracy in % of all test images; rounds: median over seeds (lowest-highest)",
        columns=(
            *(Column("data set"), Column("method"), Column("seeds", numeric=True)),
            *(Column(title, numeric=True) for title in ("final", "best", "rounds")),
            *(Column("still rising"), *reached, Column("paper's acc.", numeric=True)),
            *(Column(f"paper's R, E = {reading.epochs}", numeric=True) for reading in read),
        ),
        rows=tuple(rows),
        data=pd.DataFrame([_figures(each, rule, target) for each in found]).assign(mode="measured"),
        notes=tuple(_notes(found, rule)),
    )


def sensitivity_table(found: Sequence[Ended], rule: Rule) -> Table:
    """Return the rounds to converge over windows and margins, the chosen ones among them."""
    windows = sorted({*WINDOWS, rule.window})
    margins = sorted({*MARGINS_POINTS, rule.margin_points})
    rows, data = [], []
    for each in found:
        for window in windows:
            cells = []
            for margin_points in margins:
                other = Rule(window, margin_points, rule.judged)
                known = min(len(of) for of in each.curves) >= window
                ends = [converged(of, other) for of in each.curves] if known else []
                over = spread([end.round for end in ends]) if ends else None
                chosen = (window, margin_points) == (rule.window, rule.margin_points)
                cells.append(Cell("-", "faint") if over is None else spread_cell(over, "good" if chosen else "plain"))
                data.append(
                    {"dataset": each.group.dataset, "method": each.group.method, "group": each.label}
                    | {"window": window, "margin_points": margin_points, "chosen": chosen}
                    | _spread_figures("rounds", over)
                    | {"still_rising": sum(end.rising for end in ends) if ends else None}
                )
            rows.append((Cell(each.group.dataset), Cell(each.label), Cell(f"{window}"), *cells))
    return Table(
        name="rounds_sensitivity",
        title="Rounds to converge, by what counts as converged",
        mode="measured",
        units="rounds: median over seeds (lowest-highest); window in evaluations, margin in points of accuracy",
        columns=(
            *(Column("data set"), Column("method"), Column("window", numeric=True)),
            *(Column(f"margin {margin:g}", numeric=True) for margin in margins),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(mode="measured"),
        notes=("A dash: the run was judged less often than the window is long.",),
    )


def paper_accuracy_pct(method: str, workload: Workload | None) -> float | None:
    """Return the accuracy that the paper prints for a method (Table 4), or implies for Q-FedAvg; None if neither."""
    if workload is None:
        return None
    if method == "qfedavg":
        return _qfedavg().get(workload.name)
    rows = [row for row in printed_table(4) if (row["workload"], row["method"]) == (workload.name, method)]
    return float(rows[0]["accuracy_pct"]) if rows else None


def paper_inputs() -> tuple[Input, ...]:
    """Return the manifest entry of the data that only these tables read."""
    return (input_of(f"reports/paper/{_QFEDAVG}", _qfedavg_bytes()),)


def spread_cell(over: Spread, tone: Any = "plain") -> Cell:
    """Return median and range of rounds over seeds; a seed that never got there is ``never``."""
    if not over.reached:
        return Cell("never", "warn")
    median = "never" if over.median is None else plain_number(over.median)
    if over.least == over.most:
        return Cell(median, tone)
    most = "never" if over.most is None else f"{over.most:,}"
    return Cell(f"{median} ({over.least:,}-{most})", tone if over.median is not None else "warn")


def rounds_cell(each: Ended) -> Cell:
    """Return the rounds to converge over seeds, with a + where a seed was still rising and they are the least."""
    over = spread_cell(each.rounds)
    return Cell(f"{over.text} +", "warn") if each.rising else over


def _rising_cell(each: Ended) -> Cell:
    """Return how many seeds were still rising at their end, and what the last fifth of their rounds added."""
    gain = float(np.median([end.gain_points for end in each.ends]))
    added = "" if np.isnan(gain) else f" ({signed_percent(gain)})"
    if not each.rising:
        return Cell(f"no{added}", "faint")
    return Cell(("yes" if len(each.ends) == 1 else f"{each.rising} of {len(each.ends)}") + added, "warn")


def _figures(each: Ended, rule: Rule, target: float | None) -> dict[str, object]:
    run = each.group.runs[0]
    over = {name: [100 * getattr(end, name) for end in each.ends] for name in ("final", "best")}
    return (
        {"dataset": each.group.dataset, "model": run.model, "method": each.group.method, "group": each.label}
        | {"setting": each.group.words(), "runs": " ".join(each.name for each in each.group.runs)}
        | {"seeds": len(each.ends), "judged": each.judged.lower()}
        | {"window": rule.window, "margin_points": rule.margin_points}
        | {
            f"{name}_pct_{how}": float(getattr(np, how)(values))
            for name, values in over.items()
            for how in ("median", "min", "max")
        }
        | _spread_figures("rounds", each.rounds)
        | {"still_rising": each.rising, "gain_last_fifth_points": float(np.median([e.gain_points for e in each.ends]))}
        | {"target_pct": None if target is None else 100 * target}
        | _spread_figures("rounds_to_target", None if target is None else each.rounds_to(rule, target))
        | {"paper_accuracy_pct": paper_accuracy_pct(each.group.method, each.workload)}
        | {f"paper_rounds_{name}": _paper_rounds(each, name) for name in readings()}
    )


def _spread_figures(name: str, over: Spread | None) -> dict[str, object]:
    ends = ("median", "least", "most", "reached")
    return {f"{name}_{end}": None if over is None else getattr(over, end) for end in ends}


def _notes(found: Sequence[Ended], rule: Rule) -> Iterable[str]:
    yield f"Converged: {rule.words}. Final and best are that mean, too; target: the first round where it is reached."
    yield (
        "Still rising: the best lies in the last window, so that a longer run may find a better one and the rounds"
        " (with a +) are the least they can be; in brackets the points that the last fifth of the rounds added."
    )
    yield judged_words(found)
    yield from conditions(found)
    if any(each.workload is not None for each in found):
        yield (
            "Paper's accuracy: Table 4, for Q-FedAvg implied by section 4.2. Paper's R: rounds inferred from Table 4 in"
            " two readings, of 4 and of 1 local epochs; what it counts as converged it does not say."
        )
    others = sorted(
        {f"{each.group.dataset} with model {each.group.runs[0].model}" for each in found if not each.workload}
    )
    if others:
        yield f"The paper has no figure for {', '.join(others)}."


def _paper_rounds(each: Ended, reading: str) -> int | None:
    if each.workload is None:
        return None
    return readings()[reading].workloads[each.workload.name].rounds.get(each.group.method)


def _percent_cell(shares: Sequence[float]) -> Cell:
    values = [100 * share for share in shares]
    median = f"{np.median(values):.1f}"
    return Cell(median if len(values) == 1 else f"{median} ({min(values):.1f}-{max(values):.1f})")


def _paper_cell(value: float | None) -> Cell:
    return Cell(number(value).text, "faint")


@cache
def _qfedavg() -> dict[str, float]:
    sheet = parse_sheet(_qfedavg_bytes(), _QFEDAVG)
    return {workload: float(accuracy) for workload, accuracy, _ in sheet.rows}


def _qfedavg_bytes() -> bytes:
    return (resources.files("reports") / "paper" / _QFEDAVG).read_bytes()
