"""Sweeps and the tornado as tables: one line per point, sequential beside overlapped."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from costmodel.engine import Answer, EngineName, answer
from costmodel.scenario import Scenario
from costmodel.scenario_file import with_settings
from costmodel.tornado import Change, changes
from costmodel.workload import workload_for
from fl_sim.pipelined import PipelinedRun, plan_of, run_of
from profiler.names import printable
from profiler.table import paper_table
from reports.pipeline.summary import batch_energy, mode_of
from reports.table import Cell, Column, Table, number, plain_number, signed_percent

Points = Sequence[tuple[Mapping[str, str], Scenario]]


_COHORT_NOTE = (
    "'thirds' are the three phones of Table 3 in equal shares. CV: coefficient of variation of a client's network rate,"
    " normal and cut at zero, up and down apart; simulated over 4,000 rounds."
)


@dataclass(frozen=True)
class How:
    """How every point is run: engine (None: the cheapest exact), batches, replications and seed."""

    engine: EngineName | None = None
    batches: int | None = None
    replications: int | None = None
    seed: int = 0

    def run(self, scenario: Scenario, progress: Callable[[int], None] | None = None) -> Answer:
        """Return the scenario's answer; every call starts from the same seed, so that points differ by settings."""
        return answer(
            scenario,
            engine=self.engine,
            batches=self.batches,
            replications=self.replications,
            random=np.random.default_rng(self.seed),
            progress=progress,
        )


@dataclass(frozen=True)
class Point:
    """One finished point of a sweep."""

    settings: Mapping[str, str]
    found: Answer
    runs: tuple[PipelinedRun | None, PipelinedRun | None]


def runs_of(found: Answer) -> tuple[PipelinedRun | None, PipelinedRun | None]:
    """Return the runs to converge of an answer, (sequential, overlapped)."""
    scenario = found.scenario
    return (
        run_of(scenario, overlap=False, timing=found.sequential),
        run_of(scenario, overlap=True, timing=found.overlapped),
    )


def sweep_points(points: Points, how: How) -> Iterator[Point]:
    """Yield the points of a sweep as they are finished."""
    for settings, scenario in points:
        found = how.run(scenario)
        yield Point(settings, found, runs_of(found))


def sweep_table(base: Scenario, points: Sequence[Point], planned: int) -> Table:
    """Return the finished points of a sweep of ``planned`` points."""
    names = list(points[0].settings)
    mode = mode_of(base)
    rows, data = [], []
    for point in points:
        found = point.found
        before, after = found.sequential.batch_ms, found.overlapped.batch_ms
        saved = before.value - after.value
        hours = point.runs[1]
        energies = [batch_energy(found, each).total_j for each in (found.sequential, found.overlapped)]
        at_least = ">= " if after.bound else ""
        batch_size = found.scenario.batch_size
        rows.append(
            (
                *(Cell(printable(value, 24)) for value in point.settings.values()),
                number(before.value),
                Cell(at_least + plain_number(after.value)),
                Cell("-" if after.low is None or after.high is None else plain_number((after.high - after.low) / 2, 2)),
                Cell("-" if before.bound else plain_number(saved)),
                Cell("-" if before.bound else f"{100 * saved / before.value:.1f}"),
                number(after.value / batch_size),
                Cell("-" if hours is None else at_least + plain_number(hours.time_h)),
                Cell("-" if energies[1] is None else at_least + plain_number(1e3 * energies[1])),
                Cell(found.floor.bottleneck),
                Cell(found.engine, "faint"),
            )
        )
        data.append(
            dict(point.settings)
            | {"sequential_batch_ms": before.value, "overlapped_batch_ms": after.value}
            | {"overlapped_batch_ms_low": after.low, "overlapped_batch_ms_high": after.high}
            | {"overlapped_is_lower_bound": after.bound, "sequential_is_lower_bound": before.bound}
            | {"saved_ms": None if before.bound else saved}
            | {"saved_pct": None if before.bound else 100 * saved / before.value}
            | {"batch_size": batch_size, "overlapped_sample_ms": after.value / batch_size}
            | {"sequential_round_ms": found.sequential.round_ms.value}
            | {"overlapped_round_ms": found.overlapped.round_ms.value, "round_batches": found.overlapped.batches}
            | {"time_to_converge_h": None if hours is None else hours.time_h}
            | {"sequential_batch_mj": None if energies[0] is None else 1e3 * energies[0]}
            | {"overlapped_batch_mj": None if energies[1] is None else 1e3 * energies[1]}
            | {"bottleneck": found.floor.bottleneck, "engine": found.engine, "replications": found.replications}
        )
    notes = [] if len(points) == planned else [f"Interrupted: {len(points)} of {planned} points; these are complete."]
    if all(point.runs[1] is None for point in points) and plan_of(base) is not None:
        notes.append("No hours where batch size, samples or epochs are not those that the rounds were inferred for.")
    return Table(
        name="sweep",
        title=f"Sweep of {', '.join(names)}: {base.title or base.name}",
        mode=mode,
        units="ms per batch in the long run, +- half of a 95 % confidence interval; hours to converge; mJ per batch",
        columns=(
            *(Column(name) for name in names),
            Column("sequential", numeric=True, short="seq."),
            Column("overlapped", numeric=True, short="overl."),
            Column("+-", numeric=True, spare=not any(point.found.random for point in points)),
            Column("saved", numeric=True, spare=True),
            Column("saved %", numeric=True),
            Column("ms/sample", numeric=True, spare=True),
            Column("T (h)", numeric=True),
            Column("E (mJ)", numeric=True),
            Column("bottleneck"),
            Column("engine", spare=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(scenario=base.name, mode=mode),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class Bar:
    """One evaluated change of a tornado; a value is None where the scenario has no hours."""

    change: Change
    batch_ms: float
    time_h: float | None


def tornado_bars(scenario: Scenario, how: How) -> tuple[Bar, tuple[Bar, ...]]:
    """Return the unchanged scenario, and every change that can be made, evaluated one at a time."""
    base = _bar(Change("", "as it is"), scenario, how)
    bars = []
    for change in (*changes(scenario), *_cohort_changes(scenario)):
        if base.time_h is None and change.group == "network rate":
            continue  # it acts on nothing but the hours
        try:
            bars.append(_bar(change, change.apply(scenario), how))
        except ValueError:  # the change contradicts another setting of this scenario, or the engine that was forced
            continue
    return base, tuple(bars)


def tornado_table(scenario: Scenario, base: Bar, bars: Sequence[Bar]) -> Table:
    """Return the tornado, the change with the largest effect first: hours if they are known, else time per batch."""
    mode = mode_of(scenario)
    hours = base.time_h is not None
    rows, data = [], []
    for bar in (base, *sorted_bars(base, bars)):
        batch_pct = 100 * (bar.batch_ms / base.batch_ms - 1)
        hours_pct = None if bar.time_h is None or base.time_h is None else 100 * (bar.time_h / base.time_h - 1)
        rows.append(
            (
                Cell(bar.change.words),
                number(bar.batch_ms),
                Cell(signed_percent(batch_pct)),
                number(bar.time_h),
                Cell("-" if hours_pct is None else signed_percent(hours_pct)),
            )
        )
        data.append(
            {"change": bar.change.words, "group": bar.change.group, "overlap": bar.change.overlap}
            | {"settings": " ".join(f"{name}={value}" for name, value in bar.change.settings.items())}
            | {"batch_ms": bar.batch_ms, "batch_pct": batch_pct}
            | {"time_to_converge_h": bar.time_h, "time_to_converge_pct": hours_pct}
        )
    return Table(
        name="tornado",
        title=f"One change at a time: {scenario.title or scenario.name}",
        mode=mode,
        units="ms per batch and hours to converge, each with its change in %" if hours else "ms per batch, change in %",
        columns=(
            Column("change"),
            Column("T (ms)", numeric=True),
            Column("%", numeric=True),
            Column("T (h)", numeric=True),
            Column("%", numeric=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(scenario=scenario.name, mode=mode),
        notes=(_COHORT_NOTE,) if hours else (),
    )


def sorted_bars(base: Bar, bars: Sequence[Bar]) -> list[Bar]:
    """Return the bars by the size of their effect, largest first."""

    def effect(bar: Bar) -> tuple[float, float]:
        hours = 0.0 if bar.time_h is None or base.time_h is None else abs(bar.time_h - base.time_h)
        return -hours, -abs(bar.batch_ms - base.batch_ms)

    return sorted(bars, key=effect)


def _bar(change: Change, scenario: Scenario, how: How) -> Bar:
    found = how.run(scenario)
    timing = found.overlapped if change.overlap else found.sequential
    run = run_of(scenario, overlap=change.overlap, timing=timing)
    return Bar(change, timing.batch_ms.value, None if run is None else run.time_h)


def _cohort_changes(scenario: Scenario) -> list[Change]:
    """Return what else a round of the plan's clients can bring: other phones, and networks that vary."""
    found, workload = plan_of(scenario), workload_for(scenario.model, scenario.dataset)
    if found is None or workload is None or scenario.cohort.clients != 1 or scenario.noise.varies:
        return []
    count = found[0].clients_per_round
    table = paper_table("table3")
    same = table[(table["model"] == workload.model) & (table["dataset"] == workload.dataset)]
    origin = dict(scenario.origins).get("stage.train_ms", "")
    taken_ms = (scenario.printed_batch_ms or 0.0) - scenario.stage.train_ms  # what the reading takes from T
    phones = [float(time_ms) - taken_ms for time_ms in same["time_ms"]]
    waited = {"cohort.clients": count}
    every, most = f"wait for all {count}", f"wait for 80 % of {count}"
    changes = []
    if "WWW'24" in origin and min(phones) > 0:
        changes = [Change("phones", f"{every}, thirds of phones", waited | {"cohort.phones_train_ms": phones})]
    for cv, words, end in ((0.2, every, 1.0), (0.2, most, 0.8), (0.37, most, 0.8)):
        network = {"cohort.network": "cut_normal", "cohort.network_cv": cv}
        ends = {"cohort.round_end": "fraction", "cohort.fraction": end} if end < 1 else {}
        changes.append(Change(f"network {cv:g} {end:g}", f"{words}, network CV {cv:g}", waited | network | ends))
    return changes


def with_noise(scenario: Scenario, cv: float) -> Scenario:
    """Return the scenario with log-normal stage times."""
    settings = {"noise.kind": "lognormal" if cv else "constant", "noise.cv": cv}
    return with_settings(scenario, settings | ({"noise.rows": []} if scenario.noise.rows else {}), "you: --cv")
