"""A reading of Table 4: the settings the paper does not print, as one consistent set."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from costmodel.round import BatchRule
from profiler.names import did_you_mean


@dataclass(frozen=True)
class ReadWorkload:
    """A workload's inferred settings; ``payload_bytes`` is by format, ``rounds`` (to converge) by method."""

    clients_per_round: int
    payload_bytes: Mapping[str, int]
    rounds: Mapping[str, int]


@dataclass(frozen=True)
class Reading:
    """One way to read Table 4. ``workloads`` is by workload name."""

    name: str
    title: str
    source: str
    epochs: int
    batches: BatchRule
    bandwidth_bit_per_s: float
    workloads: Mapping[str, ReadWorkload]


@cache
def readings() -> Mapping[str, Reading]:
    """Return the shipped readings by name."""
    text = (resources.files("fl_sim") / "readings.toml").read_text(encoding="utf-8")
    found: dict[str, Reading] = {}
    for name, entry in tomllib.loads(text).items():
        read = {workload: ReadWorkload(**values) for workload, values in entry.pop("workloads").items()}
        found[name] = Reading(name=name, workloads=MappingProxyType(read), **entry)
    return MappingProxyType(found)


def find_reading(name: str) -> Reading:
    """Return the reading called ``name``, or raise ValueError with the known names."""
    reading = readings().get(name)
    if reading is None:
        message = f"reading {name[:80]!r} is unknown; {did_you_mean(name, readings())}"
        raise ValueError(message)
    return reading
