"""A stream of bytes to a device, on which every read and write has a moment by which it must be done."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from profiler.names import printable
from profiler.transport.link import LinkLost

# No link is so slow that it takes longer than this for anything, and nothing waits longer on one that is silent.
STALL_S = 30.0
_SLOWEST_BYTES_PER_S = 2048.0


class Pipe(Protocol):
    """Bytes to and from a device; a ``deadline`` is a reading of ``time.monotonic``.

    ``read`` and ``write`` raise LinkLost if the link is gone or the deadline has passed.
    """

    def read(self, most: int, deadline: float) -> bytes:
        """Return between 1 and ``most`` bytes, none at the end."""

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``."""

    def close(self) -> None:
        """Let go; closing twice is no error, and takes no time."""


class Stream(Pipe, Protocol):
    """A pipe to one service of a device."""

    def has_answer(self) -> bool:
        """Return whether the device has sent something that was not read yet."""


def transfer_deadline(start: float, done_bytes: int) -> float:
    """Return by when a transfer that has moved ``done_bytes`` since ``start`` must move on.

        start + 30 s + done_bytes / 2048 bytes per second

    A device that trickles is thereby cut off as surely as a silent one.
    """
    return start + STALL_S + done_bytes / _SLOWEST_BYTES_PER_S


def remaining_s(deadline: float, name: str) -> float:
    """Return the seconds until ``deadline``. Raises LinkLost if there are none."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        message = f"{name} did not finish in the time allowed; is it asleep or gone? reconnect, or allow more time"
        raise LinkLost(message)
    return left_s


def read_exactly(pipe: Pipe, size: int, deadline: float) -> bytes:
    """Return ``size`` bytes. Raises LinkLost if there are no more before."""
    data = bytearray()
    while len(data) < size:
        piece = pipe.read(min(size - len(data), 1 << 16), deadline)
        if not piece:
            message = f"the device hung up after {len(data)} of {size} bytes; reconnect"
            raise LinkLost(message)
        data += piece
    return bytes(data)


@contextmanager
def losing(drop: Callable[[], None]) -> Iterator[None]:
    """Call ``drop`` when the body loses the link, or is interrupted where the state of the link is unknown."""
    try:
        yield
    except LinkLost:
        drop()
        raise
    except (OSError, ValueError):  # the device said no in full sentences, or the caller asked for what is not possible
        raise
    except BaseException:
        drop()
        raise


class Wire:
    """A connected socket; it is a Stream. ``name`` is for messages."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        # Without this, Nagle's algorithm and delayed acknowledgements cost 40 ms on every small exchange.
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._name = name

    @classmethod
    def connect(cls, host: str, port: int, timeout_s: float, name: str) -> "Wire":
        """Return a wire to ``host``. Raises LinkLost if nobody answers there."""
        try:
            return cls(socket.create_connection((host, port), timeout=timeout_s), name)
        except (OSError, UnicodeError) as error:
            reason = printable(getattr(error, "strerror", None) or error)
            message = f"{name} cannot be reached ({reason}); check the address, and that the phone is awake"
            raise LinkLost(message) from error

    def read(self, most: int, deadline: float) -> bytes:
        """Return between 1 and ``most`` bytes, none at the end of the stream."""
        try:
            self._connection.settimeout(remaining_s(deadline, self._name))
            return self._connection.recv(most)
        except OSError as error:
            raise self._lost(error) from error

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of ``data``."""
        try:
            self._connection.settimeout(remaining_s(deadline, self._name))
            self._connection.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def has_answer(self) -> bool:
        """Return whether there is something to read."""
        try:
            return bool(select.select([self._connection], [], [], 0)[0])
        except (OSError, ValueError):
            return True  # reading will tell what is wrong

    def close(self) -> None:
        """Close the socket; closing twice is no error."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._connection.close()

    def _lost(self, error: OSError) -> LinkLost:
        if isinstance(error, LinkLost):
            return error
        reason = (
            "no answer in the time allowed" if isinstance(error, TimeoutError) else printable(error.strerror or error)
        )
        return LinkLost(f"{self._name} was lost ({reason}); reconnect")
