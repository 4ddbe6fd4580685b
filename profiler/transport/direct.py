"""A phone over ADB without an adb server, by TCP or USB: adb-shell makes the connection, the streams are ours."""

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from profiler.names import printable
from profiler.transport import shell, sync
from profiler.transport.cable import Cable
from profiler.transport.keys import Key, find_key
from profiler.transport.link import Finished, LinkLost, LinkRefused
from profiler.transport.packets import HEADER, MOST_PAYLOAD_BYTES, PacketStream
from profiler.transport.wire import STALL_S, Pipe, Wire, losing, read_exactly

# Somebody has to find the phone, unlock it and read.
PROMPT_S = 30.0
_LEAST_PAYLOAD_BYTES = 4096
_INSTALL = "measuring a phone needs adb-shell: pip install 'fedjoule[profile]'"
_TLS = (
    "the phone wants a paired, encrypted connection (wireless debugging of Android 11 and later); pair it with 'adb "
    "pair' and use server:SERIAL, or plug it in once and run 'adb tcpip 5555'"
)
_PROMPT = "unlock the phone, accept this computer's key ('Allow USB debugging?', tick 'Always allow') and try again"


class AdbShellTransport:
    """A phone at ``host`` and ``port``, or on a cable where ``host`` is None; ``serial`` picks one of several there.

    ``key_folder`` holds the key to show the phone, see ``keys.find_key``. Raises LinkLost if nothing answers within
    ``connect_timeout_s``, LinkRefused if the phone does not trust the key within another ``prompt_timeout_s``.
    """

    def __init__(
        self,
        host: str | None,
        port: int = 5555,
        *,
        serial: str | None = None,
        key_folder: Path | None = None,
        connect_timeout_s: float = 10.0,
        prompt_timeout_s: float = PROMPT_S,
    ) -> None:
        place = f"[{host}]:{port}" if host and ":" in host else f"{host}:{port}"
        self._name = printable(f"{place if host else serial or 'usb'} (adb-shell)")
        self._timeouts_s = connect_timeout_s, prompt_timeout_s
        try:
            self._key = find_key(key_folder)
        except ImportError as error:
            raise LinkRefused(_INSTALL) from error
        self._local_id = 0
        self._payload_bytes = 0
        self._host, self._port, self._serial = host, port, serial
        self._pipe: Pipe | None = None
        self.reconnect()

    @property
    def name(self) -> str:
        """The address, and that adb-shell leads there."""
        return self._name

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        """Run a shell command line, see ``Transport.run``."""
        deadline = time.monotonic() + timeout_s
        tag = shell.new_tag()
        line = shell.wrapped(command, tag)
        with self._use():
            stream = self._stream(f"shell:{line}", deadline)
            try:
                reply = shell.read_reply(stream, tag, limit_bytes, deadline)
            finally:
                stream.close()
            if reply.code is None:
                message = f"{self._name}: the shell ended before the command did; is the phone restarting? reconnect"
                raise LinkLost(message)
        return Finished(reply.code, reply.output)

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        """Write a file on the phone, see ``Transport.push``."""
        with self._use():
            sync.push(self._sync_stream, self.run, content, path, mode)

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return the content of a file on the phone, see ``Transport.pull``."""
        with self._use():
            return sync.pull(self._sync_stream, path, limit_bytes)

    def reconnect(self) -> None:
        """Open the link again. Raises LinkLost, LinkRefused."""
        self.close()
        connect_timeout_s, prompt_timeout_s = self._timeouts_s
        if self._host is None:
            serial, usb = self._serial, _usb_transport()
            pipe: Pipe = Cable(lambda: usb.find_adb(serial, None, connect_timeout_s), self._name)
        else:
            pipe = Wire.connect(self._host, self._port, connect_timeout_s, self._name)
        try:
            self._payload_bytes = _shake_hands(pipe, self._key, connect_timeout_s, prompt_timeout_s, self._name)
        except BaseException:
            pipe.close()
            raise
        self._pipe = pipe

    def close(self) -> None:
        """Close the link; closing twice is no error."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()

    def _use(self) -> AbstractContextManager[None]:
        if self._pipe is None:
            raise LinkLost(self._closed())
        return losing(self.close)

    def _closed(self) -> str:
        return f"{self._name} was lost or closed; reconnect"

    def _stream(self, service: str, deadline: float) -> PacketStream:
        if self._pipe is None:
            raise LinkLost(self._closed())
        self._local_id += 1
        most = 2 * self._payload_bytes
        size = len(service.encode())
        if size >= most:
            message = f"the command is {size:,} bytes, this phone takes less than {most:,}; push it as a script"
            raise ValueError(message)
        return PacketStream(self._pipe, self._local_id, service, self._payload_bytes, deadline)

    def _sync_stream(self) -> PacketStream:
        return self._stream("sync:", time.monotonic() + STALL_S)


def usb_phones() -> list[str]:
    """Return the serial numbers of the phones with USB debugging on a cable, at most 64, ``''`` where unreadable.

    Raises LinkRefused if the packages for it are missing.
    """
    serials = []
    for _, cable in zip(range(64), _usb_transport().find_all_adb_devices(), strict=False):
        try:
            serials.append(str(cable.serial_number)[:128])
        except Exception:  # no permission, or pulled out just now
            serials.append("")
    return serials


def _usb_transport() -> Any:
    try:
        from adb_shell.transport.usb_transport import UsbTransport  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:
        message = f"USB without an adb server needs libusb: pip install 'fedjoule[usb]' ({printable(error, 120)})"
        raise LinkRefused(message) from error
    return UsbTransport


def _shake_hands(pipe: Pipe, key: Key, connect_s: float, prompt_s: float, name: str) -> int:
    """Make the ADB connection on a fresh pipe and return how many bytes of payload the phone takes at least.

    What adb-shell 0.4.4 does here: it sends CNXN, signs the token of an AUTH, and offers the public key if the
    signature is not known. Whatever goes wrong in it becomes LinkLost or LinkRefused.
    """
    try:
        from adb_shell.adb_device import AdbDevice  # type: ignore[import-untyped]
        from adb_shell.auth.sign_pythonrsa import PythonRSASigner  # type: ignore[import-untyped]
        from adb_shell.transport.base_transport import BaseTransport  # type: ignore[import-untyped]
    except ImportError as error:
        raise LinkRefused(_INSTALL) from error

    deadline = time.monotonic() + connect_s
    asked = False

    class Bridge(BaseTransport):  # type: ignore[misc]
        """Our pipe as adb-shell wants it: it closes before it connects, and reads and writes once."""

        def close(self) -> None:
            return

        def connect(self, transport_timeout_s: float) -> None:
            return

        def bulk_read(self, numbytes: int, transport_timeout_s: float) -> bytes:
            if numbytes > MOST_PAYLOAD_BYTES:
                message = f"{name}: what came back is no ADB packet; is the port that of a phone?"
                raise LinkLost(message)
            data = read_exactly(pipe, numbytes, deadline)
            if numbytes == HEADER.size and data.startswith(b"STLS"):
                message = f"{name}: {_TLS}"
                raise LinkRefused(message)
            return data

        def bulk_write(self, data: bytes, transport_timeout_s: float) -> int:
            pipe.write(data, deadline)
            return len(data)

    def ask(_: object) -> None:
        nonlocal asked, deadline
        asked, deadline = True, time.monotonic() + prompt_s

    device = AdbDevice(Bridge(), banner="fedjoule")
    longest_s = connect_s + prompt_s
    try:
        device.connect(
            [PythonRSASigner(key.public, key.private)],
            transport_timeout_s=longest_s,
            auth_timeout_s=longest_s,
            read_timeout_s=longest_s,
            auth_callback=ask,
        )
    except LinkRefused:
        raise
    except Exception as error:
        if asked:
            message = f"{name} does not trust this computer yet: {_PROMPT}"
            raise LinkRefused(message) from error
        if isinstance(error, LinkLost):
            raise
        message = f"{name} does not speak ADB as it should ({type(error).__name__}: {printable(error, 120)}); reconnect"
        raise LinkLost(message) from error
    payload_bytes = int(device.max_chunk_size)  # half of what the phone takes, at most 64 KiB
    if payload_bytes < _LEAST_PAYLOAD_BYTES // 2:
        message = (
            f"{name} takes packets of only {2 * payload_bytes} bytes, no ADB takes less than {_LEAST_PAYLOAD_BYTES}"
        )
        raise LinkLost(message)
    return payload_bytes
