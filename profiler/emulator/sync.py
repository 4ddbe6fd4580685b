"""ADB's file service: stat, list, send and receive, inside the phone's folder and nowhere else."""

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from profiler.emulator.streams import Stream, StreamClosed

_LONGEST_PATH = 1024
_LARGEST_CHUNK = 64 * 1024


class _Bad(ValueError):
    """The client does not speak the sync protocol."""


async def serve(stream: Stream, root: Path, take_disk_full: Callable[[], bool]) -> None:
    """Answer requests until QUIT or the end; ``take_disk_full`` says whether a file being stored meets a full disk."""
    with contextlib.suppress(StreamClosed, _Bad):
        while True:
            word, length = struct.unpack("<4sI", await stream.read_exactly(8))
            if word == b"QUIT":
                break
            if length > _LONGEST_PATH:
                await _fail(stream, "path too long")
                break
            path = (await stream.read_exactly(length)).decode("utf-8", errors="surrogateescape")
            if word in (b"STAT", b"STA2", b"LST2"):
                await stream.write(_stat(root, path, word))
            elif word in (b"LIST", b"LIS2"):
                await stream.write(_list(root, path, long=word == b"LIS2"))
            elif word == b"RECV":
                await _receive(stream, root, path)
            elif word == b"SEND":
                await _store(stream, root, path, take_disk_full)
            else:
                await _fail(stream, "unknown command")
                break
    await stream.close()


def inside(root: Path, path: str) -> Path:
    """Return ``path`` with the links of its folder followed. Raises PermissionError if that is not inside ``root``."""
    if not path.startswith("/") or "\0" in path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    folder, name = os.path.split(path)
    real = Path(os.path.realpath(folder)) / name if name not in ("", ".", "..") else Path(os.path.realpath(path))
    if real != root and root not in real.parents:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return real


def _status(root: Path, path: str, *, follow: bool) -> os.stat_result:
    real = inside(root, path)
    if follow:
        real = inside(root, os.path.realpath(real))
    return os.lstat(real)


def _stat(root: Path, path: str, word: bytes) -> bytes:
    code, found = 0, None
    try:
        found = _status(root, path, follow=word == b"STA2")
    except OSError as error:
        code = error.errno or errno.EIO
    if word == b"STAT":
        numbers = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime) & 0xFFFFFFFF) if found else (0, 0, 0)
        return struct.pack("<4s3I", word, *numbers)
    return word + _long_status(found, code)


def _long_status(found: os.stat_result | None, code: int = 0) -> bytes:
    if found is None:
        return struct.pack("<IQQIIIIQqqq", code, *(0,) * 10)
    ids = (found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    return struct.pack("<IQQIIIIQqqq", 0, *ids, found.st_size, *times)


def _list(root: Path, path: str, *, long: bool) -> bytes:
    answer = bytearray()
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(inside(root, os.path.realpath(inside(root, path))))):
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(path, name))
                raw = os.fsencode(name)
                short = (found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime) & 0xFFFFFFFF)
                answer += b"DNT2" + _long_status(found) if long else struct.pack("<4s3I", b"DENT", *short)
                answer += struct.pack("<I", len(raw)) + raw
    end = _long_status(None) if long else bytes(12)
    return bytes(answer) + b"DONE" + end + bytes(4)


async def _fail(stream: Stream, reason: str) -> None:
    raw = reason.encode()
    await stream.write(struct.pack("<4sI", b"FAIL", len(raw)) + raw)


def _reason(what: str, error: OSError) -> str:
    return f"{what}: {os.strerror(error.errno or errno.EIO)}"


def _readable(real: Path) -> int:
    """Open for reading; a mode that forbids it is obeyed even if we are root."""
    file = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    mode = os.fstat(file).st_mode
    code = errno.EISDIR if stat.S_ISDIR(mode) else 0 if mode & stat.S_IRUSR else errno.EACCES
    if code:
        os.close(file)
        raise OSError(code, os.strerror(code))
    return file


async def _receive(stream: Stream, root: Path, path: str) -> None:
    try:
        file = _readable(inside(root, os.path.realpath(inside(root, path))))
    except OSError as error:
        await _fail(stream, _reason("open failed", error))
        return
    try:
        while chunk := os.read(file, _LARGEST_CHUNK):
            await stream.write(struct.pack("<4sI", b"DATA", len(chunk)) + chunk)
        await stream.write(struct.pack("<4sI", b"DONE", 0))
    except OSError as error:
        if isinstance(error, StreamClosed):
            raise
        await _fail(stream, _reason("read failed", error))
    finally:
        os.close(file)


async def _store(stream: Stream, root: Path, request: str, take_disk_full: Callable[[], bool]) -> None:
    """Store a file as it comes in; whatever goes wrong, no part of it stays."""
    path, _, mode = request.rpartition(",")
    failure, file, real = "", -1, root
    try:
        real = inside(root, path)
        if not mode.isdecimal() or stat.S_ISLNK(int(mode)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        _make_folder(real.parent)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(real)
        file = os.open(real, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        failure = _reason("couldn't create file", error)
    complete = False
    try:
        while True:
            word, number = struct.unpack("<4sI", await stream.read_exactly(8))
            if word == b"DONE":
                break
            if word != b"DATA" or number > _LARGEST_CHUNK:
                await _fail(stream, "invalid data message")
                message = f"{word!r} of {number} bytes while a file is sent"
                raise _Bad(message)
            chunk = await stream.read_exactly(number)
            if not failure:
                failure = _write(file, chunk, full=take_disk_full())
        if not failure and take_disk_full():
            failure = _write(file, b"", full=True)
        if not failure:
            os.fchmod(file, int(mode) & 0o777)
            os.utime(file, (number, number))
            complete = True
    finally:
        if file >= 0:
            os.close(file)
            if not complete:
                with contextlib.suppress(OSError):
                    os.unlink(real)
    if failure:
        await _fail(stream, failure)
    else:
        await stream.write(struct.pack("<4sI", b"OKAY", 0))


def _make_folder(folder: Path) -> None:
    """Make the folders of a file, as adbd does, unless the mode of the lowest one there forbids it."""
    present = folder
    while not present.exists():
        present = present.parent
    if not present.stat().st_mode & stat.S_IWUSR:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    folder.mkdir(parents=True, exist_ok=True)


def _write(file: int, chunk: bytes, *, full: bool) -> str:
    try:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = memoryview(chunk)
        while view:
            view = view[os.write(file, view) :]
    except OSError as error:
        return _reason("write failed", error)
    return ""
