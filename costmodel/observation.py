"""Observations: the rows of a measurement table from which a pipeline is calibrated.

Batch-size sweeps are rows of stage ``total`` whose conditions hold ``overlap: on`` or ``overlap: off``; single stages
are rows of their stage; an empty accelerator call is a row of stage ``transfer`` whose conditions hold ``empty call``;
the idle phone is a row of stage ``idle``.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from costmodel.batch import refuse_emulated
from profiler.names import did_you_mean, fold, printable
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
    """The observations of one configuration: a phone's DSP training a model on a data set.

    ``ignored`` counts complete batches of this phone whose conditions say neither overlap on nor off.
    """

    device: str
    model: str
    dataset: str
    observations: tuple[Observation, ...]
    ignored: int = 0


def measured_of(
    table: pd.DataFrame, file: str, wanted: Mapping[str, str | None] | None = None, quantize_on: str = "cpu"
) -> Measured:
    """Return the observations in a checked measurement table, of the one configuration that is ``wanted``.

    ``wanted`` may name device, model, dataset, processor, precision, and conditions, which rows of the sweep must
    hold. Training and transfer are taken from the sweep's processor and precision, quantizing from ``quantize_on``.
    Raises TableError for emulated rows, if no or several configurations fit, if one run was measured twice, and if
    there is nothing to calibrate from.
    """
    refuse_emulated(table, file)
    asked = wanted or {}
    swept = _kept(table, (_swept(row) is not None for row in table.to_dict("records")))
    if swept.empty:
        rule = (
            "has no row of stage total whose conditions say 'overlap: on' or 'overlap: off'; measure a batch-size sweep"
        )
        raise TableError(Problem(file, rule))
    stated = asked.get("conditions")
    if stated:
        needed = set(conditions_of(stated).items())
        swept = _kept(swept, (needed <= other_conditions(text) for text in swept["conditions"]))
    chosen: dict[str, str] = {}
    for column in ("device", "model", "dataset", "processor", "precision"):
        name = asked.get(column)
        known = sorted({str(value) for value in swept[column].dropna()})
        fitting = [value for value in known if name is None or fold(value) == fold(name)]
        if not fitting and (name is not None or swept.empty):
            rule = f"has no sweep with {column} {name!r}" if name else "has no sweep with these conditions"
            raise TableError(Problem(file, f"{rule}; {did_you_mean(name or '', known)}"))
        if len(fitting) > 1:
            rule = f"holds sweeps of several; choose by --{column} ({', '.join(fitting)})"
            raise TableError(Problem(file, rule, column=column))
        chosen[column] = fitting[0] if fitting else ""
        swept = _kept(swept, (fold(_word(value)) == fold(chosen[column]) for value in swept[column]))
    rest = table[table["stage"] != "total"]
    for column in ("device", "model", "dataset"):
        rest = _kept(rest, (pd.isna(value) or fold(str(value)) == fold(chosen[column]) for value in rest[column]))
    rows = [*swept.to_dict("records"), *(row for row in rest.to_dict("records") if _belongs(row, chosen, quantize_on))]
    found = [each for row in rows if (each := _observation(row)) is not None]
    _refuse_repeated(found, swept["conditions"], file)
    idle_mw = [float(row["power_idle_mw"]) for row in rows if not pd.isna(row["power_idle_mw"])]
    if idle_mw and not any(each.kind == "idle" for each in found):
        found.append(Observation("idle", 0, None, 0.0, 1.0, power_w=sum(idle_mw) / len(idle_mw) / 1e3))
    silent = [
        row
        for row in table.to_dict("records")
        if row["stage"] == "total" and _swept(row) is None and fold(str(row["device"])) == fold(chosen["device"])
    ]
    return Measured(chosen["device"], chosen["model"], chosen["dataset"], tuple(found), len(silent))


def _kept(table: pd.DataFrame, keep: Iterable[object]) -> pd.DataFrame:
    return table[np.fromiter((bool(each) for each in keep), dtype=bool)]


def _word(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def other_conditions(text: object) -> frozenset[tuple[str, str]]:
    """Return the conditions but for what they say of overlap, as (name, value)."""
    return frozenset(item for item in conditions_of(text).items() if item[0] != "overlap")


def _swept(row: Mapping[Any, Any]) -> Kind | None:
    """Return how a complete batch was measured, None for a row that does not say."""
    if row["stage"] != "total" or pd.isna(row["time_ms"]) or pd.isna(row["batch_size"]):
        return None
    stated = conditions_of(row["conditions"]).get("overlap")
    return "overlapped" if stated == "on" else "sequential" if stated == "off" else None


def _belongs(row: Mapping[Any, Any], chosen: Mapping[str, str], quantize_on: str) -> bool:
    """Return whether a stage's row is of the sweep's pipeline: the CPU prepares, the sweep's processor trains."""
    if row["stage"] == "idle":
        return True
    if row["stage"] == "sample" or (row["stage"] == "quantize" and quantize_on == "cpu"):
        return bool(row["processor"] == "cpu")
    if row["stage"] in ("transfer", "quantize"):
        return bool(row["processor"] == chosen["processor"])
    return bool((row["processor"], row["precision"]) == (chosen["processor"], chosen["precision"]))


def _refuse_repeated(found: Iterable[Observation], conditions: Iterable[object], file: str) -> None:
    """Raise TableError if one run was measured under two conditions: their mean would be a third one."""
    seen: set[tuple[object, ...]] = set()
    for each in found:
        key = (each.kind, each.batch_size, each.batches)
        if each.kind != "idle" and key in seen:
            known = sorted({f"{name}: {value}" for text in conditions for name, value in other_conditions(text)})
            rule = f"holds {each.words} more than once; choose by --conditions ({'; '.join(known)})"
            raise TableError(Problem(file, printable(rule, 400)))
        seen.add(key)


def conditions_of(text: object) -> dict[str, str]:
    """Return the conditions ``overlap: on; battery: 80 %`` by name; a condition without a value has an empty one."""
    parts = [part.partition(":") for part in text.split(";")] if isinstance(text, str) else []
    return {name.strip().casefold(): value.strip().casefold() for name, _, value in parts if name.strip()}


def _observation(row: Mapping[Any, Any]) -> Observation | None:
    stage = row["stage"]
    if stage == "idle":
        return _idle(row)
    kind = _swept(row) if stage == "total" else _STAGES.get(stage)
    if kind == "transfer" and "empty call" in conditions_of(row["conditions"]):
        kind = "empty call"
    if kind is None or pd.isna(row["time_ms"]) or (pd.isna(row["batch_size"]) and kind != "empty call"):
        return None
    batches = None if pd.isna(row["batches"]) else int(row["batches"])
    time_ms, std = float(row["time_ms"]), float(row["time_ms_std"])
    # A spread over whole runs tells more than that of single batches, which do not see what two runs differ by.
    repetitions = batches if pd.isna(row["runs"]) else int(row["runs"])
    error = _UNSTATED * time_ms if math.isnan(std) else std / math.sqrt(repetitions or 1)
    energy = float(row["energy_mj"])
    return Observation(
        kind=kind,
        batch_size=0 if kind == "empty call" else int(row["batch_size"]),
        batches=batches,
        time_ms=time_ms,
        error_ms=max(error, _LEAST * time_ms, 1e-9),
        energy_mj=None if math.isnan(energy) else energy,
    )


def idle_power_w(row: Mapping[Any, Any]) -> float | None:
    """Return the idle power in W that a row states in mW, or that a row of stage idle gives as energy over time."""
    power_w = float(row["power_idle_mw"]) / 1e3
    if math.isnan(power_w) and row["stage"] == "idle" and float(row["time_ms"]) > 0:
        power_w = float(row["energy_mj"]) / float(row["time_ms"])
    return None if math.isnan(power_w) else power_w


def _idle(row: Mapping[Any, Any]) -> Observation | None:
    power_w = idle_power_w(row)
    return None if power_w is None else Observation("idle", 0, None, 0.0, 1.0, power_w=power_w)
