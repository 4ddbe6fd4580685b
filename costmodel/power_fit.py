"""The power split: idle power and active power by component from energies of runs and the calibrated times."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.stats import t as student

from costmodel.calibrate import Calibration, Fitted, uncertainty
from costmodel.energy import power_factors, stages_on
from costmodel.observation import Measured, Observation
from costmodel.scenario import Scenario, pipeline_of
from costmodel.spans import Array
from costmodel.stages import STAGES

_NAMES = ("power.base_w", "power.cpu_active_w", "power.link_active_w", "power.dsp_active_w")
_ABOUT = ("the idle phone", "CPU busy, above idle", "link busy, above idle", "DSP busy, above idle")
_ERROR = 0.02  # relative standard error of an energy; tables hold a spread per batch, not of the mean
_SMALL_W = 0.3  # an interval this narrow is an answer even around zero
_NULL = 1e-3  # relative: times of a few per cent of each other cannot carry a split


@dataclass(frozen=True)
class PowerFit:
    """The scenario with the powers that are known, the numbers, what is open, and the run that would settle it."""

    scenario: Scenario
    fitted: tuple[Fitted, ...]
    runs: tuple[str, ...]


def fit_power(measured: Measured, calibration: Calibration) -> PowerFit:
    """Return the power split by non-negative least squares: energy = P0 * time + sum of dP * busy time.

    A power whose interval is wider than itself, or that no row is left over to check, is not known. Stages measured
    alone, both kinds of sweep and the idle phone all count. Nothing is fitted without energies.
    """
    scenario = calibration.scenario
    equations = [each for row in measured.observations if (each := _equation(row, scenario)) is not None]
    if not equations:
        return PowerFit(scenario, (), ("energy per batch beside the times, and the idle phone (stage idle)",))
    matrix, energy = np.array([row for row, _ in equations]), np.array([value for _, value in equations])
    weight = 1 / (_ERROR * np.maximum(energy, 1e-9))
    weighted = matrix * weight[:, None]
    scale = 1 / np.maximum(np.linalg.norm(weighted, axis=0), 1e-300)
    solved, distance = nnls(weighted * scale, energy * weight)
    powers: Array = solved * scale
    cov, null = uncertainty(weighted * scale, _NULL)
    free = len(equations) - (len(_NAMES) - len(null))
    spread = max(1.0, distance**2 / free) if free > 0 else 1.0
    quantile = float(student.ppf(0.975, free)) if free > 0 else float("nan")
    fitted = []
    for place, name in enumerate(_NAMES):
        known = bool(np.abs(null[:, place]).max(initial=0.0) < 1e-3) and bool(np.any(matrix[:, place] > 0))
        error = float(np.sqrt(cov[place, place] * spread)) * float(scale[place])
        half = quantile * error if free > 0 and known else None
        known = known and half is not None and half <= max(float(powers[place]), _SMALL_W)
        fitted.append(Fitted(name, _ABOUT[place], "W", float(powers[place]), half, known))
    return PowerFit(
        _with_powers(scenario, fitted, poor=calibration.poor), tuple(fitted), tuple(_runs(measured, fitted))
    )


def _equation(row: Observation, scenario: Scenario) -> tuple[list[float], float] | None:
    """Return ([time, CPU, link, DSP busy] in ms, energy in mJ) of an observation, or None without energy."""
    if row.kind == "idle":
        return ([1e3, 0.0, 0.0, 0.0], 1e3 * row.power_w) if row.power_w is not None else None
    if row.energy_mj is None or row.kind == "empty call":
        return None
    pipeline = pipeline_of(replace(scenario, batch_size=row.batch_size))
    done = STAGES if row.kind in ("overlapped", "sequential") else (row.kind,)
    factors = power_factors(scenario)
    busy = [
        factors[name] * sum(float(getattr(pipeline, f"{stage}_ms")) for stage in stages if stage in done)
        for name, stages in stages_on(scenario).items()
    ]
    return [row.time_ms, *busy], row.energy_mj


def _with_powers(scenario: Scenario, fitted: list[Fitted], *, poor: bool) -> Scenario:
    """Return the scenario with the known powers; its doubts name the others.

    An active power is idle plus what was fitted, idle in the base.
    """
    known: dict[str, Any] = {each.name.removeprefix("power."): each.value for each in fitted if each.known}
    origin = "calibrated, a poor fit" if poor else "calibrated"
    origins = dict(scenario.origins) | {f"power.{name}": origin for name in known}
    open_ = ", ".join(each.name for each in fitted if not each.known)
    doubts = "; ".join(filter(None, (scenario.doubts, open_ and f"not identifiable, so not set: {open_}")))
    return replace(scenario, doubts=doubts, power=replace(scenario.power, **known), origins=tuple(origins.items()))


def _runs(measured: Measured, fitted: list[Fitted]) -> list[str]:
    open_names = {each.name for each in fitted if not each.known}
    runs = []
    if "power.base_w" in open_names or not any(row.kind == "idle" for row in measured.observations):
        runs.append("the idle phone for 30 s (stage idle)")
    if "power.cpu_active_w" in open_names:
        runs.append("energy of quantizing alone (stage quantize)")
    if "power.link_active_w" in open_names:
        runs.append("energy of the transfer alone (stage transfer)")
    if "power.dsp_active_w" in open_names:
        runs.append("energy of training alone, or overlapped with a large batch")
    return runs
