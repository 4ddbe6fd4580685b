"""The output of TFLite's benchmark_model and of nn-Meter's variant of it: statistics, and what the delegate took."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from profiler.names import printable
from profiler.workload.lines import NUMBER, Lines, first_match, nothing_read, number
from profiler.workload.reading import Reading
from profiler.workload.workload import Workload

# Microseconds. A single run is printed as `count=1 curr=..`, without the rest.
_STATISTICS = re.compile(r"(?P<alone>Timings \(microseconds\): *)?(?<!\w)count=(?P<count>\d{1,12}) +(?P<rest>.*)")
_FIELD = re.compile(rf"(?<!\w)(curr|avg|std)=({NUMBER})")
_SUMMARY = re.compile(r"(?:Average inference|Inference) timings in us: *(.*)")
_SUMMARY_FIELD = re.compile(rf"(Init|Warmup|Inference|no stats)(?: \(avg\))?: *({NUMBER})")
_INITIALIZED = re.compile(rf"Initialized session in ({NUMBER}) *ms")
_APPLIED = re.compile(
    r"Explicitly applied (?P<name>\S.{0,60}?) delegate, and the model graph will be "
    r"(?P<how>completely|partially) executed by the delegate"
)
_NOT_APPLIED = re.compile(
    r"Though (?P<name>\S.{0,60}?) delegate is explicitly applied, the model graph will not be executed by the delegate"
)
_ACCELERATOR = re.compile(r"NNAPI accelerator name: *\[(?P<name>[^\]]{1,60})\]", re.IGNORECASE)
_AVAILABLE = re.compile(r"NNAPI accelerators available: *\[(?P<names>[^\]]{1,500})\]")
# Delegates that always mean one processor. Others (NNAPI, EXTERNAL, STABLE_DELEGATE) may mean any.
_PROCESSOR = {"XNNPACK": "cpu", "GPU": "gpu", "HEXAGON": "dsp"}


@dataclass(frozen=True)
class _Statistics:
    count: int
    mean_us: float | None
    std_us: float | None
    alone: bool


def read(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of benchmark_model: mean, deviation and count, no list of batches. Raises ValueError."""
    statistics = [found for row in lines.rows if (found := _statistics(row)) is not None and found.count > 0]
    line = first_match(_SUMMARY, lines.rows)
    summary = {} if line is None else {name: number(value) for name, value in _SUMMARY_FIELD.findall(line.group(1))}
    main = statistics[-1] if statistics else None
    mean_us = main.mean_us if main else None
    if mean_us is None:
        mean_us = summary.get("Inference", summary.get("no stats"))
    if mean_us is None:
        expected = "'count=50 first=.. curr=.. min=.. max=.. avg=.. std=..' or 'Inference timings in us: ..'"
        raise nothing_read(lines, expected)
    warmup = statistics[-2] if len(statistics) > 1 else None
    warmup_us = warmup.mean_us if warmup else summary.get("Warmup")
    initialized = first_match(_INITIALIZED, lines.rows)
    startup_ms = number(initialized.group(1)) if initialized else _ms(summary.get("Init"))
    problems = []
    if line is None and main is not None and not main.alone:
        problems.append("no line 'Inference timings in us': the run was cut short, this may be the warm-up")
    reading = Reading(
        mean_ms=mean_us / 1e3,
        batches=main.count if main else None,
        std_ms=_ms(main.std_us) if main else None,
        warmup_batches=warmup.count if warmup else None,
        warmup_ms=_ms(warmup_us),
        startup_ms=startup_ms,
        problems=tuple(problems),
    )
    return _with_coverage(workload, lines, reading)


def _ms(time_us: float | None) -> float | None:
    return None if time_us is None else time_us / 1e3


def _statistics(row: str) -> _Statistics | None:
    match = _STATISTICS.search(row) if "count=" in row else None
    if match is None:
        return None
    values = {name: number(value) for name, value in _FIELD.findall(match.group("rest"))}
    mean_us = values.get("avg", values.get("curr") if match.group("count") == "1" else None)
    return _Statistics(int(match.group("count")), mean_us, values.get("std"), match.group("alone") is not None)


def _with_coverage(workload: Workload, lines: Lines, reading: Reading) -> Reading:
    """Return the reading with what the delegates said that may be of the workload's processor.

    A delegate of another processor is as bad as none: XNNPACK takes the whole graph and runs it on the CPU.
    """
    took = {"completely": "complete", "partially": "partial", None: "none"}
    statements: list[tuple[str, str]] = []
    for row in lines.rows:
        if "delegate" in row and (match := _APPLIED.search(row) or _NOT_APPLIED.search(row)):
            statements.append((match.group("name"), took[match.groupdict().get("how")]))
    notes = list(reading.notes)
    for row in lines.rows:
        if "NNAPI accelerator" in row and (available := _AVAILABLE.search(row)):
            notes.append(f"NNAPI offers {printable(available.group('names'))}")
            break
    reference = first_match(_ACCELERATOR, lines.rows)
    name_of_nnapi = reference.group("name") if reference else ""
    mine: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for name, how in statements:
        processor = _PROCESSOR.get(name.upper())
        if name.upper() == "NNAPI" and "reference" in name_of_nnapi:  # NNAPI's own implementation on the CPU
            processor = "cpu"
        elif name.upper() == "NNAPI" and name_of_nnapi.endswith("gpu"):
            processor = "gpu"
        (others if processor not in (None, workload.processor) else mine).append((name, how))
    notes += [f"the {printable(name)} delegate took the graph: {how}" for name, how in others]
    if workload.processor == "cpu":
        taken = [(name, how) for name, how in mine + others if _PROCESSOR.get(name.upper()) != "cpu" and how != "none"]
        verdict = taken[0] if taken else None
    elif mine:
        verdict = min(mine, key=lambda one: ("complete", "partial", "none").index(one[1]))
    else:
        verdict = (others[0][0], "none") if others else None
    if verdict is None:
        return replace(reading, notes=tuple(notes))
    accelerator = printable(f"{verdict[0]} {name_of_nnapi}".strip())
    return replace(reading, accelerator=accelerator, coverage=verdict[1], notes=tuple(notes))
