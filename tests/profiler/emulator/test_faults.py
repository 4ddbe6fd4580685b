"""Every fault strikes at its message, whichever that is, and the device serves the next client."""

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import pytest

from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.faults import KINDS, Fault, FaultPlan, Kind
from profiler.emulator.phone import Phone
from profiler.emulator.processes import marked
from profiler.emulator.wire import CLSE, OKAY, WRTE

Connect = Callable[[EmulatedDevice], Any]
Becomes = Callable[[Callable[[], bool]], bool]


def session(device: EmulatedDevice, connect: Connect) -> list[bytes]:
    """Greet, run a command, store a file: eight kinds of messages. Returns what came back before it broke."""
    came = []
    client = connect(device)
    client.socket.settimeout(0.15)
    with contextlib.suppress(EOFError, OSError, AssertionError):
        came.append(client.greet(version=0x01000000).payload)
        came.append(client.run("exec:echo output"))
        stream = client.open("sync:")
        path = f"{device.phone.path('data/local/tmp/file')},33188".encode()
        content = struct.pack("<4sI", b"DATA", 5) + b"12345" + struct.pack("<4sI", b"DONE", 1)
        client.write(stream, struct.pack("<4sI", b"SEND", len(path)) + path + content)
        while (message := client.receive()[0]).command != WRTE:
            pass
        came.append(message.payload)
        client.send(OKAY, 1, stream)
    client.socket.close()
    return came


WHOLE = [b"output\n", struct.pack("<4sI", b"OKAY", 0)]
# Greeting 2, command 5, opening sync 2, the file and its answer 3: with the last one the session has all it wants.
LAST = 12


def test_messages_are_counted_alike_in_every_undisturbed_run(phone: Phone, connect: Connect) -> None:
    for _ in range(3):
        with EmulatedDevice(phone) as device:
            came = session(device, connect)
            assert came[1:] == WHOLE
            assert device.messages in (LAST, LAST + 1)  # the client's last okay may still be under way


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_message_breaks_that_session_only(kind: Kind, phone: Phone, connect: Connect) -> None:
    with EmulatedDevice(phone) as device:
        expected = session(device, connect)
    for at in range(1, LAST + 1):
        plan = FaultPlan((Fault(kind, at),))
        with EmulatedDevice(phone, plan=plan) as device:
            came = session(device, connect)
            assert plan.struck == [Fault(kind, at)]
            if kind == "disk_full":
                assert came[2] == (WHOLE[1] if at == LAST else b"FAIL\x25\0\0\0write failed: No space left on device")
                device.take_disk_full()  # at the last message it came too late for that file, and waits for the next
            else:
                assert (came == expected) is (at == LAST and kind in ("drop_after", "offline"))
            assert session(device, connect) == expected
        assert not marked(phone.mark)


def test_faults_on_sending_wait_for_something_to_send() -> None:
    plan = FaultPlan((Fault("corrupt", 3),))
    assert plan.take(3, sent=False, payload=True) is None
    assert plan.take(4, sent=True, payload=False) is None
    assert plan.take(5, sent=True, payload=True) == "corrupt"
    assert plan.take(6, sent=True, payload=True) is None


def test_faults_strike_once_each_and_in_their_order() -> None:
    plan = FaultPlan((Fault("drop_after", 2), Fault("stall", 4)))
    assert [plan.take(number, sent=False, payload=False) for number in range(1, 6)] == [
        None, "drop_after", None, "stall", None,
    ]  # fmt: skip


def test_a_corrupt_payload_has_the_sum_of_the_right_one(phone: Phone, connect: Connect) -> None:
    with EmulatedDevice(phone, plan=FaultPlan((Fault("corrupt", 4),))) as device:
        client = connect(device)
        client.greet(version=0x01000000)
        client.open("exec:echo output")
        message, total = client.receive()
        assert message.command == WRTE
        assert sum(message.payload) != total == sum(b"output\n")


def test_a_stalled_device_keeps_the_connection_and_says_nothing(phone: Phone, connect: Connect) -> None:
    with EmulatedDevice(phone, plan=FaultPlan((Fault("stall", 3),))) as device:
        client = connect(device)
        client.greet()
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.open("exec:echo output")
        client.send(CLSE, 1, 1)  # still taken


def test_an_offline_device_closes_its_streams_and_refuses_new_ones(phone: Phone, connect: Connect) -> None:
    with EmulatedDevice(phone, plan=FaultPlan((Fault("offline", 5),))) as device:
        client = connect(device)
        client.greet()
        stream = client.open("exec:sleep 100")
        client.send(OKAY, 1, stream)
        assert client.receive()[0].command == CLSE
        assert client.open("exec:echo output", local=2) == 0


def test_a_reboot_ends_processes_and_begins_a_new_life_with_the_old_files(
    phone: Phone, connect: Connect, becomes: Becomes
) -> None:
    with EmulatedDevice(phone) as device:
        client = connect(device)
        client.greet()
        client.run("exec:trap '' HUP; setsid sh -c 'echo kept >data/local/tmp/kept; sleep 100' >/dev/null 2>&1 &")
        assert becomes(lambda: phone.path("data/local/tmp/kept").exists())
        boot_id, uptime_s = phone.read("proc/sys/kernel/random/boot_id"), float(phone.read("proc/uptime").split()[0])
        client.open("reboot:")
        with contextlib.suppress(EOFError, ConnectionError):
            while client.receive():
                pass
        assert becomes(lambda: device.reboots == 1 and not marked(phone.mark))
        assert phone.read("proc/sys/kernel/random/boot_id") != boot_id
        assert float(phone.read("proc/uptime").split()[0]) < 60 < uptime_s
        again = connect(device)
        again.greet()
        assert again.run("exec:cat data/local/tmp/kept") == b"kept\n"


def test_a_fault_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="drop_before, drop_after"):
        Fault("explode", 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="message 1 or later"):
        Fault("stall", 0)
