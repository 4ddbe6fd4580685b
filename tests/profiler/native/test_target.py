"""Which target a device or this machine has."""

import platform
import sys

import pytest

from profiler.device.probe import device_of
from profiler.native.target import LIBRARIES, TARGETS, host_library, host_target, target_named, target_of


def probed(kernel: str, **properties: str) -> str:
    lines = [f"{name}={value}" for name, value in properties.items()]
    return "\n".join(
        [
            "@@fedjoule where", "root=", "workspace=/data/local/tmp/fedjoule",
            "@@fedjoule clock", "12.34 1.0", "@@fedjoule kernel", kernel,
            "@@fedjoule properties", *lines, "@@fedjoule end",
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("abi", "kernel", "expected"),
    [
        ("arm64-v8a", "Linux 4.19.81 aarch64", "aarch64-android"),
        ("armeabi-v7a", "Linux 4.9.1 armv8l", "armv7-android"),
        ("armeabi-v7a", "Linux 4.9.1 aarch64", "armv7-android"),
        ("x86_64", "Linux 5.10 x86_64", "x86_64-android"),
        ("x86", "Linux 5.10 i686", None),
        ("riscv64", "Linux 6.6 riscv64", None),
        ("", "Linux 4.19.81 aarch64", None),
    ],
)
def test_a_phone_has_the_target_of_its_abi(abi: str, kernel: str, expected: str | None) -> None:
    device = device_of(probed(kernel, **{"ro.build.version.sdk": "30", "ro.product.cpu.abi": abi}), "phone")
    assert target_of(device) is (TARGETS[expected] if expected else None)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("Linux 6.1.0 x86_64", "x86_64-linux"),
        ("Linux 6.1.0 aarch64", "aarch64-linux"),
        ("Linux 6.1.0 armv7l", "armv7-android"),
        ("Linux 6.6 riscv64", None),
        ("Darwin 23.1.0 arm64", None),
        ("", None),
        ("Linux", None),
    ],
)
def test_a_host_has_the_target_of_its_kernel(kernel: str, expected: str | None) -> None:
    assert target_of(device_of(probed(kernel), "host")) is (TARGETS[expected] if expected else None)


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "x86_64-linux"), ("arm64", "aarch64-linux")])
def test_this_machine_has_a_program_and_a_library(machine: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert (host_target(), host_library()) == (TARGETS[name], LIBRARIES[name])
    assert (host_target().kind, host_library().kind) == ("program", "library")


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "riscv64"), ("win32", "AMD64")])
def test_a_host_without_a_target_is_named(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    for ask in (host_target, host_library):
        with pytest.raises(ValueError, match=f"{system} {machine.lower()}"):
            ask()


def test_an_unknown_target_is_told_the_nearest() -> None:
    assert target_named("aarch64-android").ndk_triple == "aarch64-linux-android24"
    with pytest.raises(ValueError, match=r"'aarch64-androd' is unknown; nearest: aarch64-android"):
        target_named("aarch64-androd")
