"""JSON lines of our own programs: what runs, and two clock readings for every batch (docs/reference/workload.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from profiler.names import fold, printable
from profiler.workload.lines import Lines, nothing_read
from profiler.workload.pattern_groups import PARTS
from profiler.workload.reading import ACCELERATORS, Array, Counts, Reading, of_blocks
from profiler.workload.workload import CLASSES, Workload

VERSION = 1
_LATEST_NS = 2**63
_MOST_NOTES = 20
_MOST_IN_LINE = 10**9
# A phone that suspends and wakes is away for longer than this; two clocks read one after the other differ by less.
_SUSPENDED_S = 0.1
# Time between batches that is in the energy of a run and not in the time of its batches.
_LARGEST_GAP = 0.05


@dataclass
class _Record:
    """The lines of a run by kind, as they came."""

    hello: dict[str, Any] | None = None
    end: dict[str, Any] | None = None
    phase: str | None = None
    phase_ns: int | None = None
    times: dict[str | None, list[tuple[int, int]]] = field(default_factory=dict)
    counts: dict[str | None, list[int]] = field(default_factory=dict)
    parts: dict[str | None, list[Mapping[str, int]]] = field(default_factory=dict)
    backwards: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn: int = 0


def read(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of JSON lines. Without overlap a batch takes t1 - t0; with it, the time since the last t1.

        mean with overlap = (last t1 - first t0) / batches

    A line may stand for several batches (``count``), which then took the same each.

    Raises ValueError if there is no batch after the warm-up.
    """
    record = _record(lines)
    measured = None if record.phase is None else "run"
    run = record.times.get(measured) or []
    if measured is None:
        record.problems.append('no line {"kind":"phase","name":"run"}: warm-up cannot be told from the run')
    if not run:
        expected = '{"kind":"phase","name":"run",...} and then {"kind":"batch","i":0,"t0_ns":...,"t1_ns":...}'
        raise nothing_read(lines, expected)
    t0_ns, t1_ns = np.array(run, dtype=np.int64).T
    counts = np.array(record.counts[measured], dtype=np.int64)
    follows = bool((t0_ns[1:] >= t1_ns[:-1]).all())
    if follows and workload.overlap != "on":
        batch_ms = (t1_ns - t0_ns) / 1e6
        between = 1 - float(batch_ms.sum()) / max((t1_ns[-1] - t0_ns[0]) / 1e6, 1e-9)
        if between > _LARGEST_GAP:
            record.notes.append(f"{between:.0%} of the run lies between the batches")
    else:
        batch_ms = np.diff(t1_ns, prepend=t0_ns[0]) / 1e6
    if not follows and workload.overlap == "off":
        record.notes.append("batches overlap, although the workload says that they do not")
    reading = of_blocks(batch_ms, counts)
    warmup, warmed_up = record.times.get("warmup") or [], sum(record.counts.get("warmup") or [])
    _compare(workload, record)
    _end(record, int(counts.sum()), warmed_up)
    hello = record.hello or {}
    return replace(
        reading,
        warmup_batches=warmed_up,
        warmup_ms=_busy_ns(warmup) / warmed_up / 1e6 if warmup else None,
        parts_ms=_parts(record.parts[measured], counts),
        run_window_s=_window(record, run),
        suspended_s=_suspended(record),
        waited=_waited(record, run),
        startup_ms=_startup(record),
        checksum=printable(record.end["checksum"], 200) if record.end and "checksum" in record.end else None,
        path=printable(hello["path"], 40) if isinstance(hello.get("path"), str) else None,
        accelerator=hello["processor"] if hello.get("processor") in ACCELERATORS else None,
        coverage="complete" if hello.get("processor") in ACCELERATORS else None,
        problems=tuple(record.problems),
        notes=tuple(record.notes),
    )


def _record(lines: Lines) -> _Record:
    record = _Record()
    for row in lines.rows:
        entry = _entry(row) if row.startswith("{") else None
        kind = entry.get("kind") if entry else None
        if entry is None or not isinstance(kind, str):
            record.torn += row.startswith("{")
        elif kind == "hello" and record.hello is None:
            record.hello = entry
        elif kind == "hello":
            record.problems.append("two lines of kind hello: two programs wrote into one output")
            break
        elif kind == "phase" and entry.get("name") in {"warmup", "run"}:
            record.phase = entry["name"]
            record.phase_ns = _ns(entry, "boottime_ns") if record.phase_ns is None else record.phase_ns
        elif kind == "batch":
            _batch(record, entry)
        elif kind == "note" and len(record.notes) < _MOST_NOTES:
            record.notes.append(f"the program says: {printable(entry.get('what', ''), 200)}")
        elif kind == "end":
            record.end = entry
    if record.backwards:
        record.problems.append("the clock of the batches runs backwards")
    if record.torn:
        record.notes.append(f"{record.torn} lines are torn")
    return record


def _entry(row: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(row)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    plain = (str, int, float, type(None))  # what is nested stays out of messages: printing it may go too deep
    return {key: value for key, value in entry.items() if isinstance(value, plain) or key == "parts_ns"}


def _ns(entry: Mapping[str, Any] | None, key: str) -> int | None:
    value = (entry or {}).get(key)
    return value if type(value) is int and 0 <= value < _LATEST_NS else None


def _batch(record: _Record, entry: Mapping[str, Any]) -> None:
    t0_ns, t1_ns = _ns(entry, "t0_ns"), _ns(entry, "t1_ns")
    count = entry.get("count", 1)
    if t0_ns is None or t1_ns is None or type(count) is not int or not 1 <= count <= _MOST_IN_LINE:
        record.torn += 1
        return
    times = record.times.setdefault(record.phase, [])
    record.backwards |= t1_ns < t0_ns or bool(times and (t1_ns < times[-1][1] or t0_ns < times[-1][0]))
    times.append((t0_ns, t1_ns))
    record.counts.setdefault(record.phase, []).append(count)
    parts = entry.get("parts_ns")
    known = (
        {name: value for name in PARTS if (value := _ns(parts, name)) is not None} if isinstance(parts, dict) else {}
    )
    record.parts.setdefault(record.phase, []).append(known)


def _busy_ns(times: list[tuple[int, int]]) -> int:
    """Return the time that batches took; where they overlap, what they have in common counts once."""
    ends = [times[0][0], *(t1 for _, t1 in times)]
    return sum(t1 - max(t0, end) for (t0, t1), end in zip(times, ends, strict=False))


def _parts(parts: list[Mapping[str, int]], counts: Counts) -> dict[str, Array | float]:
    """Return the times of the parts that every line has: of every batch, or the mean where lines hold several."""
    found: dict[str, Array | float] = {}
    for name in PARTS:
        if all(name in part for part in parts):
            part_ms = np.array([part[name] for part in parts], dtype=np.float64) / 1e6
            found[name] = part_ms if (counts == 1).all() else float(part_ms.sum() / counts.sum())
    return found


def _compare(workload: Workload, record: _Record) -> None:
    """Note as a problem everything that the program says it ran and the workload does not."""
    hello = record.hello
    if hello is None:
        record.problems.append("no line of kind hello: nothing says what was run")
        return
    if hello.get("version") != VERSION:
        record.problems.append(f"version {printable(hello.get('version'))} of the lines is unknown; {VERSION} is read")
    for key in ("model", "precision", "processor", "batch_size"):
        wanted, found = getattr(workload, key), hello.get(key)
        if key not in hello:
            record.notes.append(f"the program does not say its {key}")
        elif wanted not in (None, "") and fold(str(found)) != fold(str(wanted)):
            record.problems.append(f"the program ran {key} = {printable(found)}, the workload is {printable(wanted)}")
    stage = "empty" if workload.empty_call else workload.stage
    more = {"stage": stage, "overlap": workload.overlap, "threads": workload.threads}
    more["classes"] = CLASSES.get(fold(workload.dataset))
    for key, wanted in more.items():  # the contract does not ask for these: what is not said is not compared
        if wanted is not None and key in hello and fold(str(hello[key])) != fold(str(wanted)):
            what = f"the program ran {key} = {printable(hello[key], 40)}, the workload is {printable(wanted)}"
            record.problems.append(what)


def _end(record: _Record, batches: int, warmup: int) -> None:
    if record.end is None:
        record.problems.append("no line of kind end: the run was cut short")
        return
    if record.end.get("rc") != 0:
        record.problems.append(f"the program ended with rc = {printable(record.end.get('rc'))}")
    said = record.end.get("batches")
    if said not in (batches, batches + warmup):
        record.problems.append(f"the program did {printable(said)} batches, {batches} were read")


def _offset_ns(entry: Mapping[str, Any] | None) -> int | None:
    """Return CLOCK_BOOTTIME - CLOCK_MONOTONIC, which grows when the device is suspended."""
    boottime_ns, monotonic_ns = _ns(entry, "boottime_ns"), _ns(entry, "monotonic_ns")
    return None if boottime_ns is None or monotonic_ns is None else boottime_ns - monotonic_ns


def _suspended(record: _Record) -> float | None:
    before_ns, after_ns = _offset_ns(record.hello), _offset_ns(record.end)
    if before_ns is None or after_ns is None:
        return None
    suspended_s = (after_ns - before_ns) / 1e9
    if abs(suspended_s) > _SUSPENDED_S:
        record.problems.append(f"the device was suspended for {suspended_s:.3g} s during the run; keep it awake")
    return suspended_s


def _window(record: _Record, run: list[tuple[int, int]]) -> tuple[float, float] | None:
    """Return the first and last moment of the batches on CLOCK_BOOTTIME."""
    before_ns, after_ns = _offset_ns(record.hello), _offset_ns(record.end)
    if before_ns is None:
        return None
    return (run[0][0] + before_ns) / 1e9, (run[-1][1] + (before_ns if after_ns is None else after_ns)) / 1e9


def _waited(record: _Record, run: list[tuple[int, int]]) -> float | None:
    """Return the share of the run in which the program was ready to run and was not let."""
    waited_ns, took_ns = _ns(record.end, "waited_ns"), run[-1][1] - run[0][0]
    return None if waited_ns is None or took_ns <= 0 else min(waited_ns / took_ns, 1.0)


def _startup(record: _Record) -> float | None:
    """Return the time from the program's first line to its first phase."""
    hello_ns, phase_ns = _ns(record.hello, "boottime_ns"), record.phase_ns
    return None if hello_ns is None or phase_ns is None or phase_ns < hello_ns else (phase_ns - hello_ns) / 1e6
