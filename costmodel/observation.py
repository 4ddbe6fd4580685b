"""Observations: the rows of a measurement table from which a pipeline is calibrated.

Batch-size sweeps are rows of stage ``total`` whose conditions hold ``overlap: on`` or ``overlap: off``; single stages
are rows of their stage; an empty accelerator call is a row of stage ``transfer`` whose conditions hold ``empty call``;
the idle phone is a row of stage ``idle``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from costmodel.batch import refuse_emulated
from profiler.names import did_you_mean, fold
from profiler.sheet import Problem, TableError

Kind = Literal["overlapped", "sequential", "sample", "quantize", "transfer", "train", "empty call", "idle"]
_STAGES: Mapping[str, Kind] = {"sample": "sample", "quantize": "quantize", "transfer": "transfer", "train": "train"}
_UNSTATED = 0.01  # relative standard error of a time whose spread was not measured
_LEAST = 0.002  # no clock, governor and cache repeat better than this


@dataclass(frozen=True)
class Observation:
    """One measured time per batch in ms (of a call for an empty call), its standard error, and energy if measured.

    ``batches`` is how many made up the run, None if not stated; ``power_w`` is the idle phone's.
    """

    kind: Kind
    batch_size: int
    batches: int | None
    time_ms: float
    error_ms: float
    energy_mj: float | None = None
    power_w: float | None = None

    @property
    def words(self) -> str:
        """The observation in words: ``overlapped, batch 64``."""
        return self.kind if self.kind in ("empty call", "idle") else f"{self.kind}, batch {self.batch_size}"


@dataclass(frozen=True)
class Measured:
    """The observations of one configuration: a phone's DSP training a model on a data set."""

    device: str
    model: str
    dataset: str
    observations: tuple[Observation, ...]


def measured_of(table: pd.DataFrame, file: str, wanted: Mapping[str, str | None] | None = None) -> Measured:
    """Return the observations in a checked measurement table, of the one configuration that is ``wanted``.

    ``wanted`` may name device, model and dataset. Raises TableError for emulated rows, and ValueError if no or several
    configurations fit, or if there is nothing to calibrate from.
    """
    refuse_emulated(table, file)
    chosen: dict[str, str] = {}
    totals = table[table["stage"] == "total"]
    for column in ("device", "model", "dataset"):
        name = (wanted or {}).get(column)
        known = sorted({str(value) for value in totals[column].dropna()})
        fitting = [value for value in known if name is None or fold(value) == fold(name)]
        if not fitting and (name is not None or column == "device"):
            hint = did_you_mean(name or "", known) if known else "it has no row of stage total"
            raise TableError(Problem(file, f"has no {column} {name!r} to calibrate; {hint}"))
        if len(fitting) > 1:
            rule = f"holds several; choose by --{column} ({', '.join(fitting)})"
            raise TableError(Problem(file, rule, column=column))
        chosen[column] = fitting[0] if fitting else ""
        own = fold(chosen[column])
        table = table[[bool(pd.isna(value)) or fold(str(value)) == own for value in table[column]]]
        totals = table[table["stage"] == "total"]
    found = [each for row in table.to_dict("records") if (each := _observation(row)) is not None]
    if not any(each.kind in ("overlapped", "sequential") for each in found):
        rule = (
            "has no row of stage total whose conditions say 'overlap: on' or 'overlap: off'; measure a batch-size sweep"
        )
        raise TableError(Problem(file, rule))
    return Measured(chosen["device"], chosen["model"], chosen["dataset"], tuple(found))


def conditions_of(text: object) -> dict[str, str]:
    """Return the conditions ``overlap: on; battery: 80 %`` by name; a condition without a value has an empty one."""
    parts = [part.partition(":") for part in text.split(";")] if isinstance(text, str) else []
    return {name.strip().casefold(): value.strip().casefold() for name, _, value in parts if name.strip()}


def _observation(row: Mapping[Any, Any]) -> Observation | None:
    conditions, stage = conditions_of(row["conditions"]), row["stage"]
    if stage == "idle":
        return _idle(row)
    kind = _STAGES.get(stage)
    if stage == "total":
        overlap = conditions.get("overlap")
        kind = {"on": "overlapped", "off": "sequential"}.get(overlap or "")  # type: ignore[assignment]
    if kind == "transfer" and "empty call" in conditions:
        kind = "empty call"
    if kind is None or pd.isna(row["time_ms"]) or (pd.isna(row["batch_size"]) and kind != "empty call"):
        return None
    if kind == "quantize" and row["processor"] != "cpu":
        return None
    batches = None if pd.isna(row["batches"]) else int(row["batches"])
    time_ms, std = float(row["time_ms"]), float(row["time_ms_std"])
    error = _UNSTATED * time_ms if math.isnan(std) else std / math.sqrt(batches or 1)
    energy = float(row["energy_mj"])
    return Observation(
        kind=kind,
        batch_size=0 if kind == "empty call" else int(row["batch_size"]),
        batches=batches,
        time_ms=time_ms,
        error_ms=max(error, _LEAST * time_ms, 1e-9),
        energy_mj=None if math.isnan(energy) else energy,
    )


def _idle(row: Mapping[Any, Any]) -> Observation | None:
    """Return the idle power of a row: stated in mW, or energy over time."""
    power_w = float(row["power_idle_mw"]) / 1e3
    if math.isnan(power_w) and float(row["time_ms"]) > 0:
        power_w = float(row["energy_mj"]) / float(row["time_ms"])
    return None if math.isnan(power_w) else Observation("idle", 0, None, 0.0, 1.0, power_w=power_w)
