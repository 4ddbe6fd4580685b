"""A command line as a device's shell must get it, and the exit code it sends back in its output.

The oldest shell service of ADB has no exit code and mixes standard error into the output. So every command is followed
by a line with a tag that nobody can know before, and the exit code.
"""

import re
import secrets
import shlex
from dataclasses import dataclass
from typing import Protocol

from profiler.names import printable
from profiler.transport.link import LinkLost, OutputTooLong
from profiler.transport.wire import Pipe, read_exactly

# An adb server takes 65,535 bytes in one request; the lines around the command need some of them.
LONGEST_COMMAND_BYTES = 60_000
_CODE = re.compile(rb"([0-9]{1,3})(\r?)\n")
_LONGEST_CODE = 5


class Readable(Protocol):
    """What a reply can be read from."""

    def read(self, most: int, deadline: float) -> bytes:
        """Return between 1 and ``most`` bytes, none at the end."""


@dataclass(frozen=True)
class Reply:
    """What came back: the output, and the exit code if the device said it."""

    output: bytes
    code: int | None


class CodedStream:
    """The output inside a stream of ADB's second shell protocol, and the exit code once it has come.

    Each packet there is a kind (1 output, 2 errors, 3 exit code), a little-endian size and that many bytes.
    """

    def __init__(self, inner: Pipe) -> None:
        self._inner = inner
        self._left = 0
        self.code: int | None = None

    def read(self, most: int, deadline: float) -> bytes:
        """Return between 1 and ``most`` bytes of output, none at the end of the stream."""
        while not self._left:
            if self.code is not None:
                return b""
            kind = self._inner.read(1, deadline)
            if not kind:
                return b""
            size = int.from_bytes(read_exactly(self._inner, 4, deadline), "little")
            if kind == b"\x03":
                self.code = read_exactly(self._inner, size, deadline)[0] if 1 <= size <= 4 else None
                return b""
            if kind in (b"\x01", b"\x02"):
                self._left = size
            else:
                message = f"the phone sent {printable(kind)} as the kind of output, which no ADB does; reconnect"
                raise LinkLost(message)
        piece = self._inner.read(min(most, self._left), deadline)
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """End the stream."""
        self._inner.close()


def checked_command(command: str) -> str:
    """Return ``command`` if a shell can take it, or raise ValueError."""
    if "\0" in command:
        message = "a command must not hold a zero byte; send such data with push"
        raise ValueError(message)
    quoted = shlex.quote(command)
    size = len(quoted.encode("utf-8"))
    if size > LONGEST_COMMAND_BYTES:
        message = (
            f"a command must be at most {LONGEST_COMMAND_BYTES:,} bytes quoted (got {size:,}); push it as a script"
        )
        raise ValueError(message)
    return command


def new_tag() -> str:
    """Return a tag that no output holds by chance and no command can guess."""
    return secrets.token_hex(16)


def wrapped(command: str, tag: str) -> str:
    """Return the command line that runs ``command`` and then says ``tag:code``.

    The command is one quoted word for a shell of its own: unbalanced quotes, ``exit``, comments and the like end
    there. It gets no standard input, where it could wait for ever. What the outer shell says about it (``Killed``)
    is no output of the command. The tag stands in two parts, so that no echo of this line is taken for the reply.
    ``echo`` is built into every Android shell, ``printf`` is not. Then the shell waits until we hang up: a terminal may
    lose what was not read yet when its shell ends.
    """
    quoted = shlex.quote(checked_command(command))
    return f'exec 2>/dev/null; (exec sh -c {quoted} </dev/null 2>&1); echo {tag[:16]}"{tag[16:]}:$?"; read end'


def read_reply(stream: Readable, tag: str, limit_bytes: int, deadline: float) -> Reply:
    """Return what a ``wrapped`` command says, up to the tag or the end of the stream.

    Old devices turn every line end into CR LF on the way, the tag's too; then it is turned back. What comes after
    the tag is from something left in the background. Raises OutputTooLong beyond ``limit_bytes``, LinkLost.
    """
    end = f"{tag}:".encode()
    raw = bytearray()
    pairs = 0
    while piece := stream.read(1 << 16, deadline):
        pairs += piece.count(b"\r\n") + (raw.endswith(b"\r") and piece.startswith(b"\n"))
        seen = max(0, len(raw) - len(end) - _LONGEST_CODE)
        raw += piece
        place = raw.find(end, seen)
        found = _CODE.match(raw, place + len(end)) if place >= 0 else None
        if found is not None:
            output = bytes(raw[:place])
            if found[2]:
                output = output.replace(b"\r\n", b"\n")
            check_length(len(output), limit_bytes)
            return Reply(output, int(found[1]))
        check_length(len(raw) - pairs - len(end) - _LONGEST_CODE, limit_bytes)
    check_length(len(raw), limit_bytes)
    return Reply(bytes(raw), None)


def check_length(size: int, limit_bytes: int) -> None:
    """Raise OutputTooLong if an output of ``size`` bytes is longer than the caller allowed."""
    if size > limit_bytes:
        message = f"the command printed more than {limit_bytes:,} bytes; let it write a file and pull that"
        raise OutputTooLong(message)
