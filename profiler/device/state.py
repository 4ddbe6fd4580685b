"""The state of a device at one moment: what a measurement is judged by, before and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from profiler.device.battery import battery_of
from profiler.device.device import Device
from profiler.device.thermal import thermal_of


@dataclass(frozen=True)
class State:
    """Battery, temperatures, frequencies and clock of a device; None is what it does not say."""

    uptime_s: float
    boot_id: str
    suspends: int | None
    level: int | None
    battery_c: float | None
    charging: str
    thermal_status: int | None
    frequencies_khz: tuple[int | None, ...]
    governors: tuple[str, ...]
    awake: bool | None


def state_of(device: Device) -> State:
    """Return the state of a device as a probe found it."""
    battery = battery_of(device)
    return State(
        uptime_s=device.uptime_s,
        boot_id=device.boot_id,
        suspends=device.suspends,
        level=battery.level,
        battery_c=battery.temperature_c,
        charging=battery.charging,
        thermal_status=thermal_of(device.thermal_dump).status,
        frequencies_khz=tuple(core.now_khz for core in device.cores),
        governors=tuple(core.governor for core in device.cores),
        awake=device.awake,
    )


def state_of_data(data: Mapping[str, Any]) -> State:
    """Return the state that a journal kept. Raises ValueError if it is damaged."""
    try:
        lists = {name: tuple(data[name]) for name in ("frequencies_khz", "governors")}
        return State(**{**data, **lists})
    except (TypeError, KeyError) as error:
        message = "the journal's entry of a measurement is damaged; start a new campaign"
        raise ValueError(message) from error
