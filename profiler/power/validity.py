"""What makes a measurement worthless or doubtful: flags as data, and how they follow from the samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from profiler.names import printable
from profiler.power.gauge import PLAUSIBLE_W, Gauge, readable
from profiler.power.samples import Samples

Code = Literal[
    "charging",
    "suspended",
    "throttled",
    "busy",
    "gauge_too_slow",
    "drift",
    "gap",
    "torn",
    "constant_gauge",
    "disagreement",
    "fell_back_to_cpu",
    "too_few_updates",
    "aborted",
    "implausible_power",
]
Severity = Literal["invalid", "doubt"]

# What each code means, for people. docs/background/measuring_energy.md has the same list (a test compares).
MEANINGS: Mapping[Code, str] = {
    "charging": "the battery was charged, or the phone was fed from outside, during the measurement",
    "suspended": "the phone slept during the measurement",
    "throttled": "the processor was slowed down while it worked",
    "busy": "other programs had the core for more than a tenth of the run",
    "gauge_too_slow": "the load was shorter than 30 s or than 30 updates of the gauge",
    "drift": "idle power before and after differ by much of what the load draws",
    "gap": "the gauge could not be read for more than one and a half of its periods",
    "torn": "damaged rows in the record",
    "constant_gauge": "the gauge's value stood still under load",
    "disagreement": "two ways to compute the energy differ by more than 10 %",
    "fell_back_to_cpu": "the accelerator did not take the whole model",
    "too_few_updates": "the gauge had less than 10 new values under load",
    "aborted": "the measurement was stopped before its plan was done",
    "implausible_power": "the load's power is no phone's, or below idle",
}

SHORTEST_BUSY_S = 30.0
SHORTEST_BUSY_PERIODS = 30
FEWEST_UPDATES = 10
MOST_DISAGREEMENT = 0.10
# Reads of the same clock this much apart say that the phone slept: each has 10 ms resolution.
_SLEEP_S = 0.05
_SLOWED = 0.10


@dataclass(frozen=True)
class Flag:
    """One thing wrong with a measurement: ``invalid`` ones make it worthless, ``doubt`` ones must be shown."""

    code: Code
    severity: Severity
    what: str

    def __str__(self) -> str:
        return f"{self.code} ({self.severity}): {printable(self.what, 300)}"


def is_valid(flags: tuple[Flag, ...]) -> bool:
    """Return whether no flag makes the measurement invalid."""
    return all(flag.severity != "invalid" for flag in flags)


def charging_flags(samples: Samples, gauge: Gauge, start_s: float, end_s: float) -> tuple[Flag, ...]:
    """Return what says that the battery was fed in the window: status, sign of the current, a rising level or charge.

    The status alone is a doubt (some phones keep an old one), a current the wrong way round or a rise is invalid.
    """
    flags: list[Flag] = []
    inside = (samples.time_s >= start_s) & (samples.time_s <= end_s)
    status = {word for word, here in zip(samples.words.get("status", ()), inside, strict=False) if here}
    fed = sorted(status & {"Charging", "Full"})
    if fed:
        flags.append(Flag("charging", "doubt", f"status was {' and '.join(fed)}; unplug the phone"))
    drawn = gauge.discharge_sign * readable(samples.column("current"))[inside]
    drawn = drawn[np.isfinite(drawn)]
    if len(drawn) and np.mean(drawn < 0) > 0.02:
        share = np.mean(drawn < 0)
        flags.append(Flag("charging", "invalid", f"{share:.0%} of the currents under load flow into the battery"))
    for name, words, least in (("level", "level", 0.0), ("charge", "charge counter", 0.001)):
        column = readable(samples.column(name))[inside]
        column = column[np.isfinite(column)]
        if len(column) and column[-1] - column[0] > least * abs(column[0]):
            what = f"the {words} rose from {column[0]:.0f} to {column[-1]:.0f} under load"
            flags.append(Flag("charging", "invalid", what))
    return tuple(flags)


def suspend_flags(samples: Samples, slept_s: float | None = None) -> tuple[Flag, ...]:
    """Return whether the phone slept: by BOOTTIME minus MONOTONIC, which grows by ``slept_s``, or by missing polls.

    Missing polls alone are a doubt: the sampler may have been starved. None means the clocks were not compared.
    """
    if slept_s is not None and slept_s > _SLEEP_S:
        return (Flag("suspended", "invalid", f"the phone slept {slept_s:.2f} s; keep it awake"),)
    if slept_s is not None or len(samples.time_s) < 3:
        return ()
    longest = float(np.diff(samples.time_s).max())
    if longest > max(2.0, 10 * samples.poll_s):
        return (Flag("suspended", "doubt", f"no poll for {longest:.1f} s: the phone may have slept"),)
    return ()


def throttle_flags(
    samples: Samples, start_s: float, end_s: float, latency_trend: float | None = None
) -> tuple[Flag, ...]:
    """Return whether a core got slower under load, comparing the first and last third of the window.

    A core's frequency that falls by more than 10 % is a doubt; batches that also take over 10 % longer
    (``latency_trend``, relative change over the run) make it a fact. It stays a doubt: the numbers hold for a phone
    that throttles.
    """
    third = (end_s - start_s) / 3
    early = (samples.time_s >= start_s) & (samples.time_s < start_s + third)
    late = (samples.time_s >= end_s - third) & (samples.time_s <= end_s)
    found: list[str] = []
    for name, cells in samples.columns.items():
        if not name.startswith("freq_"):
            continue
        before, after = cells[early & np.isfinite(cells)], cells[late & np.isfinite(cells)]
        if len(before) < 5 or len(after) < 5 or before.mean() <= 0:
            continue
        change = float(after.mean() / before.mean() - 1)
        if change < -_SLOWED:
            found.append(f"{name.removeprefix('freq_')} ran {-change:.0%} slower at the end")
    if latency_trend is not None and latency_trend > _SLOWED:
        found.append(f"batches took {latency_trend:.0%} longer at the end")
    return (Flag("throttled", "doubt", ", ".join(found)),) if found else ()


def torn_flags(samples: Samples) -> tuple[Flag, ...]:
    """Return whether rows were damaged: a doubt, beyond a tenth of all rows invalid. One cut last row is no flag."""
    if samples.torn <= 1:
        return ()
    rows = len(samples.time_s) + samples.torn
    severity: Severity = "invalid" if samples.torn > 0.1 * rows else "doubt"
    return (Flag("torn", severity, f"{samples.torn} of {rows} rows are damaged"),)


def length_flags(busy_s: float, period_s: float, updates: int) -> tuple[Flag, ...]:
    """Return whether the load was too short for the gauge: less than max(30 s, 30 periods), or 10 new values."""
    flags: list[Flag] = []
    least = max(SHORTEST_BUSY_S, SHORTEST_BUSY_PERIODS * period_s)
    # The last batch may end a little before the plan's length.
    if busy_s < 0.98 * least:
        severity: Severity = "invalid" if busy_s < 8 * period_s else "doubt"
        flags.append(
            Flag("gauge_too_slow", severity, f"a load of {busy_s:.1f} s, with this gauge {least:.0f} s needed")
        )
    if updates == 0:
        flags.append(Flag("constant_gauge", "invalid", "no new value under load"))
    elif updates < FEWEST_UPDATES:
        flags.append(Flag("too_few_updates", "doubt", f"{updates} new values under load, at least {FEWEST_UPDATES}"))
    return tuple(flags)


def power_flags(gross_w: float, net_w: float) -> tuple[Flag, ...]:
    """Return whether the load's power is none a phone can have (0.05 to 20 W), or not above idle."""
    low, high = PLAUSIBLE_W
    if not low <= gross_w <= high:
        return (Flag("implausible_power", "invalid", f"{gross_w:.3g} W under load; phones draw {low} to {high:.0f} W"),)
    if net_w <= 0:
        return (Flag("implausible_power", "invalid", f"the load draws {net_w:.3g} W more than idle"),)
    return ()
