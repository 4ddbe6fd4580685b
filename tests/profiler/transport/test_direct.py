"""What may come back from something that is no phone, an unwilling one, or one that goes away."""

import errno
import io
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.faults import Fault, FaultPlan
from profiler.emulator.phone import Phone
from profiler.transport.direct import AdbShellTransport
from profiler.transport.link import Finished, LinkLost, LinkRefused, OutputTooLong

Script = Callable[[socket.socket], object]
Serve = Callable[[Script], int]


def packet(command: bytes, arg0: int, arg1: int, payload: bytes = b"", size: int | None = None) -> bytes:
    word = int.from_bytes(command, "little")
    length = len(payload) if size is None else size
    return struct.pack("<6I", word, arg0, arg1, length, sum(payload) & 0xFFFFFFFF, word ^ 0xFFFFFFFF) + payload


HELLO = packet(b"CNXN", 0x01000000, 1 << 20, b"device::\0")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Listen on a port and run a script with whoever connects."""
    threads, listeners, stop = [], [], threading.Event()

    def run(listener: socket.socket, script: Script) -> None:
        while not stop.is_set():
            with suppress(OSError):
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.settimeout(1)
                    script(client)

    def start(script: Script) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.1)
        thread = threading.Thread(target=run, args=(listener, script))
        listeners.append(listener)
        threads.append(thread)
        thread.start()
        return int(listener.getsockname()[1])

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


def connect(port: int, keys: Path, timeout_s: float = 1.0, prompt_s: float = 0.3) -> AdbShellTransport:
    return AdbShellTransport("127.0.0.1", port, key_folder=keys, connect_timeout_s=timeout_s, prompt_timeout_s=prompt_s)


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


def take_packet(client: socket.socket) -> int:
    """Read one packet and return its first argument."""
    _, arg0, _, size, _, _ = struct.unpack("<6I", receive(client, 24))
    receive(client, size)
    return int(arg0)


def service(client: socket.socket) -> int:
    """Let one client in, take its first request and return its number of the stream."""
    take_packet(client)
    client.sendall(HELLO)
    return take_packet(client)


def wait_for_close(client: socket.socket) -> None:
    while client.recv(1 << 16):
        pass


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\nthis is no phone",
        b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n" * 2,
        bytes(24),
        b"\xff" * 2000,
        HELLO[:-1] + b"x",
        HELLO[:20],
        packet(b"CNXN", 0x01000000, 1 << 20, size=0xFFFFFFFF) + bytes(4000),
        packet(b"AUTH", 2, 0, bytes(20)),
        packet(b"AUTH", 1, 0, bytes(100_000)) * 2,
        packet(b"WRTE", 1, 1, b"x") * 10,
    ],
)
def test_what_is_no_phone_is_a_lost_link_whatever_it_answers(serve: Serve, keys: Path, answer: bytes) -> None:
    def script(client: socket.socket) -> None:
        client.recv(1 << 16)
        client.sendall(answer)

    with pytest.raises(LinkLost, match=r"^\S[^\n]*$"):
        connect(serve(script), keys)


def test_a_port_where_nobody_listens_and_a_host_that_is_none_are_lost_links(keys: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(LinkLost, match="check the address"):
        connect(port, keys)
    with pytest.raises(LinkLost, match="check the address"):
        AdbShellTransport("no..host", 5555, key_folder=keys, connect_timeout_s=1)


@pytest.mark.parametrize("trickles", [False, True])
def test_a_silent_or_trickling_port_is_given_up_at_the_deadline(serve: Serve, keys: Path, trickles: bool) -> None:
    def script(client: socket.socket) -> None:
        for byte in HELLO[:-1]:
            time.sleep(0.05)
            client.sendall(bytes([byte]) if trickles else b"")

    start = time.monotonic()
    with pytest.raises(LinkLost, match="time allowed"):
        connect(serve(script), keys, timeout_s=0.4)
    assert time.monotonic() - start < 1.2


def test_a_phone_that_wants_tls_is_refused_with_the_two_ways_out(keys: Path) -> None:
    with (
        Phone() as phone,
        EmulatedDevice(phone, options=Options(wants_tls=True)) as device,
        pytest.raises(LinkRefused, match=r"adb pair.*server:SERIAL.*adb tcpip 5555"),
    ):
        connect(int(device.address.rpartition(":")[2]), keys)


def test_a_key_is_offered_once_and_known_from_then_on(keys: Path) -> None:
    with Phone() as phone, EmulatedDevice(phone, options=Options(wants_key=True)) as device:
        port = int(device.address.rpartition(":")[2])
        for _ in range(2):
            transport = connect(port, keys)
            assert transport.run("echo in") == Finished(0, b"in\n")
            transport.close()
        known = phone.path("data/misc/adb/adb_keys").read_bytes().splitlines()
        assert len(known) == 1


def test_a_person_has_longer_to_accept_a_key_than_a_phone_to_answer(serve: Serve, keys: Path) -> None:
    def script(client: socket.socket) -> None:
        for _ in range(2):  # CNXN, and a signature that is not known
            take_packet(client)
            client.sendall(packet(b"AUTH", 1, 0, bytes(20)))
        take_packet(client)
        time.sleep(0.6)
        client.sendall(HELLO)
        wait_for_close(client)

    connect(serve(script), keys, timeout_s=0.4, prompt_s=3).close()


def test_a_packet_of_four_gigabytes_is_not_waited_for(serve: Serve, keys: Path) -> None:
    def script(client: socket.socket) -> None:
        take_packet(client)
        client.sendall(packet(b"CNXN", 0x01000000, 1 << 20, size=0xFFFFFFFF))
        while True:
            client.sendall(bytes(1 << 16))

    with pytest.raises(LinkLost, match="no ADB packet"):
        connect(serve(script), keys)


def test_a_key_nobody_accepts_is_refused_with_what_to_do_on_the_phone(keys: Path) -> None:
    with (
        Phone() as phone,
        EmulatedDevice(phone, options=Options(wants_key=True, accepts_new_keys=False)) as device,
    ):
        start = time.monotonic()
        with pytest.raises(LinkRefused, match=r"unlock the phone.*Always allow"):
            connect(int(device.address.rpartition(":")[2]), keys)
        assert time.monotonic() - start < 2


def test_a_refused_service_is_said_at_once_and_the_link_stays(serve: Serve, keys: Path) -> None:
    def script(client: socket.socket) -> None:
        number = service(client)
        client.sendall(packet(b"CLSE", 0, number))
        wait_for_close(client)

    transport = connect(serve(script), keys)
    start = time.monotonic()
    with pytest.raises(LinkRefused, match="refuses the service"):
        transport.run("true", timeout_s=20)
    assert time.monotonic() - start < 2
    with pytest.raises(LinkLost, match="time allowed"):  # it is asked again: the link was not given up
        transport.run("true", timeout_s=0.2)
    transport.close()


def test_packets_of_streams_that_are_over_are_passed_over_and_an_end_is_confirmed(serve: Serve, keys: Path) -> None:
    heard: list[bytes] = []

    def script(client: socket.socket) -> None:
        number = service(client)
        client.sendall(packet(b"WRTE", 9, number + 7, b"old") + packet(b"CLSE", 9, number + 7))
        client.sendall(packet(b"OKAY", 5, number) + packet(b"WRTE", 6, number, b"wrong") + packet(b"WRTE", 5, number))
        client.sendall(packet(b"CLSE", 5, number))
        heard.append(receive(client, 48))

    transport = connect(serve(script), keys)
    with pytest.raises(LinkLost, match="the shell ended before the command did"):
        transport.run("true", timeout_s=2)
    for _ in range(100):
        if heard:
            break
        time.sleep(0.01)
    # the empty payload was acknowledged, and then the end
    assert heard == [packet(b"OKAY", 1, 5) + packet(b"CLSE", 1, 5)]


@pytest.mark.parametrize(
    ("after_okay", "reason"),
    [
        (lambda number: packet(b"WRTE", 5, number, b"x")[:-1] + b"y", "checksum"),
        (lambda number: packet(b"WRTE", 5, number, b"x", size=(1 << 20) + 1), "no ADB packet"),
        (lambda number: packet(b"XXXX", 5, number), "no ADB packet"),
        (lambda number: packet(b"CLSE", 5, number)[:20] + bytes(4), "no ADB packet"),
        (lambda number: HELLO, "anew"),
        (lambda number: packet(b"WRTE", 5, number, b"x")[:10], "hung up after 10 of 24"),
    ],
)
def test_a_stream_that_breaks_the_protocol_loses_the_link(
    serve: Serve, keys: Path, after_okay: Callable[[int], bytes], reason: str
) -> None:
    def script(client: socket.socket) -> None:
        number = service(client)
        client.sendall(packet(b"OKAY", 5, number) + after_okay(number))

    transport = connect(serve(script), keys)
    with pytest.raises(LinkLost, match=reason):
        transport.run("true", timeout_s=2)
    with pytest.raises(LinkLost, match="reconnect"):
        transport.run("true")


def test_a_phone_that_sends_without_waiting_fills_no_memory(serve: Serve, keys: Path) -> None:
    def script(client: socket.socket) -> None:
        number = service(client)
        client.sendall(packet(b"OKAY", 5, number))
        while True:
            client.sendall(packet(b"WRTE", 5, number, bytes(1 << 20)))

    port = serve(script)
    transport = connect(port, keys)
    tracemalloc.start()
    tracemalloc.reset_peak()
    try:
        with pytest.raises(OutputTooLong):
            transport.run("true", limit_bytes=1 << 20)
        transport.reconnect()
        with pytest.raises(LinkLost, match="no ADB"):
            transport.push(io.BytesIO(bytes(200_000)), "/data/x")
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
        transport.close()


def test_a_phone_that_takes_next_to_nothing_at_a_time_is_no_phone(serve: Serve, keys: Path) -> None:
    def script(client: socket.socket) -> None:
        take_packet(client)
        client.sendall(packet(b"CNXN", 0x01000000, 4095, b"device::\0"))

    with pytest.raises(LinkLost, match="no ADB takes less than 4096"):
        connect(serve(script), keys)


def test_no_packet_is_larger_than_the_phone_takes(serve: Serve, keys: Path) -> None:
    sizes: list[int] = []

    def script(client: socket.socket) -> None:
        take_packet(client)
        client.sendall(packet(b"CNXN", 0x01000000, 4096, b"device::\0"))
        number = take_packet(client)
        client.sendall(packet(b"OKAY", 5, number))
        for _ in range(10):
            size = struct.unpack("<6I", receive(client, 24))[3]
            receive(client, size)
            sizes.append(size)
            client.sendall(packet(b"OKAY", 5, number))

    transport = connect(serve(script), keys)
    with pytest.raises(LinkLost):
        transport.push(io.BytesIO(bytes(100_000)), "/data/x")
    assert len(sizes) == 10
    assert 1000 < max(sizes) <= 4096
    with pytest.raises(LinkLost, match="reconnect"):
        transport.pull("/data/x")


@pytest.mark.parametrize("said", [b"DATA" + struct.pack("<I", (1 << 16) + 1), b"OKAY" + bytes(4), b"STAT" + bytes(12)])
def test_a_file_that_comes_otherwise_than_adb_sends_it_loses_the_link(serve: Serve, keys: Path, said: bytes) -> None:
    def script(client: socket.socket) -> None:
        number = service(client)
        client.sendall(packet(b"OKAY", 5, number) * 2 + packet(b"WRTE", 5, number, said))
        wait_for_close(client)

    transport = connect(serve(script), keys)
    with pytest.raises(LinkLost, match="no ADB"):
        transport.pull("/data/x")


def test_an_error_in_the_middle_of_a_push_is_heard_although_the_device_stops_reading(serve: Serve, keys: Path) -> None:
    said = b"couldn't create file: Read-only file system"

    def script(client: socket.socket) -> None:
        number = service(client)
        client.sendall(packet(b"OKAY", 5, number) + packet(b"OKAY", 5, number))
        client.sendall(packet(b"WRTE", 5, number, b"FAIL" + struct.pack("<I", len(said)) + said))
        wait_for_close(client)

    transport = connect(serve(script), keys)
    content = io.BytesIO(bytes(5_000_000))
    with pytest.raises(OSError, match="Read-only file system; use a folder") as caught:
        # the command that clears up runs into the script's end
        transport.push(content, "/data/x")
    assert caught.value.errno == errno.EROFS
    assert content.tell() <= 1 << 17


def test_a_full_disk_is_the_error_of_a_full_disk_and_the_old_file_stays(keys: Path) -> None:
    with Phone() as phone, EmulatedDevice(phone) as device:
        transport = connect(int(device.address.rpartition(":")[2]), keys)
        path = f"{phone.folder}/data/local/tmp/file"
        transport.push(io.BytesIO(b"old"), path)
        device.fill_disk()
        with pytest.raises(OSError, match=r"No space left.*free some space") as caught:
            transport.push(io.BytesIO(bytes(500_000)), path)
        assert caught.value.errno == errno.ENOSPC
        assert transport.pull(path) == b"old"
        assert os.listdir(os.path.dirname(path)) == ["file"]
        transport.close()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_garbage_at_any_place_raises_nothing_but_the_errors_of_a_link(
    serve: Serve, keys: Path, data: st.DataObject
) -> None:
    commands = st.sampled_from([b"OKAY", b"WRTE", b"CLSE", b"AUTH", b"CNXN", b"OPEN", b"SYNC", b"STLS"])
    ids = st.sampled_from([0, 1, 2, 5])
    packets = st.builds(packet, commands, ids, ids, st.binary(max_size=40))
    sync = st.builds(
        lambda word, size, rest: packet(b"WRTE", 5, 1, word + struct.pack("<I", size) + rest),
        st.sampled_from([b"DATA", b"DONE", b"FAIL", b"OKAY", b"STAT"]),
        st.integers(0, 100) | st.just(0xFFFFFFFF),
        st.binary(max_size=30),
    )
    answer = data.draw(st.lists(st.binary(max_size=60) | packets | sync, max_size=6).map(b"".join))
    connects = data.draw(st.booleans())

    def script(client: socket.socket) -> None:
        if connects:
            service(client)
            client.sendall(packet(b"OKAY", 5, 1))
        else:
            client.recv(1 << 16)
        client.sendall(answer)

    with suppress(LinkLost, LinkRefused, OutputTooLong, OSError):
        transport = connect(serve(script), keys, timeout_s=0.2, prompt_s=0.1)
        try:
            for use in (
                lambda: transport.run("true", timeout_s=0.1, limit_bytes=10),
                lambda: transport.pull("/data/x", limit_bytes=10),
                lambda: transport.push(io.BytesIO(b"x"), "/data/x"),
            ):
                use()
        finally:
            transport.close()


KINDS = ("drop_before", "drop_after", "cut", "corrupt", "garbage", "offline")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [1, 5, 8, 14])
def test_a_fault_at_any_message_loses_the_link_or_nothing_and_reconnecting_heals(
    keys: Path, kind: str, at: int
) -> None:
    """Whatever happens, a file is the old one or the new one, and what is returned is right."""
    new = bytes(range(256)) * 1000
    plan = FaultPlan((Fault(kind, at),))  # type: ignore[arg-type]
    with Phone() as phone, EmulatedDevice(phone, plan=plan) as device:
        path = f"{phone.folder}/data/local/tmp/file"
        Path(path).write_bytes(b"old")
        port = int(device.address.rpartition(":")[2])
        with suppress(LinkLost, LinkRefused):
            transport = connect(port, keys)
            with suppress(LinkLost, LinkRefused):
                assert transport.run("echo one") == Finished(0, b"one\n")
                transport.push(io.BytesIO(new), path)
                assert transport.pull(path) == new
            transport.close()
        assert Path(path).read_bytes() in (b"old", new)
        transport = connect(port, keys)
        transport.push(io.BytesIO(new), path)
        assert transport.pull(path) == new
        transport.close()


def test_a_stalled_phone_is_given_up_at_the_deadline(keys: Path) -> None:
    with Phone() as phone, EmulatedDevice(phone, plan=FaultPlan((Fault("stall", 5),))) as device:
        transport = connect(int(device.address.rpartition(":")[2]), keys)
        start = time.monotonic()
        with pytest.raises(LinkLost, match="time allowed"):
            transport.run("true", timeout_s=0.3)
        assert time.monotonic() - start < 1.5
        transport.close()


def test_a_reboot_loses_the_link_and_reconnecting_finds_the_phone_again(keys: Path) -> None:
    with Phone() as phone, EmulatedDevice(phone, plan=FaultPlan((Fault("reboot", 4),))) as device:
        transport = connect(int(device.address.rpartition(":")[2]), keys)
        with pytest.raises(LinkLost):
            transport.run("sleep 5")
        transport.reconnect()
        assert transport.run("echo up") == Finished(0, b"up\n")
        transport.close()


def test_an_interrupt_in_the_middle_of_a_command_drops_the_link_instead_of_mixing_replies(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Phone() as phone, EmulatedDevice(phone) as device:
        transport = connect(int(device.address.rpartition(":")[2]), keys)
        with monkeypatch.context() as patch:
            patch.setattr("profiler.transport.shell.read_reply", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                transport.run("echo one")
        with pytest.raises(LinkLost, match="reconnect"):
            transport.run("echo two")
        transport.reconnect()
        assert transport.run("echo three") == Finished(0, b"three\n")
        transport.close()


def test_small_exchanges_are_not_held_back_for_more() -> None:
    """Nagle's algorithm costs some 40 ms on each; that it is off can be read off the socket."""
    from profiler.transport.wire import Wire

    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire.connect("127.0.0.1", listener.getsockname()[1], 1.0, "x")
        assert wire._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        wire.close()


@pytest.mark.parametrize("missing", ["adb_shell", "cryptography"])
def test_a_missing_package_is_one_line_with_the_command_that_installs_it(missing: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from profiler.transport.address import open_transport\n"
        "from pathlib import Path\n"
        "import socket; s = socket.create_server(('127.0.0.1', 0))\n"
        f"open_transport('127.0.0.1:%d' % s.getsockname()[1], Path({str(tmp_path)!r}), 1)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("pip install 'fedjoule[profile]'")
    assert "LinkRefused" in ended.stderr.splitlines()[-1]
