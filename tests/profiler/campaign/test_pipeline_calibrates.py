"""The built-in plan of a pipeline holds the runs that identify it: a known pipeline comes back from its campaign."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from costmodel import period
from costmodel.calibrate import calibrate
from costmodel.observation import measured_of
from costmodel.power_fit import fit_power
from costmodel.scenario import Link, Power, Scenario, StageTimes, pipeline_of
from profiler.campaign.analysis import Situation, analyse
from profiler.campaign.measure import Lengths
from profiler.campaign.plan import Measurement, Plan
from profiler.campaign.plan_file import DEMO, pipeline_plan
from profiler.campaign.record import Record
from profiler.campaign.rows import rows_of
from profiler.campaign.source import source_of
from profiler.device.device import Device
from profiler.device.probe import device_of
from profiler.device.state import state_of
from profiler.power.gauge import Gauge
from profiler.power.simulated import GaugeModel, PowerTrace, simulate, written
from profiler.workload.workload import Workload

PER_CALL = {"link call": 4.0, "train call": 2.0}
# ms per sample; in one the DSP is the slowest, in the other the link.
TRUTHS = {
    "training": {"sample": 0.2, "quantize": 0.35, "train": 1.5, "link": 0.4},
    "transfer": {"sample": 0.2, "quantize": 0.35, "train": 0.6, "link": 1.1},
}
BASE = Scenario(batch_size=64, samples=6400)
PROBED = """@@fedjoule where
workspace=/data/local/tmp/fedjoule
@@fedjoule clock
4000.00 1.00
0f0e0d0c-1111-2222
0
@@fedjoule properties
ro.product.model=A phone
ro.soc.model=SM8250
@@fedjoule supplies
@supply battery
@file type=Battery
@file current_now=-1
@file voltage_now=1
@@fedjoule end
"""
BEGIN_S, IDLE_S, BUSY_S = 5000.0, 20.0, 30.0


def pipeline_with(truth: Mapping[str, float]) -> Scenario:
    names = {f"{stage}_ms": truth[stage] for stage in ("sample", "quantize", "train")}
    return Scenario(
        batch_size=1,
        samples=6400,
        stage=StageTimes(reference_batch_size=1, train_call_ms=PER_CALL["train call"], **names),
        link=Link(call_ms=PER_CALL["link call"], bytes_per_sample=1.0, bytes_per_s=1e3 / truth["link"]),
        power=Power(base_w=0.9, cpu_active_w=2.0, link_active_w=0.6, dsp_active_w=1.8),
    )


def times_of(workload: Workload, truth: Scenario) -> tuple[float, float, float]:
    """The first batch's ms, every other's, and the mean watts above idle, of the true pipeline."""
    power = truth.power
    pipeline = pipeline_of(replace(truth, batch_size=workload.batch_size or 1))
    watts = {"sample": power.cpu_active_w, "quantize": power.cpu_active_w}
    watts |= {"transfer": power.link_active_w, "train": power.dsp_active_w}
    if workload.empty_call:
        time_ms = truth.link.call_ms + truth.stage.train_call_ms
        return time_ms, time_ms, 0.3
    if workload.stage != "total":
        time_ms = getattr(pipeline, f"{workload.stage}_ms")
        return time_ms, time_ms, float(watts[workload.stage] or 0)
    whole_ms = pipeline.sequential_ms
    usual_ms = period.overlapped(pipeline).period_ms if workload.overlap == "on" else whole_ms
    energy = sum(float(watts[stage] or 0) * getattr(pipeline, f"{stage}_ms") for stage in watts)
    return whole_ms, usual_ms, energy / usual_ms


def left_by(measurement: Measurement, truth: Scenario) -> dict[str, bytes]:
    """What a job on a phone with the true pipeline leaves."""
    rng = np.random.default_rng(zlib.crc32(measurement.name.encode()))
    workload = measurement.workload
    first_ms, usual_ms, above_w = times_of(workload, truth) if workload is not None else (0.0, 0.0, 0.0)
    trace = PowerTrace(0.9, 0.9 + above_w, IDLE_S, IDLE_S + BUSY_S, ripple_w=0.0)
    samples = simulate(trace, GaugeModel(period_s=0.5, noise=0.01), rng, origin_s=BEGIN_S)
    start_s, end_s = BEGIN_S + IDLE_S, BEGIN_S + IDLE_S + BUSY_S
    phases = [f"start,{BEGIN_S:.2f}", f"busy_start,{start_s:.2f}", f"busy_end,{end_s:.2f}", f"end,{end_s + IDLE_S:.2f}"]
    if workload is None:
        phases = [phases[0], phases[-1]]
    raw = {"samples": written(samples), "phases": ("\n".join(phases) + "\n").encode(), "state": b"done\n"}
    if workload is None:
        return raw
    count = int(1 + (BUSY_S * 1e3 - first_ms) / usual_ms)
    usual = rng.normal(usual_ms, 0.02 * usual_ms, count)
    usual[0] += first_ms - usual_ms
    begin_ns = round(start_s * 1e9)
    ends_ns = begin_ns + np.round(np.cumsum(usual) * 1e6).astype(int)
    names = {key: getattr(workload, key) for key in ("model", "precision", "processor", "batch_size")}
    clocks = [{"boottime_ns": at, "monotonic_ns": at} for at in (begin_ns, int(ends_ns[-1]))]
    lines: list[dict[str, object]] = [{"kind": "hello", "version": 1, "program": "x", **names, **clocks[0]}]
    lines.append({"kind": "phase", "name": "run", "boottime_ns": begin_ns})
    before = begin_ns
    for number, at in enumerate(ends_ns.tolist()):
        lines.append({"kind": "batch", "i": number, "t0_ns": before, "t1_ns": at, "parts_ns": {}})
        before = at
    lines.append({"kind": "end", "rc": 0, "batches": count, **clocks[1]})
    out = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return {**raw, "out.txt": out, "workload.rc": b"0\n"}


def campaign_of(plan: Plan, device: Device, truth: Scenario) -> list[Record]:
    gauge = Gauge(1e-6, 1e-6, float("nan"), -1, 0.5)
    state, lengths = state_of(device), Lengths(IDLE_S, BUSY_S)
    source = source_of(device)
    return [
        analyse(
            Situation("0123456789ab", plan, each, device, source, gauge, state, state, True, lengths, 1.0),
            left_by(each, truth),
        )
        for each in plan.measurements()
    ]


@pytest.fixture(scope="module")
def plan() -> Plan:
    made = pipeline_plan(DEMO)
    return replace(made, timing=replace(made.timing, repetitions=1))


@pytest.fixture(scope="module", params=TRUTHS)
def measured(request: pytest.FixtureRequest, plan: Plan) -> tuple[Mapping[str, float], pd.DataFrame]:
    """The true ms per sample, and the table of a campaign on a phone that has them."""
    truth = TRUTHS[request.param]
    rows = rows_of(campaign_of(plan, device_of(PROBED, "a link"), pipeline_with(truth)))
    assert rows.left_out == ()
    return truth, rows.table


def test_every_parameter_of_the_pipeline_is_identified_and_true(
    measured: tuple[Mapping[str, float], pd.DataFrame],
) -> None:
    truth, table = measured
    found = calibrate(measured_of(table, "phone.csv"), BASE)
    assert (found.open, found.runs, found.poor) == ((), (), False)
    values = {each.name: each for each in found.fitted}
    assert all(each.known and not each.assumed for each in found.fitted)
    for name, value in {**truth, **PER_CALL}.items():
        assert values[name].value == pytest.approx(value, rel=0.05, abs=0.02), name


def test_the_active_powers_are_identified_and_true(measured: tuple[Mapping[str, float], pd.DataFrame]) -> None:
    observed = measured_of(measured[1], "phone.csv")
    found = fit_power(observed, calibrate(observed, BASE))
    assert found.runs == ()
    values = {each.name: each for each in found.fitted}
    for name, value in (("base_w", 0.9), ("cpu_active_w", 2.0), ("link_active_w", 0.6), ("dsp_active_w", 1.8)):
        assert values[f"power.{name}"].known, name
        assert values[f"power.{name}"].value == pytest.approx(value, rel=0.1), name


def test_without_the_runs_alone_the_pipeline_is_open(measured: tuple[Mapping[str, float], pd.DataFrame]) -> None:
    _, table = measured
    assert calibrate(measured_of(table[~table["stage"].isin(["sample", "quantize"])], "phone.csv"), BASE).open
    no_transfer = table[(table["stage"] != "transfer") | table["conditions"].fillna("").str.contains("empty call")]
    assert any(each.assumed or not each.known for each in calibrate(measured_of(no_transfer, "phone.csv"), BASE).fitted)


def test_rows_of_emulated_runs_are_refused(plan: Plan) -> None:
    device = device_of(PROBED.replace("ro.soc.model", "ro.kernel.qemu=1\nro.soc.model"), "a link")
    few = replace(plan, workloads=plan.workloads[:2], with_idle=False)
    emulated = rows_of(campaign_of(few, device, pipeline_with(TRUTHS["training"]))).table
    assert set(emulated["provenance"]) == {"emulated"}
    with pytest.raises(ValueError, match="emulat"):
        measured_of(emulated, "phone.csv")
