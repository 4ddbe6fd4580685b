"""The output of MNN's benchmark and training demos, and of Mandheling's, which are a fork of them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from profiler.names import fold, printable
from profiler.workload.lines import NUMBER, Lines, first_match, nothing_read, number
from profiler.workload.reading import Reading, discarded, of_blocks
from profiler.workload.workload import Workload

_BENCHMARK = re.compile(
    rf"\[ *- *\] *(?P<name>\S.{{0,200}}?) *max *= *{NUMBER} *ms *min *= *{NUMBER} *ms *avg *= *(?P<avg>{NUMBER}) *ms"
)
_LOOP = re.compile(r"Benchmarking\.\.\. *loop *= *(?P<loop>\d{1,9})(?:, *warmup *= *(?P<warmup>\d{1,9}))?")
_FORWARD = re.compile(r"Forward type: *\**(?P<name>\w{1,30})\** *thread *= *\d{1,9}\** *precision *= *(?P<code>\d)")
_FELL_BACK = re.compile(r"Can't Find type=(?P<wanted>\d{1,3}) backend, use (?P<used>\d{1,3}) instead")
_LOW_PRECISION = {"2": "fp16", "3": "bf16"}  # MNN's documentation of benchmark.out
_PROCESSOR = {"CPU": "cpu", "OPENCL": "gpu", "OPENGL": "gpu", "VULKAN": "gpu", "METAL": "gpu", "CUDA": "gpu"}

_BATCHES = re.compile(
    r"epoch: *(?P<epoch>\d{1,9}) +(?P<seen>\d{1,12}) */ *\d{1,12} +loss: *(?P<loss>\S{1,40}) +lr: *\S{1,40} +"
    rf"time: *(?P<time>{NUMBER}) *ms */ *(?P<count>\d{{1,9}}) *iter"
)
_ACCURACY = re.compile(rf"epoch: *\d{{1,9}}(?:lr)? +accuracy: *({NUMBER})")


def read_benchmark(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of benchmark.out: the mean of the workload's model, or of the only one. Raises ValueError."""
    found = [match for row in lines.rows if "avg" in row and (match := _BENCHMARK.search(row))]
    named = [match for match in found if fold(workload.model) == fold(match.group("name").removesuffix(".mnn"))]
    usable = named if len(found) > 1 else found
    mean_ms = number(usable[0].group("avg")) if len(usable) == 1 else None
    if mean_ms is None:
        expected = f"'[ - ] {printable(workload.model, 40)}.mnn max = .. ms min = .. ms avg = .. ms', once"
        raise nothing_read(lines, expected)
    loop = first_match(_LOOP, lines.rows)
    forward = first_match(_FORWARD, lines.rows)
    fell_back = first_match(_FELL_BACK, lines.rows)
    notes = []
    accelerator = coverage = None
    if forward is not None:
        ran_on = _PROCESSOR.get(forward.group("name").upper())
        if ran_on != "cpu":
            accelerator = forward.group("name")
            coverage = "complete" if ran_on in (None, workload.processor) or workload.processor == "cpu" else "none"
        elif workload.processor != "cpu":
            coverage = "none"
        low = _LOW_PRECISION.get(forward.group("code"))
        if low and workload.precision not in {low, "int8", "int4"}:
            notes.append(f"MNN was allowed to compute in {low}, the workload is {workload.precision}")
    if fell_back is not None:
        notes.append(f"MNN has no backend {fell_back.group('wanted')} here and used {fell_back.group('used')}")
        coverage = "none" if fell_back.group("used") == "0" else coverage
    return Reading(
        mean_ms=mean_ms,
        batches=int(loop.group("loop")) if loop else None,
        warmup_batches=int(loop.group("warmup")) if loop and loop.group("warmup") else None,
        accelerator=accelerator,
        coverage=coverage,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Block:
    """One printed line of training: ``count`` batches in ``time_ms``, ``seen`` samples since the epoch began."""

    epoch: int
    seen: int
    time_ms: float
    count: int
    loss: float | None


def read_train(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of runTrainDemo.out. Raises ValueError.

    The first line of an epoch is warm-up: its timer has run during a forward pass that its count leaves out, and
    where every batch is printed, its count is 0.
    """
    blocks: list[_Block] = []
    tested = False
    between = 0  # passes over test data between two epochs of training
    accuracy = None
    for row in lines.rows:
        if not row.startswith(("epoch", "test")) and "epoch:" not in row:
            continue
        block = _block(row)
        if block is not None:
            between += tested
            tested = False
            blocks.append(block)
        elif (match := _ACCURACY.search(row)) is not None:
            accuracy = number(match.group(1))
            tested = bool(blocks)
        elif row.startswith("test"):
            tested = bool(blocks)
    goes_on = [_goes_on(before, block) for before, block in zip([None, *blocks], blocks, strict=False)]
    first_ones = sum(block.count for block, on in zip(blocks, goes_on, strict=True) if not on)
    kept = [block for block, on in zip(blocks, goes_on, strict=True) if on]
    counts = np.array([block.count for block in kept], dtype=np.int64)
    left_out = discarded(workload, counts) if kept else 0
    warmup, kept = kept[:left_out], kept[left_out:]
    if not kept:
        expected = "'epoch: 0  1280 / 60000 loss: .. lr: .. time: .. ms / 10 iter', after the first of an epoch"
        raise nothing_read(lines, expected)
    counts = counts[left_out:]
    reading = of_blocks(np.array([block.time_ms for block in kept]), counts)
    done = sum(block.count for block in warmup)
    problems = []
    if between:
        problems.append(
            "test passes lie between the batches: the energy of the run is not that of training; run for less"
        )
    samples = _samples_per_batch(blocks)
    if samples is not None and workload.batch_size is not None and round(samples) != workload.batch_size:
        problems.append(f"the program trained batches of {samples:g} samples, the workload's are {workload.batch_size}")
    return replace(
        reading,
        warmup_batches=done + first_ones,
        warmup_ms=sum(block.time_ms for block in warmup) / done if done else None,
        samples_per_batch=samples,
        accuracy=accuracy,
        loss=kept[-1].loss,
        problems=tuple(problems),
    )


def _block(row: str) -> _Block | None:
    match = _BATCHES.search(row)
    time_ms = number(match.group("time")) if match else None
    if match is None or time_ms is None:
        return None
    epoch, seen, count = (int(match.group(name)) for name in ("epoch", "seen", "count"))
    return _Block(epoch, seen, time_ms, count, number(match.group("loss")))


def _goes_on(before: _Block | None, block: _Block) -> bool:
    return before is not None and before.epoch == block.epoch and block.seen > before.seen and block.count > 0


def _samples_per_batch(blocks: Sequence[_Block]) -> float | None:
    """Return the usual number of samples of a batch; the last batch of an epoch may be smaller."""
    found = [(block.seen - before.seen) / block.count for before, block in pairwise(blocks) if _goes_on(before, block)]
    return float(np.median(found)) if found else None
