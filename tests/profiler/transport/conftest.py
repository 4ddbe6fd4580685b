"""Five links that must behave the same: two emulated phones directly and through an adb server, and this machine."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.phone import Phone
from profiler.transport.address import open_transport
from profiler.transport.link import Transport

KINDS = ("direct", "direct to an old phone", "server", "server to an old phone", "local")
# What a phone of ten years ago is like: small packets, a terminal that ends lines with CR LF, no exit codes. What was
# not read when its shell ends is lost, which happens now and then on any phone.
OLD = Options(small_payloads=True, returns_and_newlines=True, shell_v2=False, loses_tail=True)


@dataclass(frozen=True)
class Link:
    """An open transport, and the folder on its device that a test may write to."""

    kind: str
    transport: Transport
    folder: str


Opened = Callable[[str], Link]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key of ours, made once."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def phones() -> Iterator[dict[str, EmulatedDevice]]:
    """A new and an old emulated phone."""
    with Phone() as new, Phone() as old, EmulatedDevice(new) as modern, EmulatedDevice(old, options=OLD) as ancient:
        yield {"new": modern, "old": ancient}


@pytest.fixture(scope="session")
def adb_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a private adb server, with a home and log of its own."""
    adb = shutil.which("adb")
    if adb is None:
        pytest.skip("needs adb on the PATH")
    home = str(tmp_path_factory.mktemp("adb_home"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {**os.environ, "HOME": home, "TMPDIR": home, "ANDROID_ADB_SERVER_PORT": str(port)}
    subprocess.run([adb, "start-server"], env=env, check=True, capture_output=True, timeout=30)
    yield port
    subprocess.run([adb, "kill-server"], env=env, check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="session")
def opened(
    phones: dict[str, EmulatedDevice],
    keys: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Opened:
    """Open a link of one kind."""

    def open_link(kind: str) -> Link:
        if kind == "local":
            return Link(kind, open_transport("local"), str(tmp_path_factory.mktemp("device")))
        device = phones["old" if "old" in kind else "new"]
        folder = f"{device.phone.folder}/data/local/tmp"
        if not kind.startswith("server"):
            return Link(kind, open_transport(device.address, keys), folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANDROID_ADB_SERVER_PORT", str(request.getfixturevalue("adb_port")))
            return Link(kind, open_transport(f"server:{device.address}"), folder)

    return open_link


@pytest.fixture(params=KINDS)
def link(request: pytest.FixtureRequest, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    """A fresh link of each kind."""
    if request.param.startswith("server"):
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(request.getfixturevalue("adb_port")))
    made = opened(request.param)
    yield made
    made.transport.close()
