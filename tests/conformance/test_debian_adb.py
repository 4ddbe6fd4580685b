"""Debian's adb against the emulated phone, and our link through its server."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.phone import Phone

Connected = Callable[[str], str]


@pytest.mark.parametrize("options", [Options(), Options(small_payloads=True)], ids=["new", "4 KiB"])
def test_adb_runs_commands_and_moves_files(
    options: Options, adb_server: Any, connected: Connected, tmp_path: Path
) -> None:
    with Phone(tmp_path / "phone") as phone, EmulatedDevice(phone, options=options) as device:
        connected(device.address)

        def adb(*words: str, given: bytes = b"") -> tuple[int, bytes, bytes]:
            done = adb_server.adb("-s", device.address, *words, given=given)
            return done.returncode, done.stdout, done.stderr

        if options.small_payloads:  # an old device: no exit code, one stream
            assert adb("shell", "echo out; echo err >&2; exit 3") == (0, b"out\nerr\n", b"")
        else:
            assert adb("shell", "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
            assert adb("shell", "cat; exit 5", given=b"typed\n" * 1000) == (5, b"typed\n" * 1000, b"")
        assert adb("exec-out", "printf 'a\\r\\nb\\0c'") == (0, b"a\r\nb\0c", b"")
        large, there = tmp_path / "large", str(phone.path("data/local/tmp/large"))
        large.write_bytes(os.urandom(30_000_000))
        assert adb("push", str(large), there)[0] == 0
        assert adb("pull", there, str(tmp_path / "back"))[0] == 0
        assert (tmp_path / "back").read_bytes() == large.read_bytes()
        code, said, _ = adb("pull", there + "-none", str(tmp_path / "none"))
        # Old devices cannot say why.
        assert (code, b"No such file" in said or b"does not exist" in said) == (1, True)
        code, said, _ = adb("push", str(large), "/etc/fedjoule")
        assert (code, b"Permission denied" in said) == (1, True)
        assert b"large" in adb("ls", str(phone.path("data/local/tmp")))[1]
        assert adb("shell", "getprop ro.fedjoule.emulated")[1] == b"1\n"


def test_adb_proves_its_key(adb_server: Any, tmp_path: Path) -> None:
    options = Options(wants_key=True)
    with Phone(tmp_path / "phone") as phone, EmulatedDevice(phone, options=options) as device:
        # adb says "failed to authenticate" while somebody is asked, and comes in once the key is accepted.
        adb_server.adb("connect", device.address)
        adb_server.adb("-s", device.address, "wait-for-device")
        assert adb_server.adb("-s", device.address, "shell", "echo in").stdout == b"in\n"
        adb_server.adb("disconnect", device.address)
        assert phone.path("data/misc/adb/adb_keys").read_bytes().count(b"\n") == 1
    refuses = Options(wants_key=True, accepts_new_keys=False)
    with Phone(tmp_path / "strict") as phone, EmulatedDevice(phone, options=refuses) as device:
        assert b"failed to authenticate" in adb_server.adb("connect", device.address).stdout
        assert b"unauthorized" in adb_server.adb("devices").stdout
        adb_server.adb("disconnect", device.address)


@pytest.mark.parametrize("options", [Options(), Options(shell_v2=False)], ids=["new", "no exit codes"])
def test_our_link_through_the_adb_server(
    check: Callable[[Any], None],
    options: Options,
    connected: Connected,
    place_of: Callable[..., Any],
    opener: Callable[..., Any],
    tmp_path: Path,
) -> None:
    with Phone(tmp_path / "phone") as phone, EmulatedDevice(phone, options=options) as device:
        check(place_of(phone, opener(connected(device.address)), device.drop_connections))
