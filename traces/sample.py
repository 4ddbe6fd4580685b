"""Drawing a fleet of a wanted size from the phones of another."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from traces.fleet import Fleet, subset

MOST_PHONES = 20_000_000
_DAY_S = 86_400.0


def sample(fleet: Fleet, phones: int, random: np.random.Generator) -> Fleet:
    """Return a fleet of so many phones, drawn from another's: all different if that has enough of them.

    If it has fewer, phones are drawn with replacement, and each copy but the first of a phone has its trace shifted by
    whole days, drawn evenly from those within its period: so the hour of day stays right, and copies are not ready in
    step. Copies of a trace that repeats within two days are in step all the same. Raises ValueError for no phones, or
    more than 20 million.
    """
    if not 1 <= phones <= MOST_PHONES:
        message = f"phones must be 1 to {MOST_PHONES:,} (got {phones:,}); it is how many phones the fleet has"
        raise ValueError(message)
    if phones == fleet.phones:
        return fleet
    if phones < fleet.phones:
        drawn = subset(fleet, random.choice(fleet.phones, phones, replace=False))
        return replace(drawn, source=f"{fleet.source}; {phones:,} of its {fleet.phones:,} phones, drawn at random")
    chosen = random.integers(fleet.phones, size=phones)
    drawn = subset(fleet, chosen)
    copies = np.ones(phones, bool)
    copies[np.unique(chosen, return_index=True)[1]] = False
    traces = drawn.availability or (drawn.battery and drawn.battery.charging)
    days = np.ones(phones, np.int64)
    if traces:
        days = np.maximum(1, traces.period_s[drawn.trace_of] // _DAY_S).astype(np.int64)
    shift_s = drawn.shift_s + np.where(copies, random.integers(days) * _DAY_S, 0.0)
    source = f"{fleet.source}; {phones:,} phones drawn with replacement from its {fleet.phones:,}"
    return replace(drawn, shift_s=shift_s, source=source + (_of_copies(days[copies]) if traces else ""))


def _of_copies(days: npt.NDArray[np.int64]) -> str:
    """Return what became of copies whose traces may be shifted by less than so many days."""
    if not (days > 1).any():
        return ", copies in step: their traces repeat within two days"
    but = "" if (days > 1).all() else ", those in step whose traces repeat within two days"
    return f", copies shifted by whole days{but}"
