"""Chance on a fleet: the network's luck of every transfer, and the attempts that fail."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_sim.rules import Buffered, Rules
from traces.fleet import Fleet, multipliers

Floats = npt.NDArray[np.float64]
Phones = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decides about a round, float64 [clients, attempts]; every clock takes the same.

    ``download`` and ``upload`` multiply the mean rate of the attempt's transfers. ``fails_at`` is the share of the
    attempt's work, in seconds, after which it fails; NaN: it does not.
    """

    download: Floats
    upload: Floats
    fails_at: Floats


def draw(fleet: Fleet, phones: Phones, rules: Rules | Buffered, random: np.random.Generator) -> Draws:
    """Return the draws of every attempt that the rules allow to phones, int64 [clients].

    The rates come first, attempt by attempt, then the failures: the same generator gives the same rates whatever the
    chance of failing, and a first attempt the same rates whatever the retries.
    """
    attempts = 1 + rules.retries
    download, upload = np.empty((len(phones), attempts)), np.empty((len(phones), attempts))
    for attempt in range(attempts):
        download[:, attempt], upload[:, attempt] = multipliers(fleet, phones, random)
    fails_at = np.full((len(phones), attempts), np.nan)
    if rules.dropout:
        failing = random.random(fails_at.shape) < rules.dropout
        # Drawn for all, so that another chance of failing moves nobody's time of failing.
        fails_at[failing] = random.random(fails_at.shape)[failing]
    return Draws(download, upload, fails_at)
