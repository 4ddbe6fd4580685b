"""A federated workload: a data set spread over clients, and the model they train on it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from profiler.names import fold


@dataclass(frozen=True)
class Workload:
    """What every client holds and trains.

    ``samples_per_client`` may be an average and so need not be whole; ``source`` says where the figures are from.
    """

    name: str
    dataset: str
    model: str
    clients: int
    samples_per_client: float
    batch_size: int
    source: str

    def __post_init__(self) -> None:
        for field in ("clients", "samples_per_client", "batch_size"):
            value = getattr(self, field)
            if not value > 0:
                message = f"{field} must be above 0 (got {value} in workload {self.name!r})"
                raise ValueError(message)


@cache
def workloads() -> Mapping[str, Workload]:
    """Return the shipped workloads by name, in the paper's order."""
    text = (resources.files("costmodel") / "workloads.toml").read_text(encoding="utf-8")
    return MappingProxyType({name: Workload(name=name, **entry) for name, entry in tomllib.loads(text).items()})


def workload_for(model: str, dataset: str) -> Workload | None:
    """Return the shipped workload of this model and data set (names folded), or None if there is none."""
    for workload in workloads().values():
        if (fold(workload.model), fold(workload.dataset)) == (fold(model), fold(dataset)):
            return workload
    return None
