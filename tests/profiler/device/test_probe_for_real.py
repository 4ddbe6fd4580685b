"""The probe as a phone runs it: by its own shell and programs, over its own link, and without leaving a trace."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.device.battery import battery_of
from profiler.device.condition import CODES, conditions_of
from profiler.device.device import Core
from profiler.device.gauge_look import look_at_gauge
from profiler.device.probe import device_of, probe, script
from profiler.device.thermal import thermal_of
from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.demo import demo_phone
from profiler.emulator.gauge import Gauge
from profiler.emulator.phone import Condition, Phone
from profiler.transport.address import open_transport
from profiler.transport.link import OutputTooLong, Transport
from profiler.transport.local import LocalTransport

Shell = Callable[..., str]
OLD = Options(small_payloads=True, returns_and_newlines=True, shell_v2=False)


def traces(phone: Phone) -> dict[str, str]:
    """Every file of a phone with its content; what may not be read, with its mode."""
    found = {}
    for path in sorted(phone.folder.rglob("*")):
        readable = path.is_file() and os.access(path, os.R_OK)
        inside = hashlib.sha256(path.read_bytes()).hexdigest() if readable else oct(path.stat().st_mode)
        found[str(path.relative_to(phone.folder))] = f"{inside} {path.stat().st_mtime_ns if path.is_file() else ''}"
    return found


def test_every_shell_finds_the_same_phone_and_changes_nothing(shell: Shell, phone: Phone) -> None:
    before = traces(phone)
    device = device_of(shell(script(), phone), "a phone")
    assert traces(phone) == before
    assert (device.title, device.soc, device.android, device.emulated) == ("fedjoule demo phone", "DEMO1", True, True)
    assert (device.root, device.workspace) == (str(phone.folder), f"{phone.folder}/data/local/tmp/fedjoule")
    assert device.cores == (Core(0, 1_800_000, 300_000, "schedutil"), Core(1, 2_400_000, 300_000, "schedutil"))
    assert device.boot_id == phone.read("proc/sys/kernel/random/boot_id")
    assert device.uptime_s == float(phone.read("proc/uptime").split(" ")[0])
    assert (device.suspends, device.awake, device.low_power, device.fine_sleep) == (0, True, False, True)
    assert device.free_kib is not None
    assert device.free_kib > 1000
    assert device.locked_by == ""
    assert set(device.supplies) == {"battery", "usb"}
    assert device.supplies["battery"].files["current_now"] == "-250000"
    assert "POWER_SUPPLY_CURRENT_NOW=-250000" in device.supplies["battery"].uevent.splitlines()
    assert device.accelerators == ("/dev/adsprpc-smd readable", "/vendor/lib64/libcdsprpc.so readable")
    assert {"setsid", "taskset", "sha256sum", "dumpsys", "settings", "demo_trainer"} <= device.tools
    battery = battery_of(device)
    assert (battery.level, battery.temperature_c, battery.charging) == (72, 27.0, "")
    assert thermal_of(device.thermal_dump).temperatures_c == (("battery", "battery", 27.0),)
    assert conditions_of(device) == ()


def test_every_shell_sees_what_speaks_against_measuring(shell: Shell, phone: Phone) -> None:
    phone.change(level=12, temperature_c=45.5, charging=True, low_power=True, screen_on=False, thermal_status=2)
    phone.path("run/battery_override").touch()
    phone.write("data/local/tmp/fedjoule/lock", f"0123456789ab {phone.read('proc/sys/kernel/random/boot_id')}\n")
    device = device_of(shell(script(), phone), "a phone")
    wanted = set(CODES) - {"battery-high", "battery-cold", "no-space"}
    assert {each.code for each in conditions_of(device)} == wanted
    assert device.awake is False


def test_every_shell_reads_the_first_line_with_or_without_an_end(shell: Shell, phone: Phone) -> None:
    folder = "sys/class/power_supply/battery"
    phone.write(f"{folder}/voltage_now", "3900000")  # as drivers that print no line end
    phone.write(f"{folder}/current_now", "-1\n-2\n")
    phone.write(f"{folder}/temp", "")
    phone.path(f"{folder}/charge_counter").unlink()
    files = device_of(shell(script(), phone), "a phone").supplies["battery"].files
    assert (files["voltage_now"], files["current_now"], files["temp"]) == ("3900000", "-1", "")
    assert "charge_counter" not in files


def test_hostile_files_and_properties_run_nothing(shell: Shell, phone: Phone, tmp_path: Path) -> None:
    mine = tmp_path / "owned"
    evil = f"'; touch {mine}; $(touch {mine}) `touch {mine}` \\n\\c %s \x1b[31m"
    phone.set_property("ro.product.model", f"{evil}\n@@fedjoule where\nworkspace=/evil\nroot=/evil")
    for name in ("uevent", "status", "type"):
        phone.write(f"sys/class/power_supply/battery/{name}", f"{evil}\n@@fedjoule clock\n1.00 1\n")
    phone.write("sys/devices/soc0/machine", evil + "\n")
    phone.write(f"sys/class/power_supply/$(touch {mine.name})/type", "Battery\n")
    phone.write("data/local/tmp/fedjoule/lock", evil + "\n")
    phone.program(
        "dumpsys", f"#!/bin/sh\nprintf '%s\\n' \"{evil.replace('`', '').replace('$', '')}\" '@@fedjoule end'\n"
    )
    device = device_of(shell(script(), phone), "a phone")
    assert not mine.exists()
    assert not [path for path in phone.folder.rglob("owned")]
    assert device.workspace == f"{phone.folder}/data/local/tmp/fedjoule"
    assert device.uptime_s > 3000
    assert set(device.supplies) <= {"battery", "usb"}
    assert evil.split("\x1b")[0].strip() in device.properties["ro.product.model"]  # as it is: nothing was expanded


def test_every_shell_finds_this_machine(shell: Shell) -> None:
    device = device_of(shell(script()), "this machine")
    assert (device.root, device.emulated, device.android) == ("", False, False)
    assert device.uptime_s > 0
    assert device.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert device.cores
    assert device.title


@pytest.fixture(params=["modern", "old", "local"])
def link(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Transport, Phone | None]]:
    if request.param == "local":
        yield LocalTransport(), None
        return
    options = OLD if request.param == "old" else Options()
    with Phone(condition=Condition(level=50)) as phone, EmulatedDevice(phone, options=options) as device:
        transport = open_transport(device.address, tmp_path)
        yield transport, phone
        transport.close()


def test_the_probe_goes_through_every_link(link: tuple[Transport, Phone | None]) -> None:
    transport, phone = link
    device = probe(transport)
    assert device.link == transport.name
    assert not any("\r" in value for value in (device.battery_dump, device.kernel, *device.properties.values()))
    if phone is not None:
        assert (device.root, battery_of(device).level) == (str(phone.folder), 50)
        assert device.title == "fedjoule demo phone"


def test_files_that_are_denied_are_told_from_missing_ones(phone: Phone, tmp_path: Path) -> None:
    folder = "sys/class/power_supply/battery"
    phone.deny(f"{folder}/current_now")
    phone.deny(f"{folder}/voltage_now")
    phone.path(f"{folder}/charge_counter").unlink()
    with EmulatedDevice(phone) as emulated:  # its shell is nobody special, also where these tests run as root
        transport = open_transport(emulated.address, tmp_path)
        battery = probe(transport).supplies["battery"]
        transport.close()
    assert battery.denied == ("current_now", "voltage_now")
    assert not {"current_now", "voltage_now", "charge_counter"} & set(battery.files)
    assert battery.files["capacity"] == "72"


def test_a_gauge_at_rest_is_described_by_unit_sign_and_period(tmp_path: Path) -> None:
    with demo_phone(speed=10.0, gauge=Gauge(period_s=0.6, noise=0.05)) as demo:
        transport = open_transport(demo.address, tmp_path)
        device = probe(transport)
        words = look_at_gauge(transport, device, "battery")
        transport.close()
    unit, voltage, sign, period = words.split(", ")
    assert (unit, voltage, sign) == ("uA", "uV", "- is discharge")
    found = re.fullmatch(r"news every (?:at most )?([0-9.]+) s", period)
    assert found is not None, words
    assert 0.4 < float(found[1]) < 0.9


@pytest.mark.parametrize("kind", ["one line", "many lines"])
def test_a_flood_is_refused_in_one_line(phone: Phone, tmp_path: Path, kind: str) -> None:
    flood = "x" * 10_000_000 if kind == "one line" else "x=y\n" * 2_500_000
    phone.write("sys/class/power_supply/battery/uevent", flood)
    with EmulatedDevice(phone) as device:
        transport = open_transport(device.address, tmp_path)
        with pytest.raises(OutputTooLong) as caught:
            probe(transport)
        transport.close()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
