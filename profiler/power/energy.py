"""Energy of a load from a whole record, idle on both sides: net and gross joules with honest errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from profiler.power.charge import charge_energy
from profiler.power.gauge import Gauge, readable
from profiler.power.level import Level, level_of
from profiler.power.samples import Array, Samples
from profiler.power.series import Line, Series, series_of
from profiler.power.validity import MOST_DISAGREEMENT, Flag, length_flags, power_flags

Method = Literal["integral", "moments", "plateau"]

# A value may be the mean over one period, come up to one period late, and stay for one.
_TAIL_PERIODS = 3.0
_MOST_MISSING = 0.10
# Below this a gauge that averages cannot be told from one that shows moments.
_FEWEST_PERIODS = 8
# A value this near to idle or load is taken for it.
_NEAR = 0.15
# Idle powers that differ by this much of what the load draws are a flag.
_MOST_DRIFT = 0.05


@dataclass(frozen=True)
class Energy:
    """Energy of one load. Errors are standard errors; half widths are those of 95 % intervals.

    ``net_j`` is above idle, ``gross_j`` of the whole phone, both for the load's ``busy_s``. ``plateau_net_w`` is the
    power above idle where every value is of the load alone, ``plateau_net_j`` that times ``busy_s``. The naive values
    (trapezoid over the polls between start and end) and the charge counter's (NaN if it cannot say) are there for
    comparison. ``updates`` counts new values of the gauge under load, ``gaps_s`` the seconds of load without readings.
    ``method`` is how the net energy was found: the "integral"; that plus what a gauge that shows "moments" left out at
    the edges; or the "plateau" times the duration, because readings are missing where the power steps, or a
    start-up came before.
    """

    busy_s: float
    net_j: float
    gross_j: float
    net_error_j: float
    gross_error_j: float
    net_half_width_j: float
    gross_half_width_j: float
    baseline_w: float
    baseline_error_w: float
    baseline_drift_w_per_s: float
    plateau_net_w: float
    plateau_net_j: float
    naive_gross_j: float
    naive_net_j: float
    charge_counter_j: float
    charge_counter_error_j: float
    updates: int
    gaps_s: float
    method: Method
    flags: tuple[Flag, ...]

    @property
    def net_interval_j(self) -> tuple[float, float]:
        """The 95 % interval of the net energy."""
        return self.net_j - self.net_half_width_j, self.net_j + self.net_half_width_j

    @property
    def gross_interval_j(self) -> tuple[float, float]:
        """The 95 % interval of the gross energy."""
        return self.gross_j - self.gross_half_width_j, self.gross_j + self.gross_half_width_j


def measure_energy(samples: Samples, gauge: Gauge, start_s: float, end_s: float, startup_s: float = 0.0) -> Energy:
    """Return the energy of the load that ran from ``start_s`` to ``end_s``, warm-up included, by the whole record.

        net   = integral of (power - baseline) from a poll before the start to three periods after the end
        gross = net + baseline * busy time

    A gauge's lag only moves energy in time, so an integral that reaches past the end has it all. Each value holds until
    the next. The baseline is the straight line through the mean powers of both idle sides. Where neither edge shows a
    mixture of idle and load, the gauge shows moments, and an update more or less counts as a whole period: the part of
    one by which the load as shown was shorter than it was is added at the plateau's power. Where readings are missing
    at an edge, net is the plateau's power times the duration; other seconds without readings count as the plateau.
    What ran in the ``startup_s`` before the load is neither idle nor load, and its tail cannot be told from the load's
    head: then the plateau is taken, too.
    Raises ValueError if the load is not in the record or has not enough idle before it.
    """
    if not 0 <= startup_s < np.inf:
        message = f"startup_s must be 0 or more (got {startup_s})"
        raise ValueError(message)
    series = series_of(samples, gauge)
    poll_s, period_s, busy_s = samples.poll_s, max(gauge.period_s, samples.poll_s), end_s - start_s
    tail_s = _TAIL_PERIODS * period_s + 2 * poll_s
    first_s, last_s = float(series.edges_s[0]), float(series.edges_s[-1])
    if not (busy_s > 0 and first_s <= start_s and end_s <= last_s + poll_s):
        message = f"the load ({start_s:.2f} to {end_s:.2f} s) must lie in the record ({first_s:.2f} to {last_s:.2f} s)"
        raise ValueError(message)
    # What the gauge shows first is of the time before the record.
    idle_end_s = start_s - startup_s
    settled_s = first_s + min(2 * period_s, (idle_end_s - first_s) / 3)
    before = level_of(series, settled_s, idle_end_s - poll_s, period_s, clip=True)
    after = level_of(series, end_s + tail_s, last_s, period_s, clip=True)
    if before is None:
        message = (
            f"the record has {idle_end_s - first_s:.1f} s of readable idle before the load; start the sampler earlier"
        )
        raise ValueError(message)
    middle_s = (start_s + end_s) / 2
    baseline, baseline_error_w = _baseline(before, after, middle_s)
    plateau = level_of(series, start_s + min(_TAIL_PERIODS * period_s, busy_s / 2), end_s, period_s, baseline)
    if plateau is None:
        message = f"the load ({start_s:.2f} to {end_s:.2f} s) has no readable samples; measure again"
        raise ValueError(message)

    window_s = (start_s - poll_s, min(end_s + tail_s, last_s))
    missing_s = busy_s - series.covered_s(start_s, end_s)
    gaps_s = missing_s if missing_s > 0.5 * poll_s else 0.0
    integral_j = series.integral_j(*window_s, baseline) + gaps_s * plateau.power_w
    plateau_j = plateau.power_w * busy_s
    edge_gaps_s = _missing_at_edges_s(series, start_s, end_s, period_s)
    unseen_s = _missing_updates_s(series, baseline, plateau, start_s, end_s, period_s)
    method: Method = "integral" if unseen_s is None else "moments"
    if edge_gaps_s > 0.5 * poll_s or startup_s > 0:
        method = "plateau"
    net_j = plateau_j if method == "plateau" else integral_j + (unseen_s or 0.0) * plateau.power_w
    baseline_w = baseline.at(middle_s)
    gross_j = net_j + baseline_w * busy_s

    beyond_s = window_s[1] - window_s[0] - busy_s if method != "plateau" else 0.0
    idle_noise = max(level.noise_w2_s for level in (before, after) if level is not None)
    measured_s = plateau.covered_s if method == "plateau" else busy_s - gaps_s
    load_step_w, idle_step_w = _step_errors_w(samples, gauge, plateau, period_s)
    variance = {
        "noise of the load": plateau.noise_w2_s * (busy_s**2 / measured_s + gaps_s),
        "noise of the idle ends": idle_noise * beyond_s,
        "polls at the edges": (plateau.power_w * poll_s) ** 2 / 6,
        "steps of the gauge": (load_step_w * busy_s) ** 2,
        "plateau against integral": ((plateau_j - integral_j) / 2) ** 2 if method == "integral" else 0.0,
        "two edges taken for steps": (_NEAR * period_s * plateau.power_w) ** 2 * 2 / 3 if method == "moments" else 0.0,
    }
    load = sum(variance.values())
    baseline_error_w = float(np.hypot(baseline_error_w, idle_step_w))
    net_error_j = float(np.sqrt(load + (baseline_error_w * (busy_s + beyond_s)) ** 2))
    gross_error_j = float(np.sqrt(load + (baseline_error_w * beyond_s) ** 2))
    quantile = float(stats.t.ppf(0.975, plateau.freedom))

    naive_j = _trapezoid_j(samples, gauge, start_s, end_s)
    updates = _updates(samples, start_s, end_s)
    charge = charge_energy(samples, gauge.charge_ah_per_unit, gauge.voltage_v_per_unit, start_s, end_s)
    flags = [*length_flags(busy_s, period_s, updates), *power_flags(gross_j / busy_s, net_j / busy_s)]
    flags += _baseline_flags(before, after, plateau)
    flags += _gap_flags(gaps_s, edge_gaps_s, busy_s)
    if method != "plateau" and abs(plateau_j - integral_j) > MOST_DISAGREEMENT * abs(net_j) + 2 * net_error_j:
        what = f"plateau times duration says {plateau_j:.1f} J, the integral {integral_j:.1f} J"
        flags.append(Flag("disagreement", "doubt", what))
    if charge is not None and abs(charge.gross_j - gross_j) > (
        MOST_DISAGREEMENT * abs(gross_j) + 2 * charge.gross_error_j
    ):
        what = f"the charge counter says {charge.gross_j:.1f} J, current and voltage {gross_j:.1f} J"
        flags.append(Flag("disagreement", "doubt", what))
    return Energy(
        busy_s=busy_s,
        net_j=net_j,
        gross_j=gross_j,
        net_error_j=net_error_j,
        gross_error_j=gross_error_j,
        net_half_width_j=quantile * net_error_j,
        gross_half_width_j=quantile * gross_error_j,
        baseline_w=baseline_w,
        baseline_error_w=baseline_error_w,
        baseline_drift_w_per_s=baseline.slope_w_per_s if after is not None else float("nan"),
        plateau_net_w=plateau.power_w,
        plateau_net_j=plateau_j,
        naive_gross_j=naive_j,
        naive_net_j=naive_j - baseline_w * busy_s,
        charge_counter_j=charge.gross_j if charge is not None else float("nan"),
        charge_counter_error_j=charge.gross_error_j if charge is not None else float("nan"),
        updates=updates,
        gaps_s=gaps_s,
        method=method,
        flags=tuple(flags),
    )


def _baseline(before: Level, after: Level | None, middle_s: float) -> tuple[Line, float]:
    """Return the line through both idle levels, and its standard error in the middle of the load."""
    if after is None:
        return Line(before.middle_s, before.power_w, 0.0), before.error_w
    slope = (after.power_w - before.power_w) / (after.middle_s - before.middle_s)
    share = (middle_s - before.middle_s) / (after.middle_s - before.middle_s)
    error_w = float(np.hypot((1 - share) * before.error_w, share * after.error_w))
    return Line(before.middle_s, before.power_w, slope), error_w


def _missing_updates_s(
    series: Series, baseline: Line, plateau: Level, start_s: float, end_s: float, period_s: float
) -> float | None:
    """Return by how much a gauge that shows moments showed the load too short, or None if the gauge averages.

    It shows moments if no value around either edge lies between idle and load, as the mean of both would. Three
    quarters of gauges that average show one at one edge or the other; for the rest it makes no difference on average.
    """
    if plateau.power_w <= 0 or end_s - start_s < _FEWEST_PERIODS * period_s:
        return None
    noise = float(np.sqrt(plateau.noise_w2_s / period_s)) / plateau.power_w
    margin = float(np.clip(4 * noise, _NEAR, 0.4))
    reach_s = _TAIL_PERIODS * period_s
    for edge_s in (start_s, end_s):
        share = (series.within(edge_s, edge_s + reach_s) - baseline.at(edge_s)) / plateau.power_w
        if not np.isfinite(share).all() or np.any((share > margin) & (share < 1 - margin)):
            return None
    # As shown, the load lasts a whole number of updates, though it lasted a part of one less or more.
    loaded = series.power_w > baseline.at((start_s + end_s) / 2) + plateau.power_w / 2
    loaded &= (series.edges_s[1:] > start_s) & (series.edges_s[:-1] < end_s + reach_s)
    at = np.flatnonzero(loaded)
    missing_s = (end_s - start_s) - float(series.edges_s[at[-1] + 1] - series.edges_s[at[0]]) if len(at) else np.inf
    return missing_s if abs(missing_s) < 1.2 * period_s else None


def _missing_at_edges_s(series: Series, start_s: float, end_s: float, period_s: float) -> float:
    """Return the seconds without readings where power steps: what a lagging gauge would have shown is unknown."""
    reach_s = _TAIL_PERIODS * period_s
    last_s = float(series.edges_s[-1])
    missing = 0.0
    for edge_s in (start_s, end_s):
        until_s = min(edge_s + reach_s, last_s)
        missing += max(until_s - edge_s - series.covered_s(edge_s, until_s), 0.0) if until_s > edge_s else 0.0
    return missing


def _step_errors_w(samples: Samples, gauge: Gauge, plateau: Level, period_s: float) -> tuple[float, float]:
    """Return the standard errors of the load's and the idle power that come from the gauge's fixed steps.

    A value is within half a step, evenly: step / sqrt 12. Noise s of the values evens that out under load by exp(-2
    pi^2 s^2 / step^2), the theory of dither, where s is without what hopping between two steps makes (a step / 2). Idle
    values and voltages hardly have noise, so their steps count in full.
    """
    current, voltage = readable(samples.column("current")), readable(samples.column("voltage"))
    volts = float(np.nanmedian(voltage)) * gauge.voltage_v_per_unit
    amperes = float(np.nanmax(np.abs(current))) * gauge.current_a_per_unit
    idle_w = _step(current) * gauge.current_a_per_unit * volts
    voltage_w = _step(voltage) * gauge.voltage_v_per_unit * amperes
    noise_w2 = max(plateau.noise_w2_s / period_s - (idle_w / 2) ** 2, 0.0)
    load_w = idle_w * float(np.exp(-2 * np.pi**2 * noise_w2 / idle_w**2)) if idle_w > 0 else 0.0
    return float(np.hypot(load_w, voltage_w) / np.sqrt(12)), idle_w / float(np.sqrt(12))


def _step(raw: Array) -> float:
    """Return the step of which all differences are multiples; 0 if too few values tell."""
    values = np.unique(np.round(raw[np.isfinite(raw)]))
    return float(np.gcd.reduce(np.diff(values).astype(np.int64))) if len(values) > 2 else 0.0


def _trapezoid_j(samples: Samples, gauge: Gauge, start_s: float, end_s: float) -> float:
    """Return what is usually computed: the trapezoid over the polls between start and end. It misses the lag."""
    power_w = (
        gauge.discharge_sign
        * (readable(samples.column("current")) * gauge.current_a_per_unit)
        * (readable(samples.column("voltage")) * gauge.voltage_v_per_unit)
    )
    inside = (samples.time_s >= start_s) & (samples.time_s <= end_s) & np.isfinite(power_w)
    if inside.sum() < 2:
        return float("nan")
    return float(np.trapezoid(power_w[inside], samples.time_s[inside]))


def _updates(samples: Samples, start_s: float, end_s: float) -> int:
    """Return how many new values of the current were seen under load: that many measurements there are, no more."""
    raw = readable(samples.column("current"))
    good = np.isfinite(raw) & (samples.time_s >= start_s) & (samples.time_s <= end_s)
    return int(np.count_nonzero(np.diff(raw[good])))


def _baseline_flags(before: Level, after: Level | None, plateau: Level) -> list[Flag]:
    if after is None:
        return [Flag("drift", "doubt", "there is not enough idle after the load; the baseline is that before it")]
    drift_w = after.power_w - before.power_w
    error_w = float(np.hypot(before.error_w, after.error_w))
    if abs(drift_w) > max(3 * error_w, _MOST_DRIFT * abs(plateau.power_w)):
        what = f"idle power went from {before.power_w:.2f} to {after.power_w:.2f} W"
        return [Flag("drift", "doubt", f"{what}, the load draws {plateau.power_w:.2f} W more")]
    return []


def _gap_flags(gaps_s: float, edge_gaps_s: float, busy_s: float) -> list[Flag]:
    if gaps_s > _MOST_MISSING * busy_s:
        return [Flag("gap", "invalid", f"no readings for {gaps_s:.1f} of {busy_s:.1f} s of load")]
    if gaps_s > 0 or edge_gaps_s > 0:
        return [Flag("gap", "doubt", f"no readings for {gaps_s:.1f} s of load, {edge_gaps_s:.1f} s at its edges")]
    return []


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` repetitions, their standard deviation (NaN for one), and the 95 % half width of the mean."""

    mean: float
    std: float
    half_width_95: float
    n: int

    @property
    def interval_95(self) -> tuple[float, float]:
        """The 95 % interval of the mean."""
        return self.mean - self.half_width_95, self.mean + self.half_width_95


def combine(values: Sequence[float], half_widths: Sequence[float]) -> Estimate:
    """Return the mean of repetitions with its 95 % interval, from their values and each one's own 95 % half width.

        half width = max( t(n - 1) s / sqrt n,  sqrt(sum of half_width^2) / n )

    The scatter s between repetitions already has their own errors in it, so the two are not added; but few repetitions
    may agree by luck, so the interval is never narrower than the errors within them allow. One repetition has its own.
    Raises ValueError for no values, or lists of different lengths.
    """
    if not values or len(values) != len(half_widths):
        message = f"values and half_widths must be as many, and at least 1 (got {len(values)} and {len(half_widths)})"
        raise ValueError(message)
    number, mean = len(values), float(np.mean(values))
    within = float(np.sqrt(np.sum(np.square(half_widths)))) / number
    if number == 1:
        return Estimate(mean, float("nan"), within, 1)
    std = float(np.std(values, ddof=1))
    between = float(stats.t.ppf(0.975, number - 1)) * std / float(np.sqrt(number))
    return Estimate(mean, std, max(between, within), number)
