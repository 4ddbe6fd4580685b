"""The summary of a scenario: sequential beside overlapped, and what a person must know about the numbers."""

from collections.abc import Iterator

import pandas as pd

from costmodel.energy import Energy, energy, saving_j
from costmodel.engine import Answer, Estimate, Timing
from costmodel.scenario import POOR_FIT, Scenario
from fl_sim.pipelined import PipelinedRun, why_no_hours
from profiler.columns import PLAUSIBLE_POWER_W
from reports.pipeline.verdict import AGREES, contradicted, percent, verdict_line
from reports.table import Cell, Column, Table, plain_number

_PAPER = "WWW'24"
_WILD_CV = 0.5


def mode_of(scenario: Scenario) -> str:
    """Return the mode of everything computed from a scenario."""
    doubted = ", partly not identifiable" if scenario.doubts else ""
    if scenario.doubts.startswith(POOR_FIT):
        doubted = ", a poor fit"
    if not _from_paper(scenario, "title"):
        return f"your scenario{doubted}" + (", inputs changed" if _changed(scenario) else "")
    letter = scenario.name.rpartition("_")[2]
    reading = letter.upper() if len(letter) == 1 else "A"
    return f"paper, reading {reading} of the link assumed" + (", inputs changed" if _changed(scenario) else "")


def _changed(scenario: Scenario) -> bool:
    return any(origin.startswith(("you: ", "swept", "changed")) for _, origin in scenario.origins)


def batch_energy(found: Answer, timing: Timing) -> Energy:
    """Return the energy of one batch, by the work its stages did and the time until the next one is finished."""
    return energy(found.scenario, timing.work_ms, timing.batch_ms.value)


def summary_table(
    found: Answer, runs: tuple[PipelinedRun | None, PipelinedRun | None], *, overlap: bool = True
) -> Table:
    """Return the answer with sequential beside overlapped; ``runs`` are (sequential, overlapped) to converge.

    ``overlap`` False words the verdict for the sequential run.
    """
    scenario = found.scenario
    rows, data = [], []
    for words, unit, before, after in _lines(found, runs):
        saved = before.value - after.value
        unclear = before.bound  # two lower bounds say nothing about their difference
        at_most = "<= " if after.bound else ""
        rows.append(
            (
                Cell(words),
                Cell(_text(before)),
                Cell(_text(after)),
                Cell("-" if unclear else at_most + plain_number(saved, 4)),
                Cell("-" if unclear else at_most + percent(saved, before.value)),
                Cell(unit),
            )
        )
        data.append(
            {"quantity": words, "unit": unit}
            | _figures("sequential", before)
            | _figures("overlapped", after)
            | {"saved": None if unclear else saved}
            | {"saved_pct": None if unclear or not before.value else 100 * saved / before.value}
        )
    mode, verdict = mode_of(scenario), verdict_line(found, overlap=overlap)
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
            scenario=scenario.name, engine=found.engine, replications=found.replications, mode=mode, verdict=verdict
        ),
        headline=verdict,
        notes=tuple(_notes(found, runs[1])),
    )


def _lines(
    found: Answer, runs: tuple[PipelinedRun | None, PipelinedRun | None]
) -> Iterator[tuple[str, str, Estimate, Estimate]]:
    """Yield (quantity, unit, sequential, overlapped)."""
    scenario, sequential, overlapped = found.scenario, found.sequential, found.overlapped
    bounds = (sequential.batch_ms.bound, overlapped.batch_ms.bound)

    def plain(values: tuple[float, float]) -> tuple[Estimate, Estimate]:
        return Estimate(values[0], bound=bounds[0]), Estimate(values[1], bound=bounds[1])

    per_batch = "after the first of the round" if found.disturbed and found.engine == "simpy" else "long run"
    yield (f"time per batch, {per_batch}", "ms", sequential.batch_ms, overlapped.batch_ms)
    many = f"{overlapped.batches:,} batches" if overlapped.batches > 1 else "1 batch"
    yield (f"round of {many}", "ms", sequential.round_ms, overlapped.round_ms)
    joules = [batch_energy(found, timing).total_j for timing in (sequential, overlapped)]
    if joules[0] is not None and joules[1] is not None:
        yield ("energy per batch", "mJ", *plain((1e3 * joules[0], 1e3 * joules[1])))
    if runs[0] is not None and runs[1] is not None:
        if runs[0].participation_j is not None and runs[1].participation_j is not None:
            counted = f"{scenario.counted_batches:g} batches; {', '.join(runs[1].counted)}"
            yield (f"energy of a round ({counted})", "J", *plain((runs[0].participation_j, runs[1].participation_j)))
        yield ("time to converge", "h", *plain((runs[0].time_h, runs[1].time_h)))


def _notes(found: Answer, run: PipelinedRun | None) -> Iterator[str]:
    scenario, after, before = found.scenario, found.overlapped, found.sequential
    if scenario.doubts:
        yield f"Doubts about this scenario: {scenario.doubts}."
    if after.batch_ms.bound:
        also = " Sequential times are, too, so nobody knows what overlap saves." if before.batch_ms.bound else ""
        yield (
            "The overlapped times are lower bounds: the formula is exact for constant times without contention or"
            f" disturbance only.{also}"
        )
    if found.random and found.replications == 1:
        yield "Times vary, and this is one draw: --replications gives an interval."
    elif found.random:
        yield (
            f"Times vary: mean +- half of its 95 % confidence interval over {found.replications:,} replications. A"
            f" round takes {_range(after.round_ms)} ms overlapped and {_range(before.round_ms)} ms sequential, from the"
            " 5 % to the 95 % quantile."
        )
    if found.engine == "simpy" or found.random:
        floor = plain_number(found.floor.period_ms, 4)
        yield f"The period law at the mean times gives {floor} ms per batch overlapped: a floor for the mean."
    if found.retries:
        yield f"{found.retries:,} tries failed and were repeated, in all replications."
    yield from _disturbed(found)
    yield from _printed(found)
    yield from _energy_notes(found)
    if scenario.cohort.network == "cut_normal" and scenario.cohort.network_cv > _WILD_CV:
        yield "A normal rate cut at zero, with so large a CV, has no mean transfer time; prefer lognormal."
    if run is not None:
        yield (
            f"Hours: {run.plan.rounds} rounds of Q-FedUpdate, reading {run.reading} of Table 4 (inferred); every round"
            f" of {scenario.counted_batches:g} batches {plain_number(run.round_s, 4)} s,"
            f" {plain_number(run.train_s, 4)} s of them training."
        )
    elif scenario.model:
        yield f"No hours to converge: {why_no_hours(scenario, found.overlapped)}."


def _disturbed(found: Answer) -> Iterator[str]:
    """Yield what disturbed the phone, when, and how hot it got."""
    scenario, whole_ms = found.scenario, float(found.spans.makespan_ms)
    if not found.disturbed or found.engine != "simpy":
        return
    if found.peak_c is not None:
        yield f"The phone reached {found.peak_c:.1f} °C; every round starts at the temperature of the idle phone."
    slow = [change for change in found.speeds if change.resource == "dsp"]
    if slow:
        edges = [*(change.at_ms for change in slow[1:]), whole_ms]
        lasted = sum(end - change.at_ms for change, end in zip(slow, edges, strict=True) if change.speed < 1)
        share = 100 * min(1.0, lasted / whole_ms)
        yield f"The DSP was slowed down from {slow[0].at_ms / 1e3:.1f} s on, {share:.0f} % of the round."
    if not found.speeds and not found.retries:
        yield "Nothing disturbed this round: it was over before. Every round starts undisturbed; --batches runs longer."
    if scenario.foreground.every_ms:
        yield "The app's own energy and heat are not in these numbers."


def _from_paper(scenario: Scenario, parameter: str) -> bool:
    origin = dict(scenario.origins).get(parameter, "")
    return _PAPER in origin and not origin.startswith("file ")


def _printed(found: Answer) -> Iterator[str]:
    """Yield whether the scenario can be what was printed: a reading that fits neither way is contradicted."""
    scenario, printed = found.scenario, found.scenario.printed_batch_ms
    if printed is None or not found.exact or found.disturbed or _changed(scenario) or found.asked_batches is not None:
        return
    paper = _from_paper(scenario, "printed_batch_ms")
    who = "Table 2 or 3 prints" if paper else "The scenario states"
    timings = {"sequential": found.sequential, "overlapped": found.overlapped}
    fits = [name for name, timing in timings.items() if abs(timing.batch_ms.value - printed) <= AGREES * printed]
    if fits:
        yield f"{who} {printed:g} ms per batch: {' and '.join(fits)} fits."
    elif contradicted(found):
        least = plain_number(found.overlapped.batch_ms.value, 4)
        why = "; Table 4 closes with it, so this cannot be. See readings E, F and G" if paper else ""
        yield f"Contradicted: {who} {printed:g} ms per batch, and this takes at least {least}{why}."
    else:
        yield f"{who} {printed:g} ms per batch; neither way takes that long."


def _energy_notes(found: Answer) -> Iterator[str]:
    scenario = found.scenario
    if found.sequential.batch_ms.bound:
        return
    saved_ms = found.sequential.batch_ms.value - found.overlapped.batch_ms.value
    saved = saving_j(scenario, saved_ms)
    missing = batch_energy(found, found.overlapped).missing
    if saved is None:
        yield "No energy: give power.base_w and the active powers (--set), or measure the phone's idle power."
        return
    low, high = (1e3 * joules for joules in saved)
    at_most = "at most " if found.overlapped.batch_ms.bound else ""
    if low == high:
        yield (
            f"Overlap saves {at_most}{plain_number(low, 3)} mJ per batch, idle power times the time saved; the busy"
            " terms cancel."
        )
    else:
        which = "published energy" if _from_paper(scenario, "power.mean_w") else "mean power"
        yield (
            f"Overlap saves between {plain_number(low, 3)} and {plain_number(high, 3)} mJ per batch: idle power times"
            f" {plain_number(saved_ms, 3)} ms. The {which} gives only the whole phone's power while training,"
            f" {plain_number(scenario.power.mean_w or 0.0, 3)} W; how much of it is idle is not identifiable. Measuring"
            " the idle phone for 30 s settles it (--set power.base_w=...)."
        )
    joules = batch_energy(found, found.overlapped).total_j
    low_w, high_w = PLAUSIBLE_POWER_W
    if joules is not None and not low_w <= (mean_w := 1e3 * joules / found.overlapped.batch_ms.value) <= high_w:
        text = plain_number(mean_w, 3)
        yield f"Check the powers: they make {text} W while training, outside {low_w:g} to {high_w:g} W."
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
