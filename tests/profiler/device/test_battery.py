"""The battery's state: files before the dump, and everything that says it is being charged."""

from collections.abc import Callable

import pytest

from profiler.device.battery import battery_of
from profiler.device.device import Device

Made = Callable[..., Device]
DUMP = ["  status: 3", "  level: 55", "  temperature: 301", "  AC powered: false", "  USB powered: false"]


def supply(name: str, *files: str, kind: str = "Battery") -> list[str]:
    return [f"@supply {name}", f"@file type={kind}", *(f"@file {file}" for file in files)]


def test_files_come_before_the_dump(made: Made) -> None:
    battery = battery_of(
        made(supplies=supply("battery", "capacity=71", "temp=268", "status=Not charging"), battery=DUMP)
    )
    assert (battery.level, battery.temperature_c, battery.status) == (71, 26.8, "Not charging")
    assert (battery.charging, battery.overridden) == ("", False)


def test_the_dump_fills_what_no_file_says(made: Made) -> None:
    battery = battery_of(made(supplies=supply("battery", "capacity="), battery=DUMP))
    assert (battery.level, battery.temperature_c, battery.status) == (55, 30.1, "Discharging")


@pytest.mark.parametrize(
    "nonsense", ["capacity=x", "capacity=", "capacity=5 5", "capacity=1e2", "capacity=" + "9" * 40]
)
def test_a_file_that_holds_no_number_says_nothing(made: Made, nonsense: str) -> None:
    assert battery_of(made(supplies=supply("battery", nonsense), battery=DUMP)).level == 55


@pytest.mark.parametrize(("percent", "level"), [("0", 0), ("100", 100), ("101", None), ("-1", None)])
def test_a_level_is_a_percentage(made: Made, percent: str, level: int | None) -> None:
    assert battery_of(made(supplies=supply("battery", f"capacity={percent}"), battery=[])).level == level


@pytest.mark.parametrize(("tenths", "degrees"), [("-55", -5.5), ("450", 45.0), ("-600", None), ("2000", None)])
def test_temperatures_are_tenths_of_a_degree(made: Made, tenths: str, degrees: float | None) -> None:
    assert battery_of(made(supplies=supply("battery", f"temp={tenths}"), battery=[])).temperature_c == degrees


def test_nobody_says_anything(made: Made) -> None:
    battery = battery_of(made(supplies=[], battery=[]))
    assert (battery.level, battery.temperature_c, battery.status, battery.charging) == (None, None, "", "")


def test_an_override_shows_by_its_mark(made: Made) -> None:
    mark = "  (UPDATES STOPPED -- use 'reset' to restart)"
    assert battery_of(made(battery=[*DUMP[:1], mark, *DUMP[1:]])).overridden


@pytest.mark.parametrize("kind", ["USB", "Mains", "Wireless", "USB_PD"])
@pytest.mark.parametrize(("online", "charges"), [("0", False), ("1", True), ("2", True), ("", False)])
def test_any_supply_online_feeds_the_phone(made: Made, kind: str, online: str, charges: bool) -> None:
    lines = [*supply("battery", "status=Discharging"), *supply("charger", f"online={online}", kind=kind)]
    assert ("charger" in battery_of(made(supplies=lines, battery=[])).charging) == charges


def test_a_battery_that_is_online_is_no_charger(made: Made) -> None:
    lines = [*supply("battery", "online=1"), *supply("bms", "online=1", kind="BMS")]
    assert battery_of(made(supplies=lines, battery=[])).charging == ""


def test_the_dump_or_the_status_may_say_that_it_charges(made: Made) -> None:
    quiet = supply("battery", "status=Discharging")
    assert "Wireless powered" in battery_of(made(supplies=quiet, battery=["  Wireless powered: true"])).charging
    assert "Charging" in battery_of(made(supplies=supply("battery", "status=Charging"), battery=[])).charging
    assert "Charging" in battery_of(made(supplies=[], battery=["  status: 2"])).charging


@pytest.mark.parametrize("other", [supply("a-hid-pen", "capacity=3"), supply("a-slot", "capacity=3", "present=0")])
def test_a_pens_battery_or_an_empty_slot_is_not_the_phones(made: Made, other: list[str]) -> None:
    battery = battery_of(made(supplies=[*other, *supply("max170xx_battery", "capacity=80")], battery=[]))
    assert battery.level == 80


def test_the_kind_may_stand_in_the_uevent_alone(made: Made) -> None:
    lines = ["@supply bat", "POWER_SUPPLY_NAME=bat", "POWER_SUPPLY_TYPE=Battery", "@file capacity=64"]
    assert battery_of(made(supplies=lines, battery=[])).level == 64
