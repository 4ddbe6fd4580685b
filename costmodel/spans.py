"""Spans: when every stage of every batch started and ended, whichever engine computed it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costmodel.stages import Stage

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spans:
    """Start, end and worked milliseconds of each stage, arrays of shape (batches, *pipelines).

    ``work_ms`` is the time a stage would take at full speed: ``end - start`` unless it was interrupted, slowed down or
    had to be tried again.
    """

    start_ms: Mapping[Stage, Array]
    end_ms: Mapping[Stage, Array]
    work_ms: Mapping[Stage, Array]

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return len(self.start_ms["train"])

    @property
    def makespan_ms(self) -> Array:
        """When the last batch is finished, of shape (*pipelines,)."""
        last: Array = self.end_ms["return"][-1]
        return last

    def period_ms(self, skip: int = 0) -> Array:
        """Return the mean milliseconds between finished batches, of shape (*pipelines,), after the first ``skip``.

        Needs two batches after those skipped; of one batch it is the makespan.
        """
        ends = self.end_ms["return"]
        if self.batches < 2:
            return self.makespan_ms
        skip = min(skip, self.batches - 2)
        period: Array = (ends[-1] - ends[skip]) / (self.batches - 1 - skip)
        return period

    def cycle_ms(self, longest: int = 20) -> float | None:
        """Return the milliseconds per batch of the cycle that the third quarter of the batches repeats, if it does.

        For one pipeline with constant times: a cycle of up to ``longest`` batches. The mean over it has no edges,
        which `period_ms` has.
        """
        ends = self.end_ms["return"]
        late = ends[len(ends) // 2 : 3 * len(ends) // 4]  # the last ones meet no batch behind them
        for length in range(1, min(longest, len(late) // 3) + 1):
            steps = late[length:] - late[:-length]
            if np.ptp(steps) <= 1e-9 * max(float(steps.max()), 1e-300):
                return float(late[-1] - late[-1 - length]) / length
        return None
