"""Power samples from Android's own tracer, Perfetto: the wish it is given, and what its trace holds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from profiler.power.samples import MAX_ROWS, Samples
from profiler.power.supply import Reading

MAX_BYTES = 64 * 2**20
FASTEST_POLL_MS = 100
# Clock 6 of a trace is CLOCK_BOOTTIME, which is also what a packet without a clock uses.
_BOOTTIME = (0, 6)
# Field of Perfetto's BatteryCounters -> column of Samples; the first that is set counts.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "current": ("current_ua", "current_avg_ua"),
    "voltage": ("voltage_uv",),
    "charge": ("charge_counter_uah",),
    "level": ("capacity_percent",),
}
# Perfetto's own definition of these counters, to be checked against the record like any other.
READING = Reading(
    "uA", "uV", -1, None, None, ("Perfetto's counters are uA, uV and uAh, negative while the battery empties",), ()
)


def trace_config(poll_s: float, duration_s: float) -> str:
    """Return the text of a Perfetto configuration that polls the battery every ``poll_s``; no faster than 0.1 s.

    Raises ValueError for a poll of more than a minute, or a duration that is not a second to a day.
    """
    poll_ms, longest_ms = max(round(poll_s * 1000), FASTEST_POLL_MS), 60_000
    if not poll_ms <= longest_ms:
        message = f"poll_s must be at most {longest_ms / 1000:.0f} (got {poll_s})"
        raise ValueError(message)
    if not 1 <= duration_s <= 86_400:
        message = f"duration_s must be 1 to 86400 (got {duration_s})"
        raise ValueError(message)
    counters = ("CHARGE", "CAPACITY_PERCENT", "CURRENT", "VOLTAGE")
    wanted = "\n".join(f"            battery_counters: BATTERY_COUNTER_{name}" for name in counters)
    return f"""buffers {{
    size_kb: 16384
    fill_policy: RING_BUFFER
}}
data_sources {{
    config {{
        name: "android.power"
        android_power_config {{
            battery_poll_ms: {poll_ms}
{wanted}
        }}
    }}
}}
duration_ms: {round(duration_s * 1000)}
write_into_file: true
file_write_period_ms: 5000
flush_period_ms: 5000
"""


def read_trace(content: bytes) -> Samples:
    """Return the battery counters of a trace; times are CLOCK_BOOTTIME, numbers are in uA, uV, uAh and percent.

    Of several batteries the one with most samples is taken. A trace that was cut is read up to there, and the rest
    counts as one torn row. Raises ValueError for more than 64 MiB, more than a million samples, another clock, or a
    trace without battery counters, and ImportError without the package ``perfetto``.
    """
    if len(content) > MAX_BYTES:
        message = f"the trace has {len(content):,} bytes, at most {MAX_BYTES:,} are read; trace for a shorter time"
        raise ValueError(message)
    trace, torn = _decoded(content)
    rows: dict[str, dict[float, tuple[float, ...]]] = {}
    count = 0
    for packet in trace.packet:
        if not packet.HasField("battery"):
            continue
        count += 1
        if count > MAX_ROWS:
            message = f"the trace has more than {MAX_ROWS:,} battery samples; trace for a shorter time"
            raise ValueError(message)
        if packet.timestamp_clock_id not in _BOOTTIME:
            message = f"battery samples are on clock {packet.timestamp_clock_id}, not on CLOCK_BOOTTIME; use sysfs"
            raise ValueError(message)
        battery = packet.battery
        cells = tuple(
            next((float(getattr(battery, field)) for field in fields if battery.HasField(field)), float("nan"))
            for fields in _COLUMNS.values()
        )
        rows.setdefault(battery.name, {})[packet.timestamp / 1e9] = cells
    if not rows:
        message = "the trace has no battery counters; does the phone's health service give them? Use dumpsys battery"
        raise ValueError(message)
    chosen = max(rows.values(), key=len)
    times = sorted(chosen)
    table = np.array([chosen[time] for time in times])
    columns = {name: table[:, at] for at, name in enumerate(_COLUMNS)}
    return Samples(np.array(times), columns, {}, torn)


def _decoded(content: bytes) -> tuple[Any, int]:
    """Return the trace, and 1 if its end was cut: packets are whole messages, one after the other."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace  # type: ignore[import-untyped]

    trace, end = Trace(), _last_whole_packet(content)
    try:
        trace.ParseFromString(content[:end])
    except DecodeError as error:
        message = "the file is not a Perfetto trace; was it pulled whole?"
        raise ValueError(message) from error
    return trace, int(end < len(content))


def _last_whole_packet(content: bytes) -> int:
    """Return where the last whole packet ends: each is a tag (field 1), a length, and that many bytes."""
    at = 0
    while at < len(content):
        if content[at] != 0x0A:
            return len(content)
        length, shift, here = 0, 0, at + 1
        while here < len(content) and shift < 35:
            length |= (content[here] & 0x7F) << shift
            shift += 7
            here += 1
            if content[here - 1] < 0x80:
                break
        else:
            return at
        if here + length > len(content):
            return at
        at = here + length
    return at
