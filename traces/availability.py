"""When phones are ready to train: intervals of traces that repeat; look-ups are pure functions of (trace, time)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Availability:
    """Ready intervals of several traces, half-open ``[start_s, end_s)`` in the trace's own time, which repeats.

    Trace i has the intervals ``offsets[i]:offsets[i + 1]``, sorted, apart from each other (two that touch are one) and
    within ``[0, period_s[i]]``. Its time 0 lies at ``origin_s[i]`` of the clock, whose 0 is a midnight where the trace
    says the hour of day: trace time = (clock - origin) mod period. A trace without intervals is never ready.
    """

    offsets: Places
    start_s: Floats
    end_s: Floats
    origin_s: Floats
    period_s: Floats

    @property
    def traces(self) -> int:
        """How many traces there are."""
        return len(self.period_s)
