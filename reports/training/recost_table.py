"""The costs of training runs as tables: method beside method, phone by phone, with ratios to FloatFL."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pandas as pd

from fl_sim.converged import spread
from fl_sim.recost import RunCost, kernel_of
from profiler.names import fold, printable
from reports.table import Cell, Column, Table, number, plain_number
from reports.table4 import overlap_notes
from reports.training.converged import rounds_cell, spread_cell
from reports.training.ended import conditions, judged_words
from reports.training.recost import Priced, PricedRuns, RunsRequest, bandwidth_of
from traces.network import format_rate

_BASE = "floatfl"  # the method that others are compared with

_What = Callable[[RunCost], Any]
_TIME_H: _What = attrgetter("time_h")
_CLIENT_KJ: _What = attrgetter("client_kj")


@dataclass(frozen=True)
class _Until:
    """Up to where costs are counted: ``costs`` is that field of a row, ``title`` says it."""

    name: str
    title: str
    costs: Callable[[Priced], tuple[RunCost | None, ...]]


def cost_tables(priced: PricedRuns, request: RunsRequest) -> tuple[Table, ...]:
    """Return tables for a person's own measurements and for the published ones: until converged, target, and in all."""
    ends = [_Until("converged", "until they converged", attrgetter("converged"))]
    if request.target is not None:
        ends.append(_Until("target", f"until they reached {100 * request.target:g} %", attrgetter("reached")))
    ends.append(_Until("all", "all rounds", attrgetter("whole")))
    return tuple(_table(kind, rows, end, request) for kind, rows in priced.rows.items() if rows for end in ends)


def _table(kind: str, priced: Sequence[Priced], until: _Until, request: RunsRequest) -> Table:
    mode = request.changes.mode(f"measured rounds, {kind} costs")
    first = until.name == "converged"
    return Table(
        name=f"cost_of_runs_{until.name}_{kind}",
        title=f"Cost of training runs, {until.title}",
        mode=mode,
        units=(
            "T in hours with every round's slowest client, mean: with its mean client; E in kJ per registered client,"
            " sum: of all"
        ),
        columns=(
            *(Column("data set"), Column("method and phone"), Column("acc. (%)", numeric=True)),
            *(Column(title, numeric=True) for title in ("rounds", "T (h)", "mean (h)", "E (kJ)", "sum (kJ)")),
            *(Column(title, numeric=True) for title in ("T ratio", "E ratio")),
            Column("cost from", spare=True),
        ),
        rows=tuple(_row(each, priced, until) for each in priced),
        data=pd.DataFrame([_figures(each, priced, until, request) for each in priced]).assign(mode=mode),
        notes=tuple(_notes(priced, request)) if first else (),
    )


def _row(each: Priced, priced: Sequence[Priced], until: _Until) -> tuple[Cell, ...]:
    batch, costs = each.fit.batch, until.costs(each)
    rounds = spread_cell(spread([None if cost is None else cost.rounds for cost in costs]))
    if until.name == "converged":
        rounds = rounds_cell(each.ended)
    inferred = batch.provenance == "inferred"
    return (
        Cell(each.ended.group.dataset),
        Cell(each.title, "plain" if each.fit.measured and each.fit.same_data else "warn"),
        Cell(f"{100 * np.median([end.final for end in each.ended.ends]):.1f}"),
        rounds,
        *(number(_median(costs, attrgetter(what))) for what in ("time_h", "mean_h", "client_kj", "total_kj")),
        *(_ratio_cell(_ratio(each, priced, until, what)) for what in (_TIME_H, _CLIENT_KJ)),
        Cell(printable(batch.table, 30) + (" (inferred)" if inferred else ""), "warn" if inferred else "faint"),
    )


def _figures(each: Priced, priced: Sequence[Priced], until: _Until, request: RunsRequest) -> dict[str, object]:
    """Return a row's figures at full precision, medians and ranges over seeds."""
    batch, run, costs = each.how.cost, each.ended.group.runs[0], until.costs(each)
    base = _base(each, priced)
    found: dict[str, object] = {
        **{"dataset": each.ended.group.dataset, "model": run.model, "method": each.ended.group.method},
        **{"group": each.ended.label, "setting": each.ended.group.words(), "seeds": len(each.ended.ends)},
        **{"device": batch.device, "processor": batch.processor, "precision": batch.precision},
        **{"conditions": batch.conditions, "batch_time_ms": batch.time_ms, "batch_energy_mj": batch.energy_mj},
        **{"measured_on": batch.dataset, "arithmetic_measured": each.fit.measured, "overlap": each.how.how},
        **{"provenance": batch.provenance, "source": batch.source, "cost_from": batch.table},
        **{"bandwidth_bit_per_s": bandwidth_of(request), "batches": request.counted},
        **{"window": request.rule.window, "margin_points": request.rule.margin_points},
        **{"judged": each.ended.judged.lower(), "still_rising": each.ended.rising, "until": until.name},
        "target_pct": 100 * request.target if request.target is not None and until.name == "target" else None,
        "final_pct_median": float(np.median([100 * end.final for end in each.ended.ends])),
    }
    for what in ("rounds", "time_h", "mean_h", "client_kj", "total_kj"):
        known = [value for cost in costs if cost is not None and (value := getattr(cost, what)) is not None]
        found[f"{what}_median"] = _median(costs, attrgetter(what))
        found[f"{what}_least"] = min(known) if known else None
        found[f"{what}_most"] = max(known) if len(known) == len(costs) else None
    return found | {
        "base": None if base is None else base.title,
        "time_ratio": _ratio(each, priced, until, _TIME_H),
        "energy_ratio": _ratio(each, priced, until, _CLIENT_KJ),
    }


def _base(each: Priced, priced: Sequence[Priced]) -> Priced | None:
    """Return FloatFL on the same phone in the same setting, on the processor where it ends soonest; None if several."""
    mine = each.ended.group.condition()
    fitting = [
        other
        for other in priced
        if other.ended.group.method == _BASE
        and fold(other.fit.batch.device) == fold(each.fit.batch.device)
        and other.ended.group.condition() == mine
    ]
    if len({id(other.ended) for other in fitting}) != 1:
        return None
    return min(fitting, key=lambda other: float(_median(other.whole, _TIME_H) or 0.0))


def _ratio(each: Priced, priced: Sequence[Priced], until: _Until, what: _What) -> float | None:
    base = _base(each, priced)
    own, theirs = _median(until.costs(each), what), None if base is None else _median(until.costs(base), what)
    return theirs / own if own and theirs is not None else None


def _notes(priced: Sequence[Priced], request: RunsRequest) -> Iterator[str]:
    yield f"Converged: {request.rule.words}. Medians over seeds; rounds with lowest and highest."
    if any(each.ended.rising for each in priced):
        yield "A + behind the rounds: a seed was still rising at its end, so rounds, T and E are the least they can be."
    judged = judged_words([each.ended for each in priced])
    yield f"{judged} Acc. is the run's last; runs of different accuracy are no equals: --target makes them so."
    yield (
        "Ratios: FloatFL's T and E on the same phone, in the same setting, divided by the row's; a dash where no such"
        " run, or more than one, was given or its FP32 was not measured."
    )
    yield from conditions([each.ended for each in priced])
    default = "" if request.changes.bandwidth_bit_per_s else ", the paper's default (section 4.1 p. 6)"
    short = "as trained, a short last one like a full one" if request.counted == "trained" else "images / batch size"
    yield f"Bandwidth {format_rate(bandwidth_of(request))} each way{default}. Batches: {short}. Bytes: as sent."
    if request.changes.words:
        yield f"Changed: {request.changes.words}."
    if any(each.fit.batch.provenance == "published" for each in priced):
        yield from overlap_notes(request.changes)
    left = sorted({each.title for each in priced if each.how.how.startswith("left as measured")})
    if left:
        yield f"Left as measured, because no stages were: {printable('; '.join(left), 300)}."
    if not all(each.fit.same_data for each in priced):
        yield "Measured on another data set: the model is the run's, but for its inputs and classes."
    for each in {each.ended.group.method: each for each in priced if not each.fit.measured}.values():
        own = each.ended.group.runs[0].method
        yield (
            f"Unmeasured: no phone's {own.precision} training was measured, so {own.title} keeps the cost of the"
            f" {kernel_of(own)[0]} that would run today; no speed-up is invented."
        )
    doubts = dict.fromkeys(doubt for each in priced for doubt in each.fit.batch.note.split("; ") if doubt)
    if doubts:
        yield f"About the measurements: {printable('; '.join(doubts), 600)}."
    left_out = ", ".join([*request.power.not_counted, "the server", "evaluation"])
    yield f"Not counted: {left_out}. Every client has the row's phone, and none is absent or stops early."


def _median(costs: Sequence[RunCost | None], what: _What) -> float | None:
    """Return the median over seeds; None if it is unknown, or if half of the seeds or more never got there."""
    values = [None if cost is None else what(cost) for cost in costs]
    if any(cost is not None and value is None for cost, value in zip(costs, values, strict=True)):
        return None
    ordered = sorted(np.inf if value is None else float(value) for value in values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return None if np.isinf(middle) else middle


def _ratio_cell(ratio: float | None) -> Cell:
    return Cell("-", "faint") if ratio is None else Cell(f"{plain_number(ratio, 3)}×")
