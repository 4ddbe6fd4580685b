"""What ``dumpsys battery`` says: for phones that let nobody read their gauge. Coarse, but everywhere."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from profiler.names import printable
from profiler.power.samples import MAX_BYTES, Samples
from profiler.power.supply import is_unreadable

MAX_CHARACTERS = 64 * 1024
MAX_DUMPS = 100_000
# Android's BatteryManager.
STATUS: Mapping[int, str] = {1: "Unknown", 2: "Charging", 3: "Discharging", 4: "Not charging", 5: "Full"}
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9 ]{0,60}):[ \t]*(.{0,200})")
_MARK = re.compile(rb"^@@fedjoule ([0-9]{1,12}(?:\.[0-9]{1,9})?)\r?$", re.MULTILINE)


@dataclass(frozen=True)
class DumpsysBattery:
    """One dump. None is missing or unreadable, also where a line stands twice with different values.

    ``powered`` names the sources that feed the phone. ``current_ma`` is given by Samsung phones only. ``overridden``
    says that somebody froze the battery service (``dumpsys battery unplug`` or ``set``): then nothing here is measured.
    """

    powered: tuple[str, ...]
    status: str | None
    health: int | None
    present: bool | None
    level_percent: float | None
    voltage_v: float | None
    temperature_c: float | None
    charge_uah: int | None
    current_ma: int | None
    overridden: bool
    values: Mapping[str, str] = field(default_factory=dict)


def parse_dumpsys(text: str) -> DumpsysBattery:
    """Return what ``dumpsys battery`` printed; names are compared without case, unknown lines are passed over.

    Raises ValueError for more than 64 Ki characters, or a text without a level and a status.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"dumpsys battery printed {len(text):,} characters, at most {MAX_CHARACTERS:,} are read"
        raise ValueError(message)
    values: dict[str, str] = {}
    doubled: set[str] = set()
    for line in text.splitlines():
        pair = _LINE.fullmatch(line.rstrip())
        if pair is None:
            continue
        key, value = pair[1].strip().lower(), printable(pair[2].strip(), 200)
        if values.setdefault(key, value) != value:
            doubled.add(key)
    if "level" not in values and "status" not in values:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "nothing")
        message = f"this is not what dumpsys battery prints: '{printable(first)}'; may the shell call it?"
        raise ValueError(message)
    known = {key: value for key, value in values.items() if key not in doubled}
    level, scale = _whole(known, "level"), _whole(known, "scale")
    voltage, temperature, status = _whole(known, "voltage"), _whole(known, "temperature"), _whole(known, "status")
    sources = ("ac", "usb", "wireless", "dock")
    return DumpsysBattery(
        powered=tuple(source for source in sources if values.get(f"{source} powered", "").lower() == "true"),
        status=STATUS.get(status) if status is not None else None,
        health=_whole(known, "health"),
        present={"true": True, "false": False}.get(known.get("present", "").lower()),
        level_percent=100 * level / scale if level is not None and scale and 0 <= level <= scale else None,
        voltage_v=_volts(voltage),
        temperature_c=temperature / 10 if temperature is not None and -500 < temperature < 1500 else None,
        charge_uah=charge if (charge := _whole(known, "charge counter")) and charge > 0 else None,
        current_ma=_whole(known, "current now"),
        overridden="UPDATES STOPPED" in text.upper(),
        values=values,
    )


def split_dumps(content: bytes) -> list[tuple[float, str]]:
    """Return (CLOCK_BOOTTIME seconds, text) of each dump in a file where a line ``@@fedjoule TIME`` precedes each.

    Raises ValueError for more than 64 MiB or 100,000 dumps.
    """
    if len(content) > MAX_BYTES:
        message = f"the dumps have {len(content):,} bytes, at most {MAX_BYTES:,} are read; measure for a shorter time"
        raise ValueError(message)
    marks = list(_MARK.finditer(content))
    if len(marks) > MAX_DUMPS:
        message = f"there are {len(marks):,} dumps, at most {MAX_DUMPS:,} are read; measure for a shorter time"
        raise ValueError(message)
    ends = [*(mark.start() for mark in marks[1:]), len(content)]
    return [
        (float(mark[1]), content[mark.end() : end].decode("utf-8", errors="replace"))
        for mark, end in zip(marks, ends, strict=False)  # without a mark there is an end too many
    ]


def read_dumps(content: bytes) -> Samples:
    """Return the samples in a file of dumps. Raises ValueError as ``split_dumps`` and ``samples_of_dumps`` do."""
    return samples_of_dumps(split_dumps(content))


def samples_of_dumps(dumps: Iterable[tuple[float, str]]) -> Samples:
    """Return samples of charge (uAh), voltage (uV), level and, from Samsung phones, current (mA), with the status.

    A dump that cannot be read, or that is not later than the one before, counts as torn. Raises ValueError if the
    battery service was frozen, because then nothing was measured.
    """
    times: list[float] = []
    good: list[DumpsysBattery] = []
    torn = 0
    for time_s, text in dumps:
        try:
            dump = parse_dumpsys(text)
        except ValueError:
            torn += 1
            continue
        if dump.overridden:
            message = (
                f"the battery service is frozen (at {time_s:.2f} s); run 'dumpsys battery reset' and measure again"
            )
            raise ValueError(message)
        if times and time_s <= times[-1]:
            torn += 1
            continue
        times.append(time_s)
        good.append(dump)
    columns = {
        "charge": np.array([_or_nan(dump.charge_uah) for dump in good]),
        "voltage": np.round(np.array([_or_nan(dump.voltage_v) * 1e6 for dump in good])),
        "level": np.array([_or_nan(dump.level_percent) for dump in good]),
    }
    if any(dump.current_ma is not None for dump in good):
        columns["current"] = np.array([_or_nan(dump.current_ma) for dump in good])
    return Samples(np.array(times), columns, {"status": tuple(dump.status or "" for dump in good)}, torn)


def _whole(values: Mapping[str, str], key: str) -> int | None:
    text = values.get(key, "")
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,19}", text) else None
    return None if number is None or is_unreadable(number) else number


def _volts(raw: int | None) -> float | None:
    """Return volts: millivolts by rule, but some phones give volts, and some microvolts."""
    if raw is None:
        return None
    return next((raw * unit for unit in (1e-3, 1.0, 1e-6) if 2.5 <= raw * unit <= 9.3), None)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
