"""One client's connection to an emulated device: who may come in, and the streams it opens."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Protocol

from profiler.emulator import auth, shell, sync
from profiler.emulator.faults import Kind
from profiler.emulator.phone import Phone
from profiler.emulator.streams import Stream, StreamClosed
from profiler.emulator.wire import (
    AUTH,
    CLSE,
    CNXN,
    OKAY,
    OLD_PAYLOAD_BYTES,
    OPEN,
    STLS,
    VERSION,
    VERSION_WITH_CHECKSUMS,
    WRTE,
    BadMessage,
    Message,
    encode,
    read_message,
)

_MOST_STREAMS = 100


@dataclass(frozen=True)
class Options:
    """What kind of device it is: how old, how strict, how far away."""

    small_payloads: bool = False  # 4 KiB, as devices before 2015
    returns_and_newlines: bool = False  # a terminal that is not raw, as devices before Android 7
    shell_v2: bool = True  # exit codes and standard error apart
    wants_tls: bool = False  # Android 11's wireless debugging
    wants_key: bool = False  # a client must prove that it has a known key
    accepts_new_keys: bool = True  # somebody taps "allow"
    loses_tail: bool = False  # a terminal whose unread output goes with its shell, as real ones lose it now and then
    latency_s: float = 0.0
    payload_bytes: int = 1 << 20
    shell_path: str = "/bin/sh"


class Device(Protocol):
    """What a connection needs from its device."""

    phone: Phone
    options: Options

    def count(self, *, sent: bool, payload: bool) -> Kind | None:
        """Count a message; return the fault that strikes it."""

    def take_disk_full(self) -> bool:
        """Return whether the disk is full for the file being stored."""

    def fill_disk(self) -> None:
        """Let it be full for that file or the next."""

    async def reboot(self) -> None:
        """Restart the phone and drop its connections."""

    def shell(self) -> shell.Shell:
        """Return how command lines are run."""


class _Dropped(ConnectionError):
    """A fault ends this connection."""


class Connection:
    """From the first message to the last; ``serve`` returns when it is over and its streams have ended."""

    def __init__(self, device: Device, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._device, self._reader, self._writer = device, reader, writer
        self._options = device.options
        self._online = self._stalled = self._refuses = False
        self._checked = True
        self._payload_bytes = OLD_PAYLOAD_BYTES if self._options.small_payloads else self._options.payload_bytes
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 1
        self._token = b""
        self._hello = Message(CNXN)

    async def serve(self) -> None:
        """Answer until the client leaves, speaks something else, or a fault strikes."""
        try:
            while True:
                message = await read_message(self._reader, checked=self._checked)
                if self._options.latency_s:
                    await asyncio.sleep(self._options.latency_s)
                fault = self._device.count(sent=False, payload=bool(message.payload))
                if fault is not None:
                    await self._strike(fault)
                if not self._stalled:
                    await self._answer(message)
                if fault == "drop_after":
                    break
        except (asyncio.IncompleteReadError, ConnectionError, BadMessage):
            pass
        finally:
            self.drop()
            if self._tasks:
                await asyncio.wait(self._tasks)
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def drop(self) -> None:
        """End the connection at once; ``serve`` sees to the rest."""
        self._stalled = True
        self._writer.close()
        for stream in self._streams.values():
            stream.hung_up()

    async def _strike(self, fault: Kind) -> None:
        """What a fault does on its own; how it disfigures the message is the caller's."""
        if fault == "drop_before":
            raise _Dropped
        if fault == "stall":
            self._stalled = True
        elif fault == "offline":
            self._refuses = True
            for stream in list(self._streams.values()):
                stream.hung_up()
                await self._send(Message(CLSE, stream.local, stream.remote))
        elif fault == "disk_full":
            self._device.fill_disk()
        elif fault == "reboot":
            await self._device.reboot()
            raise _Dropped

    async def _send(self, message: Message) -> None:
        if self._stalled:
            return
        fault = self._device.count(sent=True, payload=bool(message.payload))
        raw = encode(message, checked=self._checked)
        try:
            if fault is not None:
                await self._strike(fault)
                if fault == "stall":
                    return
                raw = _disfigured(fault, raw, message)
            self._writer.write(raw)
            await self._writer.drain()
            if fault in ("cut", "drop_after"):
                raise _Dropped
        except ConnectionError:
            self._stalled = True
            self._writer.close()  # the reading side notices, and ends everything
            raise

    async def _answer(self, message: Message) -> None:
        if message.command == CNXN:
            await self._greet(message)
        elif message.command == AUTH:
            await self._admit(message)
        elif self._online and message.command == OPEN:
            await self._open(message)
        elif self._online and message.command in (WRTE, OKAY, CLSE):
            await self._pass_on(message)
        elif message.command == STLS:
            text = "a TLS handshake was asked for; this device only says that it wants one"
            raise BadMessage(text)

    async def _greet(self, message: Message) -> None:
        self._hello = message
        self._payload_bytes = min(self._payload_bytes, max(message.second, 1))
        if self._options.wants_tls:
            await self._send(Message(STLS, VERSION_WITH_CHECKSUMS, 0))
        elif self._options.wants_key:
            await self._challenge()
        else:
            await self._welcome()

    async def _challenge(self) -> None:
        self._token = os.urandom(auth.TOKEN_BYTES)
        await self._send(Message(AUTH, auth.TOKEN, 0, self._token))

    async def _admit(self, message: Message) -> None:
        """Let a client in that signs our token with a known key, or whose key somebody accepts on the screen."""
        if not self._token or self._online:
            return
        keys = self._device.phone.folder / "data/misc/adb/adb_keys"
        known = keys.read_bytes().splitlines() if keys.exists() else []
        if message.first == auth.SIGNATURE:
            if any(auth.has_signed(auth.parse_public_key(line), self._token, message.payload) for line in known):
                await self._welcome()
            else:
                await self._challenge()
        elif message.first == auth.PUBLIC_KEY and self._options.accepts_new_keys:
            line = message.payload.rstrip(b"\0\n")
            with contextlib.suppress(ValueError):
                auth.parse_public_key(line)
                keys.parent.mkdir(parents=True, exist_ok=True)
                keys.write_bytes(b"\n".join([*known, line.replace(b"\n", b" ")]) + b"\n")
                await self._welcome()

    async def _welcome(self) -> None:
        """Say who we are; features only to a client that has some, sums as its version wants them."""
        small = self._options.small_payloads
        features = []
        if b"features=" in self._hello.payload and not small:
            features = ["shell_v2"] * self._options.shell_v2 + ["stat_v2", "ls_v2"]
        banner = "device::" + "".join(
            f"{name}={self._device.phone.properties.get(name, '')};"
            for name in ("ro.product.name", "ro.product.model", "ro.product.device")
        )
        if features:
            banner += "features=" + ",".join(features)
        version = VERSION_WITH_CHECKSUMS if small else min(VERSION, self._hello.first)
        largest = OLD_PAYLOAD_BYTES if small else self._options.payload_bytes
        self._online = True
        await self._send(Message(CNXN, version, largest, banner.encode()[:OLD_PAYLOAD_BYTES]))
        self._checked = version <= VERSION_WITH_CHECKSUMS

    async def _open(self, message: Message) -> None:
        service = message.payload.rstrip(b"\0").decode("utf-8", errors="surrogateescape")
        known = service.startswith(("shell:", "shell,v2", "exec:")) or service in ("sync:", "reboot:")
        old = service.startswith("shell,v2") and not self._options.shell_v2
        if not known or old or self._refuses or message.first == 0 or len(self._streams) >= _MOST_STREAMS:
            await self._send(Message(CLSE, 0, message.first))
            return
        stream = Stream(self._send, self._next, message.first, self._payload_bytes)
        self._next += 1
        self._streams[stream.local] = stream
        await self._send(Message(OKAY, stream.local, stream.remote))
        task = asyncio.create_task(self._serve_stream(stream, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_stream(self, stream: Stream, service: str) -> None:
        try:
            if service == "sync:":
                await sync.serve(stream, self._device.phone.folder, self._device.take_disk_full)
            elif service == "reboot:":
                await stream.close()
                await self._device.reboot()
            else:
                await shell.serve(stream, self._device.shell(), service)
        except (StreamClosed, ConnectionError):
            pass
        except (OSError, ValueError):  # a command line no shell can be started with: too long, a zero byte
            with contextlib.suppress(ConnectionError):
                await stream.close()
        finally:
            del self._streams[stream.local]

    async def _pass_on(self, message: Message) -> None:
        stream = self._streams.get(message.second)
        if stream is None or stream.remote != message.first:
            if message.command == WRTE:
                await self._send(Message(CLSE, 0, message.first))
        elif message.command == WRTE:
            stream.take(message.payload)
        elif message.command == OKAY:
            stream.okay()
        elif not stream.closed.is_set():
            stream.hung_up()
            await self._send(Message(CLSE, stream.local, stream.remote))


def _disfigured(fault: Kind, raw: bytes, message: Message) -> bytes:
    if fault == "corrupt":
        return raw[:-1] + bytes([raw[-1] ^ 0x55])
    if fault == "garbage":
        return os.urandom(len(raw))
    if fault == "cut":
        return raw[: max(1, len(raw) // 2)]
    return raw
