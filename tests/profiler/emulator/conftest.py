"""A client of the ADB protocol written for these tests alone: it can say what no good client would."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.phone import Phone
from profiler.emulator.wire import CLSE, CNXN, OKAY, OPEN, VERSION, WRTE, Message, encode


@dataclass
class Client:
    """One connection, messages by hand."""

    socket: socket.socket

    def send(self, command: int, first: int = 0, second: int = 0, payload: bytes = b"") -> None:
        self.socket.sendall(encode(Message(command, first, second, payload)))

    def receive(self) -> tuple[Message, int]:
        """The next message and the checksum its header says. Raises EOFError at the end."""
        command, first, second, length, total, magic = struct.unpack("<6I", self._exactly(24))
        assert magic == command ^ 0xFFFFFFFF
        return Message(command, first, second, self._exactly(length)), total

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.socket.recv(count - len(found))
            if not part:
                raise EOFError
            found += part
        return found

    def greet(
        self, version: int = VERSION, payload_bytes: int = 1 << 20, banner: bytes = b"host::features=x"
    ) -> Message:
        self.send(CNXN, version, payload_bytes, banner)
        return self.receive()[0]

    def open(self, service: str, local: int = 1) -> int:
        """The device's number of the stream, 0 if it is refused."""
        self.send(OPEN, local, 0, service.encode() + b"\0")
        answer = self.receive()[0]
        assert answer.second == local
        return answer.first if answer.command == OKAY else 0

    def write(self, remote: int, payload: bytes, local: int = 1) -> None:
        self.send(WRTE, local, remote, payload)

    def everything(self, remote: int, local: int = 1) -> bytes:
        """What comes on a stream until the device closes it."""
        found = b""
        while True:
            message = self.receive()[0]
            if message.command == WRTE:
                found += message.payload
                self.send(OKAY, local, remote)
            elif message.command == CLSE:
                return found

    def run(self, service: str) -> bytes:
        return self.everything(self.open(service))


Connect = Callable[[EmulatedDevice], Client]


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    """Connect by hand; the connections are closed after the file's last test."""
    made: list[socket.socket] = []

    def to(device: EmulatedDevice) -> Client:
        host, port = device.address.split(":")
        made.append(socket.create_connection((host, int(port)), timeout=10))
        return Client(made[-1])

    yield to
    for one in made:
        one.close()


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Phone]:
    with Phone(tmp_path / "phone") as one:
        yield one


@pytest.fixture
def device(phone: Phone) -> Iterator[EmulatedDevice]:
    with EmulatedDevice(phone) as one:
        yield one


@pytest.fixture
def becomes() -> Callable[[Callable[[], bool]], bool]:
    """Wait until something is so, for ten seconds at most."""

    def wait(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        until_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < until_s:
            time.sleep(0.005)
        return condition()

    return wait
