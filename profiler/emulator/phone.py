"""The folder of an emulated phone: its files under /proc and /sys, its properties, and the programs on its PATH."""

import contextlib
import os
import platform
import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from profiler.emulator import clock as clocks
from profiler.emulator import programs
from profiler.emulator.processes import MARK

_ABIS = {"x86_64": "x86_64", "aarch64": "arm64-v8a", "arm64": "arm64-v8a", "armv7l": "armeabi-v7a", "i686": "x86"}
# Invented, and said to be: no product or chip has these names.
PROPERTIES = {
    "ro.build.fingerprint": "fedjoule/demo_phone/demo:14/DEMO/1:user/test-keys",
    "ro.build.type": "user",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.board.platform": "fedjoule_demo",
    "ro.boot.serialno": "FEDJOULEDEMO",
    "ro.fedjoule.emulated": "1",
    "ro.hardware": "fedjoule_demo",
    "ro.kernel.qemu": "1",
    "ro.product.brand": "fedjoule",
    "ro.product.cpu.abi": _ABIS.get(platform.machine(), platform.machine()),
    "ro.product.cpu.abilist": _ABIS.get(platform.machine(), platform.machine()),
    "ro.product.device": "demo",
    "ro.product.manufacturer": "fedjoule",
    "ro.product.model": "fedjoule demo phone",
    "ro.product.name": "demo_phone",
    "ro.serialno": "FEDJOULEDEMO",
    "ro.soc.manufacturer": "fedjoule",
    "ro.soc.model": "DEMO1",
    "sys.boot_completed": "1",
}
_ROOM_BYTES = 512 << 20
FREQUENCIES_KHZ = ((300_000, 1_800_000), (300_000, 2_400_000))  # lowest and highest of each CPU
# Android's own name; a shell may set it without root.
SUSPEND_INPUT = "power.battery_input.suspended"


@dataclass(frozen=True)
class Condition:
    """How the phone stands: what a person would set right before measuring."""

    level: int = 72
    temperature_c: float = 27.0
    charging: bool = False
    low_power: bool = False
    screen_on: bool = True
    thermal_status: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.level <= 100 or not 0 <= self.thermal_status <= 6:
            message = f"level must be 0 to 100 and thermal_status 0 to 6 (got {self.level}, {self.thermal_status})"
            raise ValueError(message)


def _fast_folder() -> Path | None:
    """Return a folder in memory if there is one that programs may run from: renaming on a disk costs real writes."""
    memory = Path("/dev/shm")
    if os.environ.get("TMPDIR") or not os.access(memory, os.W_OK):
        return None
    found = os.statvfs(memory)
    roomy = found.f_bavail * found.f_frsize > _ROOM_BYTES
    return memory if roomy and not found.f_flag & os.ST_NOEXEC else None


class Phone:
    """A phone's folder, made when it is opened; a temporary one is removed when it is closed.

    ``speed`` is how many phone seconds pass in one of ours. ``supplies`` are the names of its batteries' gauges: the
    last one is alive, the others show what they showed at boot. ``properties`` are added to the invented ones.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        speed: float = 1.0,
        condition: Condition | None = None,
        properties: Mapping[str, str] | None = None,
        supplies: tuple[str, ...] = ("battery",),
    ) -> None:
        self.mark = secrets.token_hex(8)
        self.condition = condition or Condition()
        self.properties = {**PROPERTIES, **(properties or {})}
        self.supplies = supplies
        self.life = 0  # how often it has been restarted
        self.clock = clocks.started(speed)
        self._denied: set[str] = set()
        self._temporary = folder is None
        if folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="fedjoule-phone-", dir=_fast_folder())).resolve()
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self.folder = folder.resolve()
        self._make()

    def __enter__(self) -> "Phone":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder if it is a temporary one; closing twice is no error."""
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, inside: str) -> Path:
        """Return where a file of the phone lies here."""
        return self.folder / inside.lstrip("/")

    def write(self, inside: str, content: str | bytes) -> None:
        """Write a file of the phone aside and rename it: whoever reads it never sees a part."""
        target = self.path(inside)
        aside = target.with_name(f".{target.name}.{threading.get_ident()}")
        raw = content.encode() if isinstance(content, str) else content
        mode = 0 if inside in self._denied else 0o644
        try:
            file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(file, "wb") as opened:
            opened.write(raw)
        os.replace(aside, target)

    def read(self, inside: str) -> str:
        """Return the text of a file of the phone, without blanks around it."""
        return self.path(inside).read_text(errors="replace").strip()

    def environment(self) -> dict[str, str]:
        """Return the environment of everything that runs on the phone, and of nothing else."""
        temporary = str(self.path("data/local/tmp"))
        return {
            "FEDJOULE_ROOT": str(self.folder),
            "PATH": f"{self.path('system/bin')}:/usr/bin:/bin",
            "HOME": temporary,
            "TMPDIR": temporary,
            "LANG": "C.UTF-8",
            MARK: self.mark,
        }

    def set_property(self, name: str, value: str) -> None:
        """Set a property, also a read-only one, to anything."""
        self.properties[name] = value
        self.write(f"run/prop/{name}", value + "\n")
        stored = sorted(self.path("run/prop").iterdir())
        lines = [b"[%s]: [%s]\n" % (os.fsencode(file.name), file.read_bytes()[:-1]) for file in stored]
        self.write("run/prop.txt", b"".join(lines))

    def change(
        self,
        *,
        level: int | None = None,
        temperature_c: float | None = None,
        charging: bool | None = None,
        low_power: bool | None = None,
        screen_on: bool | None = None,
        thermal_status: int | None = None,
    ) -> None:
        """Change how the phone stands; what is not given stays."""
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        self.condition = replace(self.condition, **given)
        self._show_condition()

    def deny(self, inside: str) -> None:
        """Forbid the phone's shell to read a file, also when it is written anew."""
        self._denied.add(inside)
        self.path(inside).chmod(0)

    def program(self, name: str, text: str) -> None:
        """Put a program on the phone's PATH, in place of one of the same name."""
        self.write(f"system/bin/{name}", text)
        self.path(f"system/bin/{name}").chmod(0o755)

    def suspend(self, time_s: float) -> None:
        """Let the phone have slept for ``time_s``: BOOTTIME jumps ahead of MONOTONIC."""
        self._set_clock(self.clock.suspended(time_s))
        self.write("sys/power/suspend_stats/success", f"{int(self.read('sys/power/suspend_stats/success')) + 1}\n")

    def reboot(self, uptime_s: float = 20.0) -> None:
        """Begin a new life: a new boot id and clock; what lies under data stays. Ending processes is the device's."""
        shutil.rmtree(self.path("run/load"), ignore_errors=True)
        self.path("run/battery_override").unlink(missing_ok=True)
        self._boot(uptime_s)
        self.life += 1

    def charges(self) -> bool:
        """Return whether power comes in: it is plugged in, and nobody has suspended that by the property for it."""
        if not self.condition.charging:
            return False
        try:
            return self.read(f"run/prop/{SUSPEND_INPUT}") not in ("1", "true")
        except FileNotFoundError:
            return True

    def show_uptime(self) -> None:
        """Write /proc/uptime as it is now."""
        self.write("proc/uptime", f"{self.clock.boottime_s():.2f} {self.clock.boottime_s():.2f}\n")

    def show_supply(self, supply: str) -> None:
        """Write what depends on whether power comes in, and a supply's ``uevent`` from its other files."""
        charges = self.charges()
        name = f"sys/class/power_supply/{supply}"
        status = "Discharging" if not charges else "Full" if self.condition.level == 100 else "Charging"
        self.write(f"{name}/status", f"{status}\n")
        self.write("sys/class/power_supply/usb/online", f"{int(charges)}\n")
        lines = [f"POWER_SUPPLY_NAME={supply}"]
        for key in _UEVENT:
            with contextlib.suppress(OSError):
                lines.append(f"POWER_SUPPLY_{key.upper()}={self.read(f'{name}/{key}')}")
        self.write(f"{name}/uevent", "\n".join(lines) + "\n")

    def _set_clock(self, clock: clocks.PhoneClock) -> None:
        self.clock = clock
        self.write("run/clock", clock.as_json())
        self.show_uptime()

    def _boot(self, uptime_s: float) -> None:
        raw = secrets.token_hex(16)
        boot_id = "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
        self.write("proc/sys/kernel/random/boot_id", boot_id + "\n")
        self.write("sys/power/suspend_stats/success", "0\n")
        self.path("run/load").mkdir(parents=True, exist_ok=True)
        self._set_clock(clocks.started(self.clock.speed, uptime_s))

    def _make(self) -> None:
        for name in ("data/local/tmp", "run/settings/global", "run/settings/system", "run/settings/secure"):
            self.path(name).mkdir(parents=True, exist_ok=True)
        self._boot(3600.0)
        for name, value in self.properties.items():
            self.write(f"run/prop/{name}", value + "\n")
        self.set_property("sys.boot_completed", "1")
        self._make_cpus()
        for name in ("dev/adsprpc-smd", "vendor/lib64/libcdsprpc.so"):
            self.write(name, "")
        self.write("proc/version", "Linux version 6.1.0-fedjoule-demo (emulated) #1 SMP\n")
        self.write("proc/loadavg", "0.10 0.08 0.05 1/100 1000\n")
        for name, value in (("family", "fedjoule"), ("machine", "DEMO1"), ("soc_id", "0")):
            self.write(f"sys/devices/soc0/{name}", value + "\n")
        for supply in self.supplies:
            for name, value in (("type", "Battery"), ("present", "1"), ("health", "Good"), ("technology", "Li-ion")):
                self.write(f"sys/class/power_supply/{supply}/{name}", value + "\n")
            for name, number in (("current_now", -250_000), ("voltage_now", 3_900_000), ("charge_counter", 2_900_000)):
                self.write(f"sys/class/power_supply/{supply}/{name}", f"{number}\n")
        self.write("sys/class/power_supply/usb/type", "USB\n")
        self.write("run/voltage_uv", "3900000\n")
        self._show_condition()
        self._install()

    def _make_cpus(self) -> None:
        cpus = "sys/devices/system/cpu"
        everyone = f"0-{len(FREQUENCIES_KHZ) - 1}\n"
        for name in ("possible", "online", "present"):
            self.write(f"{cpus}/{name}", everyone)
        for number, (lowest, highest) in enumerate(FREQUENCIES_KHZ):
            folder = f"{cpus}/cpu{number}/cpufreq"
            for name, value in (
                ("scaling_cur_freq", lowest),
                ("scaling_governor", "schedutil"),
                ("cpuinfo_min_freq", lowest),
                ("cpuinfo_max_freq", highest),
                ("related_cpus", number),
            ):
                self.write(f"{folder}/{name}", f"{value}\n")
        lines = [f"processor\t: {number}\nBogoMIPS\t: 38.40\n" for number in range(len(FREQUENCIES_KHZ))]
        self.write("proc/cpuinfo", "\n".join(lines) + "\nHardware\t: fedjoule demo phone\n")

    def _install(self) -> None:
        for name, text in programs.of_a_phone().items():
            self.program(name, text)
        if self.clock.speed != 1:
            self.program("sleep", programs.sleep(self.clock.speed))
            cost_s = programs.start_s(self.path("system/bin/sleep"))
            self.program("sleep", programs.sleep(self.clock.speed, cost_s))

    def _show_condition(self) -> None:
        now = self.condition
        for supply in self.supplies:
            folder = f"sys/class/power_supply/{supply}"
            self.write(f"{folder}/capacity", f"{now.level}\n")
            self.write(f"{folder}/temp", f"{round(now.temperature_c * 10)}\n")
            self.show_supply(supply)
        self.write("run/settings/global/low_power", f"{int(now.low_power)}\n")
        self.write("run/screen", "on\n" if now.screen_on else "off\n")
        self.write("run/thermal_status", f"{now.thermal_status}\n")


_UEVENT = (
    "type", "status", "present", "health", "technology", "capacity", "current_now", "voltage_now", "charge_counter",
    "temp",
)  # fmt: skip
