"""What one training batch costs on one processor of one phone, looked up in measurement tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from profiler.columns import same_conditions
from profiler.names import did_you_mean, fold, printable
from profiler.sheet import Problem, TableError


@dataclass(frozen=True)
class BatchCost:
    """One measured configuration and the time and energy of its complete batch.

    ``energy_mj`` is None where the table has none. ``table`` names the file the row came from, ``provenance`` is
    measured, published, inferred or empty (not stated).
    """

    device: str
    processor: str
    precision: str
    model: str
    dataset: str
    batch_size: int
    time_ms: float
    energy_mj: float | None
    conditions: str
    provenance: str
    source: str
    note: str
    table: str

    @property
    def configuration(self) -> str:
        """The configuration in words, for messages: ``Xiaomi 10 dsp int8 VGG-16 CIFAR-10 batch 64``."""
        name = f"{self.device} {self.processor} {self.precision} {self.model} {self.dataset}".strip()
        return f"{name} batch {self.batch_size}" + (f" ({self.conditions})" if self.conditions else "")


def batch_costs(tables: Mapping[str, pd.DataFrame]) -> tuple[BatchCost, ...]:
    """Return the rows of stage ``total`` of all ``tables`` (file name -> checked table), each configuration once.

    A row that repeats an earlier one exactly (the paper prints Xiaomi 10 twice) is dropped. Raises TableError if a
    table holds an ``emulated`` row, or if two rows give one configuration different costs.
    """
    costs: dict[tuple[object, ...], BatchCost] = {}
    for name, table in tables.items():
        refuse_emulated(table, name)
        for row in table[table["stage"] == "total"].to_dict("records"):
            cost = _batch_cost(row, name)
            key = (*_configuration(cost), same_conditions(cost.conditions))
            known = costs.setdefault(key, cost)
            if (known.time_ms, known.energy_mj) != (cost.time_ms, cost.energy_mj):
                rule = f"gives {cost.configuration} another cost than {known.table}; keep one of the two"
                raise TableError(Problem(name, rule))
    return tuple(costs.values())


def find_batch_cost(
    costs: Iterable[BatchCost],
    *,
    device: str,
    model: str | None = None,
    dataset: str | None = None,
    processor: str | None = None,
    precision: str | None = None,
    batch_size: int | None = None,
    conditions: str | None = None,
) -> BatchCost:
    """Return the one configuration that fits; what is None may be anything.

    Names are compared folded (``vgg16`` finds ``VGG-16``). Raises ValueError with the nearest names if nothing fits,
    or with what tells them apart if several do.
    """
    every = tuple(costs)
    found = list(every)
    wanted = {
        "device": device,
        "model": model,
        "dataset": dataset,
        "processor": processor,
        "precision": precision,
        "batch_size": None if batch_size is None else str(batch_size),
        "conditions": conditions,
    }
    chosen: list[str] = []
    for field, value in wanted.items():
        if value is None:
            continue
        known = sorted({str(getattr(cost, field)) for cost in found})
        found = [cost for cost in found if fold(str(getattr(cost, field))) == fold(value)]
        if not found:
            elsewhere = any(fold(str(getattr(cost, field))) == fold(value) for cost in every)
            where = f"was not measured for {', '.join(chosen)}" if elsewhere else "is not in the measurements"
            message = f"{field} {value[:80]!r} {where}; {did_you_mean(value, known)}"
            raise ValueError(message)
        chosen.append(f"{field} {printable(value)}")
    if len(found) > 1:
        values = {field: sorted({str(getattr(cost, field)) for cost in found}) for field in wanted}
        apart = [f"{field} ({', '.join(known)})" for field, known in values.items() if len(known) > 1]
        message = f"{len(found)} measurements of {found[0].device} fit; choose by {', '.join(apart)}"
        raise ValueError(message)
    return found[0]


def refuse_emulated(table: pd.DataFrame, name: str) -> None:
    """Raise TableError if a table holds a row that was timed under emulation; ``name`` is its file."""
    emulated = table.index[table["provenance"] == "emulated"]
    if len(emulated):
        rule = (
            f"holds {len(emulated)} row(s) timed under emulation, which say nothing about a phone; measure a real one"
        )
        raise TableError(Problem(name, rule, column="provenance", value="emulated"))


def _batch_cost(row: Mapping[Any, Any], name: str) -> BatchCost:
    def text(column: str) -> str:
        return "" if pd.isna(row[column]) else str(row[column])

    energy_mj = float(row["energy_mj"])
    return BatchCost(
        device=text("device"),
        processor=text("processor"),
        precision=text("precision"),
        model=text("model"),
        dataset=text("dataset"),
        batch_size=int(text("batch_size")),
        time_ms=float(row["time_ms"]),
        energy_mj=None if pd.isna(energy_mj) else energy_mj,
        conditions=text("conditions"),
        provenance=text("provenance"),
        source=text("source"),
        note=text("note"),
        table=name,
    )


def _configuration(cost: BatchCost) -> tuple[object, ...]:
    names = (cost.device, cost.processor, cost.precision, cost.model, cost.dataset)
    return (*(fold(name) for name in names), cost.batch_size)
