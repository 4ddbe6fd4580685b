"""How often a gauge has news, from values polled faster or slower than it changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from profiler.power.samples import Array

_SHORTEST_S, _LONGEST_S = 0.02, 60.0
# A share of changes that fit no period at all, so that one odd interval does not outweigh the rest.
_STRAY = 0.02


@dataclass(frozen=True)
class GaugePeriod:
    """Seconds between two new values, from ``changes`` seen; ``at_most`` where polling was no faster than the gauge.

    ``fit`` is the share of intervals that are whole multiples of the period, as far as polling can tell;
    ``repeats`` is the share of updates that changed nothing: many may also mean that there is no even period.
    """

    period_s: float
    changes: int
    fit: float
    repeats: float
    at_most: bool


def period_of(time_s: Array, values: Array) -> GaugePeriod | None:
    """Return the gauge's period, or None for less than 4 intervals between changes.

    A change is seen at the first poll after it, so an interval d is n T give or take a poll (triangular error), and
    n > 1 where a new value repeated the old one, with probability p. The period is the T of the largest likelihood

        product over d of [sum over n of (1 - p) p^(n - 1) triangle(d - n T) + stray]

    where p follows from the mean interval; then T = sum of d / sum of n. Neighbours only: a gauge's timer may drift.
    Where a fast gauge often repeats, the grid of updates that the changes lie on is searched instead.
    """
    good = np.isfinite(values)
    time_s, values = time_s[good], values[good]
    if len(time_s) < 3:
        return None
    polls = np.diff(time_s)
    poll_s = float(np.median(polls))
    changed = np.flatnonzero(np.diff(values) != 0) + 1
    # A change after a stretch without polls happened nobody knows when.
    changed = changed[polls[changed - 1] < 2.5 * poll_s]
    apart = np.diff(time_s[changed])
    apart = apart[apart > 0]
    if len(apart) < 4:
        return None
    width = 1.1 * poll_s + 0.01
    intervals, counts = np.unique(np.round(apart, 3), return_counts=True)
    shortest = max(_SHORTEST_S, 0.8 * poll_s)
    longest = min(_LONGEST_S, 1.5 * float(np.quantile(apart, 0.9)) + width)
    candidates = np.geomspace(shortest, max(longest, 1.01 * shortest), 400)
    # A period below the poll cannot be seen: the smallest candidate stands for all of them.
    best = candidates[int(np.argmax([_log_likelihood(each, intervals, counts, width) for each in candidates]))]
    for _ in range(10):
        periods = np.maximum(np.round(apart / best), 1)
        near = np.abs(apart - periods * best) < width
        if not near.any():
            break
        refined = float(apart[near].sum() / periods[near].sum())
        if abs(refined - best) < 1e-9:
            break
        best = refined
    periods = np.maximum(np.round(apart / best), 1)
    if best < 3.5 * poll_s and periods.mean() > 1.15:
        # Fast gauges that often repeat a value: single intervals do not tell, where changes can lie at all does.
        best = _comb(time_s, changed, poll_s)
        periods = np.maximum(np.round(apart / best), 1)
    fit = float(np.mean(np.abs(apart - periods * best) < width))
    return GaugePeriod(
        max(float(best), poll_s), len(apart) + 1, fit, 1 - 1 / float(periods.mean()), bool(best < 1.3 * poll_s)
    )


def _comb(time_s: Array, changed: NDArray[np.intp], poll_s: float) -> float:
    """Return the period of the regular grid of updates of which each change has one between two polls.

    In windows of 50 polls, each with a phase and a share of repeats p of its own, so that neither a drifting timer nor
    a load disturbs. Largest likelihood: a poll with an update before it changes with 1 - p, one without with 2 %.
    """
    before, after = time_s[:-1], time_s[1:]
    change = np.zeros(len(after), dtype=bool)
    change[changed - 1] = True
    starts = np.arange(0, max(len(after) - 25, 1), 50)
    candidates = np.geomspace(0.95 * poll_s, 3.5 * poll_s, 450)
    scores = []
    for period_s in candidates:
        phases = period_s * (np.arange(12) / 12)[:, None]
        updated = np.floor((after + phases) / period_s) > np.floor((before + phases) / period_s)
        sums = [np.add.reduceat(each, starts, axis=1) for each in _counts(updated, change)]
        hits, misses, strays, silent = (each.astype(np.float64) for each in sums)
        repeats = np.clip((misses + 0.5) / (hits + misses + 1), 0.01, 0.99)
        log = hits * np.log(1 - repeats) + misses * np.log(repeats)
        log += strays * np.log(_STRAY) + silent * np.log(1 - _STRAY)
        scores.append(log.max(axis=0).sum())
    return float(candidates[int(np.argmax(scores))])


def _counts(updated: NDArray[np.bool_], change: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    pairs = (updated & change, updated & ~change, ~updated & change, ~updated & ~change)
    return tuple(pair.astype(np.int64) for pair in pairs)


def _log_likelihood(period_s: float, intervals: Array, counts: NDArray[np.intp], width: float) -> float:
    middle = np.maximum(np.round(intervals / period_s), 1)
    repeats = max(0.0, 1 - counts.sum() / float((counts * middle).sum()))
    density = np.full(len(intervals), _STRAY)
    for step in (-1, 0, 1):
        times = middle + step
        triangle = np.clip(1 - np.abs(intervals - times * period_s) / width, 0, None)
        chance = np.where(times >= 1, (1 - repeats) * repeats ** np.maximum(times - 1, 0), 0.0)
        density = density + chance * triangle
    return float((counts * np.log(density)).sum())
