"""The mean power of a stretch of time, and how well it is known."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from profiler.power.series import Line, Series

_BLOCKS = 12
_FEWEST_BLOCKS = 4
# Where a stretch is too short to tell: the noise of a value, twice what gauges usually have.
_ASSUMED_NOISE = 0.10


@dataclass(frozen=True)
class Level:
    """Mean power of a stretch above a baseline, its standard error and the middle of the stretch.

    ``noise_w2_s`` is the variance of a mean times its seconds, ``freedom`` the degrees of freedom it rests on,
    ``covered_s`` the seconds with readings.
    """

    power_w: float
    error_w: float
    middle_s: float
    noise_w2_s: float
    freedom: int
    covered_s: float


def level_of(
    series: Series, start_s: float, end_s: float, period_s: float, less: Line | None = None, *, clip: bool = False
) -> Level | None:
    """Return the level between two times, or None if less than a tenth of it, or of a period, has readings.

    The error is that of up to 12 blocks of time of at least two periods each, after removing a straight line: noise
    that lasts for some periods is in it, a steady change is not. Two neighbouring blocks share an update, which hides
    half a period of variance: it is given back by length / (length - period / 2). With less than 4 blocks the noise
    is taken as 10 % of each value. ``clip`` limits each value to four times the median, or six of its usual deviations:
    a glitch is no idle power, a phone that wakes up for a moment is.
    """
    if end_s - start_s <= 0:
        return None
    covered_s = series.covered_s(start_s, end_s)
    if covered_s < 0.1 * (end_s - start_s) or covered_s < 0.1 * period_s:
        return None
    if clip:
        series = _clipped(series, start_s, end_s)
    power_w = series.integral_j(start_s, end_s, less) / covered_s
    middle_s = (start_s + end_s) / 2
    count = min(_BLOCKS, int((end_s - start_s) / (2 * period_s)))
    edges = np.linspace(start_s, end_s, max(count, 1) + 1)
    length_s = float(edges[1] - edges[0])
    means, times = [], []
    for left, right in pairwise(edges):
        seconds = series.covered_s(left, right)
        if seconds > 0.5 * length_s:
            means.append(series.integral_j(left, right, less) / seconds)
            times.append((left + right) / 2)
    if len(means) >= _FEWEST_BLOCKS:
        line = np.polynomial.Polynomial.fit(times, means, 1)
        freedom = len(means) - 2
        scatter = float(np.sum((means - line(np.array(times))) ** 2)) / freedom
        noise = scatter * length_s * length_s / (length_s - period_s / 2)
    else:
        freedom = _FEWEST_BLOCKS - 2
        total_w = power_w if less is None else power_w + less.at(middle_s)
        noise = (_ASSUMED_NOISE * total_w) ** 2 * period_s
    return Level(power_w, float(np.sqrt(noise / covered_s)), middle_s, noise, freedom, covered_s)


def _clipped(series: Series, start_s: float, end_s: float) -> Series:
    values = series.within(start_s, end_s)
    middle = float(np.nanmedian(values))
    usual = 1.4826 * float(np.nanmedian(np.abs(values - middle)))
    reach = max(6 * usual, 3 * abs(middle))
    return Series(series.edges_s, np.clip(series.power_w, middle - reach, middle + reach))
