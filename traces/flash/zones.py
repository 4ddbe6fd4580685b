"""Time zones of traces whose times are written without one."""

from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from traces.report import clean

Seconds = npt.NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1)
# Since 2000 all clocks were put forward and back at a quarter of an hour, by a quarter at least.
_SLOT_S = 900


def elapsed_s(stamp_s: Seconds, zone: str) -> tuple[Seconds, int]:
    """Return the times ``stamp_s``, int64 seconds that clocks in ``zone`` showed, as seconds that really pass.

    ``floating`` (the trace's own clock) and ``UTC`` change nothing; for a name such as ``Europe/Berlin`` the jumps of
    summer time are taken out. Times that clocks there skip or show twice are read as before the change, and their
    number comes with the result. The slow twin asks for each time by itself, in the tests. Raises ValueError if the
    zone is not known.
    """
    if zone in ("floating", "UTC"):
        return stamp_s, 0
    slots, slot = np.unique(stamp_s // _SLOT_S, return_inverse=True)
    before, after = _offsets_s(slots * _SLOT_S, zone)
    return stamp_s - before[slot], int(np.sum((before != after)[slot]))


def midnight_s(day: str) -> int:
    """Return the midnight at which ``day`` (``2020-01-02``) begins, in seconds from 1970-01-01. Raises ValueError."""
    try:
        return (date.fromisoformat(day) - _EPOCH.date()).days * 86_400
    except ValueError as error:
        message = (
            f"reference must be a date such as 2020-01-02 (got {clean(day)!r}); it begins the clock at its midnight"
        )
        raise ValueError(message) from error


def check_zone(zone: str) -> None:
    """Raise ValueError unless ``zone`` is ``floating``, ``UTC`` or a zone that this machine knows."""
    elapsed_s(np.zeros(1, np.int64), zone)


def _offsets_s(stamp_s: Seconds, zone: str) -> tuple[Seconds, Seconds]:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = (
            f"zone must be floating, UTC or an IANA name that this machine knows, such as Europe/Berlin "
            f"(got {clean(zone)!r}); check the spelling, or install tzdata if the machine has no list of zones"
        )
        raise ValueError(message) from error
    both: list[list[int]] = [[], []]
    for stamp in stamp_s.tolist():
        shown = _EPOCH + timedelta(seconds=stamp)
        for fold, offsets in enumerate(both):
            offset = info.utcoffset(shown.replace(fold=fold)) or timedelta(0)
            offsets.append(round(offset.total_seconds()))
    before, after = (np.array(offsets, np.int64) for offsets in both)
    return before, after
