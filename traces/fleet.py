"""A fleet: phones as aligned arrays that point into small tables of hardware, networks and traces."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.battery import Battery
from traces.hardware import Hardware
from traces.rates import Network

Index = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fleet:
    """``hardware_of``, ``network_of`` and ``trace_of`` say which kind each phone is of, int32 [phones].

    Phones may share a trace: theirs is read at clock + ``shift_s`` (float64 [phones]). Without ``availability`` all
    phones are always ready, and ``trace_of`` and ``shift_s`` mean nothing. ``source`` says where the fleet is from and
    what was assumed.
    """

    name: str
    hardware: Hardware
    hardware_of: Index
    network: Network
    network_of: Index
    availability: Availability | None
    trace_of: Index
    shift_s: Floats
    source: str
    battery: Battery | None = None

    @property
    def phones(self) -> int:
        """How many phones there are."""
        return len(self.hardware_of)
