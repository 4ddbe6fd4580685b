"""Who is asked to train in a round: selectors, from drawing at random to Oort."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fl_sim.load import Load
from fl_sim.participation import FleetRound
from fl_sim.rules import Buffered, Rules
from profiler.names import did_you_mean
from traces.fleet import Fleet, ready

Phones = npt.NDArray[np.int64]
NOBODY = np.zeros(0, dtype=np.int64)
_LEAST_BLOCK = 256  # of candidates whose readiness is looked up at once
_WHOLE = 4  # once a quarter of the fleet was tried, all the rest is looked at


class Selector(Protocol):
    """Chooses phones, and may learn from what became of them."""

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        """Return up to ``count`` distinct phones that are not ``busy``, int64; fewer if there are fewer."""
        ...

    def learn(self, number: int, played: FleetRound) -> None:
        """Be told what became of round ``number``."""
        ...


def open_selector(name: str, fleet: Fleet, load: Load, rules: Rules | Buffered) -> Selector:
    """Return the selector of a name in SELECTORS. Raises ValueError for another name."""
    if name == "random":
        return Anybody(fleet)
    if name == "available":
        return Available(fleet)
    if name == "fastest":
        from fl_sim.fastest import Fastest

        return Fastest(fleet, load)
    if name == "oort":
        from fl_sim.oort import Oort

        return Oort(fleet, load, rules)
    message = f"select {name[:40]!r} is unknown; {did_you_mean(name, SELECTORS)}"
    raise ValueError(message)


SELECTORS = ("random", "available", "fastest", "oort")


class Anybody:
    """Draws evenly from all phones, ready or not."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        """See ``Selector.select``."""
        del clock_s
        return drawn(self._fleet.phones, count, random, busy, lambda phones: np.ones(len(phones), dtype=np.bool_))

    def learn(self, number: int, played: FleetRound) -> None:
        """Do nothing."""


class Available:
    """Draws evenly from the phones that are ready."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        """See ``Selector.select``; its slow twin is ``select_by_mask``, equal in distribution."""
        return drawn(self._fleet.phones, count, random, busy, lambda phones: ready(self._fleet, phones, clock_s))

    def learn(self, number: int, played: FleetRound) -> None:
        """Do nothing."""


def select_by_mask(fleet: Fleet, count: int, clock_s: float, random: np.random.Generator, busy: Phones) -> Phones:
    """Return what ``Available.select`` returns, by looking at every phone: another draw of the same distribution."""
    able = ready(fleet, np.arange(fleet.phones), clock_s)
    able[busy] = False
    return random.permutation(np.flatnonzero(able))[:count].astype(np.int64)


def drawn(
    phones: int,
    count: int,
    random: np.random.Generator,
    busy: Phones,
    able: Callable[[Phones], npt.NDArray[np.bool_]],
) -> Phones:
    """Return up to ``count`` of ``phones`` phones that are ``able`` and not ``busy``: the first of a random order.

    The order is drawn as far as it is needed, so that a million phones need not be looked at to find a hundred.
    """
    untried, found = np.ones(phones, dtype=np.bool_), [NOBODY]
    untried[busy] = False
    left = np.count_nonzero(untried)
    wanted, block = count, max(_LEAST_BLOCK, 2 * count)
    while wanted > 0 and _WHOLE * (phones - left + block) < phones:
        candidates = random.integers(0, phones, block)
        candidates = candidates[untried[candidates]]
        candidates = candidates[np.sort(np.unique(candidates, return_index=True)[1])]  # each once, in the drawn order
        untried[candidates] = False
        left -= len(candidates)
        chosen = candidates[able(candidates)]
        found.append(chosen[:wanted])
        wanted -= len(found[-1])
        block = int(min(max(1.2 * wanted * len(candidates) / max(len(chosen), 1), _LEAST_BLOCK), phones))
    if wanted > 0:
        rest = np.flatnonzero(untried)
        found.append(random.permutation(rest[able(rest)])[:wanted])
    return np.concatenate(found)
