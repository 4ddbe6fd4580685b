"""The true power of an emulated phone as a function of its time: exact energy between any two moments."""

import math
from dataclasses import dataclass, field


@dataclass
class TruePower:
    """Idle power with a linear drift, and steps up and down at exactly known times, in any order of arrival."""

    start_s: float
    idle_w: float = 0.9
    drift_w_per_s: float = 0.0
    _steps: list[tuple[float, float]] = field(default_factory=list)

    def step(self, at_s: float, by_w: float) -> None:
        """Let the power change by ``by_w`` at a time that may have passed already."""
        self._steps.append((max(at_s, self.start_s), by_w))

    def power_w(self, at_s: float) -> float:
        """Return the power at a time; at the time of a step, after it."""
        idle_w = self.idle_w + self.drift_w_per_s * (at_s - self.start_s)
        return idle_w + math.fsum(by_w for step_s, by_w in self._steps if step_s <= at_s)

    def energy_j(self, from_s: float, to_s: float) -> float:
        """Return the energy between two times: the integral of the power, in closed form."""
        return self._until(to_s) - self._until(from_s)

    def _until(self, at_s: float) -> float:
        elapsed_s = at_s - self.start_s
        idle_j = self.idle_w * elapsed_s + self.drift_w_per_s * elapsed_s**2 / 2
        return idle_j + math.fsum(by_w * (at_s - step_s) for step_s, by_w in self._steps if step_s < at_s)
