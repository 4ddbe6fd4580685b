"""Where a device's power is read from: battery files, else Perfetto, else dumpsys, else nothing."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal

from profiler.device.battery import kind_of, own_batteries
from profiler.device.device import Device, SupplyFiles

Kind = Literal["sysfs", "powercap", "perfetto", "dumpsys", "none"]
KINDS: tuple[Kind, ...] = ("sysfs", "powercap", "perfetto", "dumpsys", "none")
_MOST_FREQUENCIES = 4
# Column -> file of a battery's folder.
_FILES = {
    "current": "current_now",
    "voltage": "voltage_now",
    "charge": "charge_counter",
    "temperature": "temp",
    "status": "status",
    "level": "capacity",
}


@dataclass(frozen=True)
class Source:
    """What the sampler reads: ``columns`` name -> file on the device; ``why`` this source and not a better one."""

    kind: Kind
    name: str
    columns: Mapping[str, str]
    why: tuple[str, ...] = ()
    counter_range_uj: Mapping[str, int] = field(default_factory=dict)

    @property
    def header(self) -> str:
        """The sampler's header."""
        return ",".join(self.columns)

    @property
    def files(self) -> str:
        """The sampler's files, quoted for the shell."""
        return shlex.join(self.columns.values())

    @property
    def words(self) -> str:
        """The source in words."""
        return "none: latency only" if self.kind == "none" else f"{self.kind} {self.name}".strip()


def source_of(
    device: Device, wanted: str | None = None, supply: str | None = None, earlier: Device | None = None
) -> Source:
    """Return the best source of power that the device offers, or the one that is ``wanted``.

    Of several batteries, one whose current moved since an ``earlier`` probe is preferred: the others are copies or
    stand still. Raises ValueError if the wanted source or supply cannot be read.
    """
    found = _sources(device, supply, earlier)
    names = [each.kind for each in found]
    if wanted is not None:
        chosen = next((each for each in found if each.kind == wanted), None)
        if chosen is None:
            message = f"power source {wanted} cannot be read on {device.title}; there is: {', '.join(names)}"
            raise ValueError(message)
        return chosen
    return found[0]


def _sources(device: Device, supply: str | None, earlier: Device | None) -> list[Source]:
    """Return all sources that can be read, best first; the last is none."""
    state = _state_columns(device)
    why: list[str] = []
    found: list[Source] = []
    for each in _batteries(device, supply, earlier):
        missing = [name for name in ("current_now", "voltage_now") if not each.files.get(name, "").strip()]
        if missing:
            reason = "denied" if set(missing) & set(each.denied) else "missing or empty"
            why.append(f"sysfs {each.name}: {' and '.join(missing)} {reason}")
            continue
        folder = f"{device.root}/sys/class/power_supply/{each.name}"
        columns = {column: f"{folder}/{file}" for column, file in _FILES.items() if each.files.get(file, "").strip()}
        found.append(Source("sysfs", each.name, {**columns, **state}, tuple(why)))
    if device.powercaps:
        # Packages only: their parts are in them, and psys and the second interface (mmio) count them again.
        packages = [zone for zone in device.powercaps if zone.name.startswith("package") and "mmio" not in zone.zone]
        zones = packages or list(device.powercaps[:1])
        folder = f"{device.root}/sys/class/powercap"
        energy = {f"energy{number}": f"{folder}/{zone.zone}/energy_uj" for number, zone in enumerate(zones[:8])}
        ranges = {f"energy{number}": zone.range_uj for number, zone in enumerate(zones[:8])}
        words = ", ".join(zone.name for zone in zones[:8])
        found.append(Source("powercap", words, {**energy, **state}, tuple(why), ranges))
    if "perfetto" in device.tools and device.android and find_spec("perfetto") is None:
        why.append("perfetto: its package is missing here (pip install 'fedjoule[profile]')")
    elif "perfetto" in device.tools and device.android:
        found.append(Source("perfetto", "", state, tuple(why)))
    if "Charge counter" in device.battery_dump:
        found.append(Source("dumpsys", "", state, (*why, "dumpsys is coarse: one reading a second, charge in steps")))
    return [*found, Source("none", "", state, (*why, "no power source of this device can be read"))]


def _batteries(device: Device, supply: str | None, earlier: Device | None) -> list[SupplyFiles]:
    """Return the supplies that may be the phone's battery, the likeliest first, or the one asked for."""
    if supply is not None:
        if supply not in device.supplies:
            message = f"supply {supply!r} is not on {device.title}; there is: {', '.join(device.supplies) or 'none'}"
            raise ValueError(message)
        return [device.supplies[supply]]
    # On Qualcomm phones `bms` is the gauge and `battery` repeats it.
    before = earlier.supplies if earlier is not None else {}

    def rank(each: SupplyFiles) -> tuple[bool, bool, bool]:
        then = before[each.name].files.get("current_now") if each.name in before else None
        stood_still = then is None or then == each.files.get("current_now")
        return (stood_still, each.name != "battery", kind_of(each) != "battery")

    return sorted(own_batteries(device), key=rank)


def _state_columns(device: Device) -> dict[str, str]:
    """Return the frequency files, one for each kind of core, to tell whether the phone throttled."""
    kinds: dict[int | None, int] = {}
    for core in device.cores:
        if core.now_khz is not None:
            kinds.setdefault(core.max_khz, core.number)
    numbers = sorted(kinds.values())[:_MOST_FREQUENCIES]
    folder = f"{device.root}/sys/devices/system/cpu"
    return {f"freq_cpu{number}": f"{folder}/cpu{number}/cpufreq/scaling_cur_freq" for number in numbers}
