"""Heterogeneity one factor at a time: a fleet with some of what makes its phones differ switched off."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import numpy as np

from traces.fleet import Fleet
from traces.rates import constant_network

Factor = Literal["hardware", "network", "availability"]
FACTORS: tuple[Factor, ...] = ("hardware", "network", "availability")


def with_factors(fleet: Fleet, kept: Collection[Factor], bit_per_s: float) -> Fleet:
    """Return the fleet without the factors that are not ``kept``.

    Without network every phone has ``bit_per_s`` both ways, always; without availability every phone is always ready.
    Hardware differs only in what a ``Load`` says its kinds cost: without that factor give every kind the same cost.
    Raises ValueError for a factor that is none of FACTORS.
    """
    for name in kept:
        if name not in FACTORS:
            message = f"factor must be one of {', '.join(FACTORS)} (got {str(name)[:40]!r})"
            raise ValueError(message)
    if "network" not in kept:
        network = constant_network(bit_per_s, bit_per_s)
        fleet = replace(fleet, network=network, network_of=np.zeros(fleet.phones, np.int32))
    if "availability" not in kept:
        fleet = replace(fleet, availability=None, battery=None)
    return fleet
