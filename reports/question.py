"""A question to ``fedjoule cost``: which configuration, under which settings, and what if some were others?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from costmodel.batch import BatchCost, find_batch_cost
from costmodel.overlap import AS_MEASURED, Pipelining, pipelined
from costmodel.round import PhasePower
from costmodel.workload import workload_for
from fl_sim.method import find_method
from fl_sim.reading import find_reading
from profiler.names import fold
from reports.cost_table import Costing, cost_table, default_method, explain_plan
from reports.table import Table
from reports.table4 import paper_costs


@dataclass(frozen=True)
class Question:
    """What a person asks for; None and what is missing in a mapping is left as it is.

    ``wanted`` chooses the measurement (arguments of `find_batch_cost`), ``plan`` gives fields of the plan.
    """

    wanted: Mapping[str, Any]
    method: str | None
    reading: str
    time_ms: float | None = None
    energy_mj: float | None = None
    wait_s: float = 0.0
    power: PhasePower = field(default_factory=PhasePower)
    plan: Mapping[str, Any] = field(default_factory=dict)
    pipelining: Pipelining = AS_MEASURED

    def __post_init__(self) -> None:
        for name, lowest in (("time_ms", 1e-6), ("energy_mj", 0.0)):
            value = getattr(self, name)
            if value is not None and not lowest <= value <= 1e12:
                message = f"{name} must be from {lowest:g} to 1e12 (got {value})"
                raise ValueError(message)
        how = self.pipelining
        if how.overlap == "as-measured" and how.idle_w is not None:
            message = "idle power has no effect without --overlap on or off"
            raise ValueError(message)
        if how.overlap != "as-measured" and (self.time_ms, self.energy_mj) != (None, None):
            message = "--time-ms and --energy-mj state what --overlap would compute; give one or the other"
            raise ValueError(message)

    @property
    def changed(self) -> Mapping[str, Any]:
        """What the person changed, by name."""
        own: dict[str, Any] = {"time_ms": self.time_ms, "energy_mj": self.energy_mj, "wait_s": self.wait_s or None}
        own |= {"overlap": self.pipelining.words or None}
        return {name: value for name, value in (own | vars(self.power) | dict(self.plan)).items() if value is not None}


def answer(question: Question, own: Sequence[BatchCost]) -> tuple[Table, Mapping[str, object]]:
    """Return the costs of one configuration line by line, and the parameters for the manifest.

    Raises ValueError if no or several measurements fit, or if the plan is incomplete or impossible.
    """
    batch, is_own = _find(question.wanted, own)
    method = default_method(batch) if question.method is None else find_method(question.method)
    reading = find_reading(question.reading)
    explained = explain_plan(batch, method, reading, question.plan)
    costing = Costing(
        batch=batch,
        method=method,
        explained=explained,
        power=question.power,
        wait_s=question.wait_s,
        time_ms=question.time_ms,
        energy_mj=question.energy_mj,
        pipelined=pipelined(batch, question.pipelining, explained.plan.epochs),
    )
    mode, unchanged = "paper's rounds, own costs" if is_own else "paper", None
    if not costing.explained.complete:
        mode = "your settings, own costs"
    elif question.changed:
        mode += ", inputs changed"
        unchanged = Costing(batch, method, explain_plan(batch, method, reading, {}), PhasePower())
    table = cost_table(costing, unchanged, mode, tuple(_notes(question, costing)))
    chosen = {name: value for name, value in question.wanted.items() if value is not None}
    return table, {"method": method.name, "reading": reading.name, **chosen, **question.changed}


def _find(wanted: Mapping[str, Any], own: Sequence[BatchCost]) -> tuple[BatchCost, bool]:
    """Return the batch cost that fits, and whether it is the person's own.

    Own rows that fit all that is wanted hide published ones that would fit as well.
    """
    names = {name: fold(str(value)) for name, value in wanted.items() if value is not None}
    fitting = [cost for cost in own if all(fold(str(getattr(cost, name))) == value for name, value in names.items())]
    found = find_batch_cost(fitting or (*own, *paper_costs()), **wanted)
    return found, found in own


def _notes(question: Question, costing: Costing) -> Iterator[str]:
    """Yield what a person should know about what they changed, and where measurement and rounds do not match."""
    changed = set(question.changed)
    batch = costing.batch
    workload = workload_for(batch.model, batch.dataset)
    if workload is not None and batch.batch_size != workload.batch_size and "rounds" not in changed:
        yield (
            f"Measured at batch size {batch.batch_size}; the rounds were inferred for {workload.batch_size},"
            " and another batch size may need others: --rounds."
        )
    from_reading = {"epochs", "download_bytes", "upload_bytes"} - changed
    if "rounds" in changed and costing.explained.complete and from_reading:
        yield (
            f"Epochs and payloads that you did not give are reading {question.reading}'s. Readings are equal for the"
            " paper's own rounds only: the other one gives another time for yours."
        )
    if costing.pipelined is not None and question.pipelining.words:
        how = costing.pipelined
        yield f"Overlap {question.pipelining.overlap}: {how.how}."
        if how.changed and how.cost.energy_mj is None and batch.energy_mj is not None:
            yield "Its energy is unknown: it changes by idle power times the change in time; give --idle-power-w."
    if "time_ms" in changed and "energy_mj" not in changed:
        yield "The energy of a batch was left as measured, so its implied power changed with the time."
    if "wait_w" in changed and not question.wait_s:
        yield "Waiting is 0 s when all phones are alike, so its power adds nothing; --wait-s gives a time."
