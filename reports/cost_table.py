"""One configuration explained line by line: every number, its unit, and where it came from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import pandas as pd

from costmodel.batch import BatchCost
from costmodel.overlap import Pipelined
from costmodel.round import PhasePower, count_batches
from costmodel.workload import workload_for
from fl_sim.converge import Convergence, converge
from fl_sim.method import METHODS, Method
from fl_sim.plan import Plan, read_plan
from fl_sim.reading import Reading
from profiler.names import printable
from reports.table import Cell, Column, Table, Tone, plain_number

_DEFAULT_METHODS = {"fp32": "floatfl", "int8": "qfedupdate"}


@dataclass(frozen=True)
class ExplainedPlan:
    """A plan, and for each of its fields where the value is from.

    ``complete`` is whether a reading held it all, so that it can be compared with itself unchanged.
    """

    plan: Plan
    sources: Mapping[str, str]
    complete: bool


def default_method(batch: BatchCost) -> Method:
    """Return the method that trains in the batch's precision, or raise ValueError if none does."""
    name = _DEFAULT_METHODS.get(batch.precision)
    if name is None:
        message = f"no method trains in {batch.precision}; measured methods train in {', '.join(_DEFAULT_METHODS)}"
        raise ValueError(message)
    return METHODS[name]


def explain_plan(batch: BatchCost, method: Method, reading: Reading, given: Mapping[str, Any]) -> ExplainedPlan:
    """Return the plan for ``batch``: what is ``given`` by the person, then the reading's, for the shipped workloads.

    Raises ValueError naming every option that is needed when model and data set are no shipped workload.
    """
    if batch.precision != method.precision:
        message = f"{method.title} trains in {method.precision}, the measurement is {batch.precision}; change --method"
        raise ValueError(message)
    values: dict[str, Any] = {"bandwidth_bit_per_s": reading.bandwidth_bit_per_s, "batches": reading.batches}
    values |= {"batch_size": batch.batch_size, "rounds": None}
    sources = dict.fromkeys(values, f"reading {reading.name}")
    sources |= {"batch_size": "the measurement", "rounds": "not given; --rounds"}
    workload = workload_for(batch.model, batch.dataset)
    if workload is not None:
        read = read_plan(reading, workload, method)
        own = {"clients", "samples_per_client"}
        known = {field.name: getattr(read, field.name) for field in fields(Plan)}
        known.pop("batch_size")
        values |= {name: value for name, value in known.items() if value is not None}
        sources |= {
            name: workload.source if name in own else f"reading {reading.name}, inferred"
            for name in known
            if known[name] is not None
        }
        sources["bandwidth_bit_per_s"] = "section 4.1 p. 6, the paper's default"
    for name, value in given.items():
        if value is not None:
            values[name] = value
            sources[name] = f"you: --{_option(name)}"
    missing = [f"--{_option(field.name)}" for field in fields(Plan) if field.name not in values]
    if missing:
        message = f"{batch.model} on {batch.dataset or 'no data set'} is no shipped workload; give {', '.join(missing)}"
        raise ValueError(message)
    return ExplainedPlan(Plan(**values), sources, complete=workload is not None)


@dataclass(frozen=True)
class Costing:
    """One configuration to be explained: a batch cost, the method, the plan with its sources, and what is added.

    ``time_ms`` and ``energy_mj`` are a person's what-if, and stand for the batch's own where they are not None.
    """

    batch: BatchCost
    method: Method
    explained: ExplainedPlan
    power: PhasePower
    wait_s: float = 0.0
    time_ms: float | None = None
    energy_mj: float | None = None
    pipelined: Pipelined | None = None

    def entries(self) -> list["_Entry"]:
        """Return a line for every number that goes in or comes out."""
        given = {"time_ms": self.time_ms, "energy_mj": self.energy_mj}
        asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        batch = replace(self.batch if self.pipelined is None else self.pipelined.cost, **asked)
        asked |= {"overlap": self.pipelined.how} if self.pipelined is not None and self.pipelined.changed else {}
        result = converge(self.explained.plan, batch, self.power, self.wait_s)
        return [
            *_measurement_lines(batch, asked),
            *_plan_lines(self.explained),
            *_round_lines(result, self.power),
            *_run_lines(result, self.explained.sources),
        ]


def cost_table(costing: Costing, unchanged: Costing | None, mode: str, notes: Iterable[str]) -> Table:
    """Return time and energy of one configuration line by line; beside ``unchanged``, if that is another one."""
    batch, method = costing.batch, costing.method
    entries = costing.entries()
    before = [] if unchanged is None else [entry.value for entry in unchanged.entries()]
    known = [
        f"Method {method.title}: trains in {method.precision}, receives {method.downlink.format}, "
        f"sends {method.uplink.format}.",
        *([f"Energy not counted: {', '.join(costing.power.not_counted)}."] if costing.power.not_counted else []),
        *([f"About the measurement: {printable(batch.note, 300)}"] if batch.note else []),
        *notes,
    ]
    data = [vars(entry) | ({"unchanged": before[place]} if before else {}) for place, entry in enumerate(entries)]
    beside = [Column("unchanged", numeric=True)] if before else []
    return Table(
        name="cost",
        title=f"{method.title} on {printable(batch.configuration, 200)}",
        mode=mode,
        units="every line has its unit",
        columns=(Column("quantity"), *beside, Column("value", numeric=True), Column("unit"), Column("from")),
        rows=tuple(
            (
                Cell(entry.quantity),
                *(_value(old, "faint" if old == entry.value else "plain") for old in before[place : place + 1]),
                _value(entry.value, "plain" if not before or before[place] == entry.value else "warn"),
                Cell(entry.unit, "faint"),
                Cell(entry.origin, "warn" if "inferred" in entry.origin else "faint"),
            )
            for place, entry in enumerate(entries)
        ),
        data=pd.DataFrame(data).assign(mode=mode),
        notes=tuple(known),
    )


def _value(value: float | None, tone: Tone) -> Cell:
    return Cell("-", "faint") if value is None else Cell(plain_number(value, 5), tone)


@dataclass(frozen=True)
class _Entry:
    quantity: str
    value: float | None
    unit: str
    origin: str


def _measurement_lines(batch: BatchCost, asked: Mapping[str, object]) -> list[_Entry]:
    """Return the lines about the batch; what was ``asked`` is the person's and no measurement."""
    origin = printable(f"{batch.table}: {batch.source} ({batch.provenance or 'provenance not stated'})", 120)
    time_from = "you: --time-ms" if "time_ms" in asked else origin
    measured_from = origin if batch.energy_mj is not None else "not measured"
    energy_from = "you: --energy-mj" if "energy_mj" in asked else measured_from
    if "overlap" in asked:
        time_from = str(asked["overlap"])
        energy_from = "unknown; --idle-power-w" if batch.energy_mj is None else "measured + idle power x change in time"
    power_w = None if batch.energy_mj is None else batch.energy_mj / batch.time_ms
    return [
        _Entry("time per batch", batch.time_ms, "ms", time_from),
        _Entry("energy per batch", batch.energy_mj, "mJ", energy_from),
        _Entry("implied mean power", power_w, "W", "energy / time"),
    ]


def _plan_lines(explained: ExplainedPlan) -> list[_Entry]:
    plan, sources = explained.plan, explained.sources
    batches = float(count_batches(plan.samples_per_client, plan.batch_size, plan.batches))
    return [
        _Entry("samples per client", plan.samples_per_client, "", sources["samples_per_client"]),
        _Entry("batch size", plan.batch_size, "", sources["batch_size"]),
        _Entry("batches per epoch", batches, "", f"samples / batch size, {plan.batches} ({sources['batches']})"),
        _Entry("local epochs", plan.epochs, "", sources["epochs"]),
        _Entry("download", plan.download_bytes, "bytes", sources["download_bytes"]),
        _Entry("upload", plan.upload_bytes, "bytes", sources["upload_bytes"]),
        _Entry("bandwidth", plan.bandwidth_bit_per_s, "bit/s", sources["bandwidth_bit_per_s"]),
    ]


def _round_lines(result: Convergence, power: PhasePower) -> list[_Entry]:
    cost = result.round

    def joules(value: Any, origin: str) -> tuple[float | None, str, str]:
        return (None, "J", "not counted") if value is None else (float(value), "J", origin)

    train = joules(cost.train_j, "epochs x batches x energy per batch")
    if cost.train_j is None:
        train = (None, "J", "not measured")
    return [
        _Entry("round: download", float(cost.download_s), "s", "8 x bytes / bandwidth"),
        _Entry("round: train", float(cost.train_s), "s", "epochs x batches x time per batch"),
        _Entry("round: upload", float(cost.upload_s), "s", "8 x bytes / bandwidth"),
        _Entry("round: wait", float(cost.wait_s), "s", "all phones alike; --wait-s adds more"),
        _Entry("round: total", float(cost.time_s), "s", "sum"),
        _Entry("round: energy of training", *train),
        _Entry("round: energy of download", *joules(cost.download_j, f"{power.download_w} W x time")),
        _Entry("round: energy of upload", *joules(cost.upload_j, f"{power.upload_w} W x time")),
        _Entry("round: energy of waiting", *joules(cost.wait_j, f"{power.wait_w} W x time")),
        _Entry("round: energy counted", None if cost.energy_j is None else float(cost.energy_j), "J", "sum"),
    ]


def _run_lines(result: Convergence, sources: Mapping[str, str]) -> list[_Entry]:
    plan = result.plan
    share = f"{plan.clients_per_round} of {plan.clients}"
    return [
        _Entry("rounds to converge", plan.rounds, "", sources["rounds"]),
        _Entry("clients per round", plan.clients_per_round, "", sources["clients_per_round"]),
        _Entry("clients", plan.clients, "", sources["clients"]),
        _Entry("time to converge", result.time_h, "h", "rounds x round"),
        _Entry("energy per client", result.client_kj, "kJ", f"rounds x round energy x {share}"),
        _Entry("energy, always selected", result.participant_kj, "kJ", "rounds x round energy"),
    ]


def _option(name: str) -> str:
    """Return the option that sets a plan's field."""
    return {"bandwidth_bit_per_s": "bandwidth", "samples_per_client": "samples"}.get(name, name.replace("_", "-"))
