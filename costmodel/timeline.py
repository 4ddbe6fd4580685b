"""The timeline: what every resource did with its time, and the chain of stages that decided when the round ended."""

from dataclasses import dataclass

import numpy as np

from costmodel.recurrence import order_of
from costmodel.spans import Array, Spans
from costmodel.stages import Pipeline, Stage, work_of


@dataclass(frozen=True)
class Use:
    """Milliseconds of one resource over the whole run; they add up to the makespan.

    ``busy``: at work, as long as it would take at full speed. ``slowed``: more than that, stopped or slowed by an app
    or a clock, or pausing before another try.
    ``blocked``: a batch was there, but what comes next had no free slot, or another claimant was served. ``starved``:
    no batch was there yet. ``finished``: after its last batch.
    """

    resource: str
    busy_ms: float
    slowed_ms: float
    blocked_ms: float
    starved_ms: float
    finished_ms: float

    @property
    def makespan_ms(self) -> float:
        """The whole."""
        return self.busy_ms + self.slowed_ms + self.blocked_ms + self.starved_ms + self.finished_ms


def use_of(pipeline: Pipeline, spans: Spans) -> tuple[Use, ...]:
    """Return the use of every resource over spans of shape (batches,)."""
    return tuple(_use(pipeline, spans, resource, stages) for resource, stages in work_of(pipeline).items())


def _use(pipeline: Pipeline, spans: Spans, resource: str, stages: tuple[Stage, ...]) -> Use:
    order = order_of(pipeline)
    starts = np.concatenate([spans.start_ms[stage] for stage in stages])
    ends = np.concatenate([spans.end_ms[stage] for stage in stages])
    ready = np.concatenate(
        [
            np.zeros(spans.batches) if stage == order[0] else spans.end_ms[order[order.index(stage) - 1]]
            for stage in stages
        ]
    )
    turn = np.lexsort((ends, starts))
    starts, ends, ready = starts[turn], ends[turn], ready[turn]
    before = np.concatenate(([0.0], np.maximum.accumulate(ends)[:-1]))
    gaps = np.maximum(starts - before, 0.0)
    starved = np.clip(np.minimum(starts, ready) - before, 0.0, gaps)
    occupied_ms = float((ends - starts).sum())
    slowed_ms = sum(float(_slowed_ms(spans, stage).sum()) for stage in stages)
    busy_ms = occupied_ms - slowed_ms
    return Use(
        resource=resource,
        busy_ms=busy_ms,
        slowed_ms=slowed_ms,
        blocked_ms=float((gaps - starved).sum()),
        starved_ms=float(starved.sum()),
        finished_ms=float(spans.makespan_ms - ends.max()),
    )


def _slowed_ms(spans: Spans, stage: Stage) -> Array:
    """Return what a stage took beyond its work, of shape (batches,); rounding is none."""
    took = spans.end_ms[stage] - spans.start_ms[stage]
    beyond = took - spans.work_ms[stage]
    return np.where(beyond > 1e-9 * np.maximum(took, 1.0), beyond, 0.0)


@dataclass(frozen=True)
class Step:
    """One stage of one batch on the critical path; ``wait_ms`` passed before it for no stage on the path.

    ``slowed_ms`` of its ``time_ms`` are beyond its work.
    """

    batch: int
    stage: Stage
    time_ms: float
    wait_ms: float
    slowed_ms: float


def critical_path(pipeline: Pipeline, spans: Spans) -> tuple[Step, ...]:
    """Return the chain of stages, first to last, of which each began when the one before it ended.

    Its times add up to the makespan. Where several stages ended just then, the same batch's goes before others on the
    same resource, and those before the one that freed a slot. Stages of no length are left out.
    """
    order = order_of(pipeline)
    every = [
        (float(spans.start_ms[stage][number]), float(spans.end_ms[stage][number]), number, stage)
        for number in range(spans.batches)
        for stage in order
        if spans.end_ms[stage][number] > spans.start_ms[stage][number]
    ]
    by_end: dict[float, list[tuple[float, float, int, Stage]]] = {}
    for span in every:
        by_end.setdefault(span[1], []).append(span)
    ends = np.unique([span[1] for span in every])
    together = list(work_of(pipeline).values())
    slowed = {stage: _slowed_ms(spans, stage) for stage in order}
    steps: list[Step] = []
    current = max(every, key=lambda span: (span[1], span[2]), default=None)
    while current is not None:
        start, end, number, stage = current
        place = int(np.searchsorted(ends, start, side="right")) - 1
        if place < 0:
            steps.append(Step(number, stage, end - start, start, float(slowed[stage][number])))
            break
        reached = float(ends[place])
        steps.append(Step(number, stage, end - start, start - reached, float(slowed[stage][number])))

        def nearness(span: tuple[float, float, int, Stage], number: int = number, stage: Stage = stage) -> int:
            if span[2] == number:
                return 0
            return 1 if any(span[3] in stages and stage in stages for stages in together) else 2

        current = min(by_end[reached], key=nearness)
    return tuple(reversed(steps))


def path_shares(steps: tuple[Step, ...]) -> dict[str, float]:
    """Return the milliseconds of the critical path by stage, ``stopped or slowed`` and ``waiting``, largest first."""
    shares: dict[str, float] = {}
    for step in steps:
        shares[step.stage] = shares.get(step.stage, 0.0) + step.time_ms - step.slowed_ms
        if step.slowed_ms > 0:
            shares["stopped or slowed"] = shares.get("stopped or slowed", 0.0) + step.slowed_ms
        if step.wait_ms > 0:
            shares["waiting"] = shares.get("waiting", 0.0) + step.wait_ms
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
