"""The gauge of a campaign: its samples in one form whatever the source, and its calibration under load."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from profiler.campaign.phases import phases_of
from profiler.campaign.source import Source
from profiler.device.device import Device
from profiler.names import printable
from profiler.power.gauge import Gauge, Override, calibrate
from profiler.power.samples import Samples, read_samples
from profiler.power.supply import Reading, parse_supply, reading_of

_SETTLE_S = 2.0  # after a change of load a slow gauge still shows the old one


def samples_of(raw: Mapping[str, bytes], source: Source) -> Samples:
    """Return what the sampler recorded, as samples of a current and a voltage. Raises ValueError if there is none."""
    if source.kind == "perfetto":
        from profiler.power.perfetto_trace import read_trace

        return read_trace(raw.get("perfetto", b""))
    if source.kind == "dumpsys":
        from profiler.power.dumpsys_battery import read_dumps

        return read_dumps(raw.get("dumps", b""))
    samples = read_samples(raw.get("samples", b""))
    return samples if source.kind != "powercap" else _of_counters(samples, source)


def calibrated(raw: Mapping[str, bytes], source: Source, device: Device, override: Override) -> Gauge:
    """Return the gauge from a run with a load. Raises ValueError if the run was cut, or nothing decides."""
    state = raw.get("state", b"").decode("ascii", "replace").strip()
    code = raw.get("workload.rc", b"").decode("ascii", "replace").strip()
    if state != "done" or code != "0":
        said = raw.get("out.txt", b"")[-200:].decode("utf-8", "replace").strip().splitlines()[-1:]
        words = state if state != "done" else f"its load ended with code {code or 'none'}: {' '.join(said)}"
        message = f"the gauge was not calibrated: {printable(words, 200)}"
        raise ValueError(message)
    phases = phases_of(raw)
    if phases.busy_start_s is None or phases.busy_end_s is None:
        message = "the gauge was not calibrated: nothing ran; give the plan a workload"
        raise ValueError(message)
    idle = ((phases.start_s, phases.busy_start_s), (phases.busy_end_s + _SETTLE_S, phases.end_s))
    busy = ((min(phases.busy_start_s + _SETTLE_S, phases.busy_end_s), phases.busy_end_s),)
    return calibrate(samples_of(raw, source), idle, busy, _static(source, device), override)


def fixed_gauge(samples: Samples) -> Gauge:
    """Return the gauge of samples that are in known units already: microamperes and microvolts, drawn is positive."""
    return Gauge(1e-6, 1e-6, float("nan"), 1, samples.poll_s, ("the source's units are documented",))


def gauge_data(gauge: Gauge) -> dict[str, Any]:
    """Return what a journal keeps of a gauge: JSON has no NaN, which is what a charge counter that stood still has."""
    charge = gauge.charge_ah_per_unit
    return {**asdict(gauge), "charge_ah_per_unit": None if math.isnan(charge) else charge}


def gauge_of_data(entry: Mapping[str, Any]) -> Gauge:
    """Return the gauge that a journal kept. Raises ValueError if it is damaged."""
    data: Any = entry.get("gauge")
    names = [field.name for field in fields(Gauge)]
    try:
        values = {name: data[name] for name in names}
        lists = {name: tuple(values[name]) for name in ("evidence", "doubts")}
        charge = values["charge_ah_per_unit"]
        return Gauge(**{**values, **lists, "charge_ah_per_unit": float("nan") if charge is None else charge})
    except (TypeError, KeyError) as error:
        message = "the journal's entry of the gauge is damaged; start a new campaign"
        raise ValueError(message) from error


def _static(source: Source, device: Device) -> Reading | None:
    supply = device.supplies.get(source.name)
    try:
        return None if supply is None else reading_of(parse_supply(supply.uevent))
    except ValueError:
        return None


def _of_counters(samples: Samples, source: Source) -> Samples:
    """Return the power of energy counters as a current at one volt: power = change of energy / time.

    A counter that restarts at its range is unwrapped; counters of several zones are added up.
    """
    if len(samples.time_s) < 3:
        message = "the energy counter was read less than 3 times; measure longer"
        raise ValueError(message)
    power_uw = np.zeros(len(samples.time_s) - 1)
    for name, range_uj in source.counter_range_uj.items():
        step = np.diff(samples.column(name))
        power_uw += np.where(step < 0, step + range_uj, step) / np.diff(samples.time_s)
    other = {name: cells[1:] for name, cells in samples.columns.items()}
    columns = {**other, "current": power_uw, "voltage": np.full(len(power_uw), 1e6)}
    return Samples(samples.time_s[1:], columns, {}, samples.torn)
