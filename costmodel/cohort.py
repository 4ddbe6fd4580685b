"""A cohort: the clients of a round, their random networks, and when the server stops waiting for them."""

import math

import numpy as np
from numpy.typing import ArrayLike

from costmodel.scenario import Cohort
from costmodel.spans import Array

_ROUNDS = 4000  # rounds drawn where the network is random ...
_AT_ONCE = 5 * 10**6  # ... fewer of a cohort so large that its rates would not fit


def draw_rates(cohort: Cohort, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return network rates in bit/s of mean ``bandwidth_bit_per_s`` and the cohort's distribution.

    ``cut_normal`` draws again what is not above zero, as FLASH does; the mean time of a transfer is then infinite in
    theory and unstable in practice for a large coefficient of variation: prefer ``lognormal``.
    """
    mean, cv = cohort.bandwidth_bit_per_s, cohort.network_cv
    if cohort.network == "constant":
        return np.full(shape, mean)
    if cohort.network == "lognormal":
        sigma = math.sqrt(math.log1p(cv**2))
        return mean * random.lognormal(-(sigma**2) / 2, sigma, shape)
    rates = random.normal(mean, cv * mean, shape)
    while (low := rates <= 0).any():
        rates[low] = random.normal(mean, cv * mean, int(low.sum()))
    return rates


def round_times_s(
    cohort: Cohort,
    train_s: ArrayLike,
    download_bytes: float,
    upload_bytes: float,
    random: np.random.Generator,
    rounds: int | None = None,
) -> Array:
    """Return the seconds of rounds, of shape (rounds,): until all, a fraction, or the deadline.

    ``train_s`` is the training time of each kind of phone; the cohort's clients have them in equal shares, in turn.
    Up and down rates are drawn apart. One round is enough, and is the default, where the network is constant.
    """
    drawn = max(50, min(_ROUNDS, _AT_ONCE // cohort.clients))
    count = rounds if rounds is not None else 1 if cohort.network == "constant" else drawn
    phones = np.resize(np.asarray(train_s, dtype=np.float64), cohort.clients)
    shape = (count, cohort.clients)
    busy_s = 8 * download_bytes / draw_rates(cohort, shape, random) + phones
    busy_s = busy_s + 8 * upload_bytes / draw_rates(cohort, shape, random)
    if cohort.round_end == "fraction":
        awaited = max(1, math.ceil(cohort.fraction * cohort.clients - 1e-9))
        return np.asarray(np.partition(busy_s, awaited - 1, axis=1)[:, awaited - 1])
    slowest: Array = busy_s.max(axis=1)
    if cohort.round_end == "deadline" and cohort.deadline_s is not None:
        return np.minimum(slowest, cohort.deadline_s)
    return slowest
