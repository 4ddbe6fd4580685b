"""The details of a scenario: who is busy, what claims the period, the critical path, energy, and all parameters."""

from collections.abc import Mapping

import pandas as pd

from costmodel.engine import Answer
from costmodel.scenario import Scenario, parameters, pipeline_of
from costmodel.timeline import critical_path, path_shares, use_of
from profiler.names import printable
from reports.pipeline.summary import batch_energy, mode_of
from reports.table import Cell, Column, Table, Tone, number, plain_number


def use_table(found: Answer, *, overlap: bool = True) -> Table:
    """Return what every resource did during the round, and the critical path beneath."""
    pipeline, mode = pipeline_of(found.scenario), mode_of(found.scenario)
    spans = found.spans if overlap else found.sequential_spans
    uses = use_of(pipeline, spans)
    path = path_shares(critical_path(pipeline, spans))
    whole = float(spans.makespan_ms)
    chain = ", ".join(f"{name} {plain_number(ms, 4)} ms ({100 * ms / whole:.1f} %)" for name, ms in path.items())
    slowed = ("slowed",) if any(use.slowed_ms > 0 for use in uses) else ()
    if slowed:
        stopped = (
            "Slowed: stopped or slowed down beyond the work itself, by an app, a clock, or a pause before another try."
        )
    which = "overlapped" if overlap else "sequential"
    notes = [f"Critical path: {chain}.", *([stopped] if slowed else [])]
    if spans.batches < found.overlapped.batches:
        notes.append(f"Shown for the first {spans.batches:,} batches of the round.")
    if found.random:
        notes.append("Shown for the first replication.")
    if found.overlapped.batch_ms.bound and found.disturbed:
        notes.append("Shown without the disturbance, which the formula does not know.")
    return Table(
        name="resources",
        title=f"Resources during a round of {spans.batches:,} batches, {which}",
        mode=mode,
        units="ms of the round; blocked: no free slot behind it; starved: no batch before it; finished: none left",
        columns=(
            Column("resource"),
            *(Column(title, numeric=True) for title in ("busy", "busy %", *slowed, "blocked", "starved", "finished")),
        ),
        rows=tuple(
            (
                Cell(use.resource),
                number(use.busy_ms),
                Cell(f"{100 * use.busy_ms / whole:.1f}"),
                *(number(use.slowed_ms) for _ in slowed),
                number(use.blocked_ms),
                number(use.starved_ms),
                number(use.finished_ms),
            )
            for use in uses
        ),
        data=pd.DataFrame(
            [
                {
                    "resource": use.resource,
                    "busy_ms": use.busy_ms,
                    "busy_pct": 100 * use.busy_ms / whole,
                    "slowed_ms": use.slowed_ms,
                    "blocked_ms": use.blocked_ms,
                    "starved_ms": use.starved_ms,
                    "finished_ms": use.finished_ms,
                    "makespan_ms": whole,
                }
                for use in uses
            ]
        ).assign(run=which, critical_path=chain, mode=mode),
        notes=tuple(notes),
    )


def claims_table(found: Answer) -> Table:
    """Return what claims the period, largest first: the period is the largest of them, or not below it."""
    floor, mode = found.floor, mode_of(found.scenario)
    claims = sorted(floor.claims_ms.items(), key=lambda item: -item[1])
    law = (
        "the period is the largest of these" if found.exact and not found.disturbed and floor.exact else "a lower bound"
    )
    return Table(
        name="claims",
        title=f"What claims the period ({law})",
        mode=mode,
        units="ms per batch",
        columns=(Column("claim"), Column("T (ms)", numeric=True), Column("")),
        rows=tuple(
            (Cell(name), number(claim), Cell("bottleneck" if name == floor.bottleneck else "", "warn"))
            for name, claim in claims
        ),
        data=pd.DataFrame(
            [
                {"claim": name, "time_ms": claim, "bottleneck": name == floor.bottleneck, "exact": floor.exact}
                for name, claim in claims
            ]
        ).assign(mode=mode),
    )


def energy_table(found: Answer) -> Table | None:
    """Return energy per batch by part, sequential beside overlapped; None where no power is known at all."""
    mode = mode_of(found.scenario)
    before = batch_energy(found, found.sequential)
    after = batch_energy(found, found.overlapped)
    if all(part is None for part in after.parts_j.values()):
        return None
    parts: Mapping[str, tuple[float | None, float | None]] = {
        name: (before.parts_j[name], after.parts_j[name]) for name in after.parts_j
    } | {"total": (before.total_j, after.total_j)}
    return Table(
        name="energy",
        title=f"Energy per batch, {'after the first of the round' if found.disturbed else 'long run'}",
        mode=mode,
        units="mJ; base and idle power over the whole time, active power over the work done; a dash is not measured"
        + ("; lower bounds" if found.overlapped.batch_ms.bound else ""),
        columns=(Column("part"), *(Column(title, numeric=True) for title in ("sequential", "overlapped", "saved"))),
        rows=tuple(
            (
                Cell(name),
                number(_mj(first)),
                number(_mj(second)),
                number(None if first is None or second is None else 1e3 * (first - second)),
            )
            for name, (first, second) in parts.items()
        ),
        data=pd.DataFrame(
            [
                {"part": name, "sequential_mj": _mj(first), "overlapped_mj": _mj(second)}
                | {"saved_mj": None if first is None or second is None else 1e3 * (first - second)}
                for name, (first, second) in parts.items()
            ]
        ).assign(mode=mode),
    )


def parameter_table(scenario: Scenario) -> Table:
    """Return every parameter of the scenario, its unit, and where it is from."""
    origins, mode = dict(scenario.origins), mode_of(scenario)
    rows, data, defaults = [], [], []
    for name, value, about in parameters(scenario):
        origin = printable(origins.get(name, "default"), 120)
        text = "-" if value is None else _value(value)
        data.append(
            {"parameter": name, "value": "" if value is None else str(value), "unit": about["unit"]}
            | {"about": about["about"], "from": origin}
        )
        if name == "title":
            continue  # it is the heading of every table
        if origin == "default":
            unit = f" {about['unit']}" if about["unit"] and text not in ("-", "none") else ""
            defaults.append(f"{name} = {'not known' if value is None else text}{unit}")
        else:
            tone: Tone = "warn" if origin.startswith(("you: ", "swept")) or "not identifiable" in origin else "faint"
            rows.append((Cell(name), Cell(text), Cell(about["unit"]), Cell(origin, tone)))
    return Table(
        name="parameters",
        title=f"Parameters of scenario {scenario.name}",
        mode=mode,
        units="as named; '-' is not known",
        columns=(Column("parameter"), Column("value"), Column("unit", spare=True), Column("from")),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(mode=mode),
        notes=(f"Left at their defaults: {', '.join(defaults)}.",),
    )


def _value(value: object) -> str:
    if isinstance(value, tuple):
        items = [_value(item) for item in value[:4]]
        return (" ".join(items) + (f" ... ({len(value):,})" if len(value) > 4 else "")) or "none"
    if isinstance(value, float):
        return plain_number(value, 5)
    return printable(value, 60) or "-"


def _mj(joules: float | None) -> float | None:
    return None if joules is None else 1e3 * joules
