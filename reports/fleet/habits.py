"""When a fleet's phones are ready: by hour of the day, how much of the time, and how long at a stretch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.availability import Availability, by_hour, duty
from traces.fleet import Fleet

Floats = npt.NDArray[np.float64]
_DAY_S = 86_400.0
_MOST_PHONES = 20_000  # whose hours, shares and stretches are told; more would tell the same


@dataclass(frozen=True, eq=False)
class Habits:
    """When phones are ready: ``hours`` float64 [24] and ``duty`` float64 [phones], shares; ``stretch_s`` [stretches].

    ``days`` float64 [phones] is how long each trace is before it repeats. ``phones`` of the fleet were looked at.
    """

    phones: int
    hours: Floats
    duty: Floats
    days: Floats
    stretch_s: Floats
    charging_hours: Floats | None = None


def habits(fleet: Fleet) -> Habits | None:
    """Return when a fleet's phones are ready, each in the first period of its trace; None if all always are.

    Of a fleet of more than 20,000 phones so many are looked at, drawn at random and always the same.
    """
    if fleet.availability is None:
        return None
    looked = np.arange(fleet.phones)
    if fleet.phones > _MOST_PHONES:  # every n-th would see some traces alone where they repeat with the phones
        looked = np.sort(np.random.default_rng(0).choice(fleet.phones, _MOST_PHONES, replace=False))
    own = _of_phones(fleet.availability, fleet, looked)
    battery = fleet.battery
    return Habits(
        phones=len(looked),
        hours=by_hour(own),
        duty=duty(own),
        days=own.period_s / _DAY_S,
        stretch_s=own.end_s - own.start_s,
        charging_hours=None if battery is None else by_hour(_of_phones(battery.charging, fleet, looked)),
    )


def _of_phones(a: Availability, fleet: Fleet, phones: npt.NDArray[np.int64]) -> Availability:
    """Return an availability with a trace for each phone, its shift in its origin."""
    trace = fleet.trace_of[phones]
    counts = np.diff(a.offsets)[trace]
    ends = np.append(0, np.cumsum(counts))
    places = np.arange(ends[-1]) + np.repeat(a.offsets[:-1][trace] - ends[:-1], counts)
    return Availability(
        ends, a.start_s[places], a.end_s[places], a.origin_s[trace] - fleet.shift_s[phones], a.period_s[trace]
    )
