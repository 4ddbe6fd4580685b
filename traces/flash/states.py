"""FLASH's raw state traces: when phones are ready, on Wi-Fi or charging, as their events say."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.battery import Battery
from traces.flash.intervals import availability, holds, intervals, offsets, values
from traces.flash.messages import CHARGING, LEVEL, LOCKED, NETWORK, SCREEN_OFF, WIFI, Events, read_messages
from traces.flash.records import Record, read_records
from traces.flash.zones import check_zone, elapsed_s, midnight_s
from traces.report import Report, Tally, clean

Rule = Literal["locked", "screen_off"]
Odd = Literal["flash", "keep"]
Floats = npt.NDArray[np.float64]

DAY_S = 86_400
# The public traces cover 13 days in all. Years between two events mean that the phone's clock was set in between.
MOST_SPAN_S = 366 * DAY_S
# A device with so many lines that say nothing is something else than a trace.
MOST_BAD_LINES = 10_000


@dataclass(frozen=True, eq=False)
class Connections:
    """Trace i has the networks ``offsets[i]:offsets[i + 1]``: from ``at_s`` on until the next, a place in NETWORKS.

    Before the first nothing is known; FLASH takes that as no Wi-Fi.
    """

    offsets: npt.NDArray[np.int64]
    at_s: Floats
    network: npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class States:
    """The traces of devices, all with the same places: ``availability``, ``battery``, ``wifi`` and ``connections``.

    ``models`` and ``guids``: what the file calls the devices. ``begins``: their first event's time as it is written,
    empty if there is none.
    """

    availability: Availability
    battery: Battery
    wifi: Availability
    connections: Connections
    models: tuple[str, ...]
    guids: tuple[str, ...]
    begins: tuple[str, ...]
    report: Report


@dataclass(frozen=True, eq=False)
class _Trace:
    """One device: begin and end of intervals [intervals, 2], values from times on, all in seconds of the trace."""

    ready: Floats
    wifi: Floats
    charging: Floats
    level_at_s: Floats
    level_pct: Floats
    network_at_s: Floats
    network: npt.NDArray[np.int8]
    begins: str
    origin_s: float
    period_s: float


def read_states(
    source: Path | bytes,
    *,
    rule: Rule = "locked",
    zone: str = "floating",
    odd: Odd = "flash",
    reference: str | None = None,
) -> States:
    """Return the state traces in ``source``, FLASH's ``state_traces.json``.

    A phone is ready while it is locked (``rule`` "locked", FLASH's code) or its screen is off ("screen_off"), and has
    Wi-Fi, and charges. All of these begin as no and hold until the next event about them. Intervals that touch are one;
    what is still open at the last event is left out. A trace begins with its first event and repeats after its last.

    ``zone``: whose clock wrote the times (see ``elapsed_s``). ``odd`` "flash" drops devices with a line that is no
    event, without a ready interval, or with all events at one time, as FLASH does; "keep" skips such lines and keeps
    the others as never ready. Events that go back in time are sorted. Without ``reference`` each trace begins on the
    clock's first day at its own hour; with a date (FLASH has 2020-01-02), the clock's 0 is that midnight for all.

    ``report`` counts everything that was dropped or repaired. Raises ValueError, OSError.
    """
    for name, value, allowed in (("rule", rule, get_args(Rule)), ("odd", odd, get_args(Odd))):
        if value not in allowed:
            message = f"{name} must be one of {', '.join(allowed)} (got {clean(value)!r})"
            raise ValueError(message)
    check_zone(zone)
    reference_s = None
    if reference is not None:
        reference_s = int(elapsed_s(np.array([midnight_s(reference)], np.int64), zone)[0][0])
    tally = Tally()
    traces: list[_Trace] = []
    models: list[str] = []
    guids: list[str] = []
    for record in read_records(source, tally):
        trace = _trace(record, rule, zone, odd, reference_s, tally)
        if trace is not None:
            traces.append(trace)
            models.append(record.model)
            guids.append(record.guid)
    report = tally.report(len(traces))
    if not traces:
        why = "; ".join(f"{reason}: {count}" for reason, count in report.dropped) or "the file has none"
        message = f"the state traces must have a device that can be used ({why}); odd='keep' keeps more of them"
        raise ValueError(message)
    origin_s = np.array([trace.origin_s for trace in traces])
    period_s = np.array([trace.period_s for trace in traces])
    at_s = [trace.level_at_s for trace in traces]
    network_at_s = [trace.network_at_s for trace in traces]
    return States(
        availability([trace.ready for trace in traces], origin_s, period_s),
        Battery(
            availability([trace.charging for trace in traces], origin_s, period_s),
            offsets(at_s),
            np.concatenate(at_s),
            np.concatenate([trace.level_pct for trace in traces]),
        ),
        availability([trace.wifi for trace in traces], origin_s, period_s),
        Connections(
            offsets(network_at_s),
            np.concatenate(network_at_s),
            np.concatenate([trace.network for trace in traces]),
        ),
        tuple(models),
        tuple(guids),
        tuple(trace.begins for trace in traces),
        report,
    )


def _events(record: Record, odd: Odd, tally: Tally) -> Events | None:
    """Return the events of a device, or None if it is dropped for lines that are none."""
    events = read_messages(record.messages, 1 if odd == "flash" else MOST_BAD_LINES)
    lines = sum(count for _, count in events.bad)
    example = f"guid {record.guid}: {events.example}"
    if odd == "flash" and lines:
        tally.drop(events.bad[0][0], example)
        return None
    if lines >= MOST_BAD_LINES:
        tally.drop(f"{MOST_BAD_LINES} or more lines that are no events", example)
        return None
    for reason, count in events.bad:
        tally.repair(f"lines skipped: {reason}", example, count)
    tally.repair("battery levels outside 0 to 100 % left out", f"guid {record.guid}", events.odd_levels)
    return events


def _trace(record: Record, rule: Rule, zone: str, odd: Odd, reference_s: int | None, tally: Tally) -> _Trace | None:
    events = _events(record, odd, tally)
    if events is None:
        return None
    who = f"guid {record.guid}"
    clock_s, moved = elapsed_s(events.stamp_s, zone)
    tally.repair("times that clocks of the zone skip or show twice", who, moved)
    if (np.diff(clock_s) < 0).any():
        tally.repair("events that go back in time, sorted", who)
        order = np.argsort(clock_s, kind="stable")
        clock_s = clock_s[order]
        events = replace(events, stamp_s=events.stamp_s[order], about=events.about[order], value=events.value[order])
    span_s = int(clock_s[-1] - clock_s[0]) if len(clock_s) else 0
    if span_s > MOST_SPAN_S:
        tally.drop(f"more than {MOST_SPAN_S // DAY_S} days from the first event to the last", who)
        return None
    at_s = (clock_s - clock_s[:1]).astype(np.float64)
    idle = holds(events, LOCKED if rule == "locked" else SCREEN_OFF, 1)
    wifi, charging = holds(events, NETWORK, WIFI), holds(events, CHARGING, 1)
    held = idle & wifi & charging
    ready = intervals(held, at_s, close=False)
    if not len(ready):
        reason = "never ready" if span_s else "all events at one time, or none"
        if odd == "flash":
            tally.drop(reason, who)
            return None
        tally.flag(reason, who)
    if not np.array_equal(ready, intervals(held, at_s, close=True)):
        tally.drop("ready intervals still open at the last event", who)
    if (np.diff(at_s) >= DAY_S).any():
        tally.flag("a day or more without any event", who)
    period_s = float(span_s or DAY_S)
    level_at_s, level_pct = values(events, LEVEL, at_s, period_s)
    network_at_s, network = values(events, NETWORK, at_s, period_s)
    begins, origin_s = "", 0
    if len(clock_s):
        first_s = int(events.stamp_s[0])
        begins = str(datetime(1970, 1, 1) + timedelta(seconds=first_s))
        origin_s = first_s % DAY_S if reference_s is None else int(clock_s[0]) - reference_s
    return _Trace(
        ready,
        intervals(wifi, at_s, close=True),
        intervals(charging, at_s, close=True),
        level_at_s,
        level_pct,
        network_at_s,
        network.astype(np.int8),
        begins,
        float(origin_s),
        period_s,
    )
