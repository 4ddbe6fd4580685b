"""Commands and streams of the emulated device, seen by an independent client and by one that misbehaves."""

import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from adb_shell.adb_device import AdbDeviceTcp

from profiler.emulator.adbd import EmulatedDevice, Options
from profiler.emulator.phone import Phone
from profiler.emulator.processes import marked
from profiler.emulator.wire import CLSE, OKAY, OPEN, STLS, VERSION_WITH_CHECKSUMS, WRTE, Message, encode

Connect = Callable[[EmulatedDevice], Any]
Becomes = Callable[[Callable[[], bool]], bool]


def adb_shell(device: EmulatedDevice) -> AdbDeviceTcp:
    host, port = device.address.split(":")
    client = AdbDeviceTcp(host, int(port), default_transport_timeout_s=10)
    client.connect()
    return client


def packets(raw: bytes) -> dict[int, bytes]:
    """What a shell of version 2 said, by kind: 1 output, 2 errors, 3 exit code."""
    found: dict[int, bytes] = {}
    while raw:
        kind, length = struct.unpack("<BI", raw[:5])
        found[kind] = found.get(kind, b"") + raw[5 : 5 + length]
        raw = raw[5 + length :]
    return found


def test_adb_shell_runs_commands_of_the_phone_and_gets_what_they_print(device: EmulatedDevice) -> None:
    client = adb_shell(device)
    root = str(device.phone.folder)
    assert client.shell("echo out; echo err >&2") == "out\nerr\n"
    assert (
        client.shell("echo $FEDJOULE_ROOT; pwd; command -v getprop") == f"{root}\n{root}\n{root}/system/bin/getprop\n"
    )
    assert client.exec_out("printf 'a\\r\\nb\\0'", decode=False) == b"a\r\nb\0"
    for service in (client.shell, client.exec_out):
        assert len(service("head -c 3000000 /dev/zero | tr '\\0' x")) == 3_000_000
    client.close()


def test_the_environment_of_this_process_stays_here(device: EmulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    client = adb_shell(device)
    assert "SECRET_OF_THE_HOST" not in client.shell("env")
    client.close()


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("nonsense", 127)])
def test_version_2_tells_exit_codes_and_output_from_errors(
    command: str, code: int, device: EmulatedDevice, connect: Connect
) -> None:
    client = connect(device)
    client.greet()
    said = packets(client.run(f"shell,v2,raw:echo out; echo err >&2; {command}"))
    assert (said[1], said[3]) == (b"out\n", bytes([code]))
    assert said[2].startswith(b"err\n")
    assert packets(client.run("shell,v2,pty:echo out; echo err >&2; exit 4")) == {1: b"out\r\nerr\r\n", 3: b"\x04"}


def test_input_reaches_a_command_until_it_is_closed(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    stream = client.open("shell,v2,raw:cat; echo end")
    typed = struct.pack("<BI", 0, 5) + b"typed" + struct.pack("<BI", 4, 0)
    said = b""
    for start in range(0, len(typed), 3):  # packets do not follow the messages' borders
        client.write(stream, typed[start : start + 3])
        while (message := client.receive()[0]).command != OKAY:  # the command may answer before it has read all
            said += message.payload
            client.send(OKAY, 1, stream)
    assert packets(said + client.everything(stream)) == {1: b"typedend\n", 3: b"\0"}


def test_a_command_that_does_not_read_its_input_ends_all_the_same(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    stream = client.open("shell,v2,raw:sleep 0.2; echo end")
    client.write(stream, struct.pack("<BI", 0, 500_000) + bytes(500_000))
    assert packets(client.everything(stream)) == {1: b"end\n", 3: b"\0"}


def test_a_device_waits_for_an_okay_before_it_sends_more(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    client.open("exec:yes")
    assert client.receive()[0].command == WRTE
    client.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.receive()


def test_no_message_is_larger_than_the_client_allows(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet(payload_bytes=100)
    stream = client.open("exec:head -c 1000 /dev/zero")
    sizes = []
    while (message := client.receive()[0]).command == WRTE:
        sizes.append(len(message.payload))
        client.send(OKAY, 1, stream)
    assert (max(sizes), sum(sizes)) == (100, 1000)


@pytest.mark.parametrize("service", ["framebuffer:", "root:", "tcp:80", "shell", ""])
def test_what_is_not_served_is_refused_at_once(service: str, device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    assert client.open(service) == 0
    assert client.run("exec:echo alive") == b"alive\n"


def test_an_old_device_says_so_in_every_way(phone: Phone, connect: Connect) -> None:
    old = Options(small_payloads=True, returns_and_newlines=True, shell_v2=False)
    with EmulatedDevice(phone, options=old) as device:
        client = connect(device)
        hello = client.greet()
        assert (hello.first, hello.second) == (VERSION_WITH_CHECKSUMS, 4096)
        assert b"features" not in hello.payload
        assert client.open("shell,v2,raw:true") == 0
        assert client.run("shell:echo a") == b"a\r\n"
        assert client.run("exec:echo a") == b"a\n"


def test_features_are_told_only_to_those_who_have_some_and_sums_to_those_who_need_them(
    device: EmulatedDevice, connect: Connect
) -> None:
    for version, banner, features, sums in (
        (0x01000001, b"host::features=shell_v2", True, False),
        (0x01000000, b"host::", False, True),
    ):
        client = connect(device)
        assert (b"features=shell_v2" in client.greet(version, banner=banner).payload) is features
        client.send(OPEN, 1, 0, b"exec:echo a\0")
        while (answer := client.receive())[0].command != WRTE:
            pass
        assert (answer[1] == sum(b"a\n")) is sums


def test_a_wrong_sum_ends_the_connection_of_an_old_client_and_no_other(
    device: EmulatedDevice, connect: Connect
) -> None:
    for version, survives in ((0x01000001, True), (0x01000000, False)):
        client = connect(device)
        client.greet(version)
        raw = bytearray(encode(Message(OPEN, 1, 0, b"exec:echo a\0")))
        raw[16] ^= 1
        client.socket.sendall(raw)
        if survives:
            assert client.receive()[0].command == OKAY
        else:
            with pytest.raises(EOFError):
                client.receive()


def test_garbage_and_floods_end_the_connection_and_leave_the_device(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    client.socket.sendall(b"GET / HTTP/1.1\r\nHost: phone\r\n\r\n")
    with pytest.raises((EOFError, ConnectionResetError)):
        client.receive()
    client = connect(device)
    client.greet()
    stream = client.open("exec:sleep 5")
    with pytest.raises((EOFError, ConnectionError)):  # noqa: PT012 - it may already fail while we send
        for _ in range(200):
            client.write(stream, bytes(100_000))
        while True:
            client.receive()
    client = connect(device)
    client.greet()
    assert client.run("exec:echo alive") == b"alive\n"


def test_wireless_debugging_asks_for_tls(phone: Phone, connect: Connect) -> None:
    with EmulatedDevice(phone, options=Options(wants_tls=True)) as device:
        client = connect(device)
        assert client.greet().command == STLS
        client.send(OPEN, 1, 0, b"shell:id\0")
        client.send(STLS, 0x01000000, 0)
        with pytest.raises(EOFError):
            client.receive()


@pytest.mark.parametrize("service", ["shell:", "exec:", "shell,v2,raw:"])
def test_a_foreground_command_dies_with_the_connection(
    service: str, device: EmulatedDevice, connect: Connect, becomes: Becomes
) -> None:
    client = connect(device)
    client.greet()
    client.open(f"{service}sleep 100; sleep 101")
    assert becomes(lambda: len(marked(device.phone.mark)) >= 2)
    client.socket.close()
    assert becomes(lambda: not marked(device.phone.mark))


@pytest.mark.parametrize("service", ["shell:", "exec:", "shell,v2,raw:"])
def test_a_closed_stream_hangs_its_command_up(
    service: str, device: EmulatedDevice, connect: Connect, becomes: Becomes
) -> None:
    client = connect(device)
    client.greet()
    stream = client.open(f"{service}sleep 100")
    assert becomes(lambda: bool(marked(device.phone.mark)))
    client.send(CLSE, 1, stream)
    assert client.receive()[0] == Message(CLSE, stream, 1)
    assert becomes(lambda: not marked(device.phone.mark))


@pytest.mark.parametrize("service", ["shell:", "exec:", "shell,v2,raw:"])
def test_a_detached_command_outlives_its_connection_and_not_the_device(
    service: str, phone: Phone, connect: Connect, becomes: Becomes
) -> None:
    with EmulatedDevice(phone) as device:
        client = connect(device)
        client.greet()
        job = "sleep 0.4; echo done >data/local/tmp/done; sleep 100"
        client.run(f"{service}trap '' HUP; setsid sh -c '{job}' </dev/null >/dev/null 2>&1 & echo started")
        client.socket.close()
        assert becomes(lambda: phone.path("data/local/tmp/done").exists())
        assert marked(phone.mark)
    assert not marked(phone.mark)


def test_a_background_command_that_does_not_mind_hang_ups_dies_with_its_terminal(
    device: EmulatedDevice, connect: Connect, becomes: Becomes
) -> None:
    client = connect(device)
    client.greet()
    client.run("shell:sleep 100 &")
    assert becomes(lambda: not marked(device.phone.mark))


def test_a_command_line_no_shell_can_take_is_closed(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    assert client.run("exec:echo " + "x" * 200_000) == b""
    assert client.run("exec:echo a\0b") == b""
    assert client.run("exec:echo alive") == b"alive\n"


def test_a_test_may_answer_a_command_itself(phone: Phone, connect: Connect) -> None:
    answers = {"dumpsys battery": b"level: 1\n"}
    with EmulatedDevice(phone, intercept=answers.get) as device:
        client = connect(device)
        client.greet()
        assert client.run("shell:dumpsys battery") == b"level: 1\n"
        assert packets(client.run("shell,v2,raw:dumpsys battery")) == {1: b"level: 1\n", 3: b"\0"}
        assert client.run("exec:echo real") == b"real\n"


def test_a_forbidden_file_is_forbidden_to_the_shell_also_for_root(device: EmulatedDevice, connect: Connect) -> None:
    file = "sys/class/power_supply/battery/current_now"
    device.phone.deny(file)
    device.phone.write(file, "1\n")
    client = connect(device)
    client.greet()
    said = packets(client.run(f"shell,v2,raw:cat {file}"))
    assert said[3] == b"\x01"
    assert b"Permission denied" in said[2]


def test_many_streams_run_side_by_side_and_too_many_are_refused(device: EmulatedDevice, connect: Connect) -> None:
    client = connect(device)
    client.greet()
    streams = [client.open("exec:sleep 100", local) for local in range(1, 103)]
    assert [bool(stream) for stream in streams] == [True] * 100 + [False] * 2


@pytest.mark.parametrize("service", ["shell:", "shell,v2,pty:"])
def test_a_terminal_may_lose_what_was_not_read_when_its_shell_ends(
    service: str, phone: Phone, connect: Connect
) -> None:
    def read_slowly(device: EmulatedDevice, command: str) -> bytes:
        client = connect(device)
        client.greet()
        stream = client.open(f"{service}{command}")
        time.sleep(0.2)
        found = b""
        while b"END" not in found and (message := client.receive()[0]).command == WRTE:
            found += message.payload
            client.send(OKAY, 1, stream)
        return found

    long = "printf %09000d 0; echo END"
    for loses in (False, True):
        with EmulatedDevice(phone, options=Options(loses_tail=loses)) as device:
            assert (b"END" in read_slowly(device, long)) is not loses
            # A shell that stays until it is hung up loses nothing.
            assert b"END" in read_slowly(device, f"{long}; read _")


def test_latency_is_added_to_every_message(phone: Phone, connect: Connect) -> None:
    with EmulatedDevice(phone, options=Options(latency_s=0.05)) as device:
        client = connect(device)
        begin_s = time.monotonic()
        client.greet()
        assert client.run("exec:echo a") == b"a\n"
        assert time.monotonic() - begin_s > 0.1


def test_it_listens_on_the_loopback_only_and_closing_twice_is_no_error(phone: Phone) -> None:
    device = EmulatedDevice(phone)
    with pytest.raises(RuntimeError, match="not open"):
        _ = device.address
    with device:
        assert device.address.startswith("127.0.0.1:")
        with pytest.raises(OSError, match="in use"), EmulatedDevice(phone, int(device.address.split(":")[1])):
            pass
    device.close()
