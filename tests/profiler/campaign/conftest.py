"""Campaigns in a second: an emulated phone whose jobs end at once, with results that depend on their name alone."""

import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from profiler.campaign import campaign, job
from profiler.campaign.campaign import Choices, preview, run
from profiler.campaign.change import Change
from profiler.campaign.course import Event
from profiler.campaign.journal import Journal
from profiler.campaign.plan import Measurement, Plan, Timing
from profiler.campaign.plan_file import DEMO, table_plan
from profiler.campaign.record import Record
from profiler.campaign.session import Patience, Session
from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.faults import FaultPlan
from profiler.emulator.phone import Phone
from profiler.power.simulated import GaugeModel, PowerTrace, simulate, written
from profiler.transport.address import open_transport
from profiler.transport.link import Finished, Transport

HASTE = 1000.0  # of the clocks in these tests, the host's and the phone's
CAMPAIGN = "0123456789ab"
CHANGES = (
    Change("setting", "system/screen_off_timeout", "3600000"),
    Change("setting", "system/screen_brightness", "0"),
    Change("property", "power.battery_input.suspended", "1"),
)
# Stands in for the real job: what it would have measured lies ready on the phone.
_JOB = b"""cd "${0%/*}" || exit 1
mkdir started 2>/dev/null || exit 0
echo $$ >job.pid
cp "$FEDJOULE_ROOT/run/results/${PWD##*/}"/* .
mv -f ended state
"""


class HastyClock:
    """A clock that runs fast, so that waiting costs nothing."""

    def now(self) -> float:
        return time.monotonic() * HASTE

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / HASTE)


class Impatient:
    """A link that waits two seconds at most for a command."""

    def __init__(self, link: Transport) -> None:
        self._link = link
        self.name = link.name

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        return self._link.run(command, min(timeout_s, 2.0), limit_bytes)

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        self._link.push(content, path, mode)

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        return self._link.pull(path, limit_bytes)

    def reconnect(self) -> None:
        self._link.reconnect()

    def close(self) -> None:
        self._link.close()


@dataclass(frozen=True)
class Instant:
    """An emulated phone with ready results, and what is needed to run a campaign on it."""

    phone: Phone
    plan: Plan
    keys: Path
    changes: tuple[Change, ...] = ()

    def open(self, faults: FaultPlan | None = None) -> EmulatedDevice:
        return EmulatedDevice(self.phone, plan=faults)

    def session(self, address: str) -> Session:
        patience = Patience(most_s=150.0, pause_s=1.0)
        return Session(lambda: Impatient(open_transport(address, self.keys)), HastyClock(), patience)

    def left_changed(self) -> list[str]:
        """Return what is not on the phone as it was before the campaign."""
        found = [str(path) for path in self.phone.path("data/local/tmp").rglob("*") if path.is_file()]
        was = {"system/screen_off_timeout": "60000", "system/screen_brightness": None}
        for name, value in was.items():
            file = self.phone.path(f"run/settings/{name}")
            now = file.read_text().strip() if file.exists() else None
            found += [f"{name} = {now}"] if now != value else []
        file = self.phone.path("run/prop/power.battery_input.suspended")
        return found + (["charging suspended"] if file.exists() and file.read_text().strip() else [])

    def run(self, address: str, folder: Path, tell: Callable[[Event], None] = lambda _: None) -> list[Record]:
        choices = Choices(changes=self.changes)
        with self.session(address) as session, Journal(folder) as journal:
            seen = preview(session, self.plan, choices, journal)
            return run(session, self.plan, choices, folder, journal, seen, tell, campaign=CAMPAIGN)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def instant(keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instant]:
    plan = table_plan(DEMO, ["lenet5"], ["int8"], ["cpu", "dsp"])
    plan = replace(plan, timing=Timing(repetitions=1, calibration_s=30.0))
    real = job.script
    monkeypatch.setattr(job, "script", lambda name: _JOB if name == "job.sh" else real(name))
    monkeypatch.setattr(campaign, "device_clock_rate", lambda *_: 1.0)
    with Phone(speed=HASTE) as phone:
        for measurement in (Measurement("000-calibration", plan.workloads[0], 0), *plan.measurements()):
            for name, content in results_of(measurement).items():
                phone.write(f"run/results/{measurement.name}/{name}", content)
        phone.write("run/settings/system/screen_off_timeout", "60000\n")
        yield Instant(phone, plan, keys, CHANGES)


def results_of(measurement: Measurement, begin_s: float = 5000.0) -> dict[str, bytes]:
    """Return what a job would have left: 20 s idle, 30 s of batches of 10 ms, 20 s idle; drawn from the name alone."""
    rng = np.random.default_rng(zlib.crc32(measurement.name.encode()))
    samples = simulate(PowerTrace(), GaugeModel(period_s=0.5), rng, origin_s=begin_s)
    workload = measurement.workload
    assert workload is not None
    names = {key: getattr(workload, key) for key in ("model", "precision", "processor", "batch_size")}
    times = {"boottime_ns": int((begin_s + 20) * 1e9), "monotonic_ns": int((begin_s + 20) * 1e9)}
    end = {name: ns + 30 * 10**9 for name, ns in times.items()}
    start_ns = times["monotonic_ns"]
    ends_ns = start_ns + np.round(np.cumsum(rng.normal(10e6, 1e5, 2999))).astype(int)
    lines = [{"kind": "hello", "version": 1, "program": "demo_trainer", **names, **times}]
    lines.append({"kind": "phase", "name": "run", "boottime_ns": times["boottime_ns"]})
    before = start_ns
    for number, at in enumerate(ends_ns.tolist()):
        lines.append({"kind": "batch", "i": number, "t0_ns": before, "t1_ns": at, "parts_ns": {}})
        before = at
    lines.append({"kind": "end", "rc": 0, "batches": len(ends_ns), "checksum": "00", **end})
    phases = (
        f"start,{begin_s:.2f}\nbusy_start,{begin_s + 20:.2f}\nbusy_end,{begin_s + 50:.2f}\nend,{begin_s + 70:.2f}\n"
    )
    return {
        "samples": written(samples),
        "phases": phases.encode(),
        "out.txt": "".join(json.dumps(line) + "\n" for line in lines).encode(),
        "workload.rc": b"0\n",
        "samples.cost": b"rows 700 late 0 elapsed_cs 7000\n0m0.01s 0m0.01s\n0m0.10s 0m0.05s\n",
        "ended": b"done\n",
    }
