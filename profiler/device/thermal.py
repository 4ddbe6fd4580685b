"""The thermal state, as ``dumpsys thermalservice`` prints it."""

import math
import re
from dataclasses import dataclass

from profiler.names import printable

STATUSES = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# Types of the thermal HAL that matter here.
_TYPES = {0: "cpu", 1: "gpu", 2: "battery", 3: "skin", 4: "usb", 5: "power amplifier", 9: "npu"}
_TEMPERATURE = re.compile(r"Temperature\{mValue=(-?\d+(?:\.\d+)?), mType=(-?\d+), mName=([^,}]{0,80}), mStatus=(\d+)")
_MOST = 200


@dataclass(frozen=True)
class Thermal:
    """The status 0 (none) to 6 (shutdown), None where nobody says, and temperatures in degrees C by name and type."""

    status: int | None
    temperatures_c: tuple[tuple[str, str, float], ...] = ()

    @property
    def words(self) -> str:
        """The status in a word."""
        if self.status is None:
            return "not readable"
        return STATUSES[self.status] if self.status < len(STATUSES) else str(self.status)


def thermal_of(dump: str) -> Thermal:
    """Return the thermal state in the text of ``dumpsys thermalservice``; the first status and current values count.

    Cached temperatures are taken where there are no current ones.
    """
    found = re.search(r"Thermal Status: (\d)", dump)
    current = _TEMPERATURE.findall(dump.partition("Current temperatures from HAL")[2]) or _TEMPERATURE.findall(dump)
    temperatures: dict[str, tuple[str, str, float]] = {}
    for value, kind, name, _ in current[:_MOST]:
        degrees = float(value)
        if math.isfinite(degrees) and -60 < degrees < 200:
            temperatures.setdefault(name, (printable(name, 30), _TYPES.get(int(kind[:4]), "other"), degrees))
    return Thermal(int(found[1]) if found else None, tuple(temperatures.values()))
