"""The phases of a job, on the device's clock: idle, busy, idle."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from profiler.names import printable

_LINE = re.compile(r"(start|busy_start|busy_end|end),(\d{1,10}\.\d{1,3})")
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Phases:
    """Seconds of CLOCK_BOOTTIME at which a job began, its workload began and ended, and the job ended.

    The workload's are None for an idle phone, and where it was cut.
    """

    start_s: float
    busy_start_s: float | None
    busy_end_s: float | None
    end_s: float

    @property
    def idle(self) -> tuple[tuple[float, float], ...]:
        """The windows in which nothing ran."""
        if self.busy_start_s is None or self.busy_end_s is None:
            return ((self.start_s, self.end_s),)
        return ((self.start_s, self.busy_start_s), (self.busy_end_s, self.end_s))


def phases_of(raw: Mapping[str, bytes]) -> Phases:
    """Return the phases that a job wrote. Raises ValueError if they are missing or out of order."""
    times: dict[str, float] = {}
    for line in raw.get("phases", b"")[:_MOST_BYTES].decode("ascii", "replace").splitlines():
        found = _LINE.fullmatch(line.strip())
        if found:
            times.setdefault(found[1], float(found[2]))
    busy = (times.get("busy_start"), times.get("busy_end"))
    order = [time for time in (times.get("start"), *busy, times.get("end")) if time is not None]
    if "start" not in times or "end" not in times or order != sorted(order) or busy.count(None) == 1:
        state = printable(raw.get("state", b"").decode("ascii", "replace").strip() or "none", 80)
        message = f"the job did not say when it began and ended (its state: {state}); measure again"
        raise ValueError(message)
    return Phases(times["start"], *busy, times["end"])
