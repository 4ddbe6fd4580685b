"""The protocol every way to a device speaks, and what can go wrong on it."""

from dataclasses import dataclass
from typing import BinaryIO, Protocol


class LinkLost(ConnectionError):
    """The device does not answer any more; ``reconnect`` may bring it back.

    Whatever ran in the foreground may still be running or may be dead: nobody knows.
    """


class LinkRefused(PermissionError):
    """The device answers but does not let us in, or a service on it says no; trying again does not help."""


class OutputTooLong(ValueError):
    """A device sent more than the caller allowed; the rest was not read."""


@dataclass(frozen=True)
class Finished:
    """A command that ended on the device: its exit code, and its output with standard error mixed in."""

    code: int
    output: bytes

    @property
    def text(self) -> str:
        """The output as text; what is no UTF-8 is replaced. It may hold control characters: print with care."""
        return self.output.decode("utf-8", errors="replace")


class Transport(Protocol):
    """One connection to one device, opened when it is made. Not for two threads at once: open a second one.

    All of them raise LinkLost when the link is gone or silent for longer than allowed, and LinkRefused when the
    device says no. After LinkLost only ``reconnect`` and ``close`` may be called.
    """

    @property
    def name(self) -> str:
        """How a person calls this link, safe to print: ``127.0.0.1:5555 (adb-shell)``."""

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        """Run a shell command line and return its exit code and output, also if it says nothing for long.

        The caller quotes (``shlex.join``). Raises OutputTooLong beyond ``limit_bytes``, LinkLost after ``timeout_s``.
        """

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        """Write a file on the device; under ``path`` there is the whole new content or the old one, never a part.

        ``path`` is absolute and normalised (``paths.checked_path``); its folder must exist. Raises OSError if the
        device cannot store it (no space, no permission).
        """

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return the content of a file on the device.

        Raises FileNotFoundError, OutputTooLong beyond ``limit_bytes``.
        """

    def reconnect(self) -> None:
        """Open the link again. Raises LinkLost if the device is not there."""

    def close(self) -> None:
        """Close the link; closing twice is no error."""
