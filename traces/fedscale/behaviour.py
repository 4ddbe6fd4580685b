"""FedScale's availability: when each client is active, over a trace of some days that repeats."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from traces.availability import Availability
from traces.fedscale.client_file import ClientFile, read_clients
from traces.report import Report, Tally, clean
from traces.tidy import Floats, availability_of, tidied

LongSlots = Literal["ready", "absent"]
DAY_S = 86_400.0
_MOST_PERIOD_S = 3_660 * DAY_S
_MOST_MODEL_CHARACTERS = 200


@dataclass(frozen=True, eq=False)
class Behaviour:
    """Clients with a trace: their ids, models (empty: not said) and availability, one trace each."""

    ids: tuple[str, ...]
    models: tuple[str, ...]
    availability: Availability
    report: Report


class _Bad(ValueError):
    """Why a client is dropped."""


def read_behaviour(source: Path | bytes | ClientFile, *, long_slots: LongSlots = "ready") -> Behaviour:
    """Return when clients are active: from ``active[k]`` to ``inactive[k]``, in seconds, modulo ``finish_time``.

    Nothing says at what hour of the day a trace begins, so that its time 0 is put at the clock's. Slots that are empty,
    out of order or overlap are put right and counted. A client is dropped, and counted, whose lists differ in length,
    hold anything but finite numbers, have a slot that ends before it begins, or reach beyond ``finish_time``.
    Slots longer than a day look like gaps in the recording: they are flagged, and with ``long_slots`` ``absent`` the
    client is not ready in them. Raises ValueError if the file is not of that kind or no client is left, and OSError.
    """
    file = source if isinstance(source, ClientFile) else read_clients(source)
    tally = file.tally
    ids, models, periods = [], [], []
    parts: list[tuple[Floats, Floats]] = []
    for client, entry in file.entries.items():
        try:
            period, start, end = _slots(entry)
            model = _model(entry)
        except _Bad as bad:
            tally.drop(str(bad), f"client {client}")
            continue
        parts.append(_put_right(client, start, end, long_slots, tally))
        ids.append(client)
        models.append(model)
        periods.append(period)
    if not ids:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in tally.report(0).dropped)
        message = (
            f"{clean(file.file.name, 300)}: none of its {file.given} clients has a trace that can be used: "
            f"{reasons or 'it is empty'}; entries must have active, inactive and finish_time, as FedScale writes them"
        )
        raise ValueError(message)
    availability = availability_of(parts, np.array(periods))
    return Behaviour(tuple(ids), tuple(models), availability, tally.report(len(ids)))


def _slots(entry: Mapping[Any, Any]) -> tuple[float, Floats, Floats]:
    """Return period, starts and ends, checked but for their order."""
    active, inactive, period = entry.get("active"), entry.get("inactive"), entry.get("finish_time")
    if not isinstance(active, list) or not isinstance(inactive, list) or type(period) not in (int, float):
        message = "active, inactive or finish_time is missing or of another kind"
        raise _Bad(message)
    if len(active) != len(inactive):
        message = "active and inactive differ in length"
        raise _Bad(message)
    start, end = _numbers(active), _numbers(inactive)
    length = _numbers([period])[0]
    if not 0 < length <= _MOST_PERIOD_S:
        message = "finish_time is not above 0, or beyond ten years"
        raise _Bad(message)
    if (start < 0).any():
        message = "a slot begins before 0"
        raise _Bad(message)
    if (end < start).any():
        message = "a slot ends before it begins"
        raise _Bad(message)
    if len(end) and end.max() > length:
        message = "a slot ends after finish_time"
        raise _Bad(message)
    return float(length), start, end


def _numbers(values: list[Any]) -> Floats:
    if not set(map(type, values)) <= {int, float}:
        message = "something that is no number"
        raise _Bad(message)
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError as error:
        message = "a number that is not finite"
        raise _Bad(message) from error
    if not np.isfinite(numbers).all():
        message = "a number that is not finite"
        raise _Bad(message)
    return numbers


def _model(entry: Mapping[Any, Any]) -> str:
    model = entry.get("model", "")
    if not isinstance(model, str) or len(model) > _MOST_MODEL_CHARACTERS:
        message = f"model is no text of at most {_MOST_MODEL_CHARACTERS} characters"
        raise _Bad(message)
    return clean(model, _MOST_MODEL_CHARACTERS)


def _put_right(client: str, start: Floats, end: Floats, long_slots: LongSlots, tally: Tally) -> tuple[Floats, Floats]:
    """Return a client's slots tidied, with what was done to them in the tally."""
    long = end - start > DAY_S
    if long.any():
        longest = math.floor(np.max(end - start) / DAY_S)
        clients, slots = ("clients with a slot longer than a day", "slots longer than a day")
        if long_slots == "absent":
            tally.repair(f"{clients}, in which they now are absent", f"client {client}, {longest} days")
            tally.repair(f"{slots}, now absent", count=int(long.sum()))
            start, end = start[~long], end[~long]
        else:
            tally.flag(f"{clients}, perhaps gaps in the recording", f"client {client}, {longest} days")
            tally.flag(slots, count=int(long.sum()))
    found = tidied(start, end)
    tally.repair("empty slots, left out", f"client {client}", found.empty)
    tally.repair("slots out of order, sorted", f"client {client}", found.unsorted)
    tally.repair("overlapping slots, joined", f"client {client}", found.overlapping)
    if not len(found.start_s):
        tally.flag("clients that are never ready", f"client {client}")
    return found.start_s, found.end_s
