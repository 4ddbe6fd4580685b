"""The battery as a probe found it: from its supply's files, else from what ``dumpsys battery`` printed."""

import re
from dataclasses import dataclass

from profiler.device.device import Device, SupplyFiles
from profiler.names import printable

_STATUSES = {"1": "Unknown", "2": "Charging", "3": "Discharging", "4": "Not charging", "5": "Full"}
_MARK = "UPDATES STOPPED"  # of a battery whose state somebody set by hand


@dataclass(frozen=True)
class Battery:
    """Level in percent, temperature in degrees C, status; ``charging`` is the evidence in words, empty if none."""

    level: int | None
    temperature_c: float | None
    status: str
    charging: str
    overridden: bool


def battery_of(device: Device) -> Battery:
    """Return the battery's state; what neither a file nor the dump says is None."""
    dump = _pairs(device.battery_dump)
    files = next((each.files for each in own_batteries(device) if kind_of(each) == "battery"), {})
    level = _first_whole(files.get("capacity"), dump.get("level"))
    deci = _first_whole(files.get("temp"), dump.get("temperature"))
    status = files.get("status") or _STATUSES.get(dump.get("status", ""), dump.get("status", ""))
    return Battery(
        level=level if level is not None and 0 <= level <= 100 else None,
        temperature_c=deci / 10 if deci is not None and -600 < deci < 2000 else None,
        status=printable(status, 20),
        charging=_charging(device, status, dump),
        overridden=_MARK in device.battery_dump,
    )


def own_batteries(device: Device) -> list[SupplyFiles]:
    """Return the supplies that may be the phone's own battery: a peripheral's, or one that is not there, is none."""
    batteries = [each for each in device.supplies.values() if kind_of(each) in ("battery", "bms")]
    return [each for each in batteries if each.files.get("present", "1").strip() != "0" and "hid" not in each.name]


def kind_of(supply: SupplyFiles) -> str:
    """Return the type of a supply, folded: battery, usb, mains, wireless, ... or empty."""
    found = re.search(r"^POWER_SUPPLY_TYPE=(.*)$", supply.uevent, re.MULTILINE)
    return printable(supply.files.get("type") or (found[1] if found else ""), 20).casefold()


def _charging(device: Device, status: str, dump: dict[str, str]) -> str:
    online = [
        printable(name, 30)
        for name, supply in device.supplies.items()
        if kind_of(supply) not in ("battery", "bms", "") and supply.files.get("online", "0").strip() not in ("0", "")
    ]
    powered = [name for name, value in dump.items() if name.endswith(" powered") and value == "true"]
    if online:
        return f"the supply {', '.join(online[:3])} is online"
    if powered:
        return f"{', '.join(printable(name, 30) for name in powered[:3])}"
    return "the battery's status is Charging" if status.casefold() == "charging" else ""


def _pairs(dump: str) -> dict[str, str]:
    found = (line.strip().partition(":") for line in dump.splitlines()[:200])
    return {name.strip(): value.strip() for name, colon, value in found if colon}


def _first_whole(*texts: str | None) -> int | None:
    """Return the first of the texts that is a whole number: an unreadable file is no reason not to ask the dump."""
    return next((int(text) for text in texts if text is not None and re.fullmatch(r"\s*-?\d{1,9}\s*", text)), None)
