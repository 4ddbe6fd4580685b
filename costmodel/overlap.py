"""A batch cost with overlap on or off: what pipelining does to the time and energy that everything else is made of.

Where both ways were measured, the measured one is taken. Where the stages were measured, the period law gives the
other way; for the paper's phones a reading of the 25 ms gives the stages. Elsewhere the cost stays as measured.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from costmodel import period
from costmodel.batch import BatchCost, refuse_emulated
from costmodel.observation import conditions_of
from costmodel.paper_scenario import read_stages
from costmodel.scenario import Scenario, pipeline_of
from costmodel.stages import Pipeline
from costmodel.workload import workload_for
from profiler.names import fold

Overlap = Literal["as-measured", "on", "off"]
OVERLAPS: tuple[Overlap, ...] = ("as-measured", "on", "off")
DEFAULT_LINK_READING = "f"
_Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Pipelining:
    """How batch costs are pipelined: the ``overlap``, the ``reading`` of the paper's link, and what was measured.

    ``idle_w`` is the phone's idle power, P0, which turns time saved into energy saved; None is not known.
    """

    overlap: Overlap = "as-measured"
    reading: str = DEFAULT_LINK_READING
    idle_w: float | None = None
    stages: Mapping[_Key, tuple[Pipeline, float | None]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.idle_w is not None and not 0 <= self.idle_w <= 1e3:
            message = f"idle power must be from 0 to 1000 W (got {self.idle_w})"
            raise ValueError(message)

    @property
    def words(self) -> str:
        """The pipelining in words, empty if costs are as measured."""
        if self.overlap == "as-measured":
            return ""
        idle = "" if self.idle_w is None else f", idle {self.idle_w:g} W"
        return f"overlap {self.overlap} (link reading {self.reading.upper()}{idle})"


@dataclass(frozen=True)
class Pipelined:
    """A batch cost with overlap on or off, and how it came about; ``changed`` is whether its time is another one."""

    cost: BatchCost
    how: str
    changed: bool


AS_MEASURED = Pipelining()


def measured_stages(tables: Mapping[str, pd.DataFrame]) -> Mapping[_Key, tuple[Pipeline, float | None]]:
    """Return the pipelines whose stages quantize, transfer and train are in the tables, with idle power in W.

    Sampling that was not measured counts as 0. Two of each slot, and a transfer that holds nothing, are assumed.
    """
    found: dict[_Key, dict[str, float]] = {}
    idle: dict[str, float] = {}
    for name, table in tables.items():
        refuse_emulated(table, name)
        for row in table.to_dict("records"):
            if not pd.isna(row["power_idle_mw"]):
                idle[fold(str(row["device"]))] = float(row["power_idle_mw"]) / 1e3
            if row["stage"] not in ("sample", "quantize", "transfer", "train") or pd.isna(row["batch_size"]):
                continue
            if pd.isna(row["time_ms"]) or "empty call" in conditions_of(row["conditions"]):
                continue
            if row["stage"] == "quantize" and row["processor"] != "cpu":
                continue
            words = (row["device"], row["model"], row["dataset"])
            names = (fold("" if pd.isna(word) else str(word)) for word in words)
            key = (*names, int(row["batch_size"]))
            found.setdefault(key, {})[f"{row['stage']}_ms"] = float(row["time_ms"])  # type: ignore[arg-type]
    needed = {"quantize_ms", "transfer_ms", "train_ms"}
    return {
        key: (Pipeline(**{"sample_ms": 0.0, **times}), idle.get(key[0]))  # type: ignore[arg-type]
        for key, times in found.items()
        if needed <= set(times)
    }


def pipelined(cost: BatchCost, how: Pipelining, epochs: int = 1) -> Pipelined:
    """Return the cost with overlap on or off. Raises ValueError for a reading that leaves no time for training.

    ``epochs`` is the local epochs of a round, over which reading G spreads its 25 ms.

        energy = measured energy + idle power * (new time - measured time)      unknown without idle power
    """
    if how.overlap == "as-measured":
        return Pipelined(cost, "as measured", False)
    stated = conditions_of(cost.conditions).get("overlap")
    if stated == how.overlap:
        return Pipelined(cost, f"measured with overlap {stated}", False)
    if cost.processor == "cpu":
        return Pipelined(cost, "trains on the CPU: nothing to overlap", False)
    key = (fold(cost.device), fold(cost.model), fold(cost.dataset), cost.batch_size)
    idle_w = how.idle_w
    if key in how.stages:
        pipeline, own_idle_w = how.stages[key]
        idle_w, source = own_idle_w if idle_w is None else idle_w, "from its measured stages"
    else:
        workload = workload_for(cost.model, cost.dataset)
        if workload is None or cost.batch_size != workload.batch_size or "WWW'24" not in cost.source:
            return Pipelined(cost, "left as measured: its stages were not measured", False)
        stage, link = read_stages(how.reading, cost, workload)
        pipeline = pipeline_of(
            Scenario(
                batch_size=workload.batch_size,
                samples=workload.samples_per_client,
                epochs=epochs,
                batches_per_round="fractional",
                stage=stage,
                link=link,
            )
        )
        source = f"link reading {how.reading.upper()}, inferred"
    time_ms = period.overlapped(pipeline).period_ms if how.overlap == "on" else pipeline.sequential_ms
    energy_mj = cost.energy_mj
    if time_ms != cost.time_ms and energy_mj is not None:
        energy_mj = None if idle_w is None else max(0.0, energy_mj + idle_w * (time_ms - cost.time_ms))
    words = f"overlap {how.overlap}, {source}"
    return Pipelined(replace(cost, time_ms=time_ms, energy_mj=energy_mj), words, time_ms != cost.time_ms)


def without_twins(costs: Iterable[BatchCost], how: Pipelining) -> tuple[BatchCost, ...]:
    """Return the costs without those that were measured the other way, where the wanted way was measured, too."""
    every = tuple(costs)
    if how.overlap == "as-measured":
        return every
    wanted = {_same(cost) for cost in every if conditions_of(cost.conditions).get("overlap") == how.overlap}

    def kept(cost: BatchCost) -> bool:
        stated = conditions_of(cost.conditions).get("overlap")
        return stated in (None, how.overlap) or _same(cost) not in wanted

    return tuple(cost for cost in every if kept(cost))


def _same(cost: BatchCost) -> tuple[object, ...]:
    others = sorted(item for item in conditions_of(cost.conditions).items() if item[0] != "overlap")
    names = (cost.device, cost.processor, cost.precision, cost.model, cost.dataset)
    return (*(fold(name) for name in names), cost.batch_size, tuple(others))
