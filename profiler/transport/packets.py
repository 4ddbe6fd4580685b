"""The packets of ADB, and one stream of bytes to a service inside them.

A packet is six little-endian words (command, two arguments, size, checksum, command inverted) and a payload; either
side may send one payload per stream until the other acknowledges it. After the Android Open Source Project's
protocol.txt. adb-shell 0.4.4 makes the connection; its own streams wait out a refused service, cannot stop at a
limit and drop what does not fit into the socket, so these are ours.
"""

import struct
import time
from contextlib import suppress

from profiler.names import printable
from profiler.transport.link import LinkLost, LinkRefused
from profiler.transport.wire import Pipe, read_exactly

HEADER = struct.Struct("<6I")
# adb-shell announces that we take this much, so more is no ADB.
MOST_PAYLOAD_BYTES = 1 << 20
_CLOSE_S = 2.0
_COMMANDS = (b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"SYNC", b"CNXN", b"AUTH", b"STLS")


def send_packet(pipe: Pipe, command: bytes, arg0: int, arg1: int, payload: bytes, deadline: float) -> None:
    """Send one packet; the checksum is the sum of the payload's bytes."""
    word = int.from_bytes(command, "little")
    total = sum(payload) & 0xFFFFFFFF
    pipe.write(HEADER.pack(word, arg0, arg1, len(payload), total, word ^ 0xFFFFFFFF), deadline)
    if payload:  # apart from the header, because over USB they are two transfers
        pipe.write(payload, deadline)


def read_packet(pipe: Pipe, deadline: float) -> tuple[bytes, int, int, bytes]:
    """Return command, first and second argument and payload of the next packet. Raises LinkLost if it is no ADB."""
    word, arg0, arg1, size, total, inverted = HEADER.unpack(read_exactly(pipe, HEADER.size, deadline))
    command = word.to_bytes(4, "little")
    if command not in _COMMANDS or word ^ inverted != 0xFFFFFFFF or size > MOST_PAYLOAD_BYTES:
        message = "what came back is no ADB packet; is the port that of a phone? reconnect"
        raise LinkLost(message)
    payload = read_exactly(pipe, size, deadline) if size else b""
    if sum(payload) & 0xFFFFFFFF != total:
        message = "a packet came back damaged (wrong checksum); reconnect, and change the cable if it happens again"
        raise LinkLost(message)
    return command, arg0, arg1, payload


class PacketStream:
    """A stream to one service, opened when it is made. Raises LinkRefused if the device does not offer it."""

    def __init__(self, pipe: Pipe, local_id: int, service: str, payload_bytes: int, deadline: float) -> None:
        self._pipe = pipe
        self._local_id = local_id
        self._remote_id: int | None = None
        self._payload_bytes = payload_bytes
        self._rest = b""  # of the last payload that came
        self._owes = False  # its acknowledgement; until then no other may come
        self._acknowledged = False
        self._ended = False
        send_packet(pipe, b"OPEN", local_id, 0, service.encode() + b"\0", deadline)
        while self._remote_id is None:
            if self._ended:
                message = f"the device refuses the service {printable(service, 40)!r}; is it locked down or too old?"
                raise LinkRefused(message)
            self._receive(deadline)

    def read(self, most: int, deadline: float) -> bytes:
        """Return between 1 and ``most`` bytes, none at the end of the stream."""
        while not self._rest:
            if self._ended:
                return b""
            self._receive(deadline)
        if self._owes:
            self._owes = False
            self._send(b"OKAY", b"", deadline)
        data, self._rest = self._rest[:most], self._rest[most:]
        return data

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of ``data`` in payloads the device can take, each acknowledged before the next.

        It stops where the device answers before it has everything, or hangs up: then it does not want the rest, and
        may wait for its answer to be read.
        """
        for start in range(0, len(data), self._payload_bytes):
            self._acknowledged = False
            self._send(b"WRTE", data[start : start + self._payload_bytes], deadline)
            while not self._acknowledged:
                if self.has_answer():
                    return
                self._receive(deadline)

    def has_answer(self) -> bool:
        """Return whether a payload has arrived, or the end of the stream."""
        return bool(self._rest) or self._ended

    def close(self) -> None:
        """Tell the device that nobody reads any more; packets still under way are for no stream and are dropped."""
        if not self._ended:
            self._ended = True
            with suppress(LinkLost):  # whoever uses the pipe next will notice
                self._send(b"CLSE", b"", time.monotonic() + _CLOSE_S)

    def _send(self, command: bytes, payload: bytes, deadline: float) -> None:
        if self._remote_id is not None:
            send_packet(self._pipe, command, self._local_id, self._remote_id, payload, deadline)

    def _receive(self, deadline: float) -> None:
        """Take in one packet; those for other streams are left-overs of streams we closed."""
        command, remote_id, local_id, payload = read_packet(self._pipe, deadline)
        if command in (b"CNXN", b"AUTH", b"STLS"):
            message = "the device started its ADB anew; reconnect"
            raise LinkLost(message)
        if local_id != self._local_id or self._remote_id not in (None, remote_id):
            return
        if command == b"CLSE":
            self._ended = True
            self._send(b"CLSE", b"", deadline)
        elif command == b"OKAY":
            self._remote_id, self._acknowledged = remote_id, True
        elif command == b"WRTE" and self._remote_id is not None:
            if payload:
                self._rest, self._owes = payload, True
            else:
                self._send(b"OKAY", b"", deadline)
