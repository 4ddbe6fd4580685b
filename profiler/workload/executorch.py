"""The output of ExecuTorch's runners: qnn_executor_runner and the portable executor_runner."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from profiler.workload.lines import NUMBER, Lines, first_match, nothing_read, number
from profiler.workload.reading import Reading, discarded, of_batches
from profiler.workload.workload import Workload

SPEED_FILE = "inference_speed.txt"

_RUNS = re.compile(rf"(?P<total>Total )?(?<![\w.])(?P<count>\d{{1,9}}) inferences? took (?P<time>{NUMBER}) ms, avg")
_ITERATION = re.compile(rf"Iteration (?P<index>\d{{1,9}}) of \d{{1,9}}: (?P<time>{NUMBER}) ms")
_EXECUTED = re.compile(rf"Model executed successfully (?P<count>\d{{1,9}}) time\(s\) in (?P<time>{NUMBER}) ms")
_LOADED = re.compile(rf"Model loaded in ({NUMBER}) ms")
_WARMUP = re.compile(r"Perform (\d{1,9}) inferences? for warming up")
_SPEED = re.compile(rf"\s*({NUMBER})\s*")


def read(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of an ExecuTorch runner: each iteration if it prints them, else sums. Raises ValueError."""
    reading = _iterations(workload, lines) or _sums(lines) or _executed(lines) or _speed(files)
    if reading is None:
        expected = f"'100 inference took .. ms, avg .. ms', 'Iteration 0 of 100: .. ms', or a file {SPEED_FILE}"
        raise nothing_read(lines, expected)
    loaded = first_match(_LOADED, lines.rows)
    warmup = first_match(_WARMUP, lines.rows)
    return replace(
        reading,
        startup_ms=number(loaded.group(1)) if loaded else None,
        warmup_batches=int(warmup.group(1)) if warmup else reading.warmup_batches,
    )


def _iterations(workload: Workload, lines: Lines) -> Reading | None:
    rows = (_ITERATION.search(row) for row in lines.rows if "Iteration " in row)
    times = [time_ms for match in rows if match and (time_ms := number(match.group("time"))) is not None]
    left_out = discarded(workload, np.ones(len(times), dtype=np.int64)) if times else 0
    if len(times) <= left_out:
        return None
    warmup_ms = float(np.mean(times[:left_out])) if left_out else None
    return replace(of_batches(np.array(times[left_out:])), warmup_batches=left_out, warmup_ms=warmup_ms)


def _sums(lines: Lines) -> Reading | None:
    """Return the sums over the inputs. Each has one line; the last one, with or without 'Total', sums them up."""
    inputs: list[tuple[int, float]] = []
    for row in lines.rows:
        match = _RUNS.search(row) if " took " in row else None
        time_ms = number(match.group("time")) if match else None
        if match is None or match.group("total") or time_ms is None:
            continue
        inputs.append((int(match.group("count")), time_ms))
    if len(inputs) > 1:
        *before, (count, time_ms) = inputs
        total_ms = sum(one for _, one in before)
        if count == len(before) and abs(time_ms - total_ms) <= 1e-6 * total_ms + 1e-3 * len(before):
            inputs = before
    batches = sum(count for count, _ in inputs)
    if batches == 0:
        return None
    return Reading(mean_ms=sum(time_ms for _, time_ms in inputs) / batches, batches=batches)


def _executed(lines: Lines) -> Reading | None:
    match = first_match(_EXECUTED, lines.rows)
    time_ms = number(match.group("time")) if match else None
    if match is None or time_ms is None or int(match.group("count")) == 0:
        return None
    return Reading(mean_ms=time_ms / int(match.group("count")), batches=int(match.group("count")))


def _speed(files: Mapping[str, bytes]) -> Reading | None:
    """Return the reading of the speed file, which has nothing but the mean time of an input."""
    for name, content in files.items():
        match = _SPEED.fullmatch(content[:100].decode("utf-8", errors="replace"))
        mean_ms = number(match.group(1)) if match and name.rpartition("/")[2] == SPEED_FILE else None
        if mean_ms is not None:
            doubt = f"only {SPEED_FILE} was there: its mean is of one input, which is one batch only with one iteration"
            return Reading(mean_ms=mean_ms, notes=(doubt,))
    return None
