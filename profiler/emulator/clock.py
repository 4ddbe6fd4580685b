"""The phone's clock: it may run faster than ours, stand still for nobody, and begin anew at a reboot."""

import json
import time
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PhoneClock:
    """The phone's time as a function of ours: ``speed`` phone seconds pass in one of CLOCK_MONOTONIC here.

    ``suspended_ns`` is what BOOTTIME is ahead of MONOTONIC on the phone: the time it has slept.
    """

    real_start_ns: int
    phone_start_ns: int
    speed: float = 1.0
    suspended_ns: int = 0

    def __post_init__(self) -> None:
        if not 0.1 <= self.speed <= 1000:
            message = f"speed must be from 0.1 to 1000 phone seconds per second (got {self.speed})"
            raise ValueError(message)

    def monotonic_ns(self, real_ns: int | None = None) -> int:
        """Return the phone's CLOCK_MONOTONIC, now or at one of our monotonic times."""
        real_ns = time.monotonic_ns() if real_ns is None else real_ns
        return self.phone_start_ns + int((real_ns - self.real_start_ns) * self.speed)

    def boottime_s(self) -> float:
        """Return the phone's CLOCK_BOOTTIME in seconds; /proc/uptime shows the same with a resolution of 10 ms."""
        return (self.monotonic_ns() + self.suspended_ns) / 1e9

    def real_s(self, phone_s: float) -> float:
        """Return how long a stretch of the phone's time takes here."""
        return phone_s / self.speed

    def suspended(self, time_s: float) -> "PhoneClock":
        """Return the clock after the phone has slept ``time_s``: BOOTTIME is ahead by as much more."""
        return replace(self, suspended_ns=self.suspended_ns + int(time_s * 1e9))

    def as_json(self) -> str:
        """Return what a program on the phone needs to tell the time as exactly as we do."""
        return json.dumps(vars(self)) + "\n"


def started(speed: float = 1.0, uptime_s: float = 3600.0) -> PhoneClock:
    """Return the clock of a phone that has been up for ``uptime_s``."""
    return PhoneClock(time.monotonic_ns(), int(uptime_s * 1e9), speed)
