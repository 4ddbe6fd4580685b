"""A short look at a device's gauge: its unit and sign as far as they can be told at rest, and its period."""

import shlex

from profiler.device.device import Device
from profiler.names import printable
from profiler.transport.link import Transport

_LOOKS = 60
_PAUSE = "0.1"
_LONGEST_S = 90.0


def look_at_gauge(transport: Transport, device: Device, supply: str) -> str:
    """Return what a supply's gauge seems to be, in words: unit, sign, period. Reads its current for six seconds.

    A campaign calibrates it under load; this is what can be said at rest.
    """
    from profiler.power.supply import parse_supply, reading_of

    words = []
    try:
        reading = reading_of(parse_supply(device.supplies[supply].uevent))
        sign = {1: "+ is discharge", -1: "- is discharge", None: "sign open"}[reading.discharge_sign]
        words += [f"{reading.current_unit or 'unit open'}", f"{reading.voltage_unit or 'voltage unit open'}", sign]
    except (ValueError, KeyError) as error:
        words.append(printable(f"uevent: {error}", 80))
    return ", ".join([*words, _period(transport, device, supply)])


def _period(transport: Transport, device: Device, supply: str) -> str:
    import numpy as np

    from profiler.power.period import period_of

    uptime = shlex.quote(f"{device.root}/proc/uptime")
    current = shlex.quote(f"{device.root}/sys/class/power_supply/{supply}/current_now")
    done = transport.run(
        f"i=0; while [ $i -lt {_LOOKS} ]; do i=$((i+1)); read -r t _ <{uptime}; read -r c <{current}; "
        f'echo "$t $c"; sleep {_PAUSE}; done',
        timeout_s=_LONGEST_S,
        limit_bytes=64 * 1024,
    )
    rows = [line.split() for line in done.text.splitlines()]
    pairs: dict[float, float] = {}
    for row in rows:
        try:
            time_s, value = float(row[0]), float(row[1])
        except (ValueError, IndexError):
            continue
        pairs[time_s] = value
    times = sorted(pairs)
    if len(times) < 10:
        return "period not readable"
    found = period_of(np.array(times), np.array([pairs[time_s] for time_s in times]))
    if found is None:
        return f"it stood still for {times[-1] - times[0]:.0f} s"
    most = "at most " if found.at_most else ""
    return f"news every {most}{found.period_s:.2g} s"
