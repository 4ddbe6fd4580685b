"""Energy from the battery's charge counter: coarse, but not made of currents, so it checks them."""

from dataclasses import dataclass

import numpy as np

from profiler.power.gauge import readable
from profiler.power.samples import Array, Samples

_FEWEST_STEPS = 3


@dataclass(frozen=True)
class ChargeEnergy:
    """Energy by the charge counter's fall, with standard errors; ``steps`` is how often it moved under load.

    Net is above the idle power before and after, NaN if the counter did not move there.
    """

    gross_j: float
    gross_error_j: float
    net_j: float
    net_error_j: float
    steps: int


def charge_energy(
    samples: Samples, charge_ah_per_unit: float, voltage_v_per_unit: float, start_s: float, end_s: float
) -> ChargeEnergy | None:
    """Return the energy of a load by the charge counter, or None if it moved less than 3 times under it.

        gross = 3600 s (charge at start - charge at end) mean voltage
        net   = gross - mean idle power * duration

    The counter is known when it steps, and taken as the straight line between two steps. Each end of a stretch is
    known to a step, evenly: step / sqrt 12. Raises ValueError for an end before the start.
    """
    if not end_s > start_s:
        message = f"end_s must be after start_s (got {start_s:.2f} to {end_s:.2f} s)"
        raise ValueError(message)
    raw = readable(samples.column("charge"))
    volts = readable(samples.column("voltage")) * voltage_v_per_unit
    good = np.isfinite(raw)
    time_s, charge = samples.time_s[good], raw[good]
    inside = (samples.time_s >= start_s) & (samples.time_s <= end_s) & np.isfinite(volts)
    at = np.flatnonzero(np.diff(charge)) + 1
    steps = int(np.count_nonzero((time_s[at] >= start_s) & (time_s[at] <= end_s)))
    if steps < _FEWEST_STEPS or not inside.any() or not np.isfinite(charge_ah_per_unit):
        return None
    known_s = np.concatenate([time_s[:1], time_s[at], time_s[-1:]])
    known_c = 3600 * charge_ah_per_unit * np.concatenate([charge[:1], charge[at], charge[-1:]])
    step_c = 3600 * charge_ah_per_unit * float(np.median(np.abs(np.diff(charge)[at - 1])))
    error_c = step_c * float(np.sqrt(2 / 12))
    load_v = float(np.mean(volts[inside]))
    idle_v = float(np.mean(volts[~inside & np.isfinite(volts)])) if (~inside & np.isfinite(volts)).any() else load_v
    gross_j = _fall(known_s, known_c, start_s, end_s) * load_v
    gross_error_j = error_c * load_v
    # Idle between the first and the last step on each side: nothing is known of the counter beyond.
    falls, seconds, ends = 0.0, 0.0, 0
    for side in (time_s[at] < start_s, time_s[at] > end_s):
        moments = time_s[at][side]
        if len(moments) > 1:
            falls += _fall(known_s, known_c, float(moments[0]), float(moments[-1]))
            seconds += float(moments[-1] - moments[0])
            ends += 1
    if not ends:
        return ChargeEnergy(gross_j, gross_error_j, float("nan"), float("nan"), steps)
    scale = (end_s - start_s) / seconds * idle_v
    net_error_j = float(np.hypot(gross_error_j, error_c * np.sqrt(ends) * scale))
    return ChargeEnergy(gross_j, gross_error_j, gross_j - falls * scale, net_error_j, steps)


def _fall(known_s: Array, known_c: Array, start_s: float, end_s: float) -> float:
    return float(np.interp(start_s, known_s, known_c) - np.interp(end_s, known_s, known_c))
