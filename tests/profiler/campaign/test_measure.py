"""Measurements with jobs for real, on a fast emulated phone: pilots, and a job that nobody knows of."""

import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiler.campaign import measure
from profiler.campaign.campaign import Choices, preview, run
from profiler.campaign.course import Event
from profiler.campaign.journal import Journal, read_journal
from profiler.campaign.measure import Lengths
from profiler.campaign.plan_file import parse_plan
from profiler.campaign.session import Session
from profiler.campaign.source import Source
from profiler.campaign.workspace import Workspace
from profiler.emulator import demo_trainer
from profiler.emulator.demo import demo_phone
from profiler.transport.address import open_transport

CAMPAIGN = "0123456789ab"
TOML = '''
[plan]
repetitions = 2
idle_s = 0.5
busy_s = 4
gauge_periods = 0
[[workload]]
name = "counted"
reader = "json_lines"
command = """{command} --model {{model}} --precision {{precision}} --processor {{processor}} \\
    --batch-size {{batch_size}} --batches {{batches}}"""
model = "lenet5"
precision = "int8"
processor = "cpu"
batch_size = 16
'''


def real_campaign(command: str, folder: Path, keys: Path) -> tuple[list[Any], list[Event], list[Any]]:
    """Run the plan with jobs for real on a fast phone, without power; return records, events and journal."""
    plan = parse_plan(TOML.format(command=command).encode(), "my.toml", folder)
    events: list[Event] = []
    with demo_phone(speed=10.0) as demo:
        choices = Choices(source="none")
        with Session(lambda: open_transport(demo.address, keys)) as session, Journal(folder) as journal:
            seen = preview(session, plan, choices, journal)
            found = run(session, plan, choices, folder, journal, seen, events.append)
    return found, events, read_journal(folder)


def test_a_pilot_says_how_many_batches_fill_the_time(tmp_path: Path, keys: Path) -> None:
    found, _, journal = real_campaign("demo_trainer", tmp_path, keys)
    pilots = [entry for entry in journal if entry["kind"] == "pilot"]
    assert len(pilots) == 1  # for both repetitions
    words = ["--model", "lenet5", "--precision", "int8", "--processor", "cpu", "--batch-size", "16", "--batches", "1"]
    numbers = tomllib.loads(Path(demo_trainer.__file__).with_suffix(".toml").read_text())
    truth_ms = demo_trainer.period_ms(demo_trainer.stage_means_ms(numbers, demo_trainer.parse(words)), overlap=False)
    assert pilots[0]["mean_ms"] == pytest.approx(truth_ms, rel=0.1)  # its first batch takes half as long again
    assert len(found) == 2
    for each in found:
        batches = each["timing"]["batches"]
        assert batches == each["lengths"]["batches"] == pytest.approx(4000 / pilots[0]["mean_ms"], abs=1)
        assert each["timing"]["mean_ms"] == pytest.approx(truth_ms, rel=0.02)
        assert each["verdict"] == "valid"
        assert each["energy"] is None
        assert each["provenance"] == "emulated"


def test_a_pilot_that_fails_does_not_end_the_campaign(tmp_path: Path, keys: Path) -> None:
    found, events, journal = real_campaign("no_such_program", tmp_path, keys)
    assert not [entry for entry in journal if entry["kind"] == "pilot" and entry["mean_ms"]]
    assert [each["verdict"] for each in found] == ["invalid", "invalid"]
    assert all("ended with code 127" in " ".join(flag["what"] for flag in each["flags"]) for each in found)
    assert any(event.kind == "warn" and "pilot" in event.what for event in events)


def test_a_job_that_nobody_knows_of_is_stopped_before_its_twin_starts(tmp_path: Path, keys: Path) -> None:
    """The host died after it started a job and before it wrote that down: two at once would disturb each other."""
    plan = parse_plan(TOML.format(command="demo_trainer").encode(), "my.toml", tmp_path)
    workload = replace(plan.workloads[0], command="sleep {seconds}")
    with demo_phone(speed=40.0) as demo, Session(lambda: open_transport(demo.address, keys)) as session:
        device = session.probe()
        workspace = Workspace(session, device, CAMPAIGN)
        pid = f"{workspace.folder}/001-x-r1/workload.pid"

        def start() -> str:
            source, lengths = Source("none", "", {}), Lengths(0.5, 3000.0)
            measure.start(session, workspace, device, source, "001-x-r1", workload, lengths, 1.0)
            assert becomes(lambda: session.run(f"[ -s {pid} ]").code == 0)
            return session.run(f"cat {pid}").text.strip()

        first = start()
        second = start()
        assert first != second
        assert session.run(f"kill -0 {first}").code != 0
        assert session.run(f"kill -0 {second}").code == 0
        workspace.stop_jobs()
        assert becomes(lambda: session.run(f"kill -0 {second}").code != 0)


def becomes(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()
