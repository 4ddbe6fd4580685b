"""Files come and go whole, inside the phone's folder and nowhere else."""

import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.exceptions import AdbCommandFailureException, PushFailedError
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.phone import Phone
from profiler.emulator.sync import inside
from profiler.emulator.wire import CLSE, OKAY, OPEN, WRTE

Connect = Callable[[EmulatedDevice], Any]
Becomes = Callable[[Callable[[], bool]], bool]
TMP = "data/local/tmp"


@pytest.fixture
def files(device: EmulatedDevice):
    host, port = device.address.split(":")
    client = AdbDeviceTcp(host, int(port), default_transport_timeout_s=10)
    client.connect()
    yield client
    client.close()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3_000_000])
def test_a_file_comes_back_as_it_was_with_its_mode_and_time(
    size: int, device: EmulatedDevice, files: AdbDeviceTcp
) -> None:
    content, path = os.urandom(size), device.phone.path(f"{TMP}/new folder/file")
    files.push(io.BytesIO(content), str(path), st_mode=0o100750, mtime=1_700_000_000)
    assert path.read_bytes() == content
    assert (path.stat().st_mode, path.stat().st_mtime) == (0o100750, 1_700_000_000)
    back = io.BytesIO()
    files.pull(str(path), back)
    assert back.getvalue() == content
    assert files.stat(str(path)) == (0o100750, size, 1_700_000_000)


def test_a_name_is_taken_as_it_is(device: EmulatedDevice, files: AdbDeviceTcp) -> None:
    name = "a 'b' \"$(touch pwned)\" ;\n\x1b[2J ü"
    files.push(io.BytesIO(b"x"), str(device.phone.path(f"{TMP}/{name}")))
    assert [entry.filename.decode() for entry in files.list(str(device.phone.path(TMP)))] == [name]


def test_nothing_outside_the_phone_is_there(device: EmulatedDevice, files: AdbDeviceTcp, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = device.phone.path(f"{TMP}/link")
    link.symlink_to(tmp_path)
    device.phone.path(f"{TMP}/file").symlink_to(secret)
    root = device.phone.folder
    escapes = [secret, root / "../secret", link / "secret", root / TMP / "file", Path("/etc/passwd")]
    for path in map(str, escapes):
        with pytest.raises(AdbCommandFailureException, match="Permission denied"):
            files.pull(path, io.BytesIO())
    for path in map(str, escapes[:3]):
        with pytest.raises(PushFailedError, match="Permission denied"):
            files.push(io.BytesIO(b"overwritten"), path)
        assert files.stat(path) == (0, 0, 0)
        assert files.list(path) == []
    assert files.list(str(link)) == []
    files.push(io.BytesIO(b"mine"), str(escapes[3]))  # replaces the link, does not follow it
    assert secret.read_text() == "secret"
    assert escapes[3].read_text() == "mine"


@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "link", "b"]), max_size=8))
def test_no_path_leads_out(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp().resolve() / "rooted" / "phone"
    if not root.exists():
        (root / "a").mkdir(parents=True)
        (root / "link").symlink_to("..")
    try:
        found = inside(root, f"{root}/{'/'.join(parts)}")
    except PermissionError:
        return
    assert Path(os.path.realpath(found.parent) if found != root else root).is_relative_to(root)


def test_reasons_are_the_systems_own_words(device: EmulatedDevice, files: AdbDeviceTcp) -> None:
    phone = device.phone
    for path, reason in ((TMP + "/none", "No such file"), (TMP, "Is a directory")):
        with pytest.raises(AdbCommandFailureException, match=reason):
            files.pull(str(phone.path(path)), io.BytesIO())
    phone.deny("proc/version")
    with pytest.raises(AdbCommandFailureException, match="Permission denied"):
        files.pull(str(phone.path("proc/version")), io.BytesIO())
    phone.path("system").chmod(0o555)
    with pytest.raises(PushFailedError, match="Permission denied"):
        files.push(io.BytesIO(b"x"), str(phone.path("system/new/file")))
    with pytest.raises(PushFailedError, match="create file: Is a directory"):
        files.push(io.BytesIO(b"x"), str(phone.path(TMP)))
    device.fill_disk()
    with pytest.raises(PushFailedError, match="No space left on device"):
        files.push(io.BytesIO(b"x" * 200_000), str(phone.path(f"{TMP}/large")))
    assert list(phone.path(TMP).iterdir()) == []
    files.push(io.BytesIO(b"x"), str(phone.path(f"{TMP}/large")))  # full for one file


def test_of_a_file_whose_sending_was_cut_nothing_stays(
    device: EmulatedDevice, connect: Connect, becomes: Becomes
) -> None:
    client = connect(device)
    client.greet()
    stream = client.open("sync:")
    path = device.phone.path(f"{TMP}/part")
    request = f"{path},33188".encode()
    client.write(stream, struct.pack("<4sI", b"SEND", len(request)) + request)
    client.write(stream, struct.pack("<4sI", b"DATA", 60_000) + bytes(60_000))
    assert becomes(lambda: path.exists() and path.stat().st_size == 60_000)
    client.socket.close()
    assert becomes(lambda: not path.exists())


def answer(client: Any, stream: int, request: bytes, count: int) -> bytes:
    client.write(stream, request)
    found = b""
    while len(found) < count:
        message = client.receive()[0]
        if message.command == WRTE:
            found += message.payload
            client.send(OKAY, 1, stream)
    return found


def ask(word: bytes, path: Path) -> bytes:
    raw = os.fsencode(path)
    return struct.pack("<4sI", word, len(raw)) + raw


def test_the_second_version_of_stat_and_list_tells_links_sizes_and_reasons(
    device: EmulatedDevice, connect: Connect
) -> None:
    client = connect(device)
    client.greet()
    stream = client.open("sync:")
    folder = device.phone.path(TMP)
    (folder / "file").write_bytes(bytes(5))
    (folder / "link").symlink_to("file")
    numbers = struct.Struct("<4sIQQIIIIQqqq")

    def long_stat(word: bytes, path: Path) -> tuple[int, int, int]:
        found = numbers.unpack(answer(client, stream, ask(word, path), numbers.size))
        assert found[0] == word
        return found[1], stat.S_IFMT(found[4]), found[8]

    assert long_stat(b"LST2", folder / "link") == (0, stat.S_IFLNK, 4)
    assert long_stat(b"STA2", folder / "link") == (0, stat.S_IFREG, 5)
    assert long_stat(b"STA2", folder / "none") == (2, 0, 0)
    assert long_stat(b"STA2", Path("/etc/passwd")) == (13, 0, 0)
    entry = numbers.size + 4
    listed = answer(client, stream, ask(b"LIS2", folder), 3 * entry + 8)
    assert (listed[:4], listed[entry : entry + 4], listed[-entry : -entry + 4]) == (b"DNT2", b"file", b"DONE")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedDevice]:
    with Phone(tmp_path_factory.mktemp("fuzzed")) as phone, EmulatedDevice(phone) as device:
        yield device


words = st.sampled_from([b"SEND", b"RECV", b"STAT", b"LIST", b"LIS2", b"STA2", b"DATA", b"DONE", b"QUIT", b"NONE"])
requests = st.lists(st.tuples(words, st.integers(0, 2000), st.binary(max_size=40)), min_size=1, max_size=4)


@settings(max_examples=60)
@given(
    raw=st.binary(min_size=1, max_size=200)
    | requests.map(lambda parts: b"".join(word + struct.pack("<I", number) + rest for word, number, rest in parts))
)
def test_whatever_is_asked_the_device_lives_and_nothing_is_left(
    raw: bytes, fuzzed: EmulatedDevice, connect: Connect
) -> None:
    client = connect(fuzzed)
    client.greet()
    client.write(client.open("sync:"), raw)
    client.send(OPEN, 2, 0, b"exec:echo alive\0")
    while (message := client.receive()[0]).payload != b"alive\n":
        assert message.command in (OKAY, WRTE, CLSE)
    client.socket.close()
    assert list(fuzzed.phone.path(TMP).iterdir()) == []


def test_a_client_that_leaves_in_the_middle_of_anything_does_no_harm(device: EmulatedDevice, connect: Connect) -> None:
    for cut in range(1, 60):
        client = connect(device)
        client.greet()
        request = ask(b"RECV", device.phone.path("proc/version"))
        client.write(client.open("sync:"), request[:cut])
        client.socket.close()
    device.drop_connections()
    again = connect(device)
    again.greet()
    assert again.run("exec:echo alive") == b"alive\n"
