"""From records to rows of a measurement table: repetitions put together, failed ones left out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from profiler.campaign.record import Record
from profiler.columns import COLUMNS
from profiler.names import printable
from profiler.table import check_table

Keep = Literal["valid", "doubtful", "invalid"]
KEEPS: tuple[Keep, ...] = ("valid", "doubtful", "invalid")
Kind = Literal["gross", "net"]


@dataclass(frozen=True)
class Rows:
    """A measurement table, and a line for each measurement that was left out of it, with the reason."""

    table: pd.DataFrame
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
            left_out.append(f"{record['measurement']}: {why}")
        else:
            groups.setdefault(_name(record), []).append(record)
    missing: dict[str, int] = {}
    for line in left_out:
        name = line.partition(":")[0].partition("-")[2].rpartition("-r")[0]
        missing[name] = missing.get(name, 0) + 1
    found = [_row(runs, energy, conditions, missing.get(name, 0)) for name, runs in sorted(groups.items())]
    frame = pd.DataFrame([{name: row.get(name) for name in COLUMNS} for row in found], columns=list(COLUMNS))
    return Rows(check_table(frame) if found else frame, tuple(left_out))


def _name(record: Record) -> str:
    return str(record["workload"]["name"]) if record["workload"] is not None else "idle"


def _has_figure(record: Record) -> bool:
    if record["workload"] is None:
        return record["energy"] is not None
    return record["timing"] is not None


def _row(runs: Sequence[Record], energy: Kind, conditions: Sequence[str], missing: int) -> dict[str, Any]:
    """Return the row of the repetitions of one workload."""
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
        row |= _idle(runs)
    else:
        row |= _worked(runs, energy, conditions, notes)
    codes = sorted({flag["code"] for run in runs for flag in run["flags"]})
    notes += [f"doubts: {', '.join(codes)}"] if codes else []
    return row | {"note": "; ".join(notes)}


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


def _worked(runs: Sequence[Record], energy: Kind, conditions: Sequence[str], notes: list[str]) -> dict[str, Any]:
    """Return the row of a workload. A standard deviation over the root of ``runs`` is the mean's standard error."""
    workload = runs[0]["workload"]
    empty = bool(workload["empty_call"])
    counts = [int(run["timing"]["batches"]) for run in runs if run["timing"]["batches"]]
    batches = sorted(counts)[len(counts) // 2] if counts else None
    time_ms, time_error = _mean([float(run["timing"]["mean_ms"]) for run in runs], [_time_error(run) for run in runs])
    said = ["empty call"] if empty else []
    said += [f"overlap: {workload['overlap']}"] if workload["overlap"] and workload["stage"] == "total" else []
    said += [f"engine: {workload['engine']}"] if workload["engine"] else []
    row: dict[str, Any] = {
        "processor": workload["processor"],
        "precision": workload["precision"],
        "stage": workload["stage"],
        "model": None if empty else workload["model"] or None,
        "dataset": None if empty else workload["dataset"] or None,
        "batch_size": None if empty else workload["batch_size"],
        "time_ms": time_ms,
        "time_ms_std": time_error * math.sqrt(len(runs)),
        "runs": len(runs),
        "batches": batches,
    }
    notes.append(f"time +-{_percent(time_error, time_ms, len(runs))}")
    key = f"{energy}_mj_per_batch"
    measured = [run["energy"] for run in runs if run["energy"] is not None and run["energy"].get(key) is not None]
    if measured and not empty:
        energy_mj, energy_error = _mean(
            [float(each[key]) for each in measured], [float(each[f"{key}_error"]) for each in measured]
        )
        if energy_mj > 0:
            row["energy_mj"] = energy_mj
            row["energy_mj_std"] = energy_error * math.sqrt(len(measured))
            row["power_idle_mw"] = 1e3 * sum(float(each["baseline_w"]) for each in measured) / len(measured)
            said.append(f"energy: {energy}")
            notes.append(f"energy +-{_percent(energy_error, energy_mj, len(measured))}")
    row["conditions"] = "; ".join([*said, *conditions]) or None
    return row


def _time_error(run: Record) -> float:
    """Return the standard error of a run's mean time: from its batches, 0 where nothing is known of them."""
    latency = run["timing"].get("latency")
    if latency is not None and latency.get("mean_error_ms") is not None:
        return float(latency["mean_error_ms"])
    std, batches = run["timing"]["std_ms"], run["timing"]["batches"]
    return float(std) / math.sqrt(batches) if std is not None and batches else 0.0


def _mean(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the mean over runs and its standard error: what the runs differ by, and not less than their own errors."""
    mean = sum(values) / len(values)
    within = math.sqrt(sum(error**2 for error in errors)) / len(errors)
    if len(values) < 2:
        return mean, within
    between = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    return mean, max(between, within)


def _percent(error: float, mean: float, runs: int) -> str:
    """Return half of the 95 % interval in percent of the mean, by Student's t for so few runs."""
    from scipy import stats

    quantile = float(stats.t.ppf(0.975, runs - 1)) if runs > 1 else 1.96
    return f"{100 * quantile * error / mean:.1f} % (95 %)"
