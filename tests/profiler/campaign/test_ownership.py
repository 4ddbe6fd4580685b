"""Whose device, whose settings, whose files: what two campaigns, twins and namesakes must not mix up."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiler.campaign import restore
from profiler.campaign.campaign import AnotherCampaign, Choices, preview, run, undo
from profiler.campaign.change import not_restored
from profiler.campaign.course import Course
from profiler.campaign.journal import Journal
from profiler.campaign.plan_file import parse_plan, with_hashes
from profiler.campaign.session import Session
from profiler.campaign.source import source_of
from profiler.campaign.workspace import Workspace
from profiler.transport.address import open_transport

PLAN = """
[plan]
repetitions = 1
busy_s = 0.5
{workloads}
"""
WORKLOAD = """
[[workload]]
name = "{name}"
reader = "regex"
command = "sh ./program"
pattern = "took (?P<time_ms>[0-9.]+) ms"
model = "m"
precision = "fp32"
processor = "cpu"
batch_size = 1
files = [{{ path = "{name}.sh", name = "program" }}]
"""


def test_two_campaigns_cannot_have_one_phone(instant: Any) -> None:
    with instant.open() as device, instant.session(device.address) as one, instant.session(device.address) as two:
        phone = one.probe()
        first = Workspace(one, phone, "aaaaaaaaaaaa")
        with pytest.raises(OSError, match=r"another campaign holds the device.*aaaaaaaaaaaa"):
            Workspace(two, phone, "bbbbbbbbbbbb")
        first.hold()
        second = Workspace(two, phone, "bbbbbbbbbbbb", force=True)
        second.hold()
        with pytest.raises(OSError, match="another campaign took the device"):
            first.hold()
        first.close()
        second.hold()  # the loser took nothing of the winner's with it
        second.close()
        assert list(instant.phone.path("data/local/tmp").iterdir()) == []


def test_a_phone_that_put_its_settings_back_gets_them_anew(instant: Any, tmp_path: Path) -> None:
    with instant.open() as device, instant.session(device.address) as session, Journal(tmp_path) as journal:
        phone = session.probe()
        workspace = Workspace(session, phone, "aaaaaaaaaaaa")
        restore.apply(session, workspace, journal, instant.changes, phone.uptime_s)
        folder = shlex.quote(workspace.folder)
        session.run(f": >{folder}/watchdog.stop; cd {folder} && sh ./restore.sh >restored")  # as the watchdog does
        assert session.run("settings get system screen_off_timeout").text.strip() == "60000"
        course = Course(
            session, workspace, instant.plan, tmp_path, journal, phone, source_of(phone), 1.0, lambda _: None
        )
        course._changes = instant.changes
        course._keep_changes(100.0)
        assert session.run("settings get system screen_off_timeout").text.strip() == "3600000"
        assert not restore.was_put_back(session, workspace)
        assert len(not_restored(journal.entries)) == 3
        assert restore.put_back(session, journal) == []
        workspace.close()
    assert instant.left_changed() == []


def test_a_twin_is_another_phone(instant: Any, tmp_path: Path) -> None:
    with instant.open() as device:
        instant.run(device.address, tmp_path / "c")
        instant.phone.set_property("ro.serialno", "TWIN")
        with instant.session(device.address) as session, Journal(tmp_path / "c") as journal:
            with pytest.raises(AnotherCampaign, match="connect the right device"):
                undo(session, journal, lambda _: None)
            with pytest.raises(AnotherCampaign, match="choose another output"):
                preview(session, instant.plan, Choices(), journal)


def test_files_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for name, time_ms in (("slow", 7), ("fast", 3)):
        line = f"echo took {time_ms} ms; sleep 0.0{time_ms}\n"
        (tmp_path / f"{name}.sh").write_text(20 * line)
    text = PLAN.format(workloads="".join(WORKLOAD.format(name=name) for name in ("slow", "fast")))
    plan = with_hashes(parse_plan(text.encode(), "plan.toml", tmp_path))
    plan = replace(plan, timing=replace(plan.timing, idle_s=0.2))
    with Session(lambda: open_transport("local")) as session, Journal(tmp_path / "c") as journal:
        choices = Choices(source="none")
        seen = preview(session, plan, choices, journal)
        found = run(session, plan, choices, tmp_path / "c", journal, seen)
    assert {record["workload"]["name"]: record["timing"]["mean_ms"] for record in found} == {"slow": 7.0, "fast": 3.0}
    assert len({record["workload"]["files_sha256"]["program"] for record in found}) == 2
