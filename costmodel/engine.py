"""Three engines, one call: the cheapest that is exact for a scenario runs it, and the answer says which it was.

formula      O(1): constant times, no contention          exact; elsewhere a bound
recurrence   numpy: random times, no contention           exact for the times drawn
simpy        contention, foreground app, throttling, failures
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from costmodel import period, recurrence
from costmodel.disturbance import Disturbances, SpeedChange
from costmodel.noise import draw_times
from costmodel.scenario import MOST_BATCHES, Scenario, disturbances_of, pipeline_of
from costmodel.spans import Array, Spans
from costmodel.stages import STAGES, Pipeline, Stage

EngineName = Literal["formula", "recurrence", "simpy"]
ENGINES: tuple[EngineName, ...] = ("formula", "recurrence", "simpy")
MOST_REPLICATIONS = 100_000
# Batches x replications that an engine is asked for: a minute or two, and shown.
_MOST_WORK: dict[EngineName, int] = {"formula": 10**9, "recurrence": 2 * 10**8, "simpy": 10**6}
_MOST_STEPS = 2 * 10**6  # of the recurrence: a step is one batch of a block of replications
_MOST_EVENTS = 2 * 10**6  # of apps and governors in all replications: a minute or two
_REPLICATIONS: dict[EngineName, int] = {"formula": 1, "recurrence": 200, "simpy": 20}  # where times are random
_AT_ONCE = 4 * 10**6  # times drawn together
_CHAIN = 200  # batches that a period is measured over where times are random ...
_WARM_UP = 50  # ... after so many
_CHAIN_PER_SLOT = 40  # and more for deep buffers, which take long to fill
_SHOWN = 10_000  # batches whose spans are kept
_Z95 = 1.959963984540054
_NORMAL = 200  # replications from which Student's t is the normal distribution


@dataclass(frozen=True)
class Estimate:
    """A number and how well it is known: ``low`` to ``high`` is the 95 % confidence interval of the mean.

    ``p5`` and ``p95`` are quantiles over the replications. Both are None where nothing was random; ``bound`` says that
    the truth is not below.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p5: float | None = None
    p95: float | None = None
    bound: bool = False


@dataclass(frozen=True)
class Timing:
    """Milliseconds per finished batch, and of the round of ``batches`` batches.

    Per batch is in the long run; of a disturbed pipeline, which may have none, it is the round's after its first batch.
    ``work_ms`` is the mean work of a stage per batch, with what failed tries did.
    """

    batch_ms: Estimate
    round_ms: Estimate
    batches: int
    work_ms: Mapping[Stage, float]


@dataclass(frozen=True)
class Answer:
    """What an engine found, sequential beside overlapped.

    ``why`` says why it was this engine; ``spans`` are those of the first replication of the round, overlapped and
    sequential, at most 10,000 batches of them; ``floor`` is the period law at the mean times. ``random`` is whether
    another seed would give other numbers, ``disturbed`` whether there is more than the law knows; ``speeds`` is how the
    resources' speeds changed in the first overlapped replication. ``asked_batches`` is None for a round's own number.
    """

    scenario: Scenario
    engine: EngineName
    why: str
    replications: int
    sequential: Timing
    overlapped: Timing
    floor: period.Period
    spans: Spans
    sequential_spans: Spans
    random: bool
    disturbed: bool
    retries: int = 0
    peak_c: float | None = None
    speeds: tuple[SpeedChange, ...] = ()
    asked_batches: int | None = None

    @property
    def exact(self) -> bool:
        """Whether the numbers are the scenario's own, neither a bound nor an estimate."""
        return not self.random and not self.overlapped.batch_ms.bound


def choose_engine(scenario: Scenario, replications: int = 1) -> tuple[EngineName, str]:
    """Return the cheapest engine that is exact for the scenario, and why it is that one."""
    disturbed = disturbances_of(scenario)
    names = {
        "a foreground app": disturbed.foreground,
        "thermal throttling": disturbed.thermal,
        "failures": disturbed.failure,
    }
    reasons = [name for name, present in names.items() if present]
    reasons += ["a clock over time"] if disturbed.dsp_speed_curve else []
    reasons += ["claimants without a fixed order (contention)"] if pipeline_of(scenario).contended else []
    if reasons:
        return "simpy", f"events are needed: {', '.join(reasons)}"
    if scenario.noise.varies:
        return "recurrence", "stage times are random and nothing is contended"
    return "formula", "stage times are constant and nothing is contended" + (
        "; replications would all be alike" if replications > 1 else ""
    )


def answer(
    scenario: Scenario,
    *,
    engine: EngineName | None = None,
    batches: int | None = None,
    replications: int | None = None,
    random: np.random.Generator | None = None,
    progress: Callable[[int], None] | None = None,
) -> Answer:
    """Return what the scenario costs in time, sequential and overlapped.

    ``batches`` defaults to the round's; ``replications``, where anything is random, to 200 of the recurrence and 20
    of SimPy; ``random`` to seed 0; ``progress`` is called with the replications done. Raises ValueError for a forced
    engine that cannot do the scenario, or for more work than fits.
    """
    chosen, why = choose_engine(scenario, replications or 1)
    if engine is not None:
        why = "asked for" if engine == chosen else f"asked for; {chosen} would be cheapest and exact"
        _check_forced(scenario, engine, chosen)
    used = engine or chosen
    pipeline, disturbances = pipeline_of(scenario, batches), disturbances_of(scenario)
    count = scenario.round_batches if batches is None else batches
    is_random = used != "formula" and (scenario.noise.varies or disturbances.random)
    if replications is not None and not 1 <= replications <= MOST_REPLICATIONS:
        message = f"replications must be from 1 to {MOST_REPLICATIONS:,} (got {replications:,})"
        raise ValueError(message)
    repeated = 1
    if is_random:  # by default fewer of a long run, which averages by itself
        repeated = replications or max(2, min(_REPLICATIONS[used], _MOST_WORK[used] // 50 // max(count, 1)))
    blocks = math.ceil(repeated / max(1, _AT_ONCE // max(count, _CHAIN))) if used == "recurrence" else 0
    if not (1 <= count <= MOST_BATCHES and count * repeated <= _MOST_WORK[used] and count * blocks <= _MOST_STEPS):
        message = (
            f"batches must be from 1 to {MOST_BATCHES:,}, and times replications at most {_MOST_WORK[used]:,} for"
            f" engine {used}, fewer of long runs (got {count:,} x {repeated:,})"
        )
        raise ValueError(message)
    if used == "simpy" and disturbing_events(scenario, count) * repeated > _MOST_EVENTS:
        message = (
            f"a run of {count * pipeline.sequential_ms / 1e3:,.0f} s is too long for foreground.every_ms or"
            " throttle.period_ms, which are looked at all the time; use fewer batches or replications"
        )
        raise ValueError(message)
    random = np.random.default_rng(0) if random is None else random
    run = _Run(scenario, pipeline, disturbances, count, repeated, is_random, random)
    if used == "formula":
        found = run.by_formula(why, bound=chosen != "formula")
    else:
        found = run.by_recurrence(why, progress) if used == "recurrence" else run.by_simpy(why, progress)
    return replace(found, asked_batches=batches)


def disturbing_events(scenario: Scenario, batches: int) -> float:
    """Return how often an app comes or a governor looks, at most, while ``batches`` run one after the other."""
    periods_ms = [scenario.foreground.every_ms] if scenario.foreground.every_ms else []
    periods_ms += [scenario.throttle.period_ms] if scenario.throttle.kind == "thermal" else []
    whole_ms = batches * pipeline_of(scenario, batches).sequential_ms
    return sum(whole_ms / every_ms for every_ms in periods_ms)


def _check_forced(scenario: Scenario, engine: EngineName, chosen: EngineName) -> None:
    if engine == "recurrence" and chosen == "simpy":
        message = f"engine recurrence cannot do this scenario: {choose_engine(scenario)[1]}; use --engine simpy"
        raise ValueError(message)


@dataclass(frozen=True)
class _Run:
    scenario: Scenario
    pipeline: Pipeline
    disturbances: Disturbances
    batches: int
    replications: int
    is_random: bool
    random: np.random.Generator

    def by_formula(self, why: str, *, bound: bool) -> Answer:
        floor = period.overlapped(self.pipeline)
        bounds = {True: bound, False: self.disturbances.any}  # contention and noise do not move a sequential mean

        def timing(batch_ms: float, *, overlap: bool) -> Timing:
            bound = bounds[overlap]
            round_ms = period.makespan_ms(self.pipeline, self.batches, overlap=overlap)
            estimates = Estimate(batch_ms, bound=bound), Estimate(round_ms, bound=bound)
            return Timing(*estimates, self.batches, self._mean_work())

        shown, shown_sequential = self._constant_spans()
        return Answer(
            scenario=self.scenario,
            engine="formula",
            why=why,
            replications=1,
            sequential=timing(self.pipeline.sequential_ms, overlap=False),
            overlapped=timing(floor.period_ms, overlap=True),
            floor=floor,
            spans=shown,
            sequential_spans=shown_sequential,
            random=False,
            disturbed=self.disturbances.any,
        )

    def by_recurrence(self, why: str, progress: Callable[[int], None] | None) -> Answer:
        """Draw in blocks of replications, so that memory does not grow with them."""
        chain, skip = self._chain()
        found: dict[tuple[bool, str], list[Array]] = {}
        shown: list[tuple[Spans, Spans]] = []
        width = max(1, min(self.replications, _AT_ONCE // chain))
        for begin in range(0, self.replications, width):
            shape = (chain, min(width, self.replications - begin))
            times = draw_times(self.pipeline, self.scenario.noise, shape, self.random)
            if not shown:
                one = {stage: array[: min(self.batches, _SHOWN), 0] for stage, array in times.items()}
                spans = recurrence.spans(self.pipeline, one), recurrence.spans(self.pipeline, one, overlap=False)
                shown.append(spans)
            for overlap in (True, False):
                numbers = (skip, self.batches - 1, chain - 1)
                marks, rounds, ends = recurrence.finish_ms(self.pipeline, times, numbers, overlap=overlap)
                found.setdefault((overlap, "batch"), []).append((ends - marks) / (chain - 1 - skip))
                found.setdefault((overlap, "round"), []).append(rounds)
            if progress is not None:
                progress(begin + shape[1])
        work = {overlap: self._mean_work() for overlap in (True, False)}
        return self._answer("recurrence", why, found, shown[0], work)

    def by_simpy(self, why: str, progress: Callable[[int], None] | None) -> Answer:
        """Simulate replication by replication.

        Undisturbed, time per batch is that of the long run; disturbed, there may be none, and it is the round's.
        """
        from costmodel.simulate import simulate

        chain = self.batches if self.disturbances.any else self._chain()[0]
        found: dict[tuple[bool, str], list[Array]] = {}
        shown: list[tuple[Spans, Spans]] = []
        work: dict[bool, dict[Stage, float]] = {True: dict.fromkeys(STAGES, 0.0), False: dict.fromkeys(STAGES, 0.0)}
        retries, peaks = 0, []
        speeds: tuple[SpeedChange, ...] = ()
        for number in range(self.replications):
            times = draw_times(self.pipeline, self.scenario.noise, (chain,), self.random)
            one = {stage: array[: self.batches] for stage, array in times.items()}
            runs = [
                simulate(self.pipeline, one, overlap=on, disturbances=self.disturbances, random=self.random)
                for on in (True, False)
            ]
            retries += runs[0].retries
            peaks += [] if runs[0].peak_c is None else [runs[0].peak_c]
            if not shown:
                speeds = runs[0].speeds
                shown.append((runs[0].spans, runs[1].spans))
            for overlap, run in zip((True, False), runs, strict=True):
                found.setdefault((overlap, "batch"), []).append(self._batch_ms(run.spans, times, overlap=overlap))
                found.setdefault((overlap, "round"), []).append(np.atleast_1d(run.spans.makespan_ms))
                for stage in STAGES:
                    work[overlap][stage] += float(run.spans.work_ms[stage].mean()) / self.replications
            if progress is not None:
                progress(number + 1)
        hottest = max(peaks, default=None)
        answered = self._answer("simpy", why, found, shown[0], work)
        return replace(answered, retries=retries, peak_c=hottest, speeds=speeds)

    def _chain(self) -> tuple[int, int]:
        """Return how many batches a period is measured over, and after how many."""
        p = self.pipeline
        more = _CHAIN_PER_SLOT * min(max(p.host_slots, p.device_slots, p.staging_slots), 200)
        return max(self.batches, _CHAIN + more), _WARM_UP + more // 4

    def _mean_work(self) -> dict[Stage, float]:
        return {stage: float(getattr(self.pipeline, f"{stage}_ms")) for stage in STAGES}

    def _batch_ms(self, round_spans: Spans, times: Mapping[Stage, Array], *, overlap: bool) -> Array:
        floor_ms = period.overlapped(self.pipeline).period_ms if overlap else self.pipeline.sequential_ms
        if self.disturbances.any:
            found = round_spans.period_ms()
            if not self.scenario.noise.varies:  # no mean is below the law; that of a short round can be, by its end
                found = np.maximum(found, floor_ms)
            return np.atleast_1d(found)
        from costmodel.simulate import spans

        long_run = spans(self.pipeline, times, overlap=overlap)
        if self.scenario.noise.varies:
            return np.atleast_1d(long_run.period_ms(self._chain()[1]))
        cycle_ms = long_run.cycle_ms()
        if cycle_ms is not None:
            return np.atleast_1d(cycle_ms)
        # Without a short cycle the edges of the run show; no mean can be below the law.
        return np.atleast_1d(np.maximum(long_run.period_ms(self._chain()[1]), floor_ms))

    def _answer(
        self,
        engine: EngineName,
        why: str,
        found: dict[tuple[bool, str], list[Array]],
        first: tuple[Spans, Spans],
        work: Mapping[bool, Mapping[Stage, float]],
    ) -> Answer:
        timings = {
            overlap: Timing(
                _estimate(np.concatenate(found[overlap, "batch"])),
                _estimate(np.concatenate(found[overlap, "round"])),
                self.batches,
                work[overlap],
            )
            for overlap in (True, False)
        }
        return Answer(
            scenario=self.scenario,
            engine=engine,
            why=why,
            replications=self.replications,
            sequential=timings[False],
            overlapped=timings[True],
            floor=period.overlapped(self.pipeline),
            spans=first[0],
            sequential_spans=first[1],
            random=self.is_random,
            disturbed=self.disturbances.any,
        )

    def _constant_spans(self) -> tuple[Spans, Spans]:
        """Return the spans of constant times; of a contended or disturbed pipeline, simulated."""
        batches = min(self.batches, _SHOWN)
        times = recurrence.constant_times(self.pipeline, batches)
        if self.pipeline.contended:
            from costmodel.simulate import spans

            return spans(self.pipeline, times), spans(self.pipeline, times, overlap=False)
        return recurrence.spans(self.pipeline, times), recurrence.spans(self.pipeline, times, overlap=False)


def _estimate(values: Array) -> Estimate:
    """Return mean, 95 % confidence interval and quantiles; of one value, the value."""
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean)
    quantile = _Z95
    if len(values) < _NORMAL:
        from scipy.special import stdtrit

        quantile = float(stdtrit(len(values) - 1, 0.975))
    half = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    p5, p95 = (float(value) for value in np.quantile(values, (0.05, 0.95)))
    return Estimate(mean, mean - half, mean + half, p5, p95)
