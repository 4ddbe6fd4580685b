"""The watchdog for real: it puts things back when the host's lease is over, and not before."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiler.campaign.change import Change, Made, restore_script
from profiler.emulator.phone import Phone

Becomes = Callable[[Callable[[], bool]], bool]


@pytest.fixture
def put_back(shell: Any, phone: Phone) -> Path:
    """The file that the restore script writes: a setting of the phone."""
    made = Made(Change("setting", "system/screen_brightness", "0"), "80")
    (shell.folder / "restore.sh").write_text(restore_script([made]))
    (shell.folder / "uptime_file").write_text(f"{phone.path('proc/uptime')}\n")
    return phone.path("run/settings/system/screen_brightness")


def lease(shell: Any, text: str) -> None:
    aside = shell.folder / "lease.new"
    aside.write_text(text)
    aside.replace(shell.folder / "lease")


def test_it_waits_as_long_as_the_lease_is_renewed_and_then_restores(
    shell: Any, phone: Phone, put_back: Path, becomes: Becomes
) -> None:
    lease(shell, f"{int(phone.clock.boottime_s()) + 40}\n")
    process = shell.start("./watchdog.sh", phone=phone)
    for _ in range(3):
        time.sleep(0.5)  # 20 of the phone's seconds
        assert process.poll() is None
        assert not put_back.exists()
        last_s = phone.clock.boottime_s()
        lease(shell, f"{int(last_s) + 40}\n")
    process.communicate(timeout=10)
    assert phone.clock.boottime_s() >= int(last_s) + 40
    assert process.returncode == 0
    assert put_back.read_text() == "80\n"
    assert (shell.folder / "restored").read_text() == "restored system/screen_brightness\n"


def test_it_ends_on_the_stop_file_and_restores_nothing(
    shell: Any, phone: Phone, put_back: Path, becomes: Becomes
) -> None:
    lease(shell, f"{int(phone.clock.boottime_s()) + 100_000}\n")
    process = shell.start("./watchdog.sh", phone=phone)
    assert becomes((shell.folder / "watchdog.pid").exists)
    (shell.folder / "watchdog.stop").touch()
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert not put_back.exists()


@pytest.mark.parametrize("text", [None, "", "x\n", "-5\n", "1e9\n", "$(touch owned)\n", "99999 99999\n"])
def test_without_a_lease_that_says_until_when_it_restores_at_once(
    shell: Any, phone: Phone, put_back: Path, text: str | None
) -> None:
    if text is not None:
        lease(shell, text)
    shell.run("./watchdog.sh", phone=phone)
    assert put_back.read_text() == "80\n"
    assert not list(shell.folder.rglob("owned"))


def test_it_ends_when_its_folder_is_gone(shell: Any, phone: Phone, put_back: Path, becomes: Becomes) -> None:
    import shutil

    lease(shell, f"{int(phone.clock.boottime_s()) + 100_000}\n")
    process = shell.start("./watchdog.sh", phone=phone)
    assert becomes((shell.folder / "watchdog.pid").exists)
    shutil.rmtree(shell.folder)
    process.communicate(timeout=10)
    assert not put_back.exists()


def test_the_hosts_end_does_not_end_it(shell: Any, phone: Phone, put_back: Path, becomes: Becomes) -> None:
    import os

    lease(shell, f"{int(phone.clock.boottime_s()) + 20}\n")
    process = shell.start("./watchdog.sh", phone=phone)
    assert becomes((shell.folder / "watchdog.pid").exists)
    os.killpg(process.pid, 1)
    process.communicate(timeout=10)
    assert put_back.read_text() == "80\n"
