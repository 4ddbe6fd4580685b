"""Energy from the battery's charge counter: coarse, but not made of currents, so it checks them."""

from dataclasses import dataclass

import numpy as np

from profiler.power.gauge import readable
from profiler.power.samples import Samples


@dataclass(frozen=True)
class ChargeEnergy:
    """Energy by the charge counter's fall in a window, its standard error, and the counter's steps in it."""

    gross_j: float
    gross_error_j: float
    steps: int


def charge_energy(
    samples: Samples, charge_ah_per_unit: float, voltage_v_per_unit: float, start_s: float, end_s: float
) -> ChargeEnergy | None:
    """Return the energy between two times by the charge counter, or None if it moved less than 3 times there.

        energy = 3600 s (charge at start - charge at end) voltage

    The counter is taken as the straight line between its steps around each end, and the voltage as the mean over the
    window. Error: each end is known to a step, evenly (step / sqrt 12), and the step nearest in time may come late by
    the time of one.
    """
    raw = readable(samples.column("charge"))
    good = np.isfinite(raw)
    time_s, charge = samples.time_s[good], raw[good]
    volts = readable(samples.column("voltage")) * voltage_v_per_unit
    inside = (samples.time_s >= start_s) & (samples.time_s <= end_s) & np.isfinite(volts)
    if len(charge) < 3 or not inside.any() or not np.isfinite(charge_ah_per_unit):
        return None
    at = np.flatnonzero(np.diff(charge)) + 1
    steps = int(((time_s[at] >= start_s) & (time_s[at] <= end_s)).sum())
    if steps < 3:
        return None
    # Right after a step the counter is what it says; between two steps it is taken to fall evenly.
    known_s = np.concatenate([time_s[:1], time_s[at], time_s[-1:]])
    known = np.concatenate([charge[:1], charge[at], charge[-1:]])
    fall = float(np.interp(start_s, known_s, known) - np.interp(end_s, known_s, known))
    step = float(np.median(np.abs(np.diff(charge)[at - 1])))
    coulombs = 3600 * charge_ah_per_unit
    voltage = float(np.mean(volts[inside]))
    return ChargeEnergy(fall * coulombs * voltage, step * np.sqrt(2 / 12) * coulombs * voltage, steps)
