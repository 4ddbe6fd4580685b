"""Messages of the ADB protocol as bytes: a header of six words and a payload with a checksum."""

import asyncio
import struct
from dataclasses import dataclass

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE, STLS = (
    int.from_bytes(word, "little") for word in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"STLS")
)
COMMANDS = (CNXN, AUTH, OPEN, OKAY, WRTE, CLSE, STLS)
# From this version on payloads are no longer summed; 0x01000000 is what old devices and adb-shell speak.
VERSION_WITH_CHECKSUMS = 0x01000000
VERSION = 0x01000001
LARGEST_PAYLOAD_BYTES = 1 << 20
OLD_PAYLOAD_BYTES = 4096

_HEADER = struct.Struct("<6I")


class BadMessage(ValueError):
    """What came in is no ADB message; a device closes the connection then."""


@dataclass(frozen=True)
class Message:
    """One message: what it is, its two arguments (mostly: sender's and receiver's stream number), its payload."""

    command: int
    first: int = 0
    second: int = 0
    payload: bytes = b""

    @property
    def word(self) -> str:
        """The four letters of the command."""
        return self.command.to_bytes(4, "little").decode("ascii", errors="replace")


def encode(message: Message, *, checked: bool = True) -> bytes:
    """Return the bytes of a message; if ``checked`` with the sum of the payload's bytes modulo 2^32."""
    total = sum(message.payload) & 0xFFFFFFFF if checked else 0
    header = (message.command, message.first, message.second, len(message.payload), total, message.command ^ 0xFFFFFFFF)
    return _HEADER.pack(*header) + message.payload


async def read_message(reader: asyncio.StreamReader, *, checked: bool) -> Message:
    """Return the next message; ``checked``: its checksum must be right.

    Raises BadMessage for anything else, asyncio.IncompleteReadError at the end.
    """
    command, first, second, length, total, magic = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if magic != command ^ 0xFFFFFFFF or command not in COMMANDS:
        message = f"message with command {command:#010x} and magic {magic:#010x} is none of ADB's"
        raise BadMessage(message)
    if length > LARGEST_PAYLOAD_BYTES:
        message = f"payload of {length} bytes is larger than {LARGEST_PAYLOAD_BYTES}"
        raise BadMessage(message)
    payload = await reader.readexactly(length)
    if checked and sum(payload) & 0xFFFFFFFF != total:
        message = f"checksum of {length} bytes is {sum(payload) & 0xFFFFFFFF:#x}, the header says {total:#x}"
        raise BadMessage(message)
    return Message(command, first, second, payload)
