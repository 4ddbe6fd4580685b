"""Power over time from a gauge that holds each value until it has another one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from profiler.power.gauge import Gauge, readable
from profiler.power.samples import Array, Samples


@dataclass(frozen=True)
class Line:
    """Watts along a straight line in time."""

    time_s: float
    power_w: float
    slope_w_per_s: float

    def at(self, time_s: float) -> float:
        """The power at a time."""
        return self.power_w + self.slope_w_per_s * (time_s - self.time_s)


@dataclass(frozen=True)
class Series:
    """Power between polls: ``power_w[i]`` holds from ``edges_s[i]`` to ``edges_s[i + 1]``; NaN in a gap."""

    edges_s: Array
    power_w: Array

    def covered_s(self, start_s: float, end_s: float) -> float:
        """Return the seconds of a window that have readings."""
        inside, width_s, _ = self._clipped(start_s, end_s)
        return float(width_s[np.isfinite(self.power_w[inside])].sum())

    def integral_j(self, start_s: float, end_s: float, less: Line | None = None) -> float:
        """Return the energy of a window, less a baseline; gaps count nothing, on either side."""
        inside, width_s, middle_s = self._clipped(start_s, end_s)
        power_w = self.power_w[inside]
        if less is not None:
            power_w = power_w - (less.power_w + less.slope_w_per_s * (middle_s - less.time_s))
        return float(np.nansum(power_w * width_s))

    def within(self, start_s: float, end_s: float) -> Array:
        """Return the powers shown in a window."""
        return self.power_w[self._clipped(start_s, end_s)[0]]

    def _clipped(self, start_s: float, end_s: float) -> tuple[slice, Array, Array]:
        """Return which stretches touch the window, how long they do, and the middle of that."""
        first = max(int(np.searchsorted(self.edges_s, start_s, side="right")) - 1, 0)
        last = min(int(np.searchsorted(self.edges_s, end_s, side="left")), len(self.power_w))
        inside = slice(first, max(first, last))
        edges = np.clip(self.edges_s[first : inside.stop + 1], start_s, max(start_s, end_s))
        return inside, np.diff(edges), (edges[1:] + edges[:-1]) / 2


def series_of(samples: Samples, gauge: Gauge) -> Series:
    """Return the power of a record: current times voltage, each as last read.

    A value is not held over more than 1.5 periods of the gauge, or 5 polls, until the next one that can be read: what
    was missed in between nobody knows. Raises ValueError for less than 3 samples.
    """
    if len(samples.time_s) < 3:
        message = f"a record of {len(samples.time_s)} samples has no power; did the sampler run?"
        raise ValueError(message)
    longest_s = max(5 * samples.poll_s, 1.5 * gauge.period_s)
    amperes = _held(samples.time_s, readable(samples.column("current")), longest_s)
    volts = _held(samples.time_s, readable(samples.column("voltage")), longest_s)
    factor = gauge.discharge_sign * gauge.current_a_per_unit * gauge.voltage_v_per_unit
    return Series(samples.time_s, factor * amperes * volts)


def _held(time_s: Array, values: Array, longest_s: float) -> Array:
    """Return the value between each two times: the last one that was read, NaN if the next is too far from it."""
    good: NDArray[np.intp] = np.flatnonzero(np.isfinite(values))
    if not len(good):
        return np.full(len(time_s) - 1, np.nan)
    at = np.searchsorted(good, np.arange(len(time_s) - 1), side="right")
    known = good[np.maximum(at - 1, 0)]
    following = np.append(good, len(time_s) - 1)[at]
    # Until nearly 5 polls: clocks tick in hundredths.
    held = (at > 0) & (time_s[following] - time_s[known] <= longest_s + 0.011)
    return np.where(held, values[known], np.nan)
