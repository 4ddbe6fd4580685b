"""A whole campaign on an emulated phone at work: the energy it finds is what the phone's battery lost."""

from dataclasses import replace
from pathlib import Path

import pytest

from profiler.campaign.campaign import Choices, preview, run
from profiler.campaign.journal import Journal
from profiler.campaign.plan_file import DEMO, table_plan
from profiler.campaign.session import Session
from profiler.emulator.demo import demo_phone
from profiler.emulator.gauge import Gauge
from profiler.transport.address import open_transport

GAUGES = {
    "0.1 s, uA, - is discharge": Gauge(period_s=0.1, noise=0.02),
    "0.25 s, mA, + is discharge": Gauge(period_s=0.25, current_unit="mA", sign=1, noise=0.02),
    "1 s, uA, moments, lag, + is discharge": Gauge(period_s=1.0, kind="instant", lag_s=0.5, sign=1, noise=0.02),
}


@pytest.mark.parametrize("name", GAUGES)
def test_the_energy_of_a_batch_is_what_the_battery_lost(name: str, tmp_path: Path, keys: Path) -> None:
    plan = table_plan(DEMO, ["lenet5"], ["fp32"], ["cpu"])
    plan = replace(plan, timing=replace(plan.timing, repetitions=1, calibration_s=20.0))
    with demo_phone(speed=10, gauge=GAUGES[name], seed=7) as demo:
        with Session(lambda: open_transport(demo.address, keys)) as session, Journal(tmp_path) as journal:
            seen = preview(session, plan, Choices(), journal)
            record = run(session, plan, Choices(), tmp_path, journal, seen)[0]
        phases, energy, timing = record["phases"], record["energy"], record["timing"]
        start_s, end_s = phases["busy_start_s"], phases["busy_end_s"]
        worked_s = 1e-3 * timing["mean_ms"] * (timing["batches"] + timing["warmup_batches"])
        # What ran before the batches (starting Python) drew nothing but idle power.
        true_j = demo.battery.energy_between(start_s, end_s) - 0.9 * (end_s - start_s - worked_s)
    gauge, model = record["gauge"], GAUGES[name]
    assert gauge["current_a_per_unit"] == {"uA": 1e-6, "mA": 1e-3}[model.current_unit]
    assert gauge["discharge_sign"] == model.sign
    assert gauge["period_s"] == pytest.approx(
        model.period_s, abs=0.04 + 0.05 * model.period_s
    )  # the clock steps by 10 ms
    found_j = 1e-3 * energy["gross_mj_per_batch"] * (timing["batches"] + timing["warmup_batches"])
    assert found_j == pytest.approx(true_j, rel=0.01)
    assert abs(found_j - true_j) < energy["gross_half_width_j"] + 0.005 * true_j
    assert record["provenance"] == "emulated"
    # The sum between the first and the last batch, which is what one would do, is lower by some of a gauge's period.
    assert energy["naive_net_j"] < energy["net_j"]


def test_without_its_files_a_phone_is_measured_by_its_charge_counter(tmp_path: Path, keys: Path) -> None:
    plan = table_plan(DEMO, ["lenet5"], ["fp32"], ["cpu"])
    plan = replace(plan, timing=replace(plan.timing, repetitions=1, idle_s=60.0, busy_s=120.0))
    with demo_phone(speed=20) as demo:
        demo.phone.deny("sys/class/power_supply/battery/current_now")
        with Session(lambda: open_transport(demo.address, keys)) as session, Journal(tmp_path) as journal:
            seen = preview(session, plan, Choices(), journal)
            record = run(session, plan, Choices(), tmp_path, journal, seen)[0]
        start_s, end_s = record["phases"]["busy_start_s"], record["phases"]["busy_end_s"]
        true_j = demo.battery.energy_between(start_s, end_s)
    assert seen.source.kind == "dumpsys"
    assert "current_now denied" in " ".join(seen.source.why)
    energy = record["energy"]
    assert energy is not None, record["flags"]
    assert energy["method"] == "charge counter"
    assert abs(energy["gross_j"] - true_j) < 3 * energy["gross_error_j"] + 0.02 * true_j
