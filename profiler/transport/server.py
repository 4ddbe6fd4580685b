"""A phone through the adb server: the way to phones paired over wireless debugging. adbutils talks to the server."""

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import AbstractContextManager, suppress
from typing import Any, BinaryIO

from profiler.names import printable
from profiler.transport import shell, sync
from profiler.transport.link import Finished, LinkLost, LinkRefused
from profiler.transport.wire import STALL_S, Wire, losing

_SERIAL = re.compile(r"(?!-)[A-Za-z0-9._:\-\[\]]{1,128}")
_TCP_SERIAL = re.compile(r".+:[0-9]{1,5}")
_MOST_DEVICES = 100
_STATES = {
    "unauthorized": "unlock the phone and accept this computer's key ('Allow USB debugging?', tick 'Always allow')",
    "authorizing": "unlock the phone and accept this computer's key ('Allow USB debugging?', tick 'Always allow')",
    "no permissions": "add udev rules for Android phones, or set USB debugging off and on, then 'adb kill-server'",
    "offline": "wake the phone; if that is not enough, 'adb reconnect offline', or take the cable out and in",
}


def checked_serial(serial: str) -> str:
    """Return ``serial`` if an adb server may be asked for it, or raise ValueError."""
    if not _SERIAL.fullmatch(serial):
        message = (
            f"serial number {printable(serial)!r} must be 1 to 128 letters, digits and . _ : - [ ] and not start with "
            "'-'; 'adb devices' lists them"
        )
        raise ValueError(message)
    return serial


class AdbServerTransport:
    """The phone that the adb server knows as ``serial``; one with a port is connected to if need be.

    The server is that of ANDROID_ADB_SERVER_ADDRESS and ANDROID_ADB_SERVER_PORT, by default 127.0.0.1:5037. If none
    runs here, it is started as any adb command would, but only with an adb on the PATH. Raises LinkRefused if the
    phone is not authorized or offline, LinkLost if there is no such phone or no server.
    """

    def __init__(self, serial: str, *, connect_timeout_s: float = 10.0) -> None:
        self._serial = checked_serial(serial)
        self._connect_timeout_s = connect_timeout_s
        self._has_codes = False
        self._open = False
        self._connect(may_wait=False)

    @property
    def name(self) -> str:
        """The serial number, and that the adb server leads there."""
        return f"{self._serial} (adb server)"

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        """Run a shell command line, see ``Transport.run``."""
        deadline = time.monotonic() + timeout_s
        tag = shell.new_tag()
        line = shell.wrapped(command, tag)
        with self._use():
            # on a terminal, so that the command is hung up when the link goes, as it is without the server
            coded = shell.CodedStream(self._stream(f"shell,v2,pty:{line}", deadline)) if self._has_codes else None
            stream = coded or self._stream(f"shell:{line}", deadline)
            try:
                reply = shell.read_reply(stream, tag, limit_bytes, deadline)
            finally:
                stream.close()
            # a shell that was killed cannot say the tag, but a newer device says how it ended
            code = coded.code if reply.code is None and coded else reply.code
            if code is None:
                message = f"{self.name}: the shell ended before the command did; is the phone restarting? reconnect"
                raise LinkLost(message)
        return Finished(code, reply.output)

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        """Write a file on the phone, see ``Transport.push``."""
        with self._use():
            sync.push(self._sync_stream, self.run, content, path, mode)

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return the content of a file on the phone, see ``Transport.pull``."""
        with self._use():
            return sync.pull(self._sync_stream, path, limit_bytes)

    def reconnect(self) -> None:
        """Ask the server for the phone again. Raises LinkLost also while it is offline: it may come back."""
        self.close()
        self._connect(may_wait=True)

    def close(self) -> None:
        """Use the phone no more; the server goes on."""
        self._open = False

    def _connect(self, may_wait: bool) -> None:
        start_server()
        try:
            self._transport(self._connect_timeout_s).close()
        except LinkLost as error:
            if not _TCP_SERIAL.fullmatch(self._serial):
                raise self._first(error, may_wait) from error
            self._dial()
            try:
                self._transport(self._connect_timeout_s).close()
            except LinkLost as again:
                raise self._first(again, may_wait) from again
        try:
            words = _ask(f"host-serial:{self._serial}:features", self._connect_timeout_s)
        except LinkRefused:  # a server too old to know features
            words = ""
        self._has_codes = "shell_v2" in words.split(",")
        self._open = True

    def _dial(self) -> None:
        """Let the server connect to the phone anew; one that it lost stays ``offline`` there until it is let go."""
        with suppress(LinkRefused):  # it is not connected at all
            _ask(f"host:disconnect:{self._serial}", self._connect_timeout_s)
        _ask(f"host:connect:{self._serial}", self._connect_timeout_s)

    def _first(self, error: LinkLost, may_wait: bool) -> LinkLost | LinkRefused:
        """Return the error for a phone that is not there when it is wanted first: being offline needs a person."""
        return LinkRefused(str(error)) if "offline" in str(error) and not may_wait else error

    def _use(self) -> AbstractContextManager[None]:
        if not self._open:
            message = f"{self.name} was lost or closed; reconnect"
            raise LinkLost(message)
        return losing(self.close)

    def _transport(self, timeout_s: float) -> Any:
        connection = _server_connection(timeout_s)
        try:
            _command(connection, f"host:transport:{self._serial}", self.name)
        except BaseException:
            connection.close()
            raise
        return connection

    def _stream(self, service: str, deadline: float) -> Wire:
        connection = self._transport(max(0.1, deadline - time.monotonic()))
        try:
            _command(connection, service, self.name)
        except BaseException:
            connection.close()
            raise
        return Wire(connection.conn, self.name)

    def _sync_stream(self) -> Wire:
        return self._stream("sync:", time.monotonic() + STALL_S)


def server_place() -> tuple[str, int]:
    """Return host and port of the adb server. Raises ValueError for a port that is none."""
    host = os.environ.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1"
    port = os.environ.get("ANDROID_ADB_SERVER_PORT") or "5037"
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        message = f"ANDROID_ADB_SERVER_PORT must be a port from 1 to 65535 (got {printable(port)!r})"
        raise ValueError(message)
    return host, int(port)


def server_runs(timeout_s: float = 1.0) -> bool:
    """Return whether something listens where the adb server should."""
    try:
        socket.create_connection(server_place(), timeout=timeout_s).close()
    except (OSError, UnicodeError):
        return False
    return True


def start_server() -> None:
    """Start the adb server if none runs, with the adb on the PATH. Raises LinkLost if there is none or it fails."""
    if server_runs():
        return
    host, port = server_place()
    place = f"{printable(host)}:{port}"
    adb = shutil.which("adb")
    if host not in ("127.0.0.1", "localhost", "::1") or adb is None:
        message = (
            f"no adb server answers at {place}; run 'adb start-server' there, or name the phone as HOST:PORT or usb"
        )
        raise LinkLost(message)
    try:
        subprocess.run(
            [adb, "-P", str(port), "start-server"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        message = f"the adb server at {place} does not start ({printable(error)}); see what 'adb start-server' says"
        raise LinkLost(message) from error


def list_phones(timeout_s: float = 3.0) -> list[tuple[str, str, str]]:
    """Return serial number, state and description of the phones a running adb server knows, at most 100.

    Raises LinkLost without a server, LinkRefused without adbutils.
    """
    if not server_runs(timeout_s):
        host, port = server_place()
        message = f"no adb server answers at {printable(host)}:{port}; 'adb start-server' starts one"
        raise LinkLost(message)
    return parse_phones(_ask("host:devices-l", timeout_s))


def parse_phones(text: str) -> list[tuple[str, str, str]]:
    """Return serial number, state and description from ``adb devices -l``, at most 100; what is none is left out."""
    phones: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        match = re.fullmatch(r"(\S+)\s+(no permissions|\S+)[\s;]*(.*)", line.strip()[:1000])
        if match is not None and len(phones) < _MOST_DEVICES:
            serial, state, words = (printable(part, 200) for part in match.groups())
            phones.append((serial, state, words))
    return phones


def _server_connection(timeout_s: float) -> Any:
    """Return adbutils' connection to a running server. It would start an adb of its own: that it must not."""
    try:
        import adbutils  # type: ignore[import-untyped]
    except ImportError as error:
        message = "a phone through the adb server needs adbutils: pip install 'fedjoule[profile]'"
        raise LinkRefused(message) from error
    host, port = server_place()
    if not server_runs(timeout_s):
        message = f"the adb server at {printable(host)}:{port} is gone; run 'adb start-server'"
        raise LinkLost(message)
    try:
        connection = adbutils.AdbClient(host, port).make_connection(timeout=timeout_s)
    except (adbutils.AdbError, OSError, subprocess.SubprocessError) as error:
        message = f"the adb server at {printable(host)}:{port} does not answer ({printable(error)})"
        raise LinkLost(message) from error
    return connection


def _command(connection: Any, words: str, name: str) -> None:
    """Send a request to the server and read its OKAY. Raises LinkLost or LinkRefused with what to do."""
    import adbutils

    try:
        connection.conn.sendall(f"{len(words.encode()):04x}{words}".encode())
        connection.check_okay()
    except (adbutils.AdbTimeout, OSError) as error:
        message = f"{name}: the adb server does not answer ({printable(error)}); see 'adb devices', then reconnect"
        raise LinkLost(message) from error
    except (adbutils.AdbError, ValueError) as error:
        raise server_error(str(error), name) from error


def server_error(words: str, name: str) -> LinkLost | LinkRefused:
    """Return the error for what an adb server said instead of OKAY, with the next step."""
    said = printable(words.strip().split("\n")[0], 120)
    step = next((step for state, step in _STATES.items() if state in words), None)
    if "offline" in words or "not found" in words or "connection closed" in words or "Unknown data" in words:
        return LinkLost(f"{name}: {said}; {step or 'see what adb devices lists'}, then reconnect")
    return LinkRefused(f"{name}: {said}; {step or 'the phone or its adb server does not allow that'}")


def _ask(words: str, timeout_s: float) -> str:
    """Return the server's answer to a question of its own."""
    connection = _server_connection(timeout_s)
    import adbutils

    try:
        _command(connection, words, "the adb server")
        return str(connection.read_string_block())
    except (adbutils.AdbError, ValueError) as error:
        message = f"the adb server broke off its answer ({printable(error)}); see 'adb devices', then reconnect"
        raise LinkLost(message) from error
    finally:
        connection.close()
