"""This Linux machine as the device: commands run under its own shell, files are its own."""

import os
import secrets
import select
import signal
import subprocess
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from profiler.transport.link import Finished, LinkLost, OutputTooLong
from profiler.transport.paths import checked_path
from profiler.transport.shell import check_length, checked_command
from profiler.transport.wire import losing

_CHUNK_BYTES = 1 << 16
_LOOK_S = 0.05


class LocalTransport:
    """This machine, through ``/bin/sh``."""

    def __init__(self) -> None:
        self._open = True

    @property
    def name(self) -> str:
        """``this machine``."""
        return "this machine"

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        """Run a shell command line, see ``Transport.run``; one that is cut off is killed with all its children."""
        deadline = time.monotonic() + timeout_s
        checked_command(command)
        with (
            self._use(),
            subprocess.Popen(
                ["/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            ) as process,
        ):
            assert process.stdout is not None
            try:
                output = _read_output(process, process.stdout, limit_bytes, deadline)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        code = process.returncode
        return Finished(code if code >= 0 else 128 - code, output)

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        """Write a file, see ``Transport.push``."""
        target = Path(checked_path(path))
        with self._use():
            if target.is_dir():  # otherwise replacing it gives another error than a phone
                message = f"{path} is a folder; name a file in it"
                raise IsADirectoryError(message)
            aside = target.with_name(f"{target.name}.part-{secrets.token_hex(4)}")
            try:
                with open(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                    while piece := content.read(_CHUNK_BYTES):
                        file.write(piece)
                    os.fchmod(file.fileno(), mode)
                os.replace(aside, target)
            finally:
                aside.unlink(missing_ok=True)

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return the content of a file, see ``Transport.pull``."""
        checked_path(path)
        # non-blocking, so that a named pipe without a writer cannot hold us up
        with self._use(), open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            content = bytearray()
            while piece := file.read(_CHUNK_BYTES):
                content += piece
                if len(content) > limit_bytes:
                    message = f"{path} holds more than {limit_bytes:,} bytes; allow more, or write less"
                    raise OutputTooLong(message)
        return bytes(content)

    def reconnect(self) -> None:
        """Allow commands again."""
        self._open = True

    def close(self) -> None:
        """Allow no more commands."""
        self._open = False

    def _use(self) -> AbstractContextManager[None]:
        if not self._open:
            message = "this machine was lost or closed; reconnect"
            raise LinkLost(message)
        return losing(self.close)


def _read_output(process: subprocess.Popen[bytes], stdout: IO[bytes], limit_bytes: int, deadline: float) -> bytes:
    """Return what a process prints until it ends; what it left in the background may print on, to nobody."""
    output = bytearray()
    ended = False
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            message = "the command did not finish in the time allowed; it was ended; reconnect, or allow more time"
            raise LinkLost(message)
        if select.select([stdout], [], [], 0 if ended else min(left_s, _LOOK_S))[0]:
            piece = os.read(stdout.fileno(), _CHUNK_BYTES)
            output += piece
            check_length(len(output), limit_bytes)
            if piece:
                continue
            with suppress(subprocess.TimeoutExpired):  # it closed its output and lives on: the deadline decides
                process.wait(left_s)
            ended = process.poll() is not None
        if ended:
            return bytes(output)
        ended = process.poll() is not None
