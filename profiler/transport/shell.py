"""A command line as a device's shell must get it, and the exit code it sends back in its output.

The oldest shell service of ADB has no exit code and mixes standard error into the output. So every command is followed
by a line with a tag that nobody can know before, and the exit code.
"""

import re
import secrets
import shlex
from dataclasses import dataclass

from profiler.transport.link import OutputTooLong
from profiler.transport.wire import Stream

# Linux takes 131,072 bytes in one argument; quoting and the tag need some of them.
LONGEST_COMMAND_BYTES = 100_000
_CODE = re.compile(rb"([0-9]{1,3})(\r?)\n")
_LONGEST_CODE = 5


@dataclass(frozen=True)
class Reply:
    """What came back: the output, and the exit code if the device said it."""

    output: bytes
    code: int | None


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
    ``echo`` is built into every Android shell, ``printf`` is not.
    """
    quoted = shlex.quote(checked_command(command))
    return f'exec 2>/dev/null; sh -c {quoted} </dev/null 2>&1; echo {tag[:16]}"{tag[16:]}:$?"'


def read_reply(stream: Stream, tag: str, limit_bytes: int, deadline: float) -> Reply:
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
