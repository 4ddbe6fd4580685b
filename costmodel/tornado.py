"""One change at a time: what a tornado compares, and which single change would shorten the period most."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from costmodel import period
from costmodel.scenario import Scenario, pipeline_of
from costmodel.scenario_file import with_settings


@dataclass(frozen=True)
class Change:
    """One change of a scenario in words; ``overlap`` False runs the stages one after the other."""

    group: str
    words: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    overlap: bool = True

    def apply(self, scenario: Scenario) -> Scenario:
        """Return the scenario with the change. Raises ValueError where it does not fit."""
        return with_settings(scenario, self.settings, "changed") if self.settings else scenario


_SCALED = (
    ("cohort.bandwidth_bit_per_s", "network rate", (0.5, 2.0)),
    ("stage.train_ms", "DSP stage", (0.75, 1.25)),
    ("stage.quantize_ms", "quantizing on the CPU", (0.75, 1.25)),
    ("stage.sample_ms", "sampling", (0.75, 1.25)),
    ("clock.dsp", "DSP clock", (0.8, 1.2)),
    ("link.call_ms", "link: cost of a call", (0.5, 2.0)),
    ("link.bytes_per_s", "link: rate", (0.5, 2.0)),
    ("link.round_ms", "link: cost of a round", (0.5, 2.0)),
)


def changes(scenario: Scenario) -> tuple[Change, ...]:
    """Return the changes of a tornado that have a meaning for the scenario; the cohort's are not among them."""
    values = {
        name: getattr(getattr(scenario, part), leaf) for name, _, _ in _SCALED for part, leaf in [name.split(".")]
    }
    found = [
        Change(words, f"{words} x {factor:g}", {name: values[name] * factor})
        for name, words, factors in _SCALED
        if values[name]
        for factor in factors
    ]
    found += [
        Change("device slots", f"device_slots = {count}", {"device_slots": count})
        for count in (1, 4, 16)
        if count != scenario.device_slots
    ]
    found += [
        Change("host slots", f"host_slots = {n}", {"host_slots": n}) for n in (1, 4, 16) if n != scenario.host_slots
    ]
    found += [
        Change(f"transfer holds {held}", words, {"link.holds": held})
        for held, words in (("dsp", "transfer blocks the DSP"), ("cpu", "transfer is a copy by the CPU"))
        if held != scenario.link.holds
    ]
    if scenario.quantize_on == "cpu" and scenario.stage.quantize_dsp_ms is not None:
        found.append(Change("quantize on DSP", "quantizing on the DSP", {"quantize_on": "dsp"}))
    if scenario.cpu_threads == 1 and scenario.stage.sample_ms and scenario.quantize_on == "cpu":
        found.append(Change("CPU threads", "sampling in a thread of its own", {"cpu_threads": 2}))
    found.append(Change("overlap", "overlap off", overlap=False))
    if scenario.link.call_ms:
        twice = scenario.link.call_ms * 2
        words = f"overlap off and link call {twice:g} ms"
        found.append(Change("overlap and link", words, {"link.call_ms": twice}, overlap=False))
    return tuple(found)


@dataclass(frozen=True)
class Lever:
    """A change that shortens the period, the period with it, and the claim that holds it up then."""

    words: str
    period_ms: float
    saves_ms: float
    then: str


def law_period_ms(scenario: Scenario) -> float:
    """Return the period of a scenario's overlapped pipeline by the period law at its mean times."""
    return period.overlapped(pipeline_of(scenario)).period_ms


def levers(
    scenario: Scenario, period_ms: Callable[[Scenario], float] = law_period_ms, least: float = 1e-9
) -> tuple[Lever, ...]:
    """Return what would shorten the period of the overlapped pipeline, best first, as ``period_ms`` computes it.

    Each stage 10 % shorter, one more slot, a second thread, quantizing elsewhere, two batches to a call. What saves
    less than the share ``least`` is left out, which matters where periods are drawn.
    """
    before = period_ms(scenario)
    found = []
    for words, settings in _lever_settings(scenario):
        try:
            changed = with_settings(scenario, settings)
            after_ms = period_ms(changed)
        except ValueError:
            continue
        if before - after_ms > least * before:
            bottleneck = period.overlapped(pipeline_of(changed)).bottleneck
            found.append(Lever(words, after_ms, before - after_ms, bottleneck))
    return tuple(sorted(found, key=lambda lever: -lever.saves_ms))


def _lever_settings(scenario: Scenario) -> Iterator[tuple[str, dict[str, Any]]]:
    s, stage = scenario, scenario.stage
    quantize = "quantize_ms" if s.quantize_on == "cpu" else "quantize_dsp_ms"
    for name, words in (("sample_ms", "sampling"), (quantize, "quantizing")):
        yield f"10 % off {words}", {f"stage.{name}": 0.9 * (getattr(stage, name) or 0.0)}
    yield (
        "10 % off training",
        {"stage.train_ms": 0.9 * stage.train_ms, "stage.train_call_ms": 0.9 * stage.train_call_ms},
    )
    transfer = {f"link.{name}": 0.9 * getattr(s.link, name) for name in ("call_ms", "round_ms")}
    if s.link.bytes_per_s is not None:
        transfer["link.bytes_per_s"] = s.link.bytes_per_s / 0.9
    yield "10 % off the transfer", transfer
    if s.link.call_ms:
        yield "twice the batches per call", {"link.batches_per_call": 2 * s.link.batches_per_call}
    yield "one more device slot", {"device_slots": s.device_slots + 1}
    yield "one more host slot", {"host_slots": s.host_slots + 1}
    yield "eight times the host slots", {"host_slots": 8 * s.host_slots}
    yield "eight times the device slots", {"device_slots": 8 * s.device_slots}
    yield "sampling in a thread of its own", {"cpu_threads": 2}
    yield "a free-running link", {"link.holds": "nothing"}
    if s.quantize_on == "dsp" and stage.quantize_ms:
        yield "quantizing on the CPU", {"quantize_on": "cpu"}
