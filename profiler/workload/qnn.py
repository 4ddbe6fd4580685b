"""Qualcomm AI Engine Direct (QNN): profiling events, as qnn-profile-viewer or a program's log prints them.

Nested: program >= QNN >= RPC >= QNN accelerator >= accelerator. What an RPC takes beyond the accelerator is transfer.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from profiler.workload.lines import Lines, lines_of, nothing_read, number
from profiler.workload.reading import ACCELERATORS, Array, Reading, of_batches
from profiler.workload.workload import Workload

_EVENT = re.compile(
    r"(?P<who>QNN accelerator|QNN|RPC|Accelerator) \((?P<what>execute|load binary|finalize|init)\) time\)? *[:,] *"
    r"(?:Event Data: *)?(?P<time>\d{1,15}) us",
    re.IGNORECASE,
)
_SECTION = re.compile(r"^(?P<what>[A-Za-z -]{1,30}?) Stats?(?: \((?P<which>\w{1,20})\))?(?: *\d{1,9})? *:?$")
_PROGRAM = re.compile(r"^NetRun *: *(?P<time>\d{1,15}) us")
_CSV_HEADER = ("Message", "Time", "Unit of Measurement", "Timing Source", "Event Identifier")
_LEVELS = ("netrun", "qnn", "rpc", "qnn accelerator", "accelerator")


@dataclass
class _Events:
    """Microseconds of every execution by level, in the order of the output; ``averages`` where the viewer made them."""

    each: dict[str, list[float]] = field(default_factory=dict)
    averages: dict[str, float] = field(default_factory=dict)
    startup_us: float | None = None


def read(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of execute events, with the split into transfer and work of the accelerator.

        transfer = RPC - accelerator

    Raises ValueError if there is none.
    """
    every = [lines.rows, *(lines_of(content).rows for content in files.values())]
    events = _Events()
    for rows in every:
        _collect(rows, events)
    level = next((level for level in _LEVELS if level in events.averages or level in events.each), None)
    if level is None:
        expected = "'Backend (RPC (execute) time): 2920 us' under 'Execute Stats (Average):', by qnn-profile-viewer"
        raise nothing_read(lines, expected)
    if events.averages:
        reading = Reading(mean_ms=events.averages[level] / 1e3)
    else:
        reading = of_batches(np.array(events.each[level]) / 1e3)
    parts_ms, notes = _split(events)
    if reading.batch_ms is not None and any(np.size(part) != reading.batches for part in parts_ms.values()):
        parts_ms = {name: float(np.mean(part)) for name, part in parts_ms.items()}  # not of the same executions
    remote = events.averages or events.each
    coverage = None
    if workload.processor in ACCELERATORS and workload.processor != "gpu":  # the GPU backend makes no RPC
        coverage = "complete" if remote.keys() & {"rpc", "accelerator", "qnn accelerator"} else "none"
    elif "rpc" in remote:
        coverage = "complete" if workload.processor == "cpu" else "none"
    return replace(
        reading,
        startup_ms=None if events.startup_us is None else events.startup_us / 1e3,
        parts_ms=parts_ms,
        accelerator="QNN" if coverage == "complete" else None,
        coverage=coverage,
        notes=tuple(notes),
    )


def _collect(rows: Iterable[str], events: _Events) -> None:
    section, which = "", ""
    columns: dict[str, int] = {}
    for row in rows:
        heading = _SECTION.match(row)
        if heading:
            section, which = heading.group("what").casefold(), (heading.group("which") or "").casefold()
        elif all(name in row for name in _CSV_HEADER):
            columns = {name.strip(): index for index, name in enumerate(_cells(row))}
        elif columns and _csv_row(_cells(row), columns, events):
            pass
        elif (program := _PROGRAM.match(row)) and (time_us := number(program.group("time"))) is not None:
            if section == "init":
                events.startup_us = time_us
            elif section == "execute":
                _add(events, "netrun", time_us, which)
        elif "time" in row and (event := _EVENT.search(row)):
            time_us = number(event.group("time"))
            who, what = event.group("who").casefold(), event.group("what").casefold()
            if what == "execute" and time_us is not None:
                _add(events, who, time_us, which if section == "execute" else "")
            elif who == "qnn" and what in {"load binary", "init"} and events.startup_us is None:
                events.startup_us = time_us


def _add(events: _Events, level: str, time_us: float, which: str) -> None:
    if which == "average":
        events.averages.setdefault(level, time_us)  # the first graph
    elif which == "":  # minimum, maximum and overall sum up what is known
        events.each.setdefault(level, []).append(time_us)


def _cells(row: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([row], strict=True), [])]
    except csv.Error:
        return []


def _csv_row(cells: list[str], columns: Mapping[str, int], events: _Events) -> bool:
    """Add the event of a row of the viewer's CSV, and return whether the row was one."""
    if len(cells) < len(columns):
        return False
    row = {name: cells[index] for name, index in columns.items()}
    time_us = number(row["Time"])
    if time_us is None or row["Unit of Measurement"].upper() != "US":
        return True
    name = row["Event Identifier"].casefold()
    if row["Timing Source"].upper() == "NETRUN" and row["Message"].upper() == "EXECUTE":
        _add(events, "netrun", time_us, "")
    elif name.endswith(" (execute) time") and name.removesuffix(" (execute) time") in _LEVELS:
        _add(events, name.removesuffix(" (execute) time"), time_us, "")
    return True


def _split(events: _Events) -> tuple[dict[str, Array | float], list[str]]:
    """Return the times of transfer and work of the accelerator, and what makes them doubtful."""
    if events.averages:
        found = {level: np.array([time_us]) for level, time_us in events.averages.items()}
    else:
        found = {level: np.array(times_us) for level, times_us in events.each.items()}
    inner = next((found[level] for level in ("accelerator", "qnn accelerator") if level in found), None)
    outer = found.get("rpc")
    if inner is None or outer is None:
        return {}, []
    if len(inner) != len(outer) or (inner > outer).any():
        return {}, ["RPC and accelerator times do not nest: no split into transfer and train"]
    transfer_ms, train_ms = (outer - inner) / 1e3, inner / 1e3
    if events.averages:
        return {"transfer": float(transfer_ms[0]), "train": float(train_ms[0])}, []
    return {"transfer": transfer_ms, "train": train_ms}, []
