"""A fleet of FedScale's files: availability, capacity, or both joined by the clients' ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from traces.fedscale.behaviour import Behaviour, LongSlots, read_behaviour
from traces.fedscale.capacity import Capacity, read_capacity
from traces.fedscale.client_file import kind_of, read_clients
from traces.fleet import Fleet
from traces.hardware import Hardware, Tier
from traces.network import PAPER_BIT_PER_S
from traces.rates import constant_network
from traces.report import Report, Tally, clean, joined
from traces.source_file import SourceFile

_BEHAVIOUR = ("client_behave_trace", "client_behave_trace.pkl", "behave_trace*.json")
_CAPACITY = ("client_device_capacity", "client_device_capacity.pkl", "device_capacity*.json")
NAMES = (_BEHAVIOUR[0], _CAPACITY[0], _BEHAVIOUR[2], _CAPACITY[2])

Files = tuple[tuple[str, str, int], ...]


@dataclass
class _Parts:
    """What the files held."""

    behaviour: Behaviour | None = None
    capacity: Capacity | None = None
    files: list[tuple[str, str, int]] = field(default_factory=list)


def fedscale_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of FedScale's in a folder: at most one of each kind, the original before others."""
    found = []
    for patterns in (_BEHAVIOUR, _CAPACITY):
        there = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
        found.extend(there[:1])
    return tuple(found)


def open_fedscale(
    sources: Sequence[Path | SourceFile], long_slots: LongSlots, name: str
) -> tuple[Fleet, Report, Files]:
    """Return the fleet of one or two files, what was dropped, and the files' sums. Raises ValueError, OSError.

    Kinds of hardware are those that differ in model or computation; the score is samples of inference a second.
    FedScale drew the two files apart from each other: what they join by an id was never one phone.
    """
    parts = _Parts()
    for source in sources:
        clients = read_clients(source)
        parts.files.append(clients.file.known_by)
        kind = kind_of(clients.entries)
        if kind == "behaviour":
            parts.behaviour = read_behaviour(clients, long_slots=long_slots)
        elif kind == "capacity":
            parts.capacity = read_capacity(clients)
        else:
            message = (
                f"{clean(clients.file.name, 300)}: holds no traces of FedScale's: entries need active, inactive "
                "and finish_time, or computation and communication"
            )
            raise ValueError(message)
    return _joined(parts, name, long_slots)


def _joined(parts: _Parts, name: str, long_slots: LongSlots) -> tuple[Fleet, Report, Files]:
    behaviour, capacity, tally = parts.behaviour, parts.capacity, Tally()
    trace_at = {client: place for place, client in enumerate(behaviour.ids)} if behaviour else {}
    rate_at = {client: place for place, client in enumerate(capacity.ids)} if capacity else {}
    ids = [client for client in trace_at or rate_at if not (trace_at and rate_at) or client in rate_at]
    if not ids:
        message = f"{clean(name, 60)}: no client is in both files; name one of them, or get two that belong together"
        raise ValueError(message)
    if trace_at and rate_at:
        tally.drop("clients with availability and no capacity", count=len(trace_at) - len(ids))
        tally.drop("clients with capacity and no availability", count=len(rate_at) - len(ids))
        tally.flag("availability and capacity of one id, which were never one phone", count=len(ids))
    elif rate_at:
        tally.flag("phones always ready: no file says when they are", count=len(ids))
    else:
        tally.flag(f"phones without rates, given {PAPER_BIT_PER_S / 1e6:g} Mbit/s", count=len(ids))
    none = np.zeros(len(ids), np.int32)
    traces = np.array([trace_at[client] for client in ids], np.int32) if trace_at else none
    rates = np.array([rate_at[client] for client in ids], np.int32) if rate_at else none
    hardware, kinds = _hardware(behaviour, capacity, traces.tolist(), rates.tolist())
    fleet = Fleet(
        name=clean(name, 60),
        hardware=hardware,
        hardware_of=kinds,
        network=capacity.network() if capacity else constant_network(PAPER_BIT_PER_S, PAPER_BIT_PER_S),
        network_of=rates,
        availability=behaviour.availability if behaviour else None,
        trace_of=traces,
        shift_s=np.zeros(len(ids)),
        source=_source(behaviour, capacity, long_slots),
    )
    reports = [part.report for part in (behaviour, capacity) if part]
    return fleet, joined(len(ids), [*reports, tally.report(len(ids))]), tuple(parts.files)


def _hardware(
    behaviour: Behaviour | None, capacity: Capacity | None, traces: list[int], rates: list[int]
) -> tuple[Hardware, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    places: dict[tuple[str, float], int] = {}
    which = np.zeros(len(traces), np.int32)
    for phone, (trace, rate) in enumerate(zip(traces, rates, strict=True)):
        model = behaviour.models[trace] if behaviour else ""
        speed = 1e3 / float(capacity.computation_ms[rate]) if capacity else -1.0
        which[phone] = places.setdefault((model, speed), len(places))
    scores = np.array([speed for _, speed in places])
    models: tuple[str, ...] = tuple(model for model, _ in places)
    unknown: Tier = ""
    tiers = (unknown,) * len(places)
    return Hardware(models, ("",) * len(places), tiers, np.where(scores < 0, np.nan, scores)), which


def _source(behaviour: Behaviour | None, capacity: Capacity | None, long_slots: LongSlots) -> str:
    said = []
    if behaviour:
        long = ", slots of more than a day taken for absence" if long_slots == "absent" else ""
        said.append(f"FedScale's availability, by its own rule and at no known hour of the day{long}")
    if capacity:
        said.append(
            "FedScale's capacity: communication in kbit/s, the same both ways; score: samples of inference a second"
        )
    return "; ".join(said)
