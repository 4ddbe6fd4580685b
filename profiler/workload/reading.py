"""A reading: what the output of a workload says about its batches, and whether it can be believed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from profiler.columns import REAL, SHORTEST_MS
from profiler.workload.lines import Lines, lines_of
from profiler.workload.workload import Workload

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
ACCELERATORS = ("dsp", "npu", "gpu")


@dataclass(frozen=True, eq=False)
class Reading:
    """The batches of one run, without warm-up. None is what the output does not say.

    ``waited`` is the share of the run in which the program was ready and others had its core.

    ``batch_ms`` is there if every batch was timed alone; ``block_ms`` is the mean of each printed block of batches,
    and ``mean_error_ms`` what blocks say of the mean's standard error.
    ``warmup_ms`` is the mean of a warm-up batch. ``run_window_s`` is on CLOCK_BOOTTIME. ``path`` names the
    instructions that the program chose. ``coverage`` is how much of the graph the accelerator took. Any of ``problems``
    makes the measurement invalid; ``notes`` are doubts and remarks.
    """

    mean_ms: float
    batches: int | None = None
    batch_ms: Array | None = None
    block_ms: Array | None = None
    std_ms: float | None = None
    mean_error_ms: float | None = None
    warmup_batches: int | None = None
    warmup_ms: float | None = None
    startup_ms: float | None = None
    parts_ms: Mapping[str, Array | float] = field(default_factory=dict)
    run_window_s: tuple[float, float] | None = None
    suspended_s: float | None = None
    waited: float | None = None
    samples_per_batch: float | None = None
    accuracy: float | None = None
    loss: float | None = None
    checksum: str | None = None
    path: str | None = None
    accelerator: str | None = None
    coverage: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def of_batches(batch_ms: Array) -> Reading:
    """Return the reading of batches timed one by one; there must be at least one."""
    std_ms = float(np.std(batch_ms, ddof=1)) if len(batch_ms) > 1 else None
    return Reading(mean_ms=float(np.mean(batch_ms)), batches=len(batch_ms), batch_ms=batch_ms, std_ms=std_ms)


def of_blocks(block_ms: Array, blocks: Counts) -> Reading:
    """Return the reading of blocks of ``blocks`` batches that took ``block_ms`` together; at least one.

    mean = sum of block_ms / sum of blocks
    its standard error = sqrt(n / (n - 1) sum of (block_ms - blocks mean)^2) / sum of blocks, for n blocks
    """
    if (blocks == 1).all():
        return of_batches(block_ms)
    total = int(blocks.sum())
    mean_ms = float(block_ms.sum() / total)
    off_ms = block_ms - blocks * mean_ms
    count = len(blocks)
    error_ms = float(np.sqrt((off_ms**2).sum() * count / (count - 1))) / total if count > 1 else None
    return Reading(mean_ms=mean_ms, batches=total, block_ms=block_ms / blocks, mean_error_ms=error_ms)


def discarded(workload: Workload, blocks: Counts) -> int:
    """Return how many of the printed blocks are warm-up: none if the program itself does it, by ``{warmup}``."""
    if "warmup" in workload.placeholders or workload.warmup == 0:
        return 0
    return int(np.searchsorted(np.cumsum(blocks), workload.warmup) + 1)


def read_output(workload: Workload, out: bytes, files: Mapping[str, bytes]) -> Reading:
    """Return what a workload's output and its result files (by name) say.

    Raises ValueError, one line, if no time of a batch can be read: which line was expected, and the last ones.
    """
    lines = lines_of(out)
    reading = _judged(workload, _readers()[workload.reader](workload, lines, files))
    if lines.too_long:
        reading = replace(reading, notes=(*reading.notes, f"{lines.too_long} lines were too long to be read"))
    return reading


def _readers() -> Mapping[str, Callable[[Workload, Lines, Mapping[str, bytes]], Reading]]:
    from profiler.workload import executorch, json_lines, mnn, pattern, qnn, snpe, tflite

    return {
        "json_lines": json_lines.read,
        "tflite": tflite.read,
        "mnn_benchmark": mnn.read_benchmark,
        "mnn_train": mnn.read_train,
        "mandheling_train": mnn.read_train,
        "executorch": executorch.read,
        "qnn": qnn.read,
        "snpe": snpe.read,
        "regex": pattern.read_regex,
        "json_keys": pattern.read_keys,
    }


def _judged(workload: Workload, reading: Reading) -> Reading:
    """Return the reading with the verdict on where the work really ran, and on what was read."""
    problems, notes = list(reading.problems), list(reading.notes)
    batches = reading.batches
    if batches is None and workload.batches_per_call is not None:
        batches = workload.batches_per_call
        notes.append("the number of batches is the workload's; the output does not say it")
    if not SHORTEST_MS <= reading.mean_ms <= REAL["time_ms"]:
        problems.append(f"a batch of {reading.mean_ms:g} ms cannot be; is the program's clock too coarse?")
    if batches == 0:
        problems.append("the output says that no batch was measured")
    took = reading.accelerator or "an accelerator"
    if workload.processor in ACCELERATORS:
        if reading.coverage == "none":
            problems.append(f"the {workload.processor} took nothing of the graph: this measured another processor")
        elif reading.coverage == "partial" and workload.accept_partial:
            notes.append(f"{took} took a part of the graph; the rest ran elsewhere")
        elif reading.coverage == "partial":
            problems.append(f"{took} took only a part of the graph; set accept_partial = true to accept that")
        elif reading.coverage is None:
            notes.append(f"nothing in the output says that the {workload.processor} did the work")
    elif reading.coverage in {"complete", "partial"}:
        problems.append(f"{took} took work that was to run on the cpu")
    return replace(reading, batches=batches, problems=tuple(problems), notes=tuple(notes))
