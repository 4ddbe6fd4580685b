"""Campaigns on the namespaced phone: real adbd, mksh and arm64 programs; only the battery is invented."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiler.campaign import measure
from profiler.campaign.campaign import Choices, preview, run
from profiler.campaign.journal import Journal
from profiler.campaign.plan import Plan
from profiler.campaign.plan_file import read_plan
from profiler.campaign.session import Patience, Session
from profiler.campaign.source import source_of
from profiler.campaign.workspace import Workspace
from profiler.emulator.gauge import Gauge
from profiler.table import read_table
from profiler.transport.address import open_transport
from profiler.workload.reading import read_output

FEDJOULE = str(Path(sys.executable).parent / "fedjoule")
THOROUGH = bool(os.environ.get("FEDJOULE_CONFORMANCE"))
GAUGES = {"int8": Gauge(period_s=0.25)}
if THOROUGH:
    GAUGES["fp32, mA, + is discharge"] = Gauge(period_s=0.1, current_unit="mA", sign=1, noise=0.02)
    GAUGES["int8, 1 s, late"] = Gauge(period_s=1.0, lag_s=0.5)
PLAN = """
[plan]
repetitions = 1
idle_s = {idle_s}
busy_s = {busy_s}
gauge_periods = 4
calibration_s = 6

[[workload]]
name = "trained"
use = "runner"
model = "lenet5"
precision = "{precision}"
processor = "cpu"
batch_size = 5
files = [{{ path = "{runner}", name = "runner", executable = true }}]
"""


@pytest.fixture
def plan(built_program: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., Path]:
    """Write a plan of one workload: the runner on LeNet-5, a batch of 5."""

    def write(idle_s: float, busy_s: float, precision: str = "int8") -> Path:
        runner, path = built_program("runner", "aarch64-android"), tmp_path / "plan.toml"
        path.write_text(PLAN.format(idle_s=idle_s, busy_s=busy_s, precision=precision, runner=runner))
        return path

    return write


@pytest.fixture
def lost() -> list[str]:
    """What was said of every link that was lost."""
    return []


@pytest.fixture
def session_with(keys: Path, lost: list[str]) -> Iterator[Callable[[Any], Session]]:
    """Open sessions with a phone that are closed at the end of the test."""
    opened = []

    def open_session(phone: Any) -> Session:
        link = lambda: open_transport(phone.address, key_folder=keys)  # noqa: E731
        opened.append(Session(link, patience=Patience(most_s=60.0, pause_s=0.1), on_lost=lost.append))
        return opened[-1]

    yield open_session
    for one in opened:
        one.close()


def words(phone: Any, out: Path, *more: str) -> list[str]:
    return [FEDJOULE, "profile", "--device", phone.address, "-o", str(out), *more]


def at_home(folder: Path) -> dict[str, str]:
    """Return an environment in which ADB's key is not the user's."""
    return {
        **os.environ,
        "HOME": str(folder),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
    }


def output_of(phone: Any) -> str:
    """Return what the measurement that runs has printed until now."""
    found = phone.phone.path("data/local/tmp/fedjoule").glob("*/001-*/out.txt")
    return "".join(path.read_text() for path in found)


def runs(phone: Any, what: str) -> dict[int, str]:
    return {pid: command for pid, command in phone.running().items() if what in command}


def wait_for(what: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (found := what()) and time.monotonic() < until_s:
        time.sleep(0.02)
    return found


def is_idle(phone: Any) -> bool:
    """Return whether nothing runs on the phone; adbd needs a second to end a shell whose line is gone."""
    return bool(wait_for(lambda: not phone.running(), 5.0))


@contextmanager
def pulled_again_and_again(phone: Any) -> Iterator[None]:
    """Cut the line at moments up to a second and a half apart: what takes longer on a busy machine gets its chance."""
    stop, generator = threading.Event(), random.Random(5)

    def pull() -> None:
        while not stop.wait(generator.uniform(0.05, 1.5)):
            phone.cut()

    thread = threading.Thread(target=pull)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", GAUGES)
def test_the_energy_that_was_drawn_is_found(open_phone: Any, plan: Any, tmp_path: Path, name: str) -> None:
    from watched_battery import WatchedBattery

    phone, gauge = open_phone(), GAUGES[name]
    out = tmp_path / "phone.csv"
    with WatchedBattery(phone.phone, phone.proc, gauge) as battery:
        # So short a load is flagged.
        plan_path = plan(max(3.0, 8 * gauge.period_s), max(6.0, 20 * gauge.period_s), name[:4])
        command = words(phone, out, "--plan", str(plan_path), "--keep", "invalid")
        done = subprocess.run(command, env=at_home(tmp_path), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        record = json.loads(next((tmp_path / "phone.campaign" / "records").glob("001-*.json")).read_text())
        window = record["phases"]["busy_start_s"], record["phases"]["busy_end_s"]
        true_j, busy_s = battery.energy_between(*window), battery.cpu_between(*window)
    assert record["energy"]["gross_j"] == pytest.approx(true_j, rel=0.1)
    assert record["gauge"]["discharge_sign"] == gauge.sign
    assert record["gauge"]["current_a_per_unit"] == {"uA": 1e-6, "mA": 1e-3}[gauge.current_unit]
    assert record["provenance"] == "emulated"
    assert record["sampler"]["program"].startswith("native ")
    assert record["verdict"] != "invalid", record["flags"]
    # The runner kept about a core busy; less only where others wanted it too.
    assert 0.1 < busy_s / (window[1] - window[0]) < 1.2
    assert set(read_table(out)["provenance"]) == {"emulated"}
    assert is_idle(phone)
    assert list(phone.phone.path("data/local/tmp").iterdir()) == []


def test_a_line_that_breaks_all_the_time_costs_nothing(
    open_phone: Any, session_with: Any, lost: list[str], plan: Any, tmp_path: Path
) -> None:
    phone = open_phone()
    made: Plan = read_plan(plan(0.5, 3.0))
    session, choices = session_with(phone), Choices(source="none")
    with Journal(tmp_path) as journal:
        seen = preview(session, made, choices, journal)
        with pulled_again_and_again(phone):
            record = run(session, made, choices, tmp_path, journal, seen)[0]
    assert lost
    assert record["timing"]["batches"] > 2
    assert record["verdict"] != "invalid", record["flags"]
    session.hang_up()
    assert is_idle(phone)


def test_an_interrupted_campaign_leaves_its_job_and_restore_takes_it_away(
    open_phone: Any, built_program: Any, tmp_path: Path
) -> None:
    phone, out = open_phone(), tmp_path / "phone.csv"
    # Without a plan: it knows by itself what trains on such a phone.
    built_program("runner", "aarch64-android")
    command = words(phone, out, "--source", "none", "--precisions", "int8", "--idle-s", "0.5", "--busy-s", "60")
    with subprocess.Popen(command, env=at_home(tmp_path), stderr=subprocess.PIPE, text=True) as process:
        begun = wait_for(lambda: runs(phone, "runner --model lenet5") or process.poll() is not None, 60.0)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert begun is not True, said
    assert process.returncode == 1, said
    assert f"fedjoule profile resume {out}" in said
    assert runs(phone, "runner --model lenet5")
    restored = subprocess.run(
        [FEDJOULE, "profile", "restore", str(out)], env=at_home(tmp_path), capture_output=True, text=True, check=False
    )
    assert restored.returncode == 0, restored.stderr
    assert is_idle(phone)
    assert list(phone.phone.path("data/local/tmp").iterdir()) == []


@contextmanager
def job_on(phone: Any, session: Session, plan_path: Path) -> Iterator[Callable[[], tuple[str, dict[str, bytes]]]]:
    """Start the plan's workload as a campaign does; yields a function that waits for its end and collects."""
    made = read_plan(plan_path)
    device = session.probe()
    source = replace(source_of(device, "sysfs"), why=())
    workspace = Workspace(session, device, "0123456789ab")
    lengths = measure.Lengths(made.timing.idle_s, made.timing.busy_s)
    started = measure.start(session, workspace, device, source, "001-trained", made.workloads[0], lengths, 0.1)

    def ended() -> tuple[str, dict[str, bytes]]:
        def state() -> str:
            said = measure.state_of(session, workspace, started)
            return said if said.startswith(("done", "aborted")) else ""

        return wait_for(state), measure.collect(session, workspace, started, made.workloads[0])

    assert wait_for(lambda: runs(phone, "runner --model lenet5"))
    yield ended
    workspace.close()


def test_a_phone_that_gets_hot_stops_by_itself(open_phone: Any, session_with: Any, plan: Any) -> None:
    phone = open_phone()
    session = session_with(phone)
    with job_on(phone, session, plan(0.5, 60.0)) as ended:
        session.hang_up()
        phone.phone.change(temperature_c=46.0)
        assert wait_for(lambda: not runs(phone, "runner --model lenet5"))
        state, raw = ended()
        assert state == "aborted battery at 460 tenths of a degree C"
        assert b"busy_start," in raw["phases"]
        assert raw["out.txt"].count(b'"kind":"batch"') > 1
    session.hang_up()
    assert is_idle(phone)


def test_a_killed_program_leaves_no_process_and_what_it_said(open_phone: Any, session_with: Any, plan: Any) -> None:
    phone = open_phone()
    session, plan_path = session_with(phone), plan(0.5, 60.0)
    with job_on(phone, session, plan_path) as ended:
        assert wait_for(lambda: output_of(phone).count('"kind":"batch"') > 8)  # five are the warm-up's
        (pid,) = runs(phone, "runner --model lenet5")
        assert session.run(f"kill -9 {pid}").code == 0
        state, raw = ended()
        assert state == "done"
        assert raw["workload.rc"].strip() == b"137"
        reading = read_output(read_plan(plan_path).workloads[0], raw["out.txt"], {})
        assert reading.batches > 1
        assert any("cut short" in problem for problem in reading.problems), reading.problems
        assert not runs(phone, "runner --model lenet5")
    session.hang_up()
    assert is_idle(phone)
