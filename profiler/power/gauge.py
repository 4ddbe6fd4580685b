"""A phone's gauge, calibrated from a record with and without load: units, sign, and how often it has news."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from profiler.power.period import period_of
from profiler.power.samples import Array, Samples
from profiler.power.supply import AMPERES, ERRNOS, SENTINELS, VOLTS, Reading

# (start_s, end_s) of a stretch of the record.
Window = tuple[float, float]

# The power of a phone at work. The range spans less than 1,000, so at most one of two units fits.
PLAUSIBLE_W = (0.05, 20.0)
_CELL_V = (2.5, 9.3)
# One of two cells measured halves the current against the charge; a counter of few steps tells no more than this.
_COARSE_FACTOR, _CELL_FACTOR = 3.0, 1.4


@dataclass(frozen=True)
class Override:
    """What a person knows better than the calibration; None leaves it to the calibration."""

    current_unit: str | None = None
    voltage_unit: str | None = None
    charge_unit: str | None = None
    discharge_sign: int | None = None
    period_s: float | None = None

    def __post_init__(self) -> None:
        units = {"current_unit": AMPERES, "voltage_unit": VOLTS, "charge_unit": _AMPERE_HOURS}
        for name, known in units.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                message = f"{name} must be one of {', '.join(known)} (got {value!r})"
                raise ValueError(message)
        if self.discharge_sign not in (None, 1, -1):
            message = (
                f"discharge_sign must be 1 or -1, the sign of current while discharging (got {self.discharge_sign})"
            )
            raise ValueError(message)
        if self.period_s is not None and not 0.01 <= self.period_s <= 60:
            message = f"period_s must be 0.01 to 60 (got {self.period_s})"
            raise ValueError(message)


_AMPERE_HOURS = {"uAh": 1e-6, "mAh": 1e-3}


@dataclass(frozen=True)
class Gauge:
    """A calibrated gauge. ``discharge_sign`` times the raw current is positive while the battery empties.

    ``period_s`` is the time between two new values, never less than that between two polls. ``charge_ah_per_unit`` is
    NaN without a charge counter that moved. ``evidence`` says what each verdict rests on, ``doubts`` what speaks
    against one.
    """

    current_a_per_unit: float
    voltage_v_per_unit: float
    charge_ah_per_unit: float
    discharge_sign: int
    period_s: float
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def calibrate(
    samples: Samples,
    idle: Sequence[Window],
    busy: Sequence[Window],
    static: Reading | None = None,
    override: Override | None = None,
) -> Gauge:
    """Return the gauge that made these samples; ``idle`` and ``busy`` are stretches of (start, end) seconds.

    Voltage unit: a battery's voltage. Current unit: the power under load is 0.05 to 20 W; the charge counter's slope
    against the mean current must agree. Sign: power rises under load. The static reading decides what a record leaves
    open, and is a doubt where it says otherwise. Raises ValueError saying what to override if nothing decides.
    """
    known = override or Override()
    evidence: list[str] = []
    doubts: list[str] = []
    raw_current, raw_voltage = readable(samples.column("current")), readable(samples.column("voltage"))
    if np.isfinite(raw_current).sum() < 10 or np.isfinite(raw_voltage).sum() < 10:
        column = "current" if np.isfinite(raw_current).sum() < 10 else "voltage"
        message = f"{column} could be read in less than 10 of {len(samples.time_s)} samples; choose another supply"
        raise ValueError(message)
    if len(np.unique(raw_current[np.isfinite(raw_current)])) < 2:
        value = raw_current[np.isfinite(raw_current)][0]
        message = f"the current stands still at {value:.0f} under load and idle; choose another supply or Perfetto"
        raise ValueError(message)
    in_idle, in_busy = _inside(samples.time_s, idle), _inside(samples.time_s, busy)
    voltage_unit = _voltage_unit(raw_voltage, static, known, evidence, doubts)
    volts = float(np.nanmedian(raw_voltage)) * VOLTS[voltage_unit]
    load_raw = _mean(raw_current[in_busy]) if in_busy.any() else _mean(raw_current)
    current_unit = _current_unit(load_raw * volts, static, known, evidence, doubts)
    sign = _discharge_sign(raw_current, in_idle, in_busy, samples, static, known, evidence, doubts)
    if np.nanmax(raw_current) > 0 > np.nanmin(raw_current):
        share = float(np.mean(sign * raw_current[np.isfinite(raw_current)] < 0))
        if share > 0.02:
            doubts.append(f"{share:.0%} of the readings say the battery was charged")
    charge = _charge_per_unit(samples, raw_current * AMPERES[current_unit] * sign, known, evidence, doubts)
    if known.period_s is not None:
        evidence.append(f"period {known.period_s:g} s: given")
        period_s = known.period_s
    else:
        found = period_of(samples.time_s, raw_current)
        if found is None:
            found = period_of(samples.time_s, raw_voltage)
            doubts.append("the current changed too seldom to tell the gauge's period; the voltage's was taken")
        if found is None:
            message = "the gauge's period cannot be told, it changed less than 4 times; measure longer or give period_s"
            raise ValueError(message)
        period_s = found.period_s
        evidence.append(f"period {period_s:.3g} s: {found.changes} changes")
        if found.at_most:
            evidence.append("the gauge has news at every poll, or more often")
        if found.fit < 0.6 or found.repeats > 0.6:
            doubts.append(
                f"the gauge keeps no even period, or repeats itself: {found.fit:.0%} of its changes fit "
                f"{period_s:.3g} s, {found.repeats:.0%} of the updates change nothing"
            )
    return Gauge(AMPERES[current_unit], VOLTS[voltage_unit], charge, sign, period_s, tuple(evidence), tuple(doubts))


def readable(values: Array) -> Array:
    """Return raw values with NaN for what is no measurement: sentinels, and error numbers among much larger values."""
    size = np.abs(values[np.isfinite(values) & (values != 0)])
    bad = np.isin(values, list(SENTINELS))
    typical = np.median(size) if len(size) else 0.0
    # In mA a current of -22 is a current; where values are in the thousands, or all are -22, it is an error number.
    if typical > 2000 or np.isin(-typical, list(ERRNOS)):
        bad |= np.isin(values, list(ERRNOS))
    return np.where(bad, np.nan, values)


def _inside(time_s: Array, windows: Sequence[Window]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    inside = np.zeros(len(time_s), dtype=bool)
    for start_s, end_s in windows:
        inside |= (time_s >= start_s) & (time_s < end_s)
    return inside


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.mean(finite)) if len(finite) else float("nan")


def _voltage_unit(raw: Array, static: Reading | None, known: Override, evidence: list[str], doubts: list[str]) -> str:
    if known.voltage_unit is not None:
        evidence.append(f"voltage in {known.voltage_unit}: given")
        return known.voltage_unit
    middle = float(np.nanmedian(raw))
    fits = [unit for unit, volts in VOLTS.items() if _CELL_V[0] <= middle * volts <= _CELL_V[1]]
    if not fits:
        message = f"voltage {middle:.0f} is no battery's voltage in uV or mV; give voltage_unit"
        raise ValueError(message)
    evidence.append(f"voltage in {fits[0]}: {middle * VOLTS[fits[0]]:.2f} V")
    if static is not None and static.voltage_unit not in (None, fits[0]):
        doubts.append(f"the uevent's voltage is in {static.voltage_unit}, the samples' in {fits[0]}")
    return fits[0]


def _current_unit(load: float, static: Reading | None, known: Override, evidence: list[str], doubts: list[str]) -> str:
    low, high = PLAUSIBLE_W
    power = {unit: abs(load) * amperes for unit, amperes in AMPERES.items()}
    if known.current_unit is not None:
        if not low <= power[known.current_unit] <= high:
            doubts.append(f"in {known.current_unit}, as given, the load draws {power[known.current_unit]:.3g} W")
        evidence.append(f"current in {known.current_unit}: given")
        return known.current_unit
    fits = [unit for unit in AMPERES if low <= power[unit] <= high]
    if not fits:
        words = " or ".join(f"{watts:.3g} W in {unit}" for unit, watts in power.items())
        message = f"the load draws {words}, neither is a phone's power; give current_unit if you know it"
        raise ValueError(message)
    evidence.append(f"current in {fits[0]}: the load draws {power[fits[0]]:.2f} W")
    if static is not None and static.current_unit not in (None, fits[0]):
        doubts.append(f"the uevent looks like {static.current_unit}: {'; '.join(static.evidence)}")
    return fits[0]


def _discharge_sign(
    raw: Array,
    in_idle: np.ndarray[tuple[int], np.dtype[np.bool_]],
    in_busy: np.ndarray[tuple[int], np.dtype[np.bool_]],
    samples: Samples,
    static: Reading | None,
    known: Override,
    evidence: list[str],
    doubts: list[str],
) -> int:
    if known.discharge_sign is not None:
        evidence.append(f"discharge is {known.discharge_sign:+d}: given")
        return known.discharge_sign
    idle, busy = _median(raw[in_idle]), _median(raw[in_busy])
    spread = 1.4826 * max(_median(np.abs(raw[in_idle] - idle)), _median(np.abs(raw[in_busy] - busy)))
    rise = busy - idle
    if np.isfinite(rise) and abs(rise) > max(2 * spread, 0.05 * abs(busy)):
        sign = 1 if rise > 0 else -1
        evidence.append(f"discharge is {sign:+d}: the current goes from {idle:.0f} to {busy:.0f} under load")
        if sign * busy < 0:
            doubts.append(f"under load the current is {busy:.0f}, yet load moves it the other way: is it charging?")
    elif static is not None and static.discharge_sign is not None:
        sign = static.discharge_sign
        evidence.append(f"discharge is {sign:+d}: {'; '.join(static.evidence)}")
        doubts.append("load did not change the current; the sign is the uevent's")
    elif set(samples.words.get("status", ())) == {"Discharging"} and abs(_median(raw)) > 2 * spread:
        sign = 1 if _median(raw) > 0 else -1
        evidence.append(f"discharge is {sign:+d}: the status was Discharging throughout")
        doubts.append("load did not change the current; the sign is the status's")
    else:
        message = "load did not change the current, so its sign is unknown; give discharge_sign, or a heavier load"
        raise ValueError(message)
    if static is not None and static.discharge_sign not in (None, sign):
        doubts.append(f"the uevent says discharge is {static.discharge_sign:+d}: {'; '.join(static.evidence)}")
    return sign


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _charge_per_unit(
    samples: Samples, drawn_a: Array, known: Override, evidence: list[str], doubts: list[str]
) -> float:
    """Return ampere-hours per raw unit of the charge counter: its fall against the integral of the current."""
    raw = readable(samples.column("charge"))
    good = np.isfinite(raw) & np.isfinite(drawn_a)
    time_s, charge, amperes = samples.time_s[good], raw[good], drawn_a[good]
    steps = np.flatnonzero(np.diff(charge)) + 1
    if known.charge_unit is not None:
        evidence.append(f"charge in {known.charge_unit}: given")
        return _AMPERE_HOURS[known.charge_unit]
    if len(steps) < 2:
        return float("nan")
    # From the first step to the last: the counter's position within a step is known only there.
    first, last = steps[0], steps[-1]
    fall = -(charge[last] - charge[first])
    drawn_ah = float(np.sum(amperes[first:last] * np.diff(time_s[first : last + 1]))) / 3600
    if fall == 0 or drawn_ah == 0:
        return float("nan")
    ratio = drawn_ah / fall
    unit = min(_AMPERE_HOURS, key=lambda name: abs(np.log(abs(ratio) / _AMPERE_HOURS[name])))
    factor = ratio / _AMPERE_HOURS[unit]
    evidence.append(f"charge in {unit}: the current's integral is {factor:.2f} of the counter's fall")
    if factor < 0:
        doubts.append("the charge counter rises while the current says discharge: is it charging, is the sign right?")
    else:
        most = _CELL_FACTOR if len(steps) >= 5 else _COARSE_FACTOR
        if not 1 / most < factor < most:
            doubts.append(f"current and charge counter differ by {factor:.3g}: is one of two cells measured?")
    return _AMPERE_HOURS[unit]
