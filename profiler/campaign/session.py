"""A session: the link to a device while a campaign lasts, opened again when it is lost."""

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeVar

from profiler.device.device import Device
from profiler.device.probe import probe
from profiler.transport.link import Finished, LinkLost, Transport

T = TypeVar("T")


class Clock(Protocol):
    """The host's clock."""

    def now(self) -> float:
        """Return seconds since some moment, never going back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class HostClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Patience:
    """How long a lost link is tried again, and how long between two tries, in seconds."""

    most_s: float = 120.0
    pause_s: float = 2.0


class Session:
    """A link that heals: every step is tried again on a new connection until ``patience`` ends.

    Steps must bear being run twice, because nobody knows how far a lost one went.
    """

    def __init__(
        self,
        open_link: Callable[[], Transport],
        clock: Clock | None = None,
        patience: Patience | None = None,
        on_lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Open the link for the first time. Raises what the transport raises: nothing is retried yet."""
        self.clock = clock or HostClock()
        self._patience = patience or Patience()
        self._on_lost = on_lost
        self._open_link = open_link
        self._link: Transport | None = open_link()

    def step(self, action: Callable[[Transport], T], patience: Patience | None = None) -> T:
        """Return what ``action`` returns, connecting again while the link is lost. Raises LinkLost in the end."""
        patient = patience or self._patience
        until = self.clock.now() + patient.most_s
        while True:
            try:
                if self._link is None:
                    self._link = self._open_link()
                return action(self._link)
            except LinkLost as error:
                self.hang_up()
                self._on_lost(str(error))
                if self.clock.now() >= until:
                    raise
                self.clock.sleep(patient.pause_s)

    def probe(self) -> Device:
        """Return the device as it is now."""
        return self.step(probe)

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        """Run a shell command that may run twice."""
        return self.step(lambda link: link.run(command, timeout_s, limit_bytes))

    def hang_up(self) -> None:
        """Close the connection until the next step: nothing is on the wire while the device is busy."""
        if self._link is not None:
            link, self._link = self._link, None
            link.close()

    def close(self) -> None:
        """Close the link for good."""
        self.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def device_clock_rate(session: Session, root: str, wait_s: float = 1.0) -> float:
    """Return how many seconds the device's clock counts in one of ours; 1 within 5 % is 1.

    An emulated phone's clock may run faster; whatever is timed on such a clock is no device's.
    """

    def uptime() -> tuple[float, float]:
        before = session.clock.now()
        said = session.run(f"cat {shlex.quote(root + '/proc/uptime')}").text.split(" ")[0]
        after = session.clock.now()
        try:
            return (before + after) / 2, float(said)
        except ValueError as error:
            message = "the device's /proc/uptime is no number; nothing can be timed on it"
            raise ValueError(message) from error

    first_host, first_device = uptime()
    session.clock.sleep(wait_s)
    last_host, last_device = uptime()
    rate = (last_device - first_device) / max(last_host - first_host, 1e-6)
    return 1.0 if abs(rate - 1) < 0.05 or rate <= 0 else rate
