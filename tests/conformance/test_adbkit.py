"""adbkit's bridge, a device side that is not ours: it asks for a signed token. Behind it is the emulated phone."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.phone import Phone
from profiler.transport.link import LinkRefused

Bridge = Callable[[str, str], Any]


@pytest.fixture
def bridge(adb_server: Any, modules: Path) -> Bridge:
    """Open a bridge to a device of the adb server; yields its port and its process."""
    script = Path(__file__).parent / "bridge.js"

    @contextmanager
    def opened(serial: str, accepts: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
        words = ["node", str(script), str(modules), str(adb_server.port), serial, accepts]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(10)

    return opened


@pytest.fixture(scope="session")
def modules(cache_folder: Path) -> Path:
    folder = cache_folder / "adbkit"
    if shutil.which("node") is None or not (folder / "node_modules/@devicefarmer/adbkit").is_dir():
        pytest.skip("adbkit is not installed; make conformance installs it")
    return folder


def test_our_link_proves_its_key_to_adbkit(
    check: Callable[[Any], None],
    bridge: Bridge,
    connected: Callable[[str], str],
    place_of: Callable[..., Any],
    opener: Callable[..., Any],
    relay_to: Callable[[str], Any],
    tmp_path: Path,
) -> None:
    with Phone(tmp_path / "phone") as phone, EmulatedDevice(phone) as device:
        serial = connected(device.address).removeprefix("server:")
        with bridge(serial, "yes") as (port, _), closing(relay_to(f"127.0.0.1:{port}")) as relay:
            check(place_of(phone, opener(relay.address), relay.cut))


def test_a_refused_key_is_told_as_refused(
    bridge: Bridge, connected: Callable[[str], str], opener: Callable[..., Any], tmp_path: Path
) -> None:
    with Phone(tmp_path / "phone") as phone, EmulatedDevice(phone) as device:
        serial = connected(device.address).removeprefix("server:")
        with bridge(serial, "no") as (port, process):
            with pytest.raises((LinkRefused, ConnectionError)):
                opener(f"127.0.0.1:{port}")()
            assert process.stdout is not None
            assert process.stdout.readline() == "key refused\n"
