"""From records to rows of a measurement table: repetitions put together, failed ones left out."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from profiler.campaign.record import Record
from profiler.columns import COLUMNS
from profiler.names import printable
from profiler.power.energy import combine
from profiler.table import check_table

Keep = Literal["valid", "doubtful", "invalid"]
KEEPS: tuple[Keep, ...] = ("valid", "doubtful", "invalid")
Kind = Literal["gross", "net"]
_TWO_SIDED = 1.96  # half of a 95 % interval in standard errors


@dataclass(frozen=True)
class Interval:
    """Half of the 95 % intervals of time and energy in percent of them, and the flags of the runs behind them."""

    time_percent: float = math.nan
    energy_percent: float = math.nan
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """A measurement table, each row's intervals, and a line for each measurement that was left out of it."""

    table: pd.DataFrame
    intervals: tuple[Interval, ...]
    left_out: tuple[str, ...]


def rows_of(
    records: Iterable[Record], keep: Keep = "valid", energy: Kind = "gross", conditions: Sequence[str] = ()
) -> Rows:
    """Return the rows of a measurement table, one for each workload, in the order of their names.

    ``keep`` is the worst verdict that still counts. ``energy`` says which energy goes into ``energy_mj``: the whole
    phone's, or that above idle. ``conditions`` are what held for all of them. Raises TableError for rows that break a
    rule of the table.
    """
    worst = KEEPS.index(keep)
    groups: dict[str, list[Record]] = {}
    left_out: list[str] = []
    for record in records:
        if KEEPS.index(record["verdict"]) > worst or not _has_figure(record):
            why = record["summary"] if _has_figure(record) or record["flags"] else "nothing of it was read"
            reasons = dict.fromkeys(printable(flag["what"], 200) for flag in record["flags"] if flag.get("what"))
            why = ": ".join([why, "; ".join(list(reasons)[:3])]) if reasons else why
            left_out.append(f"{record['measurement']}: {why}")
        else:
            groups.setdefault(_name(record), []).append(record)
    missing: dict[str, int] = {}
    for line in left_out:
        name = line.partition(":")[0].partition("-")[2].rpartition("-r")[0]
        missing[name] = missing.get(name, 0) + 1
    found = [
        _row(runs, energy, conditions, missing.get(name, 0)) for name, runs in sorted(groups.items(), key=_natural)
    ]
    frame = pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row, _ in found], columns=list(COLUMNS))
    intervals = tuple(interval for _, interval in found)
    return Rows(check_table(frame) if found else frame, intervals, tuple(left_out))


def _natural(group: tuple[str, Any]) -> list[tuple[int, str]]:
    """Return the key that sorts names as people do: batch 4 before batch 16."""
    parts = re.split(r"(\d+)", group[0])
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _name(record: Record) -> str:
    return str(record["workload"]["name"]) if record["workload"] is not None else "idle"


def _has_figure(record: Record) -> bool:
    if record["workload"] is None:
        return record["energy"] is not None
    return record["timing"] is not None


def _row(
    runs: Sequence[Record], energy: Kind, conditions: Sequence[str], missing: int
) -> tuple[dict[str, Any], Interval]:
    """Return the row of the repetitions of one workload, and its intervals."""
    first = runs[0]
    device = first["device"]
    campaign = f"fedjoule profile, plan {first['plan']['hash']}, campaign {first['campaign']}"
    row: dict[str, Any] = {
        "device": printable(device["title"], 100),
        "soc": printable(device["soc"], 100) or None,
        "provenance": first["provenance"],
        "source": campaign,
    }
    notes = [_runs(len(runs), missing)]
    if first["workload"] is None:
        own, interval = _idle(runs), Interval()
    else:
        own, interval = _worked(runs, energy, conditions, notes)
    codes = tuple(sorted({str(flag["code"]) for run in runs for flag in run["flags"]}))
    notes += [f"doubts: {', '.join(codes)}"] if codes else []
    return row | own | {"note": "; ".join(notes)}, replace(interval, doubts=codes)


def _runs(kept: int, missing: int) -> str:
    runs = f"{kept} run{'s' if kept > 1 else ''}"
    return f"{runs}, {missing} left out" if missing else runs


def _idle(runs: Sequence[Record]) -> dict[str, Any]:
    """Return the row of the idle device: energy over the time that it was watched."""
    seconds = [float(run["energy"]["seconds"]) for run in runs]
    power_w = [float(run["energy"]["power_w"]) for run in runs]
    time_ms = 1e3 * sum(seconds) / len(seconds)
    mean_w = sum(power_w) / len(power_w)
    return {
        "processor": "cpu",
        "precision": "fp32",
        "stage": "idle",
        "time_ms": time_ms,
        "energy_mj": mean_w * time_ms,
        "power_idle_mw": 1e3 * mean_w,
    }


def _worked(
    runs: Sequence[Record], energy: Kind, conditions: Sequence[str], notes: list[str]
) -> tuple[dict[str, Any], Interval]:
    """Return the row of a workload and its intervals. A deviation over the root of ``runs`` is a standard error."""
    workload = runs[0]["workload"]
    empty = bool(workload["empty_call"])
    counts = [int(run["timing"]["batches"]) for run in runs if run["timing"]["batches"]]
    batches = sorted(counts)[len(counts) // 2] if counts else None
    means, errors = [float(run["timing"]["mean_ms"]) for run in runs], [_time_error(run) for run in runs]
    time = combine(means, [_TWO_SIDED * error for error in errors])
    known = len(runs) > 1 or any(errors)  # one run that says nothing of its batches has no interval
    said = ["empty call"] if empty else []
    said += [f"overlap: {workload['overlap']}"] if workload["overlap"] and workload["stage"] == "total" else []
    said += [f"engine: {workload['engine']}"] if workload["engine"] else []
    said += [f"threads: {workload['threads']}"] if workload.get("threads") else []
    paths = sorted({str(run["timing"]["path"]) for run in runs if run["timing"].get("path")})
    notes += [f"path {', '.join(paths)}"] if paths else []
    row: dict[str, Any] = {
        "processor": workload["processor"],
        "precision": workload["precision"],
        "stage": workload["stage"],
        "model": None if empty else workload["model"] or None,
        "dataset": None if empty else workload["dataset"] or None,
        "batch_size": None if empty else workload["batch_size"],
        "time_ms": time.mean,
        "time_ms_std": _standard_error(means, errors) * math.sqrt(len(runs)) if known else None,
        "runs": len(runs),
        "batches": batches,
    }
    interval = Interval()
    if known:
        interval = Interval(100 * time.half_width_95 / time.mean)
        notes.append(f"time +-{interval.time_percent:.1f} % (95 %)")
    key = f"{energy}_mj_per_batch"
    measured = [run for run in runs if run["energy"] is not None and _is_number(run["energy"].get(key))]
    if measured and not empty:
        each = [run["energy"] for run in measured]
        values, errors = [float(one[key]) for one in each], [float(one[f"{key}_error"]) for one in each]
        joules = combine(values, [_half_width(one, key) for one in each])
        if joules.mean > 0:
            row["energy_mj"] = joules.mean
            row["energy_mj_std"] = _standard_error(values, errors) * math.sqrt(len(runs))
            idle_w = [float(one["baseline_w"]) for one in each if _is_number(one.get("baseline_w"))]
            row["power_idle_mw"] = 1e3 * sum(idle_w) / len(idle_w) if idle_w else None
            source = runs[0]["source"]
            said += [f"energy: {energy}", f"power: {source['kind']} {source.get('name') or ''}".strip()]
            interval = Interval(interval.time_percent, 100 * joules.half_width_95 / joules.mean)
            fewer = f" of {len(measured)} runs" if len(measured) < len(runs) else ""
            notes.append(f"energy{fewer} +-{interval.energy_percent:.1f} % (95 %)")
        else:
            notes.append(f"{energy} energy is not above zero and left out")
    cpus = runs[0]["plan"].get("cpus")
    said += [f"cpus: {cpus}"] if cpus else []
    said += [f"allowed: {code}" for code in sorted({code for run in runs for code in run.get("allowed", [])})]
    row["conditions"] = printable("; ".join([*said, *conditions]), 1000) or None
    return row, interval


def _standard_error(values: Sequence[float], errors: Sequence[float]) -> float:
    """Return the standard error of a mean over runs: what they differ by, and not less than their own errors."""
    within = math.sqrt(sum(error**2 for error in errors)) / len(errors)
    if len(values) < 2:
        return within
    mean = sum(values) / len(values)
    between = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return max(between, within)


def _time_error(run: Record) -> float:
    """Return the standard error of a run's mean time, from its batches; 0 where nothing is known of them."""
    for known in (run["timing"].get("latency") or {}, run["timing"]):
        if _is_number(known.get("mean_error_ms")):
            return float(known["mean_error_ms"])
    std, batches = run["timing"]["std_ms"], run["timing"]["batches"]
    return float(std) / math.sqrt(batches) if _is_number(std) and batches else 0.0


def _half_width(energy: Mapping[str, Any], key: str) -> float:
    """Return half of the 95 % interval of a run's energy."""
    known = energy.get(f"{key}_half_width")
    return float(known) if isinstance(known, float) else _TWO_SIDED * float(energy[f"{key}_error"])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
