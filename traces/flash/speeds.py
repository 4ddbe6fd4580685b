"""FLASH's network speeds: the mean and deviation of each of a few users."""

import math
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from traces.flash.records import Members, read_table
from traces.rates import Network
from traces.report import Report, Tally, clean

SpeedUnit = Literal["kB/s", "kbit/s"]

_BIT_PER_S: dict[str, float] = {"kB/s": 8000.0, "kbit/s": 1000.0}
# Slower than any modem and faster than any radio: a slip of units or of the keyboard.
LEAST_BIT_PER_S, MOST_BIT_PER_S, MOST_CV = 1.0, 1e12, 100.0
_FIELDS = ("down_u", "up_u", "down_sigma", "up_sigma")
_WHAT = "the network speeds"


def read_speeds(source: Path | bytes, *, unit: SpeedUnit) -> tuple[Network, Report]:
    """Return ``speed_distri.json`` as log-normal rates, one profile per user in the file's order.

    The file does not say its unit. FLASH's comment has "kb/s", but its code divides kilobytes by the number (KiB for
    downloads, 1000 bytes for uploads): ``kB/s`` is how it acts, ``kbit/s`` a reading of the comment. FLASH draws from a
    normal distribution cut at 0, whose mean time of a transfer is infinite; here the mean and the coefficient of
    variation are the file's, the distribution is log-normal. Users without usable numbers are dropped and counted.
    Raises ValueError, OSError.
    """
    factor = _BIT_PER_S.get(unit)
    if factor is None:
        message = f"unit must be one of {', '.join(get_args(SpeedUnit))} (got {clean(unit)!r})"
        raise ValueError(message)
    tally = Tally()
    rows: dict[str, list[float]] = {}
    pairs = read_table(source, _WHAT)
    for user, value in pairs:
        fields = value.once() if isinstance(value, Members) else None
        row = [_number(fields.get(name)) for name in _FIELDS] if fields is not None else [math.nan]
        if user in rows:
            tally.drop("user there already", f"user {user}")
        elif not all(map(math.isfinite, row)):
            tally.drop("mean or deviation missing or no finite number", f"user {user}")
        elif min(row[:2]) <= 0 or min(row[2:]) < 0:
            tally.drop("mean not above 0 or deviation below 0", f"user {user}")
        elif not _plausible(row, factor):
            tally.drop("mean or deviation that no network has", f"user {user}")
        else:
            rows[user] = row
    if not rows:
        message = f"{_WHAT} must have a user with means above 0 ({len(pairs)} were dropped); is this speed_distri.json?"
        raise ValueError(message)
    tally.flag(f"rates taken as {unit}: the file does not say", count=len(rows))
    download, upload, download_deviation, upload_deviation = np.array(list(rows.values())).T
    network = Network(
        "lognormal", download * factor, upload * factor, download_deviation / download, upload_deviation / upload
    )
    return network, tally.report(len(rows))


def _plausible(row: list[float], factor: float) -> bool:
    means, deviations = row[:2], row[2:]
    within = all(LEAST_BIT_PER_S / factor <= mean <= MOST_BIT_PER_S / factor for mean in means)
    return within and all(sigma <= MOST_CV * mean for mean, sigma in zip(means, deviations, strict=True))


def _number(value: object) -> float:
    """Return a number of a JSON file, NaN for what is none or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
