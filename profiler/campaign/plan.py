"""A plan: which workloads are measured how often and for how long, and in which order."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from profiler.names import printable
from profiler.workload.workload import DeviceFile, Workload

_MASK = re.compile(r"[0-9a-fA-F]{0,64}")
OVERHEAD_S = 8.0  # start, warm-up, collecting: for the preview only


@dataclass(frozen=True)
class Timing:
    """How long and how often: seconds on the device's clock. Raises ValueError outside the bounds.

    The busy time of a measurement is the larger of ``busy_s`` and ``gauge_periods`` periods of the gauge.
    """

    repetitions: int = 5
    idle_s: float = 20.0
    busy_s: float = 30.0
    gauge_periods: int = 30
    calibration_s: float = 60.0
    sample_period_s: float = 0.1
    cool_down_c: float = 1.0
    cool_down_most_s: float = 300.0

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:  # nor is NaN
                message = f"{name} must be from {least:g} to {most:g} (got {printable(value, 30)})"
                raise ValueError(message)
            if name in WHOLE and not isinstance(value, int):
                message = f"{name} must be a whole number (got {value:g})"
                raise ValueError(message)

    def busy_for(self, period_s: float) -> float:
        """Return how many seconds a workload must run on a gauge that moves every ``period_s``."""
        return max(self.busy_s, self.gauge_periods * period_s)


WHOLE = ("repetitions", "gauge_periods")
_BOUNDS = {
    "repetitions": (1, 1000),
    "idle_s": (0.2, 3600),
    "busy_s": (0.2, 86400),
    "gauge_periods": (0, 1000),
    "calibration_s": (0.2, 3600),
    "sample_period_s": (0.02, 60),
    "cool_down_c": (0, 20),
    "cool_down_most_s": (0, 7200),
}


@dataclass(frozen=True)
class Measurement:
    """One run of a workload, or of nothing for the idle phone; ``name`` is unique in its plan."""

    name: str
    workload: Workload | None
    repetition: int


@dataclass(frozen=True)
class Plan:
    """What a campaign measures. ``seed`` orders it; ``cpus`` is a mask in hexadecimal for taskset, empty for all."""

    name: str
    workloads: tuple[Workload, ...]
    with_idle: bool = False
    timing: Timing = field(default_factory=Timing)
    seed: int = 0
    cpus: str = ""

    def __post_init__(self) -> None:
        if not self.workloads and not self.with_idle:
            message = f"plan {self.name!r} measures nothing; give it a workload"
            raise ValueError(message)
        if not (isinstance(self.seed, int) and self.seed >= 0):
            message = f"plan {self.name!r}: seed must be a whole number, 0 or more (got {printable(self.seed, 30)})"
            raise ValueError(message)
        if not _MASK.fullmatch(self.cpus):
            message = f"plan {self.name!r}: cpus must be hexadecimal, as f0 (got {printable(self.cpus, 30)!r})"
            raise ValueError(message)
        names = [*(each.name for each in self.workloads), *(["idle"] if self.with_idle else [])]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            message = f"plan {self.name!r} has two workloads named {twice!r}; give each a name of its own"
            raise ValueError(message)

    def measurements(self) -> tuple[Measurement, ...]:
        """Return the measurements in the order they are run: every repetition is shuffled anew.

        Configurations are interleaved, so that a phone that warms up or runs down disturbs all of them alike.
        """
        return tuple(self._ordered())

    def _ordered(self) -> Iterator[Measurement]:
        rng = np.random.default_rng([self.seed, 2024])
        things: list[Workload | None] = [*self.workloads, *([None] if self.with_idle else [])]
        number = 0
        for repetition in range(1, self.timing.repetitions + 1):
            for position in rng.permutation(len(things)):
                workload = things[position]
                number += 1
                name = "idle" if workload is None else workload.name
                yield Measurement(f"{number:03d}-{name}-r{repetition}", workload, repetition)

    def as_data(self) -> dict[str, Any]:
        """Return the plan as plain data, files by their hash: what a record keeps of it."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self), default=str))
        for workload in data["workloads"]:
            for file in workload["files"]:
                del file["path"]  # where it lies here is nobody's business; its hash says what it is
        return data

    @property
    def hash(self) -> str:
        """The plan's fingerprint: two plans that measure the same have the same."""
        return hashlib.sha256(json.dumps(self.as_data(), sort_keys=True).encode()).hexdigest()[:12]


def plan_to_json(plan: Plan) -> str:
    """Return a plan as JSON with the paths of its local files, to be read again on this machine."""
    return json.dumps(asdict(plan), default=str, indent=1) + "\n"


def plan_of_json(text: str) -> Plan:
    """Return the plan that ``plan_to_json`` wrote. Raises ValueError if it is damaged."""
    try:
        data = json.loads(text)
        workloads = []
        for entry in data.pop("workloads"):
            files = tuple(DeviceFile(**{**file, "path": Path(file["path"])}) for file in entry.pop("files"))
            results = tuple(entry.pop("result_files"))
            workloads.append(Workload(**entry, files=files, result_files=results))
        return Plan(**{**data, "workloads": tuple(workloads), "timing": Timing(**data["timing"])})
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        message = f"the campaign's plan is damaged ({printable(error)}); start a new campaign"
        raise ValueError(message) from error


def expected_s(plan: Plan, period_s: float) -> float:
    """Return the seconds that ``plan`` takes on a gauge of ``period_s`` (0: no power), but for cooling down."""
    timing = plan.timing
    idle_s = 2 * (timing.idle_s if period_s else min(timing.idle_s, 1.0)) + OVERHEAD_S
    working = len(plan.workloads) * (idle_s + timing.busy_for(period_s))
    calibration = idle_s + timing.calibration_s if period_s else 0.0
    return calibration + timing.repetitions * (working + (idle_s if plan.with_idle and period_s else 0.0))
