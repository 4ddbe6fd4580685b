"""Changed settings on an emulated phone: written down, made, verified, and put back by whoever is left."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from profiler.campaign import restore
from profiler.campaign.campaign import undo
from profiler.campaign.change import Change, not_restored
from profiler.campaign.journal import Journal, read_journal
from profiler.campaign.session import Session
from profiler.campaign.workspace import Workspace
from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.battery import Battery
from profiler.emulator.phone import Phone
from profiler.transport.address import open_transport

BRIGHT = Change("setting", "system/screen_brightness", "0")
TIMEOUT = Change("setting", "system/screen_off_timeout", "3600000")
SUSPEND = Change("property", "power.battery_input.suspended", "1")
CHANGES = (TIMEOUT, BRIGHT, SUSPEND)
CAMPAIGN = "0123456789ab"


class Dead(BaseException):
    """The host ends here."""


@dataclass
class Bench:
    """An emulated phone with one setting there and one not, and a host's campaign on it."""

    phone: Phone
    session: Session
    workspace: Workspace
    journal: Journal
    folder: Path

    def apply(self, *changes: Change) -> None:
        uptime_s = self.session.probe().uptime_s
        restore.apply(self.session, self.workspace, self.journal, changes or CHANGES, uptime_s)

    def values(self) -> list[str | None]:
        files = [f"run/settings/{TIMEOUT.name}", f"run/settings/{BRIGHT.name}", f"run/prop/{SUSPEND.name}"]
        paths = [self.phone.path(file) for file in files]
        return [path.read_text().strip() if path.exists() else None for path in paths]


BEFORE = ["60000", None, "0"]
CHANGED = ["3600000", "0", "1"]


@pytest.fixture
def bench(tmp_path: Path, keys: Path) -> Iterator[Bench]:
    with Phone(speed=100.0) as phone, Battery(phone), EmulatedDevice(phone) as device:
        phone.write("run/settings/system/screen_off_timeout", "60000\n")
        phone.set_property(SUSPEND.name, "0")
        with Session(lambda: open_transport(device.address, keys)) as session, Journal(tmp_path / "c") as journal:
            found = session.probe()
            journal.append("campaign", campaign=CAMPAIGN, plan="x", title=found.title, identity=found.identity)
            yield Bench(phone, session, Workspace(session, found, CAMPAIGN), journal, tmp_path / "c")


def test_changes_are_made_and_put_back_the_last_one_first(bench: Bench) -> None:
    bench.apply()
    assert bench.values() == CHANGED
    said: list[str] = []
    assert restore.put_back(bench.session, bench.journal, said.append) == []
    assert bench.values() == BEFORE
    assert [line.split(" ")[3] for line in said] == [SUSPEND.name, BRIGHT.name, TIMEOUT.name]
    assert not_restored(read_journal(bench.folder)) == []
    assert restore.put_back(bench.session, bench.journal) == []  # nothing is left to do


def test_nothing_to_change_touches_nothing(bench: Bench) -> None:
    restore.apply(bench.session, bench.workspace, bench.journal, (), 0.0)
    folder = bench.phone.path(f"data/local/tmp/fedjoule/{CAMPAIGN}")
    assert [path.name for path in folder.iterdir()] == ["fedjoule-campaign"]
    assert len(bench.journal.entries) == 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_on_both_disks_before_it_is_made(
    bench: Bench, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host dies at the very moment: what either side has written is enough to put everything back."""
    real = Workspace.say

    def say(workspace: Workspace, command: str, failure: str) -> str:
        if command == change.write_command(change.value):
            raise Dead
        return real(workspace, command, failure)

    monkeypatch.setattr(Workspace, "say", say)
    with pytest.raises(Dead):
        bench.apply()
    position = CHANGES.index(change)
    assert bench.values() == [*CHANGED[:position], *BEFORE[position:]]
    written = [each.change for each in not_restored(read_journal(bench.folder))]
    assert written == list(CHANGES[: position + 1])
    script = bench.phone.path(f"data/local/tmp/fedjoule/{CAMPAIGN}/restore.sh").read_text()
    assert all(each.name in script for each in written)
    bench.session.run(f"sh {bench.workspace.folder}/restore.sh")
    assert bench.values() == BEFORE
    assert restore.put_back(bench.session, bench.journal) == []
    assert bench.values() == BEFORE


def test_an_interrupted_run_keeps_the_first_old_value(bench: Bench) -> None:
    bench.apply()
    bench.apply()  # as a resume does
    assert [each.old for each in not_restored(bench.journal.entries)] == ["60000", "null", "0"]
    assert restore.put_back(bench.session, bench.journal) == []
    assert bench.values() == BEFORE


def test_a_value_that_does_not_take_is_refused_and_what_was_before_it_can_be_put_back(bench: Bench) -> None:
    bench.phone.program("setprop", "#!/bin/sh\nexit 0\n")
    with pytest.raises(OSError, match=r"property power\S+ = 1 did not take: it reads '0'") as caught:
        bench.apply()
    assert "\n" not in str(caught.value)
    assert bench.values() == ["3600000", "0", "0"]
    assert restore.put_back(bench.session, bench.journal) == []
    assert bench.values() == BEFORE


def test_a_value_that_the_device_refuses_is_an_error_with_what_it_said(bench: Bench) -> None:
    with pytest.raises(OSError, match=r"cannot set property ro\.x = 1 \(Failed to set"):
        bench.apply(BRIGHT, Change("property", "ro.x", "1"))
    assert restore.put_back(bench.session, bench.journal) == []
    assert bench.values() == BEFORE


def test_a_value_that_could_not_be_put_back_is_not_changed(bench: Bench) -> None:
    bench.phone.write("run/settings/system/screen_brightness", "1\x1b\n2\n")
    with pytest.raises(ValueError, match="cannot be put back"):
        bench.apply(TIMEOUT, BRIGHT)
    assert [each.change for each in not_restored(bench.journal.entries)] == [TIMEOUT]
    assert bench.phone.read("run/settings/system/screen_brightness") == "1\x1b\n2"


def test_what_cannot_be_put_back_is_named_and_stays_open(bench: Bench) -> None:
    bench.apply()
    bench.phone.program("setprop", "#!/bin/sh\nexit 1\n")
    failed = restore.put_back(bench.session, bench.journal)
    assert failed == ["property power.battery_input.suspended reads '1', was '0'"]
    assert [each.change for each in not_restored(read_journal(bench.folder))] == [SUSPEND]
    assert bench.values() == ["60000", None, "1"]


def test_the_phone_restores_itself_when_its_host_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "LEASE_MARGIN_S", 100.0)
    bench.apply()
    restore.renew(bench.workspace, bench.session.probe().uptime_s, 120.0)
    bench.session.hang_up()
    assert bench.values() == CHANGED
    until = time.monotonic() + 10
    while bench.values() != BEFORE and time.monotonic() < until:
        time.sleep(0.02)
    assert bench.values() == BEFORE
    assert restore.put_back(bench.session, bench.journal) == []  # the host comes back, and finds all well
    assert not_restored(bench.journal.entries) == []


def test_undo_puts_back_and_removes_what_is_ours_alone(bench: Bench) -> None:
    bench.apply()
    bench.phone.write("data/local/tmp/fedjoule/aaaaaaaaaaaa/fedjoule-campaign", "")
    said: list[str] = []
    assert undo(bench.session, bench.journal, said.append) == []
    assert bench.values() == BEFORE
    top = bench.phone.path("data/local/tmp/fedjoule")
    assert [path.name for path in top.iterdir()] == ["aaaaaaaaaaaa"]  # another campaign's, and the lock was ours
    assert len(said) == 4
    assert undo(bench.session, bench.journal, said.append) == []  # again does no harm


def test_a_watchdog_that_wakes_while_its_folder_is_removed_leaves_nothing(bench: Bench) -> None:
    folder = Path(bench.workspace.folder)
    once = bench.phone.path("run/woken")
    bench.phone.program(
        "rm", f'#!/bin/sh\n/bin/rm "$@"\n[ -e {once} ] || {{ : >{once}; mkdir {folder}; : >{folder}/restored; }}\n'
    )
    bench.workspace.close()
    assert once.exists()
    assert list(bench.phone.path("data/local/tmp").iterdir()) == []


def test_undo_of_what_fails_leaves_the_folder_and_another_phone_alone(bench: Bench) -> None:
    bench.apply()
    bench.phone.program("setprop", "#!/bin/sh\nexit 1\n")
    assert len(undo(bench.session, bench.journal, lambda _: None)) == 1
    assert bench.phone.path(f"data/local/tmp/fedjoule/{CAMPAIGN}/restore.sh").exists()
    bench.phone.set_property("ro.product.model", "another")
    with pytest.raises(ValueError, match="connect the right device"):
        undo(bench.session, bench.journal, lambda _: None)


def test_a_lock_of_another_campaign_is_left(bench: Bench) -> None:
    bench.phone.write("data/local/tmp/fedjoule/lock", "ffffffffffff boot\n")
    undo(bench.session, bench.journal, lambda _: None)
    assert bench.phone.read("data/local/tmp/fedjoule/lock") == "ffffffffffff boot"


def test_a_device_that_is_held_is_taken_by_force_alone(bench: Bench) -> None:
    device = bench.session.probe()
    with pytest.raises(OSError, match=f"campaign {CAMPAIGN} holds it"):
        Workspace(bench.session, device, "ffffffffffff")
    bench.workspace.hold()  # the first has it still
    Workspace(bench.session, device, CAMPAIGN)  # and may come back
    Workspace(bench.session, device, "ffffffffffff", force=True)
    with pytest.raises(OSError, match="another campaign took the device"):
        bench.workspace.hold()
    bench.phone.reboot()
    Workspace(bench.session, bench.session.probe(), CAMPAIGN)  # a lock from before a restart holds nothing


def test_a_campaign_whose_change_fails_leaves_the_phone_as_it_was(instant: Any, tmp_path: Path) -> None:
    bad = replace(instant, changes=(*instant.changes, Change("property", "ro.x", "1")))
    with bad.open() as device, pytest.raises(OSError, match=r"cannot set property ro\.x"):
        bad.run(device.address, tmp_path)
    assert bad.left_changed() == []
    assert [entry["kind"] for entry in read_journal(tmp_path)].count("restored") == 4
