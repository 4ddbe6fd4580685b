"""Batteries: level and charging of traces that have them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.availability import Availability

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Battery:
    """Charging intervals, and levels in % that hold from ``at_s`` (trace time, sorted) until the next.

    Trace i has the levels ``offsets[i]:offsets[i + 1]``; ``charging`` has the same traces, origins and periods.
    """

    charging: Availability
    offsets: npt.NDArray[np.int64]
    at_s: Floats
    level_pct: Floats
