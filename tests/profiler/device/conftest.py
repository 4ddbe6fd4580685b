"""A probe's output to change, and the shells that a phone may have."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from profiler.device.device import Device
from profiler.device.probe import device_of
from profiler.emulator.phone import Phone

BOOT = "0f0e0d0c-1111-2222-3333-444455556666"
SUPPLY = ["@supply battery", "POWER_SUPPLY_NAME=battery", "POWER_SUPPLY_TYPE=Battery", "@file type=Battery"]
FILES = ["capacity=71", "current_now=-250000", "voltage_now=3900000", "charge_counter=2900000", "temp=270"]
SECTIONS: Mapping[str, list[str]] = {
    "where": ["root=", "workspace=/data/local/tmp/fedjoule", "free_kib=900000", "fine_sleep=1", "user=2000"],
    "clock": ["3600.25 100.00", BOOT, "3"],
    "kernel": ["Linux 5.10.1 aarch64"],
    "properties": [
        "ro.product.manufacturer=Xiaomi",
        "ro.product.model=Mi 10",
        "ro.build.version.sdk=33",
        "ro.build.fingerprint=Xiaomi/umi/umi:13/A/B:user/release-keys",
        "ro.board.platform=kona",
    ],
    "soc": ["machine=SM8250"],
    "cpus": ["0,1800000,300000,schedutil", "1,1800000,300000,schedutil", "7,2840000,800000,walt"],
    "supplies": [*SUPPLY, *(f"@file {line}" for line in [*FILES, "status=Discharging", "present=1"])],
    "accelerators": ["/dev/adsprpc-smd present"],
    "tools": ["setsid", "dumpsys"],
    "battery": ["Current Battery Service state:", "  AC powered: false", "  level: 70", "  temperature: 265"],
    "thermal": ["Thermal Status: 0"],
    "screen": ["mWakefulness=Awake", "low_power=0"],
    "end": [],
}
Said = Callable[..., str]
Made = Callable[..., Device]


def text_of(**changed: list[str] | None) -> str:
    """The output of a probe on a phone; a section is changed by its name, or left out by None."""
    whole = {**SECTIONS, **changed}
    lines = [line for name, body in whole.items() if body is not None for line in (f"@@fedjoule {name}", *body)]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def said() -> Said:
    return text_of


@pytest.fixture(scope="session")
def made() -> Made:
    return lambda **changed: device_of(text_of(**changed), "a link")


Shell = Callable[[str, Phone | None], str]


@pytest.fixture(scope="session")
def toybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but mksh and toybox's programs, as on a phone."""
    box, mksh = shutil.which("toybox"), shutil.which("mksh")
    if box is None or mksh is None:
        pytest.skip("needs mksh and toybox on the PATH")
    folder = tmp_path_factory.mktemp("toybox")
    for name in subprocess.run([box], capture_output=True, text=True, check=True).stdout.split():
        (folder / name).symlink_to(box)
    (folder / "sh").unlink(missing_ok=True)
    (folder / "sh").symlink_to(mksh)
    return folder


@pytest.fixture(params=["sh", "mksh"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Run a script under one of the shells, on a phone or on this machine, and return what it printed."""
    path = str(request.getfixturevalue("toybox")) if request.param == "mksh" else "/usr/bin:/bin"

    def run(script: str, phone: Phone | None = None) -> str:
        env = {"PATH": path, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"}
        if phone is not None:
            env = {**phone.environment(), "PATH": f"{phone.path('system/bin')}:{path}"}
        program = shutil.which("sh", path=path)
        assert program is not None
        done = subprocess.run(
            [program, "-c", script], env=env, capture_output=True, check=True, stdin=subprocess.DEVNULL, timeout=60
        )
        return done.stdout.decode("utf-8", "replace")

    return run


@pytest.fixture
def phone() -> Iterator[Phone]:
    with Phone() as one:
        yield one
