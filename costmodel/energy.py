"""Energy of a pipeline by component: base and idle power over the whole time, active power over the busy time.

    E = P0 * makespan + sum over components of (active - idle) * busy        P0 = base + all idle powers

The busy terms do not depend on the order of the stages, so overlap saves P0 times the time it saves, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from costmodel.scenario import Scenario
from costmodel.spans import Spans
from costmodel.stages import Stage

COMPONENTS = ("cpu", "link", "dsp")


@dataclass(frozen=True)
class Energy:
    """Joules by part (base, idle and active per component); ``missing`` names the powers nobody measured.

    ``total_j`` is None unless all are known. ``idle_w`` is P0, None if unknown.
    """

    parts_j: Mapping[str, float | None]
    idle_w: float | None
    missing: tuple[str, ...]

    @property
    def total_j(self) -> float | None:
        """The sum of all parts."""
        known = [part for part in self.parts_j.values() if part is not None]
        return sum(known) if len(known) == len(self.parts_j) else None


def stages_on(scenario: Scenario) -> Mapping[str, tuple[Stage, ...]]:
    """Return which stages draw active power on which component; a transfer that the CPU copies draws on both."""
    on_cpu = scenario.quantize_on == "cpu"
    copied: tuple[Stage, ...] = ("transfer",) if scenario.link.holds == "cpu" else ()
    return {
        "cpu": ("sample", *(("quantize",) if on_cpu else ()), *copied),
        "link": ("transfer", "return"),
        "dsp": (*(() if on_cpu else ("quantize",)), "train"),
    }


def power_factors(scenario: Scenario) -> Mapping[str, float]:
    """Return the active power of each component relative to clock and voltage 1: f * V^2."""
    clock = scenario.clock
    return {"cpu": clock.cpu * clock.cpu_voltage**2, "link": 1.0, "dsp": clock.dsp * clock.dsp_voltage**2}


def energy(scenario: Scenario, busy_ms: Mapping[Stage, float], time_ms: float) -> Energy:
    """Return the energy of ``time_ms`` in which the stages worked for ``busy_ms``.

    A clock f at voltage V draws active power in proportion to f * V^2; stages take 1 / f as long, so their active
    energy goes with V^2. Idle power that is not stated is part of the base.
    """
    power, factors = scenario.power, power_factors(scenario)
    seconds = time_ms / 1e3
    parts: dict[str, float | None] = {"base": None if power.base_w is None else power.base_w * seconds}
    missing = ["power.base_w"] if power.base_w is None else []
    idle_w = power.base_w
    for name, stages in stages_on(scenario).items():
        idle = getattr(power, f"{name}_idle_w")
        if idle is not None:
            parts[f"{name} idle"] = idle * seconds
            idle_w = None if idle_w is None else idle_w + idle
        busy = sum(busy_ms[stage] for stage in stages)
        active = getattr(power, f"{name}_active_w")
        if busy == 0:
            continue
        if active is None:
            missing.append(f"power.{name}_active_w")
        parts[f"{name} active"] = None if active is None else (active - (idle or 0.0)) * factors[name] * busy / 1e3
    return Energy(parts, idle_w, tuple(missing))


def energy_of(scenario: Scenario, spans: Spans) -> Energy:
    """Return the energy of a whole run of shape (batches,), by the work its stages did."""
    return energy(
        scenario, {stage: float(work.sum()) for stage, work in spans.work_ms.items()}, float(spans.makespan_ms)
    )


def saving_j(scenario: Scenario, saved_ms: float) -> tuple[float, float] | None:
    """Return the joules that saving ``saved_ms`` saves, as a range; None where nothing is known about the power.

    With P0 known the range is a point. With only the mean power while training known, P0 lies between 0 and that.
    """
    idle = [getattr(scenario.power, f"{name}_idle_w") or 0.0 for name in COMPONENTS]
    if scenario.power.base_w is not None:
        exact = (scenario.power.base_w + sum(idle)) * saved_ms / 1e3
        return exact, exact
    if scenario.power.mean_w is not None:
        return sum(idle) * saved_ms / 1e3, scenario.power.mean_w * saved_ms / 1e3
    return None
