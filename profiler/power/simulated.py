"""A battery gauge simulated from a known power: samples as a phone would give them, and the true energy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from profiler.power.samples import Array, Samples

_PER_AMPERE = {"uA": 1e6, "mA": 1e3}
_PER_VOLT = {"uV": 1e6, "mV": 1e3}


@dataclass(frozen=True)
class PowerTrace:
    """The true power of a phone: idle, a load from ``start_s`` to ``end_s``, idle again.

        power = idle_w + drift_w_per_s t + (in the load) [busy_w - idle_w + slope_w_per_s (t - start_s) + ripple]

    The ripple is a sine of ``ripple_w`` that repeats with each batch. Idle power with its drift is what net energy
    is measured against.
    """

    idle_w: float = 0.9
    busy_w: float = 5.2
    start_s: float = 20.0
    end_s: float = 50.0
    drift_w_per_s: float = 0.0
    slope_w_per_s: float = 0.0
    ripple_w: float = 0.5
    ripple_period_s: float = 0.058

    @property
    def duration_s(self) -> float:
        """Seconds of load."""
        return self.end_s - self.start_s

    @property
    def net_j(self) -> float:
        """Energy of the load above idle."""
        return float(self._load_j(self.end_s))

    @property
    def gross_j(self) -> float:
        """Energy of the whole phone during the load."""
        return float(self.energy_j(self.end_s) - self.energy_j(self.start_s))

    def energy_j(self, time_s: ArrayLike) -> Array:
        """Return the energy from time 0 to each time, exactly: the integral of the power."""
        time = np.asarray(time_s, dtype=np.float64)
        return self.idle_w * time + self.drift_w_per_s * time**2 / 2 + self._load_j(time)

    def power_w(self, time_s: ArrayLike) -> Array:
        """Return the power at each time."""
        time = np.asarray(time_s, dtype=np.float64)
        since = time - self.start_s
        ripple = self.ripple_w * np.sin(2 * np.pi * since / self.ripple_period_s)
        load = self.busy_w - self.idle_w + self.slope_w_per_s * since + ripple
        return self.idle_w + self.drift_w_per_s * time + np.where((since >= 0) & (time < self.end_s), load, 0.0)

    def _load_j(self, time_s: ArrayLike) -> Array:
        since = np.clip(np.asarray(time_s, dtype=np.float64) - self.start_s, 0.0, self.duration_s)
        per_radian = self.ripple_period_s / (2 * np.pi)
        ripple = self.ripple_w * per_radian * (1 - np.cos(since / per_radian))
        return (self.busy_w - self.idle_w) * since + self.slope_w_per_s * since**2 / 2 + ripple


@dataclass(frozen=True)
class GaugeModel:
    """How a gauge shows power: every ``period_s`` a new value, which stays until the next one.

    ``average``: the mean of the last period, ``instant``: the power of that moment; both of ``lag_s`` ago. ``noise`` is
    relative, drawn anew for each value of the current. ``resolution`` is the raw step of the current,
    ``charge_resolution`` that of the charge counter. ``dropout`` is the share of unreadable polls, ``gaps`` are
    (start, end) without readable polls. ``sign`` is that of the raw current while the battery empties.
    """

    period_s: float = 1.0
    kind: Literal["average", "instant"] = "average"
    lag_s: float = 0.0
    current_unit: str = "uA"
    voltage_unit: str = "uV"
    sign: int = -1
    noise: float = 0.05
    resolution: float = 1.0
    voltage_resolution: float = 1.0
    charge_resolution: float = 1000.0
    voltage_noise_v: float = 0.001
    dropout: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    open_circuit_v: float = 3.95
    resistance_ohm: float = 0.1
    words: Mapping[str, str] = field(default_factory=lambda: {"status": "Discharging"})


def simulate(
    trace: PowerTrace,
    gauge: GaugeModel,
    rng: np.random.Generator,
    *,
    record_s: float | None = None,
    poll_s: float = 0.1,
    poll_jitter_s: float = 0.003,
    origin_s: float = 0.0,
) -> Samples:
    """Return what polling such a gauge gives, from time 0 to ``record_s`` (as long idle after the load as before).

    The gauge's clock and the polls have a random phase to the load, current and voltage are updated at different
    moments, times have 10 ms resolution and begin at ``origin_s``. The voltage falls under load: V = V0 - I R.
    """
    length = trace.end_s + trace.start_s if record_s is None else record_s
    polls = np.arange(rng.uniform(0.0, poll_s), length, poll_s)
    polls = polls + rng.uniform(0.0, poll_jitter_s, len(polls)) if poll_jitter_s else polls
    numbers = np.arange(-3, int(length / gauge.period_s) + 2, dtype=np.float64)
    updates = gauge.period_s * (numbers + rng.uniform())
    seen = updates - gauge.lag_s
    true_w = _shown_w(trace, gauge, seen)
    amperes = true_w / _terminal_v(true_w, gauge)
    noisy = amperes * (1 + gauge.noise * rng.standard_normal(len(updates)))
    current = gauge.sign * noisy * _PER_AMPERE[gauge.current_unit]
    # The voltage is measured at moments of its own, once a period.
    voltage_updates = updates + gauge.period_s * rng.uniform()
    volts = _terminal_v(_shown_w(trace, gauge, voltage_updates - gauge.lag_s), gauge)
    volts = volts + gauge.voltage_noise_v * rng.standard_normal(len(volts))
    voltage = volts * _PER_VOLT[gauge.voltage_unit]
    charge_uah = 2.8e6 - np.cumsum(np.append(0.0, np.diff(trace.energy_j(seen)) / (volts[:-1] * 3600))) * 1e6
    at = np.searchsorted(updates, polls, side="right") - 1
    voltage_at = np.maximum(np.searchsorted(voltage_updates, polls, side="right") - 1, 0)
    columns = {
        "current": _stairs(current, gauge.resolution)[at],
        "voltage": _stairs(voltage, gauge.voltage_resolution)[voltage_at],
        "charge": _stairs(charge_uah, gauge.charge_resolution)[at],
        "level": np.full(len(polls), 70.0),
    }
    lost = rng.uniform(size=len(polls)) < gauge.dropout
    for start_s, end_s in gauge.gaps:
        lost |= (polls >= start_s) & (polls < end_s)
    for cells in columns.values():
        cells[lost] = np.nan
    time_s = np.floor((polls + origin_s) * 100 + 1e-6) / 100
    kept = np.append(True, np.diff(time_s) > 0)
    words = {name: (word,) * int(kept.sum()) for name, word in gauge.words.items()}
    return Samples(time_s[kept], {name: cells[kept] for name, cells in columns.items()}, words)


def written(samples: Samples) -> bytes:
    """Return samples as the sampler on a device writes them."""
    names = [*samples.columns, *samples.words]
    lines = ["fedjoule-samples 1", ",".join(["time_s", *names])]
    for i, time_s in enumerate(samples.time_s):
        numbers = ["" if np.isnan(cells[i]) else f"{cells[i]:.0f}" for cells in samples.columns.values()]
        lines.append(",".join([f"{time_s:.2f}", *numbers, *(words[i] for words in samples.words.values())]))
    return ("\n".join(lines) + "\n").encode()


def _shown_w(trace: PowerTrace, gauge: GaugeModel, seen_s: Array) -> Array:
    if gauge.kind == "instant":
        return trace.power_w(seen_s)
    return (trace.energy_j(seen_s) - trace.energy_j(seen_s - gauge.period_s)) / gauge.period_s


def _terminal_v(power_w: Array, gauge: GaugeModel) -> Array:
    """Return the voltage V at which V (V0 - V) / R is the power."""
    return (gauge.open_circuit_v + np.sqrt(gauge.open_circuit_v**2 - 4 * gauge.resistance_ohm * power_w)) / 2


def _stairs(values: Array, step: float) -> Array:
    return np.asarray(np.round(values / step) * step)
