"""The summary of a scenario: sequential beside overlapped, and the verdict in one line."""

from collections.abc import Iterator

import pandas as pd

from costmodel.energy import Energy, energy, saving_j
from costmodel.engine import Answer, Estimate
from costmodel.scenario import Scenario, disturbances_of, pipeline_of
from costmodel.stages import STAGES
from costmodel.tornado import levers
from fl_sim.pipelined import PipelinedRun
from reports.table import Cell, Column, Table, plain_number

_AGREES = 0.005  # of the printed time: closer than the difference between two readings


def mode_of(scenario: Scenario) -> str:
    """Return the mode of everything computed from a scenario."""
    origins = set(dict(scenario.origins).values())
    if not any("WWW'24" in origin for origin in origins):
        return "your scenario"
    letter = scenario.name.rpartition("_")[2]
    reading = letter.upper() if len(letter) == 1 else "A"
    changed = any(origin.startswith("you: ") for origin in origins)
    return f"paper, reading {reading} of the link assumed" + (", inputs changed" if changed else "")


def batch_energy(scenario: Scenario, batch_ms: float) -> Energy:
    """Return the energy of one batch in the long run, when a batch is finished every ``batch_ms``."""
    pipeline = pipeline_of(scenario)
    return energy(scenario, {stage: float(getattr(pipeline, f"{stage}_ms")) for stage in STAGES}, batch_ms)


def summary_table(
    found: Answer, runs: tuple[PipelinedRun | None, PipelinedRun | None], *, overlap: bool = True
) -> Table:
    """Return the answer with sequential beside overlapped; ``runs`` are (sequential, overlapped) to converge.

    ``overlap`` False words the verdict for the sequential run.
    """
    scenario = found.scenario
    sequential, overlapped = found.sequential, found.overlapped
    disturbed = disturbances_of(scenario).any and found.engine == "simpy"
    lines = [
        (
            f"time per batch, {'mean of the round' if disturbed else 'long run'}",
            "ms",
            sequential.batch_ms,
            overlapped.batch_ms,
        ),
        (f"round of {overlapped.batches:,} batches", "ms", sequential.round_ms, overlapped.round_ms),
    ]
    energies = [batch_energy(scenario, timing.batch_ms.value) for timing in (sequential, overlapped)]
    if energies[0].total_j is not None and energies[1].total_j is not None:
        both = (Estimate(1e3 * each.total_j) for each in energies if each.total_j is not None)
        lines.append(("energy per batch", "mJ", *both))  # type: ignore[arg-type]
    if runs[0] is not None and runs[1] is not None:
        joules = [run.participation_j for run in runs if run is not None]
        if joules[0] is not None and joules[1] is not None:
            lines.append((f"energy of a round ({', '.join(runs[1].counted)})", "J", *map(Estimate, joules)))  # type: ignore[arg-type]
        bounds = (sequential.batch_ms.bound, overlapped.batch_ms.bound)
        hours = [Estimate(run.time_h, bound=bound) for run, bound in zip(runs, bounds, strict=True) if run is not None]
        lines.append(("time to converge", "h", hours[0], hours[1]))
    rows, data = [], []
    for words, unit, before, after in lines:
        saved = before.value - after.value
        rows.append(
            (
                Cell(words),
                Cell(_text(before)),
                Cell(_text(after)),
                Cell(("<= " if after.bound and not before.bound else "") + plain_number(saved, 4)),
                Cell(_percent(saved, before.value)),
                Cell(unit),
            )
        )
        data.append(
            {"quantity": words, "unit": unit}
            | _figures("sequential", before)
            | _figures("overlapped", after)
            | {"saved": saved, "saved_pct": 100 * saved / before.value if before.value else None}
        )
    mode = mode_of(scenario)
    return Table(
        name="pipeline",
        title=scenario.title or f"Pipeline of scenario {scenario.name}",
        mode=mode,
        units=f"engine {found.engine}: {found.why}",
        columns=(
            Column("quantity"),
            *(Column(title, numeric=True) for title in ("sequential", "overlapped", "saved", "saved %")),
            Column("unit"),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data).assign(
            scenario=scenario.name, engine=found.engine, replications=found.replications, mode=mode
        ),
        headline=verdict_line(found, overlap=overlap),
        notes=tuple(_notes(found, runs[1])),
    )


def verdict_line(found: Answer, *, overlap: bool = True) -> str:
    """Return the verdict in a line: what is busy, what overlap saves, and what to change next."""
    before, after = found.sequential.batch_ms.value, found.overlapped.batch_ms.value
    saved = before - after
    claims = {name: claim for name, claim in found.floor.claims_ms.items() if name.endswith(("work", "ing"))}
    busiest = max(claims, key=lambda name: claims[name])
    period_ms = after if overlap else before
    share = 100 * claims[busiest] / period_ms if period_ms else 0.0
    bound = "at most " if found.overlapped.batch_ms.bound else ""
    busy = f"{busiest.removesuffix(' work')} {share:.0f} % busy"
    saves = f"overlap saves {bound}{plain_number(saved, 3)} of {plain_number(before, 4)} ms ({_percent(saved, before)})"
    if not overlap:
        return f"{busy} without overlap; {saves}."
    held = found.floor.bottleneck
    held = f" (held up by {held})" if held.endswith("slots") else ""
    best = levers(found.scenario)
    if not best:
        return f"{busy}{held}; {saves}; next lever: no single change helps."
    lever = best[0]
    at_last = f", then {lever.then} binds" if lever.then != found.floor.bottleneck else ""
    return f"{busy}{held}; {saves}; next lever: {lever.words} saves {plain_number(lever.saves_ms, 3)} ms{at_last}."


def _notes(found: Answer, run: PipelinedRun | None) -> Iterator[str]:
    scenario, after, before = found.scenario, found.overlapped, found.sequential
    if after.batch_ms.bound:
        yield (
            "The overlapped times are lower bounds, and what overlap saves is an upper bound: the formula is exact for"
            " constant times without contention or disturbance only."
        )
    if after.batch_ms.low is not None:
        yield (
            f"Times vary: mean +- half of its 95 % confidence interval over {found.replications:,} replications. A"
            f" round takes {_range(after.round_ms)} ms overlapped and {_range(before.round_ms)} ms sequential, from the"
            " 5 % to the 95 % quantile."
        )
    if (not found.exact and not after.batch_ms.bound) or found.engine == "simpy":
        floor = plain_number(found.floor.period_ms, 4)
        yield f"The period law at the mean times gives {floor} ms per batch overlapped: a floor for the mean."
    if found.retries:
        yield f"{found.retries:,} tries failed and were repeated."
    if found.peak_c is not None:
        yield f"The phone reached {found.peak_c:.1f} °C."
    yield from _printed(found)
    yield from _energy_notes(found)
    if run is not None:
        yield (
            f"Hours: {run.plan.rounds} rounds of Q-FedUpdate, reading {run.reading} of Table 4 (inferred); every round"
            f" {plain_number(run.round_s, 4)} s, of them {plain_number(run.train_s, 4)} s training."
        )
    elif scenario.model:
        yield "No hours to converge: nobody knows the rounds for this workload, batch size and epochs."


def _printed(found: Answer) -> Iterator[str]:
    """Yield whether the scenario can be what was printed: a reading that fits neither way is contradicted."""
    printed = found.scenario.printed_batch_ms
    if printed is None or not found.exact:
        return
    timings = {"sequential": found.sequential, "overlapped": found.overlapped}
    fits = [name for name, timing in timings.items() if abs(timing.batch_ms.value - printed) <= _AGREES * printed]
    if fits:
        yield f"Table 2 or 3 prints {printed:g} ms per batch: {' and '.join(fits)} fits."
    elif found.overlapped.batch_ms.value > printed:
        yield (
            f"Contradicted: Table 2 or 3 prints {printed:g} ms per batch, and Table 4 closes with it; this scenario"
            f" cannot be below {plain_number(found.overlapped.batch_ms.value, 4)} ms. See readings E, F and G."
        )
    else:
        yield f"Table 2 or 3 prints {printed:g} ms per batch; neither way takes that long."


def _energy_notes(found: Answer) -> Iterator[str]:
    scenario = found.scenario
    saved_ms = found.sequential.batch_ms.value - found.overlapped.batch_ms.value
    missing = batch_energy(scenario, found.overlapped.batch_ms.value).missing
    saved = saving_j(scenario, saved_ms)
    if saved is None:
        yield "No energy: give power.base_w and the active powers (--set), or measure the phone's idle power."
        return
    low, high = (1e3 * joules for joules in saved)
    if low == high:
        yield f"Overlap saves {plain_number(low, 3)} mJ per batch, idle power times the time saved; busy terms cancel."
    else:
        yield (
            f"Overlap saves between {plain_number(low, 3)} and {plain_number(high, 3)} mJ per batch: idle power times"
            f" {plain_number(saved_ms, 3)} ms. The published energy gives only the mean power while training,"
            f" {plain_number(scenario.power.mean_w or 0.0, 3)} W; how much of it is idle is not identifiable. Measuring"
            " the idle phone for 30 s settles it (--set power.base_w=...)."
        )
    if missing and scenario.power.base_w is not None:
        yield f"Not measured, so there is no total energy: {', '.join(missing)}."


def _text(estimate: Estimate) -> str:
    text = plain_number(estimate.value, 5)
    if estimate.bound:
        return f">= {text}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} +- {plain_number((estimate.high - estimate.low) / 2, 2)}"


def _figures(name: str, estimate: Estimate) -> dict[str, object]:
    return {
        name: estimate.value,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_p5": estimate.p5,
        f"{name}_p95": estimate.p95,
        f"{name}_is_lower_bound": estimate.bound,
    }


def _range(estimate: Estimate) -> str:
    return f"{plain_number(estimate.p5 or 0.0, 4)} to {plain_number(estimate.p95 or 0.0, 4)}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
