"""Files over ADB's sync service: the bytes of one file to or from a device, without a shell.

Requests are four letters, a little-endian size and that many bytes. After the Android Open Source Project's SYNC.TXT.
"""

import errno
import secrets
import shlex
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from profiler.names import printable
from profiler.transport.link import Finished, LinkLost, OutputTooLong
from profiler.transport.paths import checked_path
from profiler.transport.wire import Stream, read_exactly, transfer_deadline

_HEADER = struct.Struct("<4sI")
_CHUNK_BYTES = 1 << 16  # the most the protocol allows in one piece
_LONGEST_MESSAGE = 4096

# What a device says, in the words of the C library, and the error that it means here.
_ERRORS = {
    "No such file or directory": errno.ENOENT,
    "Permission denied": errno.EACCES,
    "Operation not permitted": errno.EPERM,
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "Read-only file system": errno.EROFS,
    "Is a directory": errno.EISDIR,
    "Not a directory": errno.ENOTDIR,
}
_NEXT_STEPS = {
    errno.ENOSPC: "free some space on the device",
    errno.ENOENT: "does its folder exist?",
    errno.EACCES: "use a folder that adb may write to, such as one in /data/local/tmp",
    errno.EROFS: "use a folder that adb may write to, such as one in /data/local/tmp",
}


def device_error(words: str, path: str) -> OSError:
    """Return the OSError for what a device said about ``path``: FileNotFoundError, PermissionError, no space, ..."""
    number = next((number for text, number in _ERRORS.items() if text in words), errno.EIO)
    step = _NEXT_STEPS.get(number, "")
    return OSError(number, f"{path}: {printable(words.strip(), 120)}{'; ' if step else ''}{step}")


def push(
    open_stream: Callable[[], Stream], run: Callable[[str], Finished], content: BinaryIO, path: str, mode: int
) -> None:
    """Write a file aside and move it to ``path`` when it is whole; see ``Transport.push``."""
    checked_path(path)
    aside = f"{path}.part-{secrets.token_hex(4)}"
    quoted, quoted_aside = shlex.quote(path), shlex.quote(aside)
    stream = open_stream()
    try:
        send_file(stream, content, aside, mode)
    except LinkLost:
        raise  # the device removes what it got itself
    except (OSError, ValueError):
        stream.close()
        with suppress(LinkLost):
            run(f"rm -f {quoted_aside}")
        raise
    stream.close()
    # A device gives group and others what the owner may; a move onto a folder would move into it.
    moved = run(
        f"if [ -d {quoted} ]; then echo Is a directory; false; "
        f"else chmod {mode:o} {quoted_aside} && mv -f {quoted_aside} {quoted}; fi || {{ rm -f {quoted_aside}; false; }}"
    )
    if moved.code != 0:
        raise device_error(moved.text, path)


def pull(open_stream: Callable[[], Stream], path: str, limit_bytes: int) -> bytes:
    """Return the content of the file at ``path``; see ``Transport.pull``."""
    checked_path(path)
    stream = open_stream()
    try:
        return receive_file(stream, path, limit_bytes)
    finally:
        stream.close()


def send_file(stream: Stream, content: BinaryIO, path: str, mode: int) -> None:
    """Write ``content`` to ``path`` on the device. Raises OSError if the device cannot, LinkLost."""
    start = time.monotonic()
    name = f"{path},{stat.S_IFREG | mode}".encode()
    stream.write(_HEADER.pack(b"SEND", len(name)) + name, transfer_deadline(start, 0))
    sent_bytes = 0
    while not stream.has_answer() and (piece := content.read(_CHUNK_BYTES)):
        sent_bytes += len(piece)
        stream.write(_HEADER.pack(b"DATA", len(piece)) + piece, transfer_deadline(start, sent_bytes))
    deadline = transfer_deadline(time.monotonic(), 0)
    if not stream.has_answer():  # an early answer is an error
        stream.write(_HEADER.pack(b"DONE", int(time.time()) & 0xFFFFFFFF), deadline)
    kind, size = _HEADER.unpack(read_exactly(stream, _HEADER.size, deadline))
    if kind == b"FAIL":
        raise device_error(_message(stream, size, deadline), path)
    if kind != b"OKAY":
        message = f"{path}: the device answered {printable(kind)} to a file, which is no ADB; reconnect"
        raise LinkLost(message)


def receive_file(stream: Stream, path: str, limit_bytes: int) -> bytes:
    """Return the content of ``path`` on the device. Raises OSError, OutputTooLong beyond ``limit_bytes``, LinkLost."""
    start = time.monotonic()
    name = path.encode()
    stream.write(_HEADER.pack(b"RECV", len(name)) + name, transfer_deadline(start, 0))
    content = bytearray()
    while True:
        deadline = transfer_deadline(start, len(content))
        kind, size = _HEADER.unpack(read_exactly(stream, _HEADER.size, deadline))
        if kind == b"DONE":
            return bytes(content)
        if kind == b"FAIL":
            raise device_error(_message(stream, size, deadline), path)
        if kind != b"DATA" or size > _CHUNK_BYTES:
            message = f"{path}: the device sent {printable(kind)} in a file, which is no ADB; reconnect"
            raise LinkLost(message)
        if len(content) + size > limit_bytes:
            message = f"{path} holds more than {limit_bytes:,} bytes; allow more, or write less"
            raise OutputTooLong(message)
        content += read_exactly(stream, size, deadline)


def _message(stream: Stream, size: int, deadline: float) -> str:
    return read_exactly(stream, min(size, _LONGEST_MESSAGE), deadline).decode("utf-8", errors="replace")
