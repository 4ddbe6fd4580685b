"""Statistics of fleets that were measured: what a synthetic fleet needs to be like them."""

import math

import numpy as np
import numpy.typing as npt

from traces.availability import Availability, by_hour, duty
from traces.hardware import TIERS, Hardware
from traces.rates import Network
from traces.synthetic.statistics import DAY_S, MOST_DAYS, MOST_DUTY, MOST_PER_DAY, Rates, Readiness, Statistics, Tiers

Floats = npt.NDArray[np.float64]

# Denser at both ends: between quantiles the logarithm is taken as straight, and the longest intervals hold most time.
PROBABILITIES = (0, 0.01, 0.02, 0.05, *(n / 10 for n in range(1, 10)), 0.95, 0.98, 0.99, 0.995, 1)
JITTER_S = 1_800.0
_LEAST_HOUR = 0.011  # a little more than is allowed: dividing by the mean makes it less


def fit(
    availability: Availability | None,
    network: Network,
    hardware: Hardware,
    hardware_of: npt.NDArray[np.integer],
    *,
    name: str,
    title: str,
    sources: tuple[str, str, str],
) -> Statistics:
    """Return the statistics of traces, networks (one profile each counts alike) and phones' hardware.

    ``hardware_of`` says which kind each phone is of; those without a tier count for nothing. ``sources`` say where
    availability, network and hardware are from. Figures are rounded to four digits. Raises ValueError if no phone has a
    tier, or no trace is ever ready.
    """
    tiers = np.array([hardware.tiers[kind] for kind in hardware_of])
    counts = [int(np.sum(tiers == tier)) for tier in TIERS]
    if not sum(counts):
        message = "hardware must have a tier for some of the phones (got none); their shares are what is fitted"
        raise ValueError(message)
    low, medium, high = (_rounded(count / sum(counts)) for count in counts)
    readiness = None if availability is None else fit_readiness(availability, sources[0])
    return Statistics(name, title, readiness, fit_rates(network, sources[1]), Tiers(low, medium, high, sources[2]))


def fit_readiness(a: Availability, source: str, days: int | None = None) -> Readiness:
    """Return the statistics of traces as they were recorded: an interval cut off by the recording's end counts as cut.

    ``days``: after how many a made trace repeats; if None, the median trace's, rounded up. Duties above
    ``statistics.MOST_DUTY`` count as that. Raises ValueError if no trace is ever ready.
    """
    shares, held = duty(a), np.diff(a.offsets)
    some = held > 0
    if not some.any():
        message = f"availability must have a trace that is ever ready (got {a.traces} that never are)"
        raise ValueError(message)
    if days is None:
        days = min(MOST_DAYS, math.ceil(float(np.median(a.period_s)) / DAY_S))
    length, owner = a.end_s - a.start_s, np.repeat(np.arange(a.traces), held)
    per_day = held[some] / (a.period_s[some] / DAY_S)
    hours = by_hour(a)
    hours = np.where(np.isnan(hours), np.nanmean(hours), hours)
    relative = np.maximum(hours / hours.mean(), _LEAST_HOUR)
    return Readiness(
        days=days,
        never=_rounded(float(np.mean(~some))),
        probabilities=tuple(float(p) for p in PROBABILITIES),
        duty=_quantiles(np.clip(shares[some], 1e-6, MOST_DUTY)),
        per_day=_quantiles(np.clip(per_day, 1e-3, MOST_PER_DAY)),
        length_s=_quantiles(np.clip(length, 1.0, days * DAY_S)),
        correlation=_rounded(_correlation(shares[some], per_day)),
        within=_rounded(_within(np.log(length), owner, held)),
        hour_of_day=tuple(_rounded(float(hour)) for hour in relative / relative.mean()),
        jitter_s=JITTER_S,
        source=source,
    )


def fit_rates(network: Network, source: str) -> Rates:
    """Return the statistics of networks: median and spread between profiles, and the median variation within one."""
    down, up = np.log(network.download_bit_per_s), np.log(network.upload_bit_per_s)
    varied = len(down) > 2 and down.std() > 0 and up.std() > 0
    several = len(down) > 1
    return Rates(
        download_bit_per_s=_rounded(float(np.exp(np.median(down)))),
        upload_bit_per_s=_rounded(float(np.exp(np.median(up)))),
        download_spread=_rounded(float(down.std(ddof=1))) if several else 0.0,
        upload_spread=_rounded(float(up.std(ddof=1))) if several else 0.0,
        correlation=_rounded(float(np.clip(np.corrcoef(down, up)[0, 1], -1, 1))) if varied else 0.0,
        download_cv=_rounded(float(np.median(network.download_cv))),
        upload_cv=_rounded(float(np.median(network.upload_cv))),
        source=source,
    )


def _correlation(one: Floats, other: Floats) -> float:
    """Return the correlation of normal scores of ranks; equal values share their rank. 0 if either never varies."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    first, second = (np.asarray(ndtri((rankdata(each) - 0.5) / len(each)), np.float64) for each in (one, other))
    return float(np.clip(np.corrcoef(first, second)[0, 1], -1, 1))


def _within(logarithm: Floats, owner: npt.NDArray[np.int64], held: npt.NDArray[np.int64]) -> float:
    """Return the standard deviation about each trace's own mean, over traces with two intervals or more."""
    means = np.bincount(owner, logarithm, len(held)) / np.maximum(held, 1)
    left = int(np.sum(np.maximum(held - 1, 0)))
    return math.sqrt(float(np.sum(np.square(logarithm - means[owner]))) / left) if left else 0.0


def _quantiles(values: Floats) -> tuple[float, ...]:
    return tuple(_rounded(float(value)) for value in np.quantile(values, PROBABILITIES))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
