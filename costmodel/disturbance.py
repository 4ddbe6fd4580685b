"""Disturbances: what keeps a phone from working at full speed, for the SimPy engine only."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from costmodel.stages import Stage


@dataclass(frozen=True)
class Foreground:
    """An app in the foreground takes ``share`` of the CPU for ``for_ms`` out of every ``every_ms`` (mean).

    With ``share`` 1 it preempts sampling, quantizing and copying altogether; they go on where they stopped. Arrivals
    are random (exponential gaps) if ``random``, else regular.
    """

    every_ms: float
    for_ms: float
    share: float = 1.0
    random: bool = False


@dataclass(frozen=True)
class Thermal:
    """A governor looks at the temperature every ``period_ms`` and throttles the DSP's clock to ``speed``.

    It does so at ``limit_c`` or hotter until ``resume_c`` or cooler. The phone is one thermal mass: it tends to
    ``ambient_c + c_per_w * power`` with ``time_constant_s``; the power is ``base_w`` and ``active_w`` of each busy
    resource (cpu, link, dsp; the DSP's in proportion to its speed).
    """

    ambient_c: float
    c_per_w: float
    time_constant_s: float
    limit_c: float
    resume_c: float
    speed: float
    period_ms: float
    base_w: float
    active_w: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Failure:
    """A try of ``stage`` fails with ``probability`` at a random point and is done again after ``retry_ms``."""

    stage: Stage
    probability: float
    retry_ms: float = 0.0


@dataclass(frozen=True)
class Disturbances:
    """All of them; ``dsp_speed_curve`` is a given clock over time, as (from ms, speed) in order of time."""

    foreground: Foreground | None = None
    thermal: Thermal | None = None
    failure: Failure | None = None
    dsp_speed_curve: Sequence[tuple[float, float]] = field(default=())

    @property
    def any(self) -> bool:
        """Whether anything is disturbed at all."""
        return bool(self.foreground or self.thermal or self.failure or self.dsp_speed_curve)

    @property
    def random(self) -> bool:
        """Whether two runs may differ."""
        return self.failure is not None or (self.foreground is not None and self.foreground.random)


@dataclass(frozen=True)
class SpeedChange:
    """At ``at_ms`` the resource (cpu or dsp) began to work at ``speed``; 1 is full speed, 0 is stopped."""

    at_ms: float
    resource: str
    speed: float


NO_DISTURBANCES = Disturbances()
