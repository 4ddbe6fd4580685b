"""A scenario: everything a person can state about a pipeline, each parameter with its unit and bounds.

The parameters are fields of nested frozen dataclasses, so that files, ``--set`` and the output all read the same list.
Stage times are given at a reference batch size and are proportional to the batch size; what does not grow with it is a
cost per call. docs/reference/scenario.md lists every parameter.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from costmodel.disturbance import Disturbances, Failure, Foreground, Thermal
from costmodel.round import count_batches
from costmodel.stages import Pipeline

MOST_BATCHES = 10**6
POOR_FIT = "a poor fit, far beyond the rows' own spread: the model does not hold for them, trust no number"  # a doubt


def _p(default: Any, about: str, unit: str = "", low: float = 0.0, high: float = 1e9) -> Any:
    """Return a dataclass field that knows what a person should know about it."""
    return field(default=default, metadata={"about": about, "unit": unit, "low": low, "high": high})


@dataclass(frozen=True)
class StageTimes:
    """The stages' times at the reference batch size and at full clock."""

    reference_batch_size: int = _p(1, "batch size at which the stage times hold", "", 1)
    sample_ms: float = _p(0.0, "P1: draw a batch, on the CPU", "ms")
    quantize_ms: float = _p(0.0, "P2: quantize it on the CPU", "ms")
    quantize_dsp_ms: float | None = _p(None, "P2 if it runs on the DSP", "ms")
    train_ms: float = _p(0.0, "P4: forward and backward pass on the DSP", "ms")
    train_call_ms: float = _p(0.0, "part of P4 that does not grow with the batch", "ms")


@dataclass(frozen=True)
class Link:
    """P3, the transfer: the sum of a cost per call, per byte, and per round, spread over their batches."""

    call_ms: float = _p(0.0, "cost of a call", "ms")
    batches_per_call: int = _p(1, "batches that share a call", "", 1, 1e6)
    bytes_per_s: float | None = _p(None, "rate", "bytes/s", 1.0, 1e15)
    bytes_per_sample: float = _p(0.0, "payload that grows with the batch", "bytes", 0.0, 1e12)
    model_bytes: float = _p(0.0, "payload of every batch", "bytes", 0.0, 1e15)
    round_ms: float = _p(0.0, "cost once in a round", "ms")
    holds: Literal["nothing", "cpu", "dsp"] = _p("nothing", "what a transfer keeps busy beside the link")
    duplex: Literal["full", "half"] = _p("full", "whether results return over a way of their own")
    return_ms: float = _p(0.0, "results of a batch going back", "ms")
    return_bytes: float = _p(0.0, "the same as bytes", "bytes", 0.0, 1e15)


@dataclass(frozen=True)
class Noise:
    """How stage times vary from batch to batch; their means stay."""

    kind: Literal["constant", "lognormal", "empirical"] = _p("constant", "distribution of the stage times")
    cv: float = _p(0.0, "coefficient of variation of every stage", "", 0.0, 10.0)
    rows: tuple[tuple[float, ...], ...] = _p((), "measured factors: sample, quantize, transfer, train per batch")

    @property
    def varies(self) -> bool:
        """Whether two batches can differ."""
        return self.kind == "empirical" or (self.kind == "lognormal" and self.cv > 0)


@dataclass(frozen=True)
class Clock:
    """Clock and voltage relative to those at which the stages were timed."""

    cpu: float = _p(1.0, "CPU clock; its stages take 1/clock as long", "", 1e-3, 1e3)
    dsp: float = _p(1.0, "DSP clock", "", 1e-3, 1e3)
    cpu_voltage: float = _p(1.0, "CPU voltage; active energy grows with its square", "", 1e-2, 1e2)
    dsp_voltage: float = _p(1.0, "DSP voltage", "", 1e-2, 1e2)


@dataclass(frozen=True)
class Throttle:
    """What slows the DSP down over time: a given curve, or a governor that watches the temperature."""

    kind: Literal["none", "curve", "thermal"] = _p("none", "what throttles the DSP")
    curve: tuple[tuple[float, ...], ...] = _p((), "pairs of time in s and DSP speed (1 is full)")
    ambient_c: float = _p(25.0, "temperature around the phone", "°C", -50.0, 100.0)
    c_per_w: float = _p(12.0, "rise above ambient per W, at last", "°C/W", 0.0, 1e3)
    time_constant_s: float = _p(120.0, "of the phone's warming up", "s", 1e-3, 1e6)
    limit_c: float = _p(45.0, "temperature that throttles", "°C", -50.0, 200.0)
    resume_c: float = _p(43.0, "temperature that ends it", "°C", -50.0, 200.0)
    speed: float = _p(0.7, "DSP speed while throttled", "", 1e-3, 1.0)
    period_ms: float = _p(100.0, "how often the governor looks", "ms", 1e-3)


@dataclass(frozen=True)
class App:
    """An app in the foreground that takes the CPU away."""

    every_ms: float = _p(0.0, "mean time from start to start; 0 is never", "ms")
    for_ms: float = _p(0.0, "how long", "ms")
    share: float = _p(1.0, "of the CPU; 1 preempts", "", 1e-3, 1.0)
    arrivals: Literal["regular", "random"] = _p("regular", "gaps all alike, or exponential")


@dataclass(frozen=True)
class Failing:
    """A stage that fails and is tried again."""

    stage: Literal["sample", "quantize", "transfer", "train", "return"] = _p("transfer", "which stage")
    probability: float = _p(0.0, "of a try", "", 0.0, 0.99)
    retry_ms: float = _p(0.0, "pause before the next try", "ms")


@dataclass(frozen=True)
class Power:
    """Power by component; what is None was not measured. Idle power that is not stated is part of the base."""

    base_w: float | None = _p(None, "the phone but for CPU, link and DSP", "W", 0.0, 1e3)
    cpu_idle_w: float | None = _p(None, "CPU, idle", "W", 0.0, 1e3)
    link_idle_w: float | None = _p(None, "link, idle", "W", 0.0, 1e3)
    dsp_idle_w: float | None = _p(None, "DSP, idle", "W", 0.0, 1e3)
    cpu_active_w: float | None = _p(None, "CPU, busy", "W", 0.0, 1e3)
    link_active_w: float | None = _p(None, "link, busy", "W", 0.0, 1e3)
    dsp_active_w: float | None = _p(None, "DSP, busy", "W", 0.0, 1e3)
    mean_w: float | None = _p(None, "the whole phone while it trains", "W", 0.0, 1e3)
    energy_counts: tuple[Literal["train", "radio", "wait"], ...] = _p(("train",), "phases whose energy is counted")
    radio_w: float | None = _p(None, "radio, while it transfers models", "W", 0.0, 1e3)


@dataclass(frozen=True)
class Cohort:
    """The round around the pipeline: network, who is waited for. Only for hours to converge."""

    bandwidth_bit_per_s: float = _p(10e6, "network, each way, mean", "bit/s", 1.0, 1e15)
    network: Literal["constant", "lognormal", "cut_normal"] = _p("constant", "distribution of a client's rate")
    network_cv: float = _p(0.0, "its coefficient of variation", "", 0.0, 10.0)
    clients: int = _p(1, "clients in a round", "", 1, 1e5)
    phones_train_ms: tuple[float, ...] = _p((), "train_ms of the phones in equal shares; none: all alike", "ms")
    round_end: Literal["all", "fraction", "deadline"] = _p("all", "whom the server waits for")
    fraction: float = _p(1.0, "share of the clients waited for", "", 1e-3, 1.0)
    deadline_s: float | None = _p(None, "the round ends here at the latest", "s", 1e-3)
    interrupted_by_unavailability: Literal["none"] = _p("none", "absence needs traces of a fleet: not in a scenario")


@dataclass(frozen=True)
class Scenario:
    """One device, workload and pipeline. ``name`` and ``origins`` (parameter -> where from) are for the output."""

    name: str = "scenario"
    title: str = _p("", "what it is, in words")
    device: str = _p("", "phone")
    model: str = _p("", "model")
    dataset: str = _p("", "data set")
    doubts: str = _p("", "what is not known about the parameters, in words")
    printed_batch_ms: float | None = _p(None, "time per batch that was published or measured, to compare", "ms")
    batch_size: int = _p(1, "samples in a batch", "", 1)
    samples: float = _p(1.0, "samples of a client", "", 1e-3)
    epochs: int = _p(1, "local epochs in a round", "", 1, 1e6)
    batches_per_round: Literal["fractional", "ceil", "floor"] = _p("ceil", "how samples / batch size becomes batches")
    quantize_on: Literal["cpu", "dsp"] = _p("cpu", "where P2 runs")
    cpu_threads: Literal[1, 2] = _p(1, "threads that sample and quantize", "", 1, 2)
    staging_slots: int = _p(2, "sampled batches between two threads", "", 1, 1e6)
    host_slots: int = _p(2, "buffers for quantized batches", "", 1, 1e6)
    device_slots: int = _p(2, "input buffers on the DSP", "", 1, 1e6)
    host_slot_freed: Literal["transfer_start", "transfer_end"] = _p("transfer_start", "when a host slot is free again")
    stage: StageTimes = field(default_factory=StageTimes)
    link: Link = field(default_factory=Link)
    noise: Noise = field(default_factory=Noise)
    clock: Clock = field(default_factory=Clock)
    throttle: Throttle = field(default_factory=Throttle)
    foreground: App = field(default_factory=App)
    failure: Failing = field(default_factory=Failing)
    power: Power = field(default_factory=Power)
    cohort: Cohort = field(default_factory=Cohort)
    origins: tuple[tuple[str, str], ...] = ()

    @property
    def round_batches(self) -> int:
        """Batches of a round that the pipeline goes through: epochs * samples / batch size, whole."""
        rule = "floor" if self.batches_per_round == "floor" else "ceil"
        return self.epochs * int(count_batches(self.samples, self.batch_size, rule))

    @property
    def counted_batches(self) -> float:
        """Batches of a round as ``batches_per_round`` counts them, which may be a fraction."""
        return self.epochs * float(count_batches(self.samples, self.batch_size, self.batches_per_round))


def parameters(part: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, value, metadata) of every parameter of a scenario, in order."""
    for entry in fields(part):
        value = getattr(part, entry.name)
        if is_dataclass(value):
            yield from parameters(value, f"{prefix}{entry.name}.")
        elif entry.metadata:
            yield f"{prefix}{entry.name}", value, entry.metadata


def pipeline_of(scenario: Scenario, batches: float | None = None) -> Pipeline:
    """Return the pipeline a scenario describes: milliseconds per batch at its batch size and clocks.

        transfer = call / batches per call + (bytes per sample * batch size + model bytes) / rate + per round / batches

    ``batches`` stands for those of a round, if another number is run. Raises ValueError where quantizing on the DSP has
    no time.
    """
    s, stage, link = scenario, scenario.stage, scenario.link
    scale = s.batch_size / stage.reference_batch_size
    on_cpu = s.quantize_on == "cpu"
    quantize_ms = stage.quantize_ms if on_cpu else stage.quantize_dsp_ms
    if quantize_ms is None:
        message = f"quantize_on = 'dsp' needs stage.quantize_dsp_ms (missing in scenario {s.name!r}); measure it"
        raise ValueError(message)
    rate = link.bytes_per_s or math.inf
    payload_bytes = link.bytes_per_sample * s.batch_size + link.model_bytes
    per_round_ms = link.round_ms / (batches or s.counted_batches) if link.round_ms else 0.0
    return Pipeline(
        sample_ms=stage.sample_ms * scale / s.clock.cpu,
        quantize_ms=quantize_ms * scale / (s.clock.cpu if on_cpu else s.clock.dsp),
        transfer_ms=link.call_ms / link.batches_per_call + 1e3 * payload_bytes / rate + per_round_ms,
        train_ms=(stage.train_ms * scale + stage.train_call_ms) / s.clock.dsp,
        return_ms=link.return_ms + 1e3 * link.return_bytes / rate,
        quantize_on=s.quantize_on,
        cpu_threads=s.cpu_threads,
        staging_slots=s.staging_slots,
        host_slots=s.host_slots,
        device_slots=s.device_slots,
        host_slot_freed=s.host_slot_freed,
        link_holds=link.holds,
        half_duplex=link.duplex == "half",
    )


def disturbances_of(scenario: Scenario) -> Disturbances:
    """Return what disturbs the pipeline of a scenario."""
    s, throttle, app = scenario, scenario.throttle, scenario.foreground
    thermal = None
    if throttle.kind == "thermal":
        power = s.power
        active = {name: getattr(power, f"{name}_active_w") for name in ("cpu", "link", "dsp")}
        idle = {name: getattr(power, f"{name}_idle_w") or 0.0 for name in active}
        thermal = Thermal(
            ambient_c=throttle.ambient_c,
            c_per_w=throttle.c_per_w,
            time_constant_s=throttle.time_constant_s,
            limit_c=throttle.limit_c,
            resume_c=throttle.resume_c,
            speed=throttle.speed,
            period_ms=throttle.period_ms,
            base_w=(power.base_w or 0.0) + sum(idle.values()),
            active_w=tuple((name, (active[name] or 0.0) - idle[name]) for name in active),
        )
    return Disturbances(
        foreground=Foreground(app.every_ms, app.for_ms, app.share, app.arrivals == "random") if app.every_ms else None,
        thermal=thermal,
        failure=Failure(s.failure.stage, s.failure.probability, s.failure.retry_ms) if s.failure.probability else None,
        dsp_speed_curve=tuple((at_s * 1e3, speed) for at_s, speed in throttle.curve),
    )
