"""A battery and its gauge: what current and voltage it has at a power, and how the gauge rounds and delays them."""

import math
from dataclasses import dataclass
from typing import Literal

from numpy.random import Generator


@dataclass(frozen=True)
class Gauge:
    """How a gauge tells what it measures; the default is the kernel's convention.

    ``period_s``: a value stands that long.   ``kind``: the mean since the last value, or the power at its moment.
    ``lag_s``: how old what it tells is.   ``sign``: -1 if a current out of the battery is negative.
    ``noise``: standard deviation of the current, relative, each value on its own.   ``resolution_a``: its steps.
    ``dropout``: the share of values that cannot be read.   ``phase_s``: when, within a period, a value changes.
    """

    period_s: float = 1.0
    kind: Literal["average", "instant"] = "average"
    lag_s: float = 0.0
    current_unit: Literal["uA", "mA"] = "uA"
    voltage_unit: Literal["uV", "mV"] = "uV"
    sign: Literal[-1, 1] = -1
    noise: float = 0.0
    resolution_a: float = 0.0
    dropout: float = 0.0
    phase_s: float = 0.0

    def __post_init__(self) -> None:
        if not (self.period_s >= 0.01 and 0 <= self.lag_s <= 10 * self.period_s and 0 <= self.dropout <= 1):
            message = (
                f"gauge: period_s must be at least 0.01, lag_s 0 to 10 periods, dropout 0 to 1 "
                f"(got {self.period_s}, {self.lag_s}, {self.dropout})"
            )
            raise ValueError(message)

    def current(self, current_a: float, generator: Generator) -> str:
        """Return what the gauge's file says of a current out of the battery; empty if it cannot be read."""
        if self.dropout and generator.random() < self.dropout:
            return ""
        told_a = current_a * (1 + self.noise * generator.standard_normal()) if self.noise else current_a
        if self.resolution_a:
            told_a = round(told_a / self.resolution_a) * self.resolution_a
        return str(round(self.sign * told_a * (1e6 if self.current_unit == "uA" else 1e3)))

    def voltage(self, voltage_v: float) -> str:
        """Return what the gauge's file says of a voltage."""
        return str(round(voltage_v * (1e6 if self.voltage_unit == "uV" else 1e3)))


@dataclass(frozen=True)
class Cell:
    """A battery of one cell; its open voltage rises with its charge, and its resistance takes from it under load."""

    capacity_ah: float = 4.0
    empty_v: float = 3.5
    full_v: float = 4.3
    resistance_ohm: float = 0.08

    def current_a(self, power_w: float, charge_ah: float) -> float:
        """Return the current out of the battery at a power out of it: the smaller root of P = (V0 - R I) I."""
        open_v = self._open_v(charge_ah)
        under_root = max(open_v**2 - 4 * self.resistance_ohm * power_w, 0.0)
        return (open_v - math.sqrt(under_root)) / (2 * self.resistance_ohm)

    def voltage_v(self, current_a: float, charge_ah: float) -> float:
        """Return the voltage under load."""
        return self._open_v(charge_ah) - self.resistance_ohm * current_a

    def _open_v(self, charge_ah: float) -> float:
        return self.empty_v + (self.full_v - self.empty_v) * min(max(charge_ah / self.capacity_ah, 0.0), 1.0)
