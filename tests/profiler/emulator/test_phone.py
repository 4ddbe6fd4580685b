"""The phone's folder and its programs, as a shell on it sees them."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.emulator import programs
from profiler.emulator.clock import PhoneClock
from profiler.emulator.hostile import KINDS, NASTY, make_hostile
from profiler.emulator.phone import PROPERTIES, Condition, Phone

Shell = Callable[[str], str]


@pytest.fixture
def shell(phone: Phone) -> Shell:
    """Run a command line on the phone and return what it printed, errors as well."""

    def run(command: str) -> str:
        words = ["/bin/sh", "-c", command]
        done = subprocess.run(
            words, env=phone.environment(), cwd=phone.folder, capture_output=True, check=False, timeout=20
        )
        return (done.stdout + done.stderr).decode(errors="replace")

    return run


def test_it_says_that_it_is_emulated_and_names_no_product(shell: Shell) -> None:
    assert shell("getprop ro.fedjoule.emulated; getprop ro.kernel.qemu") == "1\n1\n"
    assert "fedjoule demo phone" in shell("getprop ro.product.model; cat proc/cpuinfo")


def test_properties_are_listed_read_and_set_but_for_read_only_ones(shell: Shell) -> None:
    listed = shell("getprop").splitlines()
    assert listed == [f"[{name}]: [{value}]" for name, value in sorted(PROPERTIES.items())]
    assert shell("getprop none; getprop none x; getprop ../clock x") == "\nx\nx\n"
    assert shell("setprop a.b 'c $(d)'; getprop a.b; getprop | head -1") == "c $(d)\n[a.b]: [c $(d)]\n"
    assert (
        shell("setprop ro.kernel.qemu 0 2>&1; getprop ro.kernel.qemu")
        == "Failed to set property 'ro.kernel.qemu' to '0'.\n1\n"
    )


def test_dumpsys_tells_how_the_phone_stands(phone: Phone, shell: Shell) -> None:
    phone.change(level=34, temperature_c=41.5, charging=True, thermal_status=2, screen_on=False, low_power=True)
    battery = shell("dumpsys battery")
    for line in ("USB powered: true", "level: 34", "temperature: 415", "status: 2", "voltage: 3900", "scale: 100"):
        assert f"  {line}\n" in battery
    thermal = shell("dumpsys thermalservice")
    assert "Thermal Status: 2\n" in thermal
    assert "\tTemperature{mValue=41.5, mType=2, mName=battery, mStatus=2}\n" in thermal
    power = shell("dumpsys power")
    assert "mWakefulness=Asleep\n" in power
    assert "mLowPowerModeEnabled=true\n" in power
    assert shell("dumpsys nonsense") == "Can't find service: nonsense\n"


def test_an_override_of_the_battery_is_marked_until_it_is_reset(shell: Shell) -> None:
    marked = "(UPDATES STOPPED -- use 'reset' to restart)"
    assert marked not in shell("dumpsys battery")
    assert marked in shell("cmd battery unplug; dumpsys battery")
    assert marked not in shell("dumpsys battery reset; dumpsys battery")


def test_settings_and_the_screen_are_kept(shell: Shell) -> None:
    assert shell("settings get system screen_brightness") == "null\n"
    put = "settings put system screen_brightness 10; settings get system screen_brightness"
    assert shell(put) == "10\n"
    assert (
        shell("settings delete system screen_brightness; settings get system screen_brightness")
        == "Deleted 1 rows\nnull\n"
    )
    assert shell("svc power stayon true; settings get global stay_on_while_plugged_in") == "15\n"
    assert shell("settings get ../../.. x; settings get global ../x") == "Invalid namespace '../../..'\nBad arguments\n"
    assert "state=OFF" in shell("input keyevent KEYCODE_POWER; dumpsys power")
    assert "state=ON" in shell("input keyevent 224; dumpsys power")


@pytest.mark.parametrize(
    ("argument", "real_s"),
    [("0.5", 0.05), ("2", 0.2), (".5", 0.05), ("1.050", 0.105), ("08.1", 0.81), ("0", 0.0), ("0.1s", 0.1)],
)
def test_sleep_lasts_on_the_phones_clock(argument: str, real_s: float, tmp_path: Path) -> None:
    for name, text in (("real", '#!/bin/sh\necho "$@"\n'), ("sleep", "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for cost_s in (0.0, 0.02):
        text = programs.sleep(10, cost_s).replace(shutil.which("sleep") or "/bin/sleep", str(tmp_path / "real"))
        (tmp_path / "sleep").write_text(text)
        done = subprocess.run([tmp_path / "sleep", argument], capture_output=True, check=True, text=True)
        plain = not argument.endswith("s")
        assert float(done.stdout.strip().rstrip("s")) == pytest.approx(max(0.0, real_s - cost_s * plain))


def test_at_normal_speed_sleep_is_the_real_one(phone: Phone) -> None:
    assert not phone.path("system/bin/sleep").exists()


def test_a_file_that_changes_is_never_seen_torn(phone: Phone) -> None:
    reader = subprocess.Popen(
        ["/bin/sh", "-c", "while read -r line <data/x; do case $line in aaaa|bbbb) ;; *) echo $line ;; esac; done"],
        cwd=phone.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    phone.write("data/x", "aaaa\n")
    until_s = time.monotonic() + 0.4
    while time.monotonic() < until_s:
        phone.write("data/x", "bbbb\n")
        phone.write("data/x", "aaaa\n")
    phone.path("data/x").unlink()
    assert reader.communicate(timeout=5)[0] == b""


def test_having_slept_puts_boottime_ahead(phone: Phone) -> None:
    before_s = phone.clock.boottime_s() - phone.clock.monotonic_ns() / 1e9
    phone.suspend(12.5)
    assert phone.clock.boottime_s() - phone.clock.monotonic_ns() / 1e9 - before_s == pytest.approx(12.5, abs=0.01)
    assert phone.read("sys/power/suspend_stats/success") == "1"


def test_a_temporary_phone_leaves_nothing_and_a_given_folder_stays(tmp_path: Path) -> None:
    with Phone() as phone:
        folder = phone.folder
        assert folder.is_dir()
    assert not folder.exists()
    with Phone(tmp_path / "mine") as phone:
        pass
    phone.close()
    assert (tmp_path / "mine/proc/uptime").exists()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="level must be 0 to 100"):
        Condition(level=101)
    with pytest.raises(ValueError, match="speed must be"):
        PhoneClock(0, 0, 0.0)


def test_hostile_content_is_where_a_client_will_meet_it_and_runs_nothing(phone: Phone, shell: Shell) -> None:
    make_hostile(phone, *(kind for kind in KINDS if kind != "endless"))
    assert shell("getprop ro.product.model") == NASTY + "\n"
    assert len(shell("cat proc/version")) == 10_000_000
    assert NASTY in shell("getprop")
    assert any("\x1b" in entry.name for entry in phone.path("sys/class/power_supply").iterdir())
    assert "level: -5" in shell("cat sys/class/power_supply/battery/temp; dumpsys battery; dumpsys thermalservice")
    assert not list(phone.folder.rglob("pwned"))
    make_hostile(phone, "endless")
    assert len(shell("dumpsys battery | head -c 100000")) == 100_000
