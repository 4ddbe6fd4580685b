"""A device: what it is, and what stood in its files at one moment."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from profiler.names import printable


@dataclass(frozen=True)
class Core:
    """One core: its number, its largest and present frequency in kHz and its governor, where they can be read."""

    number: int
    max_khz: int | None = None
    now_khz: int | None = None
    governor: str = ""


@dataclass(frozen=True)
class SupplyFiles:
    """A folder of /sys/class/power_supply: its ``uevent``, the files that can be read, the files that are denied."""

    name: str
    uevent: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    denied: tuple[str, ...] = ()


@dataclass(frozen=True)
class Powercap:
    """An energy counter of the host's processor (RAPL): its zone, its name and the value after which it restarts."""

    zone: str
    name: str
    range_uj: int


@dataclass(frozen=True)
class Device:
    """What a probe found. Text comes from the device and is untrusted: printed through ``printable`` only.

    ``root`` is the folder that stands for ``/`` on an emulated phone, empty on a real device; ``properties`` are the
    Android properties that were asked for; ``battery_dump`` and ``thermal_dump`` are what ``dumpsys`` printed.
    """

    link: str
    root: str
    workspace: str
    free_kib: int | None
    locked_by: str
    fine_sleep: bool
    user: str
    uptime_s: float
    boot_id: str
    suspends: int | None
    kernel: str
    properties: Mapping[str, str]
    soc_files: Mapping[str, str]
    cores: tuple[Core, ...]
    supplies: Mapping[str, SupplyFiles]
    powercaps: tuple[Powercap, ...]
    accelerators: tuple[str, ...]
    tools: frozenset[str]
    battery_dump: str
    thermal_dump: str
    awake: bool | None
    low_power: bool

    def says(self, *names: str) -> str:
        """Return the first of the properties that is not empty, safe to print."""
        return next((printable(value, 120) for name in names if (value := self.properties.get(name, "").strip())), "")

    @property
    def emulated(self) -> bool:
        """Whether what is timed here says nothing about a device: an emulated phone, or Android in an emulator."""
        marks = ("ro.fedjoule.emulated", "ro.kernel.qemu", "ro.boot.qemu")
        return bool(self.root) or any(self.properties.get(name) == "1" for name in marks)

    @property
    def android(self) -> bool:
        """Whether it has Android's properties."""
        return "ro.build.version.sdk" in self.properties

    @property
    def title(self) -> str:
        """What a person calls it: ``Xiaomi Mi 10``."""
        brand = self.says("ro.product.manufacturer", "ro.product.brand")
        model = self.says("ro.product.model")
        if model:
            return model if not brand or fold_starts(model, brand) else f"{brand} {model}"
        return self.says("cpu", "os") or self.link

    @property
    def soc(self) -> str:
        """The system on chip, by the best evidence there is; the marketing name of a phone does not identify it."""
        named = self.says("ro.soc.model")
        machine = printable(self.soc_files.get("machine", ""), 60)
        return named or machine or self.says("ro.board.platform", "ro.hardware", "cpu")

    @property
    def identity(self) -> str:
        """A short hash of what stays the same between two connections: same hash, same phone and same build.

        The serial number is in it, so that twins differ, and cannot be read from it.
        """
        serial = self.says("ro.serialno", "ro.boot.serialno")
        fixed = (self.title, self.soc, self.kernel, self.says("ro.build.fingerprint"), str(len(self.cores)), serial)
        return hashlib.sha256("\n".join(fixed).encode()).hexdigest()[:12]


def fold_starts(text: str, start: str) -> bool:
    """Return whether ``text`` starts with ``start`` as a word, in any case."""
    return re.match(rf"{re.escape(start)}\b", text, re.IGNORECASE) is not None
