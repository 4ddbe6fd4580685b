"""How long a batch takes: middle, spread, how well the mean is known, and whether it grew over the run."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from profiler.power.samples import Array

MAX_BATCHES = 10_000_000
# A run that gets this much slower, beyond what chance does, was throttled.
_SLOWED = 0.10


@dataclass(frozen=True)
class Latency:
    """Milliseconds per batch of one run, warm-up left out.

    ``mean_error_ms`` is the standard error of the mean with ``effective_n`` independent batches in it: neighbouring
    batches resemble each other. ``trend`` is the last fifth's median against the first fifth's, minus 1, and
    ``trend_error`` its standard error; ``evidence`` says why ``throttled`` is what it is.
    """

    batches: int
    median_ms: float
    mean_ms: float
    p5_ms: float
    p95_ms: float
    std_ms: float
    mean_error_ms: float
    effective_n: float
    first_ms: float
    trend: float
    trend_error: float
    throttled: bool
    evidence: str

    @property
    def half_width_95_ms(self) -> float:
        """Half the 95 % interval of the mean; NaN if it rests on less than two independent batches."""
        freedom = self.effective_n - 1
        return float(stats.t.ppf(0.975, freedom)) * self.mean_error_ms if freedom >= 1 else float("nan")


def latency_of(batch_ms: Array) -> Latency:
    """Return the statistics of measured batches, in the order they ran.

        effective n = n / (1 + 2 sum of autocorrelations)

    summed over pairs of lags until a pair is no longer positive (Geyer 1992, initial positive sequence). Raises
    ValueError for no batches, too many, or a time that is not finite and above 0.
    """
    times = np.asarray(batch_ms, dtype=np.float64)
    if times.ndim != 1 or not 1 <= len(times) <= MAX_BATCHES:
        message = f"batch_ms must be a list of 1 to {MAX_BATCHES:,} times (got shape {times.shape})"
        raise ValueError(message)
    bad = np.flatnonzero(~(np.isfinite(times) & (times > 0)))
    if len(bad):
        message = f"batch_ms must be finite and above 0 (got {times[bad[0]]} for batch {bad[0]})"
        raise ValueError(message)
    number = len(times)
    std = float(np.std(times, ddof=1)) if number > 1 else float("nan")
    effective = number / _correlation_time(times)
    trend, trend_error = _trend(times)
    slower = trend > _SLOWED and trend > 3 * trend_error
    p5, middle, p95 = (float(each) for each in np.percentile(times, [5, 50, 95]))
    return Latency(
        batches=number,
        median_ms=middle,
        mean_ms=float(times.mean()),
        p5_ms=p5,
        p95_ms=p95,
        std_ms=std,
        mean_error_ms=std / float(np.sqrt(effective)),
        effective_n=effective,
        first_ms=float(times[0]),
        trend=trend,
        trend_error=trend_error,
        throttled=slower,
        evidence=_words(trend, trend_error, number),
    )


def _correlation_time(times: Array) -> float:
    """Return 1 + 2 (sum of autocorrelations), at least 1: batches that alternate do not make more than n."""
    number = len(times)
    centred = times - times.mean()
    if number < 4 or not np.any(np.abs(centred) > 1e-12 * abs(times.mean())):
        return 1.0
    size = 1 << (2 * number - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    covariance = np.fft.irfft(spectrum * np.conj(spectrum), size)[: number // 2]
    correlation = covariance / covariance[0]
    pairs = correlation[: len(correlation) // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    pairs = pairs[: ends[0]] if len(ends) else pairs
    return float(np.clip(2 * pairs.sum() - 1, 1.0, number))


def _trend(times: Array) -> tuple[float, float]:
    """Return how much slower the last fifth is than the first, and its standard error; NaN for less than 20."""
    fifth = len(times) // 5
    if fifth < 4:
        return float("nan"), float("nan")
    first, last = times[:fifth], times[-fifth:]
    ratio = float(np.median(last) / np.median(first))
    # A median's error is 1.25 that of a mean; the correlation is that within each part, so that a trend is not in it.
    errors = [
        1.2533 * float(np.std(part, ddof=1)) * np.sqrt(_correlation_time(part) / fifth) / float(np.median(part))
        for part in (first, last)
    ]
    return ratio - 1, ratio * float(np.hypot(*errors))


def _words(trend: float, trend_error: float, number: int) -> str:
    if np.isnan(trend):
        return f"{number} batches are too few to see a trend"
    return f"the last fifth of the batches took {trend:+.1%} (± {trend_error:.1%}) of the first fifth's time"
