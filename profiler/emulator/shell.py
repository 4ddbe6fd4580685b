"""ADB's shell services: command lines run for real on this machine, on a terminal or through pipes."""

import asyncio
import contextlib
import os
import pty
import struct
import termios
import tty
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiler.emulator.processes import hang_up
from profiler.emulator.streams import Stream, StreamClosed

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = 0, 1, 2, 3, 4
_CHUNK = 32 * 1024
# A session's leader that has no terminal gets the first one it opens as its own: with it come hang-ups.
_TAKE_TERMINAL = 'exec <"$0" >"$0" 2>&1; exec "$@"'

Intercept = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Shell:
    """How command lines are run: by which shell, with which environment, where; and which a test answers itself."""

    path: str
    environment: Mapping[str, str]
    folder: Path
    running: set[asyncio.Task[int]]
    returns_and_newlines: bool = False
    loses_tail: bool = False
    intercept: Intercept | None = None


async def serve(stream: Stream, shell: Shell, service: str) -> None:
    """Run ``shell:``, ``shell,v2,...:`` or ``exec:`` and a command line; an empty one is a shell that reads lines."""
    name, _, command = service.partition(":")
    words = name.split(",")
    packets = "v2" in words
    answer = shell.intercept(command) if shell.intercept else None
    if answer is not None:
        await stream.write(_packet(_STDOUT, answer) + _packet(_EXIT, b"\0") if packets else answer)
    elif words[0] == "exec" or "raw" in words:
        await _on_pipes(stream, shell, command, packets=packets)
    else:
        await _on_terminal(stream, shell, command, packets=packets)
    await stream.close()


def _packet(kind: int, content: bytes) -> bytes:
    return struct.pack("<BI", kind, len(content)) + content


def _arguments(shell: Shell, command: str) -> list[str]:
    return [shell.path, "-c", command] if command else [shell.path]


async def _exit_packet(stream: Stream, process: asyncio.subprocess.Process) -> None:
    code = await process.wait()
    # As a shell says it: 128 and the signal's number.
    await stream.write(_packet(_EXIT, bytes([code & 0xFF if code >= 0 else 128 - code])))


async def _feed(stream: Stream, write: Callable[[bytes], Coroutine[None, None, None]], *, packets: bool) -> None:
    """Give a command what the client types, until the client closes its input or the stream."""
    with contextlib.suppress(StreamClosed, BrokenPipeError, ConnectionResetError):
        if not packets:
            while True:
                await write(await stream.read())
        while True:
            kind, length = struct.unpack("<BI", await stream.read_exactly(5))
            content = await stream.read_exactly(length)
            if kind == _STDIN:
                await write(content)
            elif kind == _CLOSE_STDIN:
                await write(b"")
    # A command may stop reading long before it ends: what else comes is taken and thrown away.
    with contextlib.suppress(StreamClosed):
        while True:
            await stream.read()


async def _until_left(
    stream: Stream, pid: int, pumps: list[Coroutine[None, None, None]], feed: Coroutine[None, None, None]
) -> bool:
    """Return True once the output has ended; if the client leaves before, hang the command up and return False."""
    leaving = asyncio.create_task(stream.closed.wait())
    feeding = asyncio.create_task(feed)
    pumping = [asyncio.create_task(pump) for pump in pumps]
    output = asyncio.gather(*pumping)
    ended = False
    try:
        waiting: list[asyncio.Future[Any]] = [leaving, output]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        ended = output.done() and output.exception() is None
        return ended
    finally:
        if not ended:
            hang_up(pid)
        for task in (leaving, feeding, output):
            task.cancel()
        # Each pump, too: a cancelled gather is done when its first child is, and the others still hold our ends.
        await asyncio.gather(leaving, feeding, output, *pumping, return_exceptions=True)


async def _start(shell: Shell, words: list[str], stdin: int, stdout: int, stderr: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        env=dict(shell.environment),
        cwd=shell.folder,
    )
    waiting = asyncio.create_task(process.wait())
    shell.running.add(waiting)
    waiting.add_done_callback(shell.running.discard)
    return process


async def _on_pipes(stream: Stream, shell: Shell, command: str, *, packets: bool) -> None:
    pipe = asyncio.subprocess.PIPE
    errors = pipe if packets else asyncio.subprocess.STDOUT
    process = await _start(shell, _arguments(shell, command), stdin=pipe, stdout=pipe, stderr=errors)
    stdin = process.stdin

    async def write(content: bytes) -> None:
        if stdin is None or stdin.is_closing():
            return
        if content:
            stdin.write(content)
            await stdin.drain()
        else:
            stdin.close()

    async def pump(reader: asyncio.StreamReader | None, kind: int) -> None:
        while reader is not None and (chunk := await reader.read(_CHUNK)):
            await stream.write(_packet(kind, chunk) if packets else chunk)

    pumps = [pump(process.stdout, _STDOUT), pump(process.stderr, _STDERR)]
    try:
        if await _until_left(stream, process.pid, pumps, _feed(stream, write, packets=packets)) and packets:
            await _exit_packet(stream, process)
    finally:
        # Our ends only: a command that ignores hang-ups goes on, and is not held by a full pipe.
        _close_pipes(process)


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    transport = process._transport  # type: ignore[attr-defined]  # no public way leaves the process alive
    for number in (0, 1, 2):
        pipe = transport.get_pipe_transport(number)
        if pipe is not None:
            pipe.close()


async def _on_terminal(stream: Stream, shell: Shell, command: str, *, packets: bool) -> None:
    """Run a command on a terminal of its own: when the client leaves, the kernel hangs it up."""
    ours, theirs = pty.openpty()
    try:
        _set_terminal(theirs, raw=not packets and bool(command), returns=shell.returns_and_newlines)
        os.set_blocking(ours, False)
        words = ["/bin/sh", "-c", _TAKE_TERMINAL, os.ttyname(theirs), *_arguments(shell, command)]
        nothing = asyncio.subprocess.DEVNULL
        process = await _start(shell, words, stdin=nothing, stdout=nothing, stderr=nothing)

        async def write(content: bytes) -> None:
            await _write_fd(ours, content)

        async def pump() -> None:
            while (chunk := await _read_fd(ours)) and not (shell.loses_tail and theirs < 0):
                await stream.write(_packet(_STDOUT, chunk) if packets else chunk)

        async def let_go() -> None:
            # Held until the leader ends, so that there is no moment in which nobody has the terminal open.
            nonlocal theirs
            await process.wait()
            os.close(theirs)
            theirs = -1

        feed = _feed(stream, write, packets=packets)
        if await _until_left(stream, process.pid, [pump(), let_go()], feed) and packets:
            await _exit_packet(stream, process)
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        asyncio.get_running_loop().remove_writer(ours)
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _set_terminal(terminal: int, *, raw: bool, returns: bool) -> None:
    if raw:
        tty.setraw(terminal)
    if returns:
        modes = termios.tcgetattr(terminal)
        modes[1] |= termios.OPOST | termios.ONLCR
        termios.tcsetattr(terminal, termios.TCSANOW, modes)


async def _ready(add: Callable[..., None], remove: Callable[[int], object], fd: int) -> None:
    ready = asyncio.Event()
    add(fd, ready.set)
    try:
        await ready.wait()
    finally:
        remove(fd)


async def _read_fd(fd: int) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:
            await _ready(loop.add_reader, loop.remove_reader, fd)
        except OSError:  # EIO: nobody has the other end open any more
            return b""


async def _write_fd(fd: int, content: bytes) -> None:
    loop = asyncio.get_running_loop()
    view = memoryview(content)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _ready(loop.add_writer, loop.remove_writer, fd)
