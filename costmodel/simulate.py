"""The pipeline as a discrete-event simulation in SimPy: the oracle of the other engines, and exact under contention.

Stages are done by processes (a CPU thread, the link, the DSP) that pass tokens through counted slots. A resource that
two processes claim without a fixed order is a SimPy resource, served first come, first served.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import numpy as np
import simpy
from numpy.typing import ArrayLike

from costmodel.disturbance import NO_DISTURBANCES, Disturbances, Foreground, SpeedChange, Thermal
from costmodel.recurrence import checked_times, order_of
from costmodel.spans import Spans
from costmodel.stages import STAGES, Pipeline, Stage

_MOST_TRIES = 10_000
Steps = Generator[simpy.Event, object, None]


@dataclass(frozen=True)
class Simulated:
    """The spans, how the speeds changed, and how many tries failed."""

    spans: Spans
    speeds: tuple[SpeedChange, ...]
    retries: int
    peak_c: float | None


def spans(pipeline: Pipeline, times_ms: Mapping[Stage, ArrayLike], *, overlap: bool = True) -> Spans:
    """Return when every stage of every batch starts and ends, for times of shape (batches,).

    Fast twin: `costmodel.recurrence.spans`, bitwise equal where the pipeline is not contended.
    """
    return simulate(pipeline, times_ms, overlap=overlap).spans


def simulate(
    pipeline: Pipeline,
    times_ms: Mapping[Stage, ArrayLike],
    *,
    overlap: bool = True,
    disturbances: Disturbances = NO_DISTURBANCES,
    random: np.random.Generator | None = None,
) -> Simulated:
    """Return one simulated run over times of shape (batches,), with disturbances.

    ``random`` is needed where the disturbances are random. Raises ValueError if it is missing then, for times of
    another shape, and if a stage fails 10,000 times in a row.
    """
    times = checked_times(times_ms)
    if times["train"].ndim != 1:
        message = f"times must be of shape (batches,) (got {times['train'].shape}); simulate one pipeline at a time"
        raise ValueError(message)
    if disturbances.random and random is None:
        message = "random disturbances need a random generator"
        raise ValueError(message)
    run = _Run(pipeline, {stage: array.tolist() for stage, array in times.items()}, disturbances, random)
    return run.overlapped() if overlap else run.sequential()


class _Speed:
    """How fast a resource works, and an event for whoever must know when that changes."""

    def __init__(self, environment: simpy.Environment) -> None:
        self._environment = environment
        self.value = 1.0
        self.changed = environment.event()

    def set(self, value: float) -> None:
        if value != self.value:
            self.value = value
            self.changed.succeed()
            self.changed = self._environment.event()


class _Heat:
    """The temperature of the phone, brought up to date whenever its power changes."""

    def __init__(self, environment: simpy.Environment, thermal: Thermal) -> None:
        self._environment, self._thermal = environment, thermal
        self._active_w = dict(thermal.active_w)
        self._power_w = thermal.base_w
        self._since_ms = 0.0
        self.temperature_c = self.peak_c = thermal.ambient_c + thermal.c_per_w * thermal.base_w

    def add(self, resource: str, factor: float) -> None:
        self.update()
        self._power_w += factor * self._active_w.get(resource, 0.0)

    def update(self) -> float:
        now = self._environment.now
        target = self._thermal.ambient_c + self._thermal.c_per_w * self._power_w
        decay = math.exp(-(now - self._since_ms) / 1e3 / self._thermal.time_constant_s)
        self.temperature_c = target + (self.temperature_c - target) * decay
        self.peak_c = max(self.peak_c, self.temperature_c)
        self._since_ms = now
        return self.temperature_c


class _Run:
    """One run: the environment, the slots, and the processes."""

    def __init__(
        self,
        pipeline: Pipeline,
        times: Mapping[Stage, list[float]],
        disturbances: Disturbances,
        random: np.random.Generator | None,
    ) -> None:
        self.pipeline, self.times, self.batches = pipeline, times, len(times["train"])
        self.environment = simpy.Environment()
        self.start = {stage: [0.0] * self.batches for stage in STAGES}
        self.end = {stage: [0.0] * self.batches for stage in STAGES}
        self.disturbances, self.random = disturbances, random
        self.changes: list[SpeedChange] = []
        self.retries = 0
        self.heat: _Heat | None = None
        self.work_ms: Mapping[Stage, list[float]] = times
        self.do: Callable[[Stage, int], Steps] = self._work
        if disturbances.any:
            self._disturb(disturbances)

    # --- how a stage is done -------------------------------------------------------------------------------------

    def _work(self, stage: Stage, number: int) -> Steps:
        """Do a stage undisturbed."""
        environment = self.environment
        self.start[stage][number] = environment.now
        time_ms = self.times[stage][number]
        if time_ms:
            yield environment.timeout(time_ms)
        self.end[stage][number] = environment.now

    def _disturbed_work(self, stage: Stage, number: int) -> Steps:
        """Do a stage that may fail and be tried again, at a speed that may change."""
        self.start[stage][number] = self.environment.now
        failure = self.disturbances.failure
        for _ in range(_MOST_TRIES):
            work_ms, failed = self.times[stage][number], False
            if failure is not None and failure.stage == stage and self.random is not None:
                draw = self.random.random()
                failed = draw < failure.probability
                work_ms *= self.random.random() if failed else 1.0
            self.work_ms[stage][number] += work_ms
            yield from self._at_speed(self._resource(stage), work_ms)
            if not failed:
                break
            self.retries += 1
            if failure is not None and failure.retry_ms:
                yield self.environment.timeout(failure.retry_ms)
        else:
            message = f"{stage} of batch {number} failed {_MOST_TRIES:,} times in a row; lower failure.probability"
            raise ValueError(message)
        self.end[stage][number] = self.environment.now

    def _at_speed(self, resource: str, work_ms: float) -> Steps:
        speed = self.speeds.get(resource)
        while work_ms > 0:
            began, value = self.environment.now, 1.0 if speed is None else speed.value
            if self.heat is not None:
                self.heat.add(resource, value)
            if speed is None:
                yield self.environment.timeout(work_ms)
                work_ms = 0.0
            elif value == 0:
                yield speed.changed
            else:
                done = self.environment.timeout(work_ms / value)
                fired = yield simpy.AnyOf(self.environment, (done, speed.changed))
                over = isinstance(fired, simpy.events.ConditionValue) and done in fired
                work_ms = 0.0 if over else work_ms - (self.environment.now - began) * value
            if self.heat is not None:
                self.heat.add(resource, -value)

    def _resource(self, stage: Stage) -> str:
        if stage in ("transfer", "return"):
            return "cpu" if stage == "transfer" and self.pipeline.link_holds == "cpu" else "link"
        return "dsp" if stage == "train" or (stage == "quantize" and self.pipeline.quantize_on == "dsp") else "cpu"

    # --- what disturbs -------------------------------------------------------------------------------------------

    def _disturb(self, disturbances: Disturbances) -> None:
        self.do = self._disturbed_work
        self.work_ms = {stage: [0.0] * self.batches for stage in STAGES}
        self.speeds = {name: _Speed(self.environment) for name in ("cpu", "dsp")}
        if disturbances.foreground is not None:
            self.environment.process(self._app(disturbances.foreground))
        if disturbances.dsp_speed_curve:
            self.environment.process(self._curve())
        if disturbances.thermal is not None:
            self.heat = _Heat(self.environment, disturbances.thermal)
            self.environment.process(self._governor(self.heat, disturbances.thermal))

    def _set(self, resource: str, speed: float) -> None:
        if self.speeds[resource].value != speed:
            self.changes.append(SpeedChange(self.environment.now, resource, speed))
            self.speeds[resource].set(speed)

    def _app(self, app: Foreground) -> Steps:
        gap_ms = app.every_ms - app.for_ms
        while True:
            random = self.random if app.random else None
            yield self.environment.timeout(gap_ms if random is None else random.exponential(gap_ms))
            self._set("cpu", 1.0 - app.share)
            yield self.environment.timeout(app.for_ms)
            self._set("cpu", 1.0)

    def _curve(self) -> Steps:
        for at_ms, speed in self.disturbances.dsp_speed_curve:
            yield self.environment.timeout(at_ms - self.environment.now)
            self._set("dsp", speed)

    def _governor(self, heat: _Heat, thermal: Thermal) -> Steps:
        while True:
            yield self.environment.timeout(thermal.period_ms)
            temperature_c = heat.update()
            if temperature_c >= thermal.limit_c:
                self._set("dsp", thermal.speed)
            elif temperature_c <= thermal.resume_c:
                self._set("dsp", 1.0)

    # --- who does what -------------------------------------------------------------------------------------------

    def sequential(self) -> Simulated:
        """Run every stage of every batch after the other."""

        def one_by_one() -> Steps:
            for number in range(self.batches):
                for stage in order_of(self.pipeline):
                    yield from self.do(stage, number)

        return self._until(self.environment.process(one_by_one()))

    def overlapped(self) -> Simulated:
        """Run the pipeline."""
        p, environment = self.pipeline, self.environment

        def tokens(count: int) -> simpy.Container:
            return simpy.Container(environment, init=count)

        self.host, self.device, self.staging = tokens(p.host_slots), tokens(p.device_slots), tokens(p.staging_slots)
        self.sampled, self.ready, self.arrived = tokens(0), tokens(0), tokens(0)
        self.trained = tokens(0)
        self.returning = any(self.times["return"])
        two_cores = simpy.Resource(environment, 2) if p.quantizes_apart and p.link_holds == "cpu" else None
        wire = simpy.Resource(environment, 1) if p.half_duplex and self.returning else None
        self.cores = [two_cores] if two_cores is not None else []
        self.wire = [wire] if wire is not None else []
        for preparer in (self._sampler, self._quantizer) if p.quantizes_apart else (self._cpu,):
            environment.process(preparer())
        if not p.copies_in_thread and p.link_holds != "dsp":
            environment.process(self._link())
        last = environment.process(self._dsp())
        if self.returning:
            last = environment.process(self._returns())
        else:
            self.start["return"] = self.end["return"] = self.end["train"]
        return self._until(last)

    def _cpu(self) -> Steps:
        """Prepare batches in one thread, which may have to copy them, too."""
        on_cpu, copies = self.pipeline.quantize_on == "cpu", self.pipeline.copies_in_thread
        for number in range(self.batches):
            if on_cpu:
                yield from self.do("sample", number)
            yield self.host.get(1)
            yield from self.do("quantize" if on_cpu else "sample", number)
            if copies:
                yield self.device.get(1)
                yield from self._transfer(number)
                self.arrived.put(1)
            else:
                self.ready.put(1)

    def _sampler(self) -> Steps:
        for number in range(self.batches):
            yield self.staging.get(1)
            yield from self._claiming(self.cores, "sample", number)
            self.sampled.put(1)

    def _quantizer(self) -> Steps:
        for number in range(self.batches):
            yield self.sampled.get(1)
            yield self.host.get(1)
            yield from self._claiming(self.cores, "quantize", number)
            self.staging.put(1)
            self.ready.put(1)

    def _link(self) -> Steps:
        for number in range(self.batches):
            yield self.ready.get(1)
            yield self.device.get(1)
            yield from self._transfer(number)
            self.arrived.put(1)

    def _transfer(self, number: int) -> Steps:
        at_start = self.pipeline.host_slot_freed == "transfer_start"
        yield from self._claiming([*self.cores, *self.wire], "transfer", number, self.host if at_start else None)
        if not at_start:
            self.host.put(1)

    def _dsp(self) -> Steps:
        """Train; a transfer that holds the DSP is done here."""
        held, on_dsp = self.pipeline.link_holds == "dsp", self.pipeline.quantize_on == "dsp"
        for number in range(self.batches):
            if held:
                yield self.ready.get(1)
                yield from self._transfer(number)
            else:
                yield self.arrived.get(1)
            if on_dsp:
                yield from self.do("quantize", number)
            yield from self.do("train", number)
            if not held:
                self.device.put(1)
            if self.returning:
                self.trained.put(1)

    def _returns(self) -> Steps:
        for number in range(self.batches):
            yield self.trained.get(1)
            yield from self._claiming(self.wire, "return", number)

    def _claiming(
        self, resources: list[simpy.Resource], stage: Stage, number: int, freed: simpy.Container | None = None
    ) -> Steps:
        """Do a stage while holding ``resources``; give a token to ``freed`` when it starts."""
        claims = []
        for resource in resources:
            claim = resource.request()
            yield claim
            claims.append((resource, claim))
        if freed is not None:
            freed.put(1)
        yield from self.do(stage, number)
        for resource, claim in claims:
            resource.release(claim)

    def _until(self, last: simpy.Process) -> Simulated:
        self.environment.run(until=last)
        record = {
            name: {stage: np.asarray(values[stage]) for stage in STAGES}
            for name, values in (("start", self.start), ("end", self.end), ("work", self.work_ms))
        }
        peak_c = None
        if self.heat is not None:
            self.heat.update()
            peak_c = self.heat.peak_c
        spans = Spans(record["start"], record["end"], record["work"])
        return Simulated(spans, tuple(self.changes), self.retries, peak_c)
