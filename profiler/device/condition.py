"""Conditions under which a measurement says little or does harm: refused, unless they are allowed one by one."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from profiler.device.battery import Battery, battery_of
from profiler.device.device import Device
from profiler.device.thermal import thermal_of

LOWEST_LEVEL, HIGHEST_LEVEL = 30, 95
COLDEST_C, HOTTEST_C = 10.0, 38.0
LEAST_FREE_KIB = 64 * 1024
# code -> what is wrong, in general; each can be allowed by its code.
CODES = {
    "battery-low": f"battery below {LOWEST_LEVEL} %",
    "battery-high": f"battery above {HIGHEST_LEVEL} %",
    "battery-hot": f"battery above {HOTTEST_C:g} C",
    "battery-cold": f"battery below {COLDEST_C:g} C",
    "throttling": "the thermal status is not none",
    "charging": "a charger is online or the battery is charging",
    "battery-saver": "battery saver is on",
    "asleep": "the screen is off: on battery the phone will sleep",
    "battery-override": "somebody froze what Android believes of the battery",
    "no-space": "less than 64 MiB are free",
    "locked": "another campaign holds the device",
}


@dataclass(frozen=True)
class Condition:
    """One thing that would make a measurement invalid now: its code, and what was seen."""

    code: str
    what: str


def conditions_of(device: Device, campaign: str = "") -> tuple[Condition, ...]:
    """Return everything that speaks against measuring on this device now.

    ``campaign`` is the one that may hold the device's lock.
    """
    battery = battery_of(device)
    thermal = thermal_of(device.thermal_dump)
    found = [*_battery_conditions(battery)]
    if thermal.status:
        found.append(Condition("throttling", f"thermal status {thermal.status} ({thermal.words}); let it cool down"))
    if device.low_power:
        found.append(Condition("battery-saver", "battery saver is on; it lowers frequencies: switch it off"))
    if device.awake is False:
        found.append(Condition("asleep", "the screen is off, the phone will sleep; switch it on, or give --keep-awake"))
    if battery.overridden:
        what = "the battery's state is frozen by an override; end it with: adb shell dumpsys battery reset"
        found.append(Condition("battery-override", what))
    if device.free_kib is not None and device.free_kib < LEAST_FREE_KIB:
        found.append(Condition("no-space", f"{device.free_kib // 1024} MiB free for our files; delete something"))
    if device.locked_by and not _same_campaign(device, campaign):
        holder = device.locked_by.split(" ")[0]
        what = f"campaign {holder} holds the device; 'fedjoule profile restore FILE.csv' of it frees it"
        found.append(Condition("locked", what))
    return tuple(found)


def refused(conditions: Collection[Condition], allowed: Collection[str]) -> str:
    """Return the message that refuses to measure, empty if everything that was found is allowed."""
    against = [each for each in conditions if each.code not in allowed]
    if not against:
        return ""
    lines = [f"{each.what} (--allow {each.code} to measure all the same)" for each in against]
    return "\n".join(lines)


def _battery_conditions(battery: Battery) -> list[Condition]:
    found = []
    level, temperature = battery.level, battery.temperature_c
    if level is not None and level < LOWEST_LEVEL:
        found.append(Condition("battery-low", f"battery at {level} %, below {LOWEST_LEVEL} %; charge it"))
    if level is not None and level > HIGHEST_LEVEL:
        found.append(Condition("battery-high", f"battery at {level} %, above {HIGHEST_LEVEL} %; let it discharge"))
    if temperature is not None and temperature > HOTTEST_C:
        found.append(Condition("battery-hot", f"battery at {temperature:.1f} C, above {HOTTEST_C:g} C; let it cool"))
    if temperature is not None and temperature < COLDEST_C:
        found.append(Condition("battery-cold", f"battery at {temperature:.1f} C, below {COLDEST_C:g} C; warm it up"))
    if battery.charging:
        found.append(Condition("charging", f"{battery.charging}; unplug it, and connect over Wi-Fi"))
    return found


def _same_campaign(device: Device, campaign: str) -> bool:
    """Return whether the lock is this campaign's own, or was surely left from before a reboot."""
    name, _, boot = device.locked_by.partition(" ")
    left = bool(device.boot_id) and bool(re.fullmatch(r"[0-9a-fA-F-]+", boot)) and boot != device.boot_id
    return (bool(campaign) and name == campaign) or left
