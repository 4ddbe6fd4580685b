"""The gauge of a campaign: from a run under load, from a journal, and from counters that begin anew."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from profiler.campaign.calibration import calibrated, fixed_gauge, gauge_data, gauge_of_data, samples_of
from profiler.campaign.journal import Journal
from profiler.campaign.source import Source
from profiler.device.device import Device
from profiler.device.probe import device_of
from profiler.power.gauge import Gauge, Override
from profiler.power.simulated import GaugeModel, PowerTrace, simulate, written

SYSFS = Source("sysfs", "battery", {"current": "/x"})
RANGE_UJ = 1_000_000


def device() -> Device:
    lines = ["@@fedjoule where", "workspace=/tmp/x", "@@fedjoule clock", "1.00 1", "@@fedjoule end", ""]
    return device_of("\n".join(lines), "a link")


def run(model: GaugeModel | None = None, **changed: bytes) -> dict[str, bytes]:
    """What a calibration leaves: 20 s idle, 60 s of load, 20 s idle."""
    trace = PowerTrace(start_s=20, end_s=80)
    samples = simulate(trace, model or GaugeModel(period_s=0.5), np.random.default_rng(1), origin_s=100)
    phases = b"start,100.00\nbusy_start,120.00\nbusy_end,180.00\nend,200.00\n"
    raw = {"samples": written(samples), "phases": phases, "state": b"done\n", "workload.rc": b"0\n"}
    return {**raw, **changed}


@pytest.mark.parametrize(("unit", "sign", "scale"), [("uA", -1, 1e-6), ("mA", 1, 1e-3)])
def test_a_run_under_load_tells_unit_sign_and_period(unit: str, sign: int, scale: float) -> None:
    model = GaugeModel(period_s=0.5, current_unit=unit, sign=sign)
    gauge = calibrated(run(model), SYSFS, device(), Override())
    assert (gauge.current_a_per_unit, gauge.discharge_sign) == (scale, sign)
    assert gauge.period_s == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": b"aborted battery at 12 %\n"}, "the gauge was not calibrated: aborted battery at 12 %"),
        ({"workload.rc": b"3\n", "out.txt": b"x\nno such \x1bmodel\n"}, "its load ended with code 3: no such ?model"),
        ({"workload.rc": b""}, "its load ended with code none"),
        ({"phases": b"start,1.00\nend,2.00\n"}, "nothing ran; give the plan a workload"),
        ({"phases": b""}, "did not say when it began"),
        ({"samples": b""}, "samples must begin with"),
    ],
)
def test_a_run_that_was_cut_calibrates_nothing(changed: Mapping[str, bytes], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        calibrated({**run(), **changed}, SYSFS, device(), Override())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("charge", [float("nan"), 1e-6])
def test_a_gauge_comes_back_from_the_journal(tmp_path: Path, charge: float) -> None:
    """Also one without a charge counter, whose NaN is no JSON."""
    gauge = Gauge(1e-6, 1e-3, charge, -1, 0.5, ("one", "two"), ("three",))
    with Journal(tmp_path) as journal:
        journal.append("gauge", measurement="000-calibration", gauge=gauge_data(gauge))
    with Journal(tmp_path) as journal:
        again = gauge_of_data(journal.last("gauge") or {})
    assert math.isnan(again.charge_ah_per_unit) == math.isnan(charge)
    assert replace(again, charge_ah_per_unit=0) == replace(gauge, charge_ah_per_unit=0)


@pytest.mark.parametrize("damage", [{"gauge": None}, {"gauge": 1}, {"gauge": {}}, {}, {"gauge": {"evidence": 1}}])
def test_a_damaged_gauge_is_refused(damage: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="journal's entry of the gauge is damaged"):
        gauge_of_data(damage)


def counters(*columns: list[int], step_s: float = 0.5) -> dict[str, bytes]:
    lines = ["fedjoule-samples 1", ",".join(["time_s", *(f"energy{number}" for number in range(len(columns)))])]
    lines += [",".join([f"{100 + step_s * i:.2f}", *map(str, row)]) for i, row in enumerate(zip(*columns, strict=True))]
    return {"samples": ("\n".join(lines) + "\n").encode()}


def powercap(count: int = 1) -> Source:
    names = [f"energy{number}" for number in range(count)]
    return Source("powercap", "cpu", {name: f"/{name}" for name in names}, (), dict.fromkeys(names, RANGE_UJ))


def test_a_counters_slope_is_power_also_where_it_begins_anew() -> None:
    energy_uj = np.cumsum(np.full(30, 150_000))  # 300 mW for 0.5 s each
    samples = samples_of(counters([int(each) % RANGE_UJ for each in energy_uj]), powercap())
    gauge = fixed_gauge(samples)
    power_w = samples.column("current") * gauge.current_a_per_unit
    power_w = power_w * samples.column("voltage") * gauge.voltage_v_per_unit * gauge.discharge_sign
    assert len(power_w) == 29
    np.testing.assert_allclose(power_w, 0.3)
    assert samples.time_s[0] == 100.5
    assert gauge.period_s == 0.5


def test_counters_of_several_zones_are_added_up() -> None:
    samples = samples_of(counters([0, 500_000, 1_000], [0, 250_000, 500_000]), powercap(2))
    np.testing.assert_allclose(samples.column("current"), [1_500_000, (501_000 + 250_000) / 0.5])


def test_a_reading_that_is_missing_is_missing_power_and_no_jump() -> None:
    raw = counters([0, 100, 200, 300, 400])
    raw["samples"] = raw["samples"].replace(b"101.00,200", b"101.00,")
    assert np.isfinite(samples_of(raw, powercap()).column("current")).tolist() == [True, False, False, True]


def test_too_few_readings_are_refused() -> None:
    with pytest.raises(ValueError, match="less than 3 times"):
        samples_of(counters([0, 1]), powercap())


def test_the_json_of_a_gauge_has_no_nan() -> None:
    gauge = Gauge(1e-6, 1e-6, float("nan"), 1, 1.0)
    json.dumps(gauge_data(gauge), allow_nan=False)
    assert gauge_data(gauge) == {**asdict(gauge), "charge_ah_per_unit": None, "evidence": (), "doubts": ()}
