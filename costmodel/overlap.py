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
from costmodel.observation import conditions_of, idle_power_w, other_conditions
from costmodel.paper_scenario import read_stages
from costmodel.scenario import Scenario, pipeline_of
from costmodel.stages import STAGES, Pipeline
from costmodel.workload import workload_for
from profiler.names import fold

Overlap = Literal["as-measured", "on", "off"]
DEFAULT_LINK_READING = "f"
_ROUNDING = 1.5  # printed energies such as 0.02 J are that uncertain


@dataclass(frozen=True)
class StageRow:
    """One measured stage: names folded, conditions without what they say of overlap."""

    device: str
    model: str
    dataset: str
    batch_size: int
    processor: str
    precision: str
    stage: str
    conditions: frozenset[tuple[str, str]]
    time_ms: float


@dataclass(frozen=True)
class MeasuredStages:
    """The stages of somebody's tables, and the idle power in W of the phones that have one."""

    rows: tuple[StageRow, ...] = ()
    idle_w: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Pipelining:
    """How batch costs are pipelined: the ``overlap``, the ``reading`` of the paper's link, and what was measured.

    ``idle_w`` is the phone's idle power, P0, which turns time saved into energy saved; None is not known.
    """

    overlap: Overlap = "as-measured"
    reading: str = DEFAULT_LINK_READING
    idle_w: float | None = None
    stages: MeasuredStages = field(default_factory=MeasuredStages)

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
        return f"overlap {self.overlap} (link reading {self.reading.upper()} for published rows{idle})"


@dataclass(frozen=True)
class Pipelined:
    """A batch cost with overlap on or off, and how it came about; ``changed`` is whether its time is another one."""

    cost: BatchCost
    how: str
    changed: bool


AS_MEASURED = Pipelining()


def measured_stages(tables: Mapping[str, pd.DataFrame]) -> MeasuredStages:
    """Return the rows of stages in the tables (file name -> checked table). Raises TableError for emulated rows."""
    rows: list[StageRow] = []
    idle: dict[str, float] = {}
    for name, table in tables.items():
        refuse_emulated(table, name)
        for row in table.to_dict("records"):
            power_w = idle_power_w(row)
            if power_w is not None:
                idle[fold(str(row["device"]))] = power_w
            stated = conditions_of(row["conditions"])
            if row["stage"] not in STAGES or pd.isna(row["batch_size"]) or "empty call" in stated:
                continue
            if not pd.isna(row["time_ms"]):
                device, model, dataset = (
                    "" if pd.isna(word) else fold(str(word)) for word in (row["device"], row["model"], row["dataset"])
                )
                rows.append(
                    StageRow(
                        device=device,
                        model=model,
                        dataset=dataset,
                        batch_size=int(row["batch_size"]),
                        processor=row["processor"],
                        precision=row["precision"],
                        stage=row["stage"],
                        conditions=other_conditions(row["conditions"]),
                        time_ms=float(row["time_ms"]),
                    )
                )
    return MeasuredStages(tuple(rows), idle)


def _measured_pipeline(cost: BatchCost, stages: MeasuredStages) -> Pipeline | str | None:
    """Return the pipeline of the stages measured for a cost, None if there are none, or why there is none.

    The CPU samples and quantizes; transfer and training are those of the cost's processor, training in its precision.
    Sampling that was not measured counts as 0. Two of each slot, and a transfer that holds nothing, are assumed.
    """
    names = (fold(cost.device), fold(cost.model), fold(cost.dataset), cost.batch_size)
    mine = [
        row
        for row in stages.rows
        if (row.device, row.batch_size) == (names[0], names[3])
        and row.model in ("", names[1])
        and row.dataset in ("", names[2])
    ]
    others = other_conditions(cost.conditions)
    times: dict[str, float] = {}
    for stage in ("sample", "quantize", "transfer", "train"):
        processor = "cpu" if stage in ("sample", "quantize") else cost.processor
        rows = [row for row in mine if row.stage == stage and row.processor == processor]
        if stage == "train":
            rows = [row for row in rows if row.precision == cost.precision]
        elsewhere = [row for row in rows if row.conditions and row.conditions != others]
        rows = [row for row in rows if row.conditions == others] or [row for row in rows if not row.conditions]
        if elsewhere and not rows:
            return f"left as measured: its {stage} was measured under other conditions"
        if len(rows) > 1:
            return f"left as measured: its {stage} was measured more than once"
        if rows:
            times[f"{stage}_ms"] = rows[0].time_ms
    missing = [stage for stage in ("quantize", "transfer", "train") if f"{stage}_ms" not in times]
    if missing:
        return f"left as measured: {' and '.join(missing)} was not measured" if times else None
    if times["train_ms"] > _ROUNDING * cost.time_ms:
        return "left as measured: training alone takes longer than its complete batch, so one of the two is wrong"
    return Pipeline(
        sample_ms=times.get("sample_ms", 0.0),
        quantize_ms=times["quantize_ms"],
        transfer_ms=times["transfer_ms"],
        train_ms=times["train_ms"],
    )


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
    own = _measured_pipeline(cost, how.stages)
    idle_w = how.idle_w
    if isinstance(own, str):
        return Pipelined(cost, own, False)
    if own is not None:
        idle_w = how.stages.idle_w.get(fold(cost.device)) if idle_w is None else idle_w
        pipeline, source = own, "from its measured stages"
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
    if idle_w is not None and energy_mj is not None and idle_w > _ROUNDING * energy_mj / cost.time_ms:
        mean_w = energy_mj / cost.time_ms
        message = f"idle power must not be above the {mean_w:.3g} W of training {cost.configuration} (got {idle_w:g})"
        raise ValueError(message)
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
    others = other_conditions(cost.conditions)
    names = (cost.device, cost.processor, cost.precision, cost.model, cost.dataset)
    return (*(fold(name) for name in names), cost.batch_size, others)
