"""From what a measurement left to its record: batches, energy, and whether it can be believed."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

from profiler.campaign.calibration import fixed_gauge, samples_of
from profiler.campaign.measure import Lengths
from profiler.campaign.phases import Phases, phases_of
from profiler.campaign.plan import Measurement, Plan
from profiler.campaign.record import FORMAT, Record
from profiler.campaign.sampler import sampler_record
from profiler.campaign.source import Source
from profiler.device.accelerator import accelerator_of
from profiler.device.device import Device
from profiler.device.state import State
from profiler.names import printable
from profiler.power.charge import charge_energy
from profiler.power.energy import Energy, measure_energy
from profiler.power.gauge import Gauge
from profiler.power.latency import Latency, latency_of
from profiler.power.samples import Samples, between
from profiler.power.validity import (
    Flag,
    charging_flags,
    is_valid,
    length_flags,
    power_flags,
    suspend_flags,
    throttle_flags,
    torn_flags,
)
from profiler.workload.reading import ACCELERATORS, Reading, read_output
from profiler.workload.workload import OUTPUT_NAME, Workload

_TELLS = frozenset({"json_lines", "qnn", "snpe"})  # readers of programs that run on their accelerator or say so
_TWO_SIDED = 1.96  # half of a 95 % interval in standard errors
_MOST_WORKED, _CLOCK_S = 1.02, 0.05  # batches may fill the busy time by so much, clocks differ by so much
_NO_STARTUP = 0.005  # a smaller share of the busy time is none


@dataclass(frozen=True)
class Situation:
    """What a measurement was made with, and the device before and after it."""

    campaign: str
    plan: Plan
    measurement: Measurement
    device: Device
    source: Source
    gauge: Gauge | None
    before: State
    after: State
    cooled: bool
    lengths: Lengths
    rate: float
    allowed: tuple[str, ...] = ()
    host_core_percent: float = math.nan


def analyse(situation: Situation, raw: Mapping[str, bytes]) -> Record:
    """Return the record of a measurement. Whatever is wrong with it becomes a flag; nothing is raised for bad data."""
    flags: list[Flag] = []
    phases = _phases(raw, flags)
    workload = situation.measurement.workload
    reading = _reading(workload, raw, flags, situation.lengths.batches)
    samples, gauge = _samples(situation, raw, flags)
    latency = latency_of(reading.batch_ms) if reading is not None and reading.batch_ms is not None else None
    energy: Energy | None = None
    power: dict[str, Any] | None = None
    if phases is not None and samples is not None and gauge is not None:
        try:
            if workload is None:
                power = dict(_idle(samples, gauge, phases))
            elif phases.busy_start_s is not None and situation.source.kind == "dumpsys":
                power = _counted(samples, *_load(phases, reading)[:2], flags)
            elif phases.busy_start_s is not None and phases.busy_end_s is not None:
                energy = measure_energy(samples, gauge, *_load(phases, reading))
                power = {name: value for name, value in asdict(energy).items() if name != "flags"}
        except ValueError as error:
            flags.append(Flag("gap", "doubt", f"no energy: {error}"))
    if energy is not None:
        flags += [flag for flag in energy.flags if not (_is_host(situation) and flag.code == "implausible_power")]
    flags += _state_flags(situation, phases, samples, gauge, reading, latency)
    flags += _busy_flags(reading)
    flags += _time_flags(phases, reading, situation.lengths.seconds)
    verdict = "valid" if not flags else "doubtful" if is_valid(tuple(flags)) else "invalid"
    timing = _timing(reading, latency)
    power = _per_batch(power, reading)
    return {
        "format": FORMAT,
        "tool": f"fedjoule {version('fedjoule')}",
        "campaign": situation.campaign,
        "measurement": situation.measurement.name,
        "repetition": situation.measurement.repetition,
        "plan": {"hash": situation.plan.hash, **situation.plan.as_data(), "workloads": len(situation.plan.workloads)},
        "workload": _workload(workload, situation),
        "device": _device(situation.device),
        "provenance": "emulated" if situation.device.emulated else "measured",
        "source": {"kind": situation.source.kind, "name": situation.source.name, "why": list(situation.source.why)}
        | {"columns": dict(situation.source.columns), "range_uj": dict(situation.source.counter_range_uj)},
        "gauge": asdict(situation.gauge) if situation.gauge is not None else None,
        "clock_rate": situation.rate,
        "allowed": list(situation.allowed),
        "lengths": asdict(situation.lengths),
        "before": asdict(situation.before),
        "after": asdict(situation.after),
        "phases": asdict(phases) if phases is not None else None,
        "timing": timing,
        "energy": power,
        "sampler": sampler_record(raw),
        "host_core_percent": situation.host_core_percent,
        "flags": [asdict(flag) for flag in flags],
        "verdict": verdict,
        "summary": _summary(timing, power, verdict, flags),
        "raw": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(raw.items())},
    }


_WAITED = 0.10


def _busy_flags(reading: Reading | None) -> list[Flag]:
    """Return a doubt about a run that waited for a core: its times are of this device and of something else."""
    waited = reading.waited if reading is not None else None
    if waited is None or waited <= _WAITED:
        return []
    return [Flag("busy", "doubt", f"the program waited for a core for {waited:.0%} of the run; stop what else runs")]


def _phases(raw: Mapping[str, bytes], flags: list[Flag]) -> Phases | None:
    state = raw.get("state", b"").decode("ascii", "replace").strip()
    if state.partition(" ")[0] != "done":
        flags.append(Flag("aborted", "invalid", printable(state.removeprefix("aborted ") or "it did not end", 120)))
    try:
        return phases_of(raw)
    except ValueError as error:
        flags.append(Flag("aborted", "invalid", str(error)))
        return None


def _reading(
    workload: Workload | None, raw: Mapping[str, bytes], flags: list[Flag], asked: int | None
) -> Reading | None:
    """Return what the workload printed; what it says against itself becomes a flag."""
    if workload is None:
        return None
    code = raw.get("workload.rc", b"").decode("ascii", "replace").strip()
    if code != "0":
        flags.append(Flag("aborted", "invalid", f"the workload ended with code {printable(code or 'none', 20)}"))
    try:
        files = {name: raw[name] for name in workload.result_files if name in raw}
        reading = read_output(workload, raw.get(OUTPUT_NAME, b""), files)
    except ValueError as error:
        flags.append(Flag("aborted", "invalid", str(error)))
        return None
    if reading.batches is None:  # averages alone: as many as it was told to run
        reading = replace(reading, batches=workload.batches_per_call or asked)
    if workload.processor in ACCELERATORS and reading.coverage is None and workload.reader not in _TELLS:
        flags.append(
            Flag("fell_back_to_cpu", "doubt", f"nothing in the output says that the {workload.processor} ran it")
        )
    fell_back = reading.coverage in ("none", "partial")
    flags += [Flag("fell_back_to_cpu" if fell_back else "aborted", "invalid", what) for what in reading.problems]
    return reading


def _samples(situation: Situation, raw: Mapping[str, bytes], flags: list[Flag]) -> tuple[Samples | None, Gauge | None]:
    if situation.source.kind == "none":
        return None, None
    try:
        samples = samples_of(raw, situation.source)
    except ValueError as error:
        flags.append(Flag("gap", "invalid", f"the samples cannot be read: {error}"))
        return None, None
    flags += torn_flags(samples)
    return samples, situation.gauge if situation.gauge is not None else fixed_gauge(samples)


def _state_flags(
    situation: Situation,
    phases: Phases | None,
    samples: Samples | None,
    gauge: Gauge | None,
    reading: Reading | None,
    latency: Latency | None,
) -> list[Flag]:
    flags: list[Flag] = []
    before, after = situation.before, situation.after
    slept = reading.suspended_s if reading is not None else None
    if samples is not None:
        flags += suspend_flags(samples, slept)
    if before.suspends is not None and after.suspends is not None and after.suspends > before.suspends:
        flags.append(Flag("suspended", "doubt", f"the device slept {after.suspends - before.suspends} times around it"))
    if before.charging or after.charging:
        flags.append(Flag("charging", "doubt", before.charging or after.charging))
    if phases is not None and samples is not None and gauge is not None:
        start_s = phases.busy_start_s if phases.busy_start_s is not None else phases.start_s
        end_s = phases.busy_end_s if phases.busy_end_s is not None else phases.end_s
        if situation.source.kind in ("sysfs", "perfetto"):
            flags += charging_flags(samples, gauge, start_s, end_s)
        flags += throttle_flags(samples, start_s, end_s, latency.trend if latency is not None else None)
    if (before.thermal_status or 0) > 0 or (after.thermal_status or 0) > 0:
        words = f"thermal status {before.thermal_status} before and {after.thermal_status} after"
        flags.append(Flag("throttled", "doubt", words))
    if not situation.cooled:
        flags.append(Flag("drift", "doubt", "the device was warmer than at the first measurement"))
    return flags


def _load(phases: Phases, reading: Reading | None) -> tuple[float, float, float]:
    """Return when the batches began and ended, warm-up included, and the seconds of start-up before them.

    From the program's own clock if it tells, else the time that is no batch is taken to be at the start (loading).
    """
    start_s, end_s = phases.busy_start_s or 0.0, phases.busy_end_s or 0.0
    if reading is None:
        return start_s, end_s, 0.0
    warmup_ms = (reading.warmup_ms or reading.mean_ms) * (reading.warmup_batches or 0)
    if reading.run_window_s is not None and start_s <= reading.run_window_s[0] < reading.run_window_s[1] <= end_s:
        startup_s = reading.run_window_s[0] - warmup_ms / 1e3 - start_s
        end_s = reading.run_window_s[1]
    else:
        worked_ms = reading.mean_ms * (reading.batches or 0) + warmup_ms
        startup_s = end_s - start_s - worked_ms / 1e3 if worked_ms > 0 else 0.0
    if not _NO_STARTUP * (end_s - start_s) < startup_s < end_s - start_s:
        return start_s, end_s, 0.0
    return start_s + startup_s, end_s, startup_s


def _time_flags(phases: Phases | None, reading: Reading | None, asked_s: float) -> list[Flag]:
    """Return whether the program's batches add up to more time than it ran: a unit or a count is wrong."""
    if phases is None or reading is None or phases.busy_start_s is None or phases.busy_end_s is None:
        return []
    busy_s = phases.busy_end_s - phases.busy_start_s
    if busy_s < 0.5 * asked_s:
        return [Flag("gauge_too_slow", "doubt", f"it ran {busy_s:.1f} s of the plan's {asked_s:.1f} s: more batches")]
    worked_s = reading.mean_ms * (reading.batches or 0) / 1e3
    if worked_s <= _MOST_WORKED * busy_s + _CLOCK_S:
        return []
    what = f"the program counts {worked_s:.1f} s of batches and ran {busy_s:.1f} s: a unit or a count is wrong"
    return [Flag("disagreement", "invalid", what)]


def _idle(samples: Samples, gauge: Gauge, phases: Phases) -> dict[str, float]:
    """Return the idle power: mean of current times voltage, and its standard error from ten blocks."""
    import numpy as np

    inside = between(samples, phases.start_s + 2 * gauge.period_s, phases.end_s)
    power_w = inside.column("current") * gauge.current_a_per_unit * gauge.discharge_sign
    power_w = power_w * inside.column("voltage") * gauge.voltage_v_per_unit
    power_w = power_w[np.isfinite(power_w)]
    if len(power_w) < 20:
        message = f"{len(power_w)} readings of the idle device; measure longer"
        raise ValueError(message)
    blocks = np.array([block.mean() for block in np.array_split(power_w, 10)])
    error_w = float(blocks.std(ddof=1) / math.sqrt(len(blocks)))
    return {"power_w": float(power_w.mean()), "power_error_w": error_w, "seconds": phases.end_s - phases.start_s}


def _timing(reading: Reading | None, latency: Latency | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    parts = {
        name: float(value if isinstance(value, float) else value.mean()) for name, value in reading.parts_ms.items()
    }
    said = {
        "batches": reading.batches,
        "warmup_batches": reading.warmup_batches,
        "mean_ms": reading.mean_ms,
        "std_ms": reading.std_ms,
        "mean_error_ms": reading.mean_error_ms,
        "startup_ms": reading.startup_ms,
        "parts_ms": parts,
        "accuracy": reading.accuracy,
        "loss": reading.loss,
        "checksum": reading.checksum,
        "path": reading.path,
        "accelerator": reading.accelerator,
        "coverage": reading.coverage,
        "suspended_s": reading.suspended_s,
        "notes": list(reading.notes),
    }
    return said | ({"latency": asdict(latency)} if latency is not None else {})


def _counted(samples: Samples, start_s: float, end_s: float, flags: list[Flag]) -> dict[str, Any]:
    """Return the energy by a charge counter alone. Raises ValueError if it moved too seldom to tell."""
    found = charge_energy(samples, 1e-6, 1e-6, start_s, end_s)
    if found is None:
        message = "the charge counter moved less than 3 times under load; measure for minutes (busy_s), or by sysfs"
        raise ValueError(message)
    busy_s = end_s - start_s
    flags += length_flags(busy_s, samples.poll_s, found.steps)
    flags += power_flags(found.gross_j / busy_s, found.net_j / busy_s if math.isfinite(found.net_j) else math.inf)
    return asdict(found) | {
        "method": "charge counter",
        "busy_s": busy_s,
        "baseline_w": (found.gross_j - found.net_j) / busy_s,
    }


def _per_batch(power: dict[str, Any] | None, reading: Reading | None) -> dict[str, Any] | None:
    """Return the energy with that of one batch: that of the load / (warm-up and measured batches)."""
    batches = (reading.batches or 0) + (reading.warmup_batches or 0) if reading is not None else 0
    if power is not None and batches:
        for kind in ("net", "gross"):
            power[f"{kind}_mj_per_batch"] = 1e3 * power[f"{kind}_j"] / batches
            power[f"{kind}_mj_per_batch_error"] = 1e3 * power[f"{kind}_error_j"] / batches
            half_j = power.get(f"{kind}_half_width_j", _TWO_SIDED * power[f"{kind}_error_j"])
            power[f"{kind}_mj_per_batch_half_width"] = 1e3 * half_j / batches
    return power


def _workload(workload: Workload | None, situation: Situation) -> dict[str, Any] | None:
    if workload is None:
        return None
    files = {file.name: file.sha256 for file in workload.files}
    names = ("name", "reader", "model", "dataset", "precision", "processor", "batch_size", "stage", "overlap")
    more = ("empty_call", "command", "environment", "threads", "engine")
    return {name: getattr(workload, name) for name in (*names, *more)} | {"files_sha256": files}


def _device(device: Device) -> dict[str, Any]:
    accelerator = accelerator_of(device)
    return {
        "title": device.title,
        "soc": device.soc,
        "abi": device.says("ro.product.cpu.abi"),
        "android": device.says("ro.build.version.release", "os"),
        "fingerprint": device.says("ro.build.fingerprint"),
        "kernel": device.kernel,
        "identity": device.identity,
        "emulated": device.emulated,
        "cores_max_khz": [core.max_khz for core in device.cores],
        "accelerator": accelerator.words,
        "accelerator_evidence": list(accelerator.evidence),
    }


def _is_host(situation: Situation) -> bool:
    return situation.source.kind == "powercap"


def _summary(
    timing: Mapping[str, Any] | None, energy: Mapping[str, Any] | None, verdict: str, flags: list[Flag]
) -> str:
    """Return the measurement in a line for a person."""
    parts = []
    if timing is not None:
        parts.append(f"{timing['mean_ms']:.4g} ms per batch")
    if energy is not None and "gross_mj_per_batch" in energy:
        parts.append(f"{energy['gross_mj_per_batch']:.4g} mJ")
    if energy is not None and "power_w" in energy:
        parts.append(f"idle {energy['power_w']:.3g} W")
    codes = ", ".join(dict.fromkeys(flag.code for flag in flags))
    return ", ".join([*parts, verdict if not codes else f"{verdict} ({codes})"])
