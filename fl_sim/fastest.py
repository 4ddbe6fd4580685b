"""The selector that asks the fastest phones."""

import numpy as np
import numpy.typing as npt

from fl_sim.load import Load, demand
from fl_sim.participation import FleetRound
from fl_sim.selection import NOBODY, Phones
from traces.fleet import Fleet, ready

_BLOCK = 4096  # of phones whose readiness is looked up at once


class Fastest:
    """Asks the ready phones whose client-round should be the shortest, equals in the order of their numbers."""

    def __init__(self, fleet: Fleet, load: Load) -> None:
        self._fleet = fleet
        self._order = np.argsort(expected_s(fleet, load), kind="stable")

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        """See ``Selector.select``; nothing is drawn."""
        del random
        found, wanted = [NOBODY], count
        for begin in range(0, len(self._order), _BLOCK):
            phones = self._order[begin : begin + _BLOCK]
            phones = phones[ready(self._fleet, phones, clock_s)]
            if len(busy):
                phones = phones[~np.isin(phones, busy)]
            found.append(phones[:wanted])
            wanted -= len(found[-1])
            if not wanted:
                break
        return np.concatenate(found)

    def learn(self, number: int, played: FleetRound) -> None:
        """Do nothing: what phones and networks are like is known from the beginning."""


def expected_s(fleet: Fleet, load: Load) -> npt.NDArray[np.float64]:
    """Return the seconds of a client-round at each phone's mean rates and without interruption, float64 [phones]."""
    asked = demand(load, fleet, np.arange(fleet.phones))
    download = fleet.network.download_bit_per_s[fleet.network_of]
    upload = fleet.network.upload_bit_per_s[fleet.network_of]
    found: npt.NDArray[np.float64] = (
        8 * asked.download_bytes / download + asked.train_s + 8 * asked.upload_bytes / upload
    )
    return found
