"""A target: the kind of machine a program or the library is built for."""

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from profiler.names import did_you_mean

if TYPE_CHECKING:
    from profiler.device.device import Device


@dataclass(frozen=True)
class Target:
    """What is built for: its name, zig's triple, the NDK's (empty: no phone), and flags of the processor.

    Programs are static and need nothing on the machine; a library is shared, for hosts with glibc 2.17 or later.
    """

    name: str
    triple: str
    ndk_triple: str = ""
    flags: tuple[str, ...] = ()
    kind: Literal["program", "library"] = "program"


# Thumb code and NEON: every phone of the last ten years has both. The ABI passes floats in registers, as NEON has them.
_ARMV7_ZIG = ("-mcpu=generic+v7a+neon+vfp3",)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("aarch64-android", "aarch64-linux-musl", "aarch64-linux-android24"),
        Target("armv7-android", "arm-linux-musleabihf", "armv7a-linux-androideabi24", _ARMV7_ZIG),
        Target("x86_64-android", "x86_64-linux-musl", "x86_64-linux-android24"),
        Target("aarch64-linux", "aarch64-linux-musl"),
        Target("x86_64-linux", "x86_64-linux-musl"),
    )
}

# By the name of the host's target for programs.
LIBRARIES: dict[str, Target] = {
    name: Target(name, triple, kind="library")
    for name, triple in (
        ("aarch64-linux", "aarch64-linux-gnu.2.17"),
        ("x86_64-linux", "x86_64-linux-gnu.2.17"),
    )
}

# As Android's ro.product.cpu.abi and as `uname -m` call them. A 32-bit system on a 64-bit processor is 32-bit.
_ABIS = {"arm64-v8a": "aarch64", "armeabi-v7a": "armv7", "x86_64": "x86_64"}
_MACHINES = {"aarch64": "aarch64", "arm64": "aarch64", "x86_64": "x86_64", "amd64": "x86_64"}
_MACHINES_32 = {"armv7l": "armv7", "armv8l": "armv7"}


def target_named(name: str) -> Target:
    """Return the target for programs of that name. Raises ValueError for another name."""
    if name not in TARGETS:
        message = f"target {name[:40]!r} is unknown; {did_you_mean(name, TARGETS)}"
        raise ValueError(message)
    return TARGETS[name]


def host_target() -> Target:
    """Return the target for programs on this machine. Raises ValueError where none is built for it."""
    return TARGETS[_host()]


def host_library() -> Target:
    """Return the target for the library on this machine. Raises ValueError where none is built for it."""
    return LIBRARIES[_host()]


def target_of(device: "Device") -> Target | None:
    """Return the target for programs on a device by what its probe found, None if nothing is built for it."""
    if device.android:
        architecture = _ABIS.get(device.says("ro.product.cpu.abi"))
        return TARGETS[f"{architecture}-android"] if architecture else None
    machine = device.kernel.split(" ")[-1].lower()
    if machine in _MACHINES_32:
        return TARGETS["armv7-android"]  # static, so that it runs on any Linux
    return TARGETS.get(f"{_MACHINES.get(machine)}-linux") if device.kernel.startswith("Linux ") else None


def _host() -> str:
    machine = platform.machine().lower()
    name = f"{_MACHINES.get(machine)}-linux"
    if not sys.platform.startswith("linux") or name not in TARGETS:
        message = (
            f"nothing is built for this machine ({sys.platform} {machine[:20]}); hosts are Linux on x86-64 or arm64"
        )
        raise ValueError(message)
    return name
