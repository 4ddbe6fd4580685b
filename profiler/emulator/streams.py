"""One stream of an ADB connection as a service sees it: read, write, close, with ADB's flow control."""

import asyncio
from collections.abc import Awaitable, Callable

from profiler.emulator.wire import CLSE, OKAY, WRTE, BadMessage, Message

# A peer that obeys the flow control has one message under way; this many mean that it does not.
_MOST_WAITING = 64

Send = Callable[[Message], Awaitable[None]]


class StreamClosed(ConnectionError):
    """The other side has closed the stream."""


class Stream:
    """Bytes to and from one service; every message waits for the okay of the one before, in both directions."""

    def __init__(self, send: Send, local: int, remote: int, payload_bytes: int) -> None:
        self.local, self.remote = local, remote
        self.closed = asyncio.Event()
        self._send = send
        self._payload_bytes = payload_bytes
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._okay = asyncio.Event()
        self._okay.set()
        self._buffer = bytearray()

    def take(self, payload: bytes) -> None:
        """Keep a payload that came in. Raises BadMessage if the peer floods us."""
        if self._received.qsize() >= _MOST_WAITING:
            message = f"stream {self.local} got {_MOST_WAITING} messages without waiting for an okay"
            raise BadMessage(message)
        self._received.put_nowait(payload)

    def okay(self) -> None:
        """The peer has taken our last message."""
        self._okay.set()

    def hung_up(self) -> None:
        """The peer has closed the stream, or the connection is gone."""
        self.closed.set()
        self._okay.set()
        self._received.put_nowait(b"")

    async def read(self) -> bytes:
        """Return the next payload. Raises StreamClosed at the end."""
        payload = await self._received.get()
        if not payload and self.closed.is_set():
            self._received.put_nowait(b"")
            message = f"stream {self.local} was closed"
            raise StreamClosed(message)
        await self._send(Message(OKAY, self.local, self.remote))
        return payload

    async def read_exactly(self, count: int) -> bytes:
        """Return ``count`` bytes. Raises StreamClosed at the end."""
        while len(self._buffer) < count:
            self._buffer += await self.read()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def write(self, content: bytes) -> None:
        """Send bytes, each message after the okay of the one before. Raises StreamClosed."""
        for start in range(0, len(content), self._payload_bytes):
            await self._okay.wait()
            if self.closed.is_set():
                message = f"stream {self.local} was closed"
                raise StreamClosed(message)
            self._okay.clear()
            await self._send(Message(WRTE, self.local, self.remote, content[start : start + self._payload_bytes]))

    async def close(self) -> None:
        """Say that nothing more comes."""
        if not self.closed.is_set():
            await self._okay.wait()
            self.closed.set()
            await self._send(Message(CLSE, self.local, self.remote))
