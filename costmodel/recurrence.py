"""Start and end of every stage of every batch by the max-plus recurrence, for many pipelines at once (numpy).

Reservation semantics, which is what double buffering does: a transfer starts only when a device slot is free (freed
when training on it ends), quantizing starts only when a host slot is free. Slow twin: `costmodel.simulate`.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from costmodel.spans import Array, Spans
from costmodel.stages import STAGES, Pipeline, Stage

_BLOCK = 4096  # pipelines worked on together: a dozen rows of them stay in the processor's cache


@dataclass(frozen=True)
class _Batch:
    start: dict[Stage, Array]
    end: dict[Stage, Array]


def constant_times(pipeline: Pipeline, batches: int) -> dict[Stage, Array]:
    """Return stage times in ms of shape (batches,), the same for every batch."""
    return {stage: np.full(batches, float(getattr(pipeline, f"{stage}_ms"))) for stage in STAGES}


def spans(pipeline: Pipeline, times_ms: Mapping[Stage, ArrayLike], *, overlap: bool = True) -> Spans:
    """Return when every stage of every batch starts and ends.

    The topology is the pipeline's; ``times_ms[stage]`` is of shape (batches, *pipelines). Slow twin:
    `costmodel.simulate.spans`, bitwise equal. Raises ValueError for a contended pipeline.
    """
    times = checked_times(times_ms)
    batches = list(_batches(pipeline, times, overlap=overlap))
    return Spans(
        start_ms={stage: np.stack([batch.start[stage] for batch in batches]) for stage in STAGES},
        end_ms={stage: np.stack([batch.end[stage] for batch in batches]) for stage in STAGES},
        work_ms=times,
    )


def finish_ms(
    pipeline: Pipeline, times_ms: Mapping[Stage, ArrayLike], numbers: Sequence[int], *, overlap: bool = True
) -> Array:
    """Return when batches ``numbers`` are finished, of shape (numbers, pipelines), for times (batches, pipelines).

    Slow twin: `spans`, equal; this keeps only the batches that others wait for, so memory does not grow with them.
    """
    times = checked_times(times_ms)
    batches, width = times["train"].shape
    wanted = {number % batches: place for place, number in enumerate(numbers)}
    finished = np.empty((len(numbers), width))
    for first in range(0, width, _BLOCK):
        here = slice(first, first + _BLOCK)
        block = {stage: array[:, here] for stage, array in times.items()}
        for number, batch in enumerate(_batches(pipeline, block, overlap=overlap)):
            if number in wanted:
                finished[wanted[number], here] = batch.end["return"]
    return finished[[wanted[number % batches] for number in numbers]]


def makespan_ms(pipeline: Pipeline, times_ms: Mapping[Stage, ArrayLike], *, overlap: bool = True) -> Array:
    """Return when the last batch is finished, of shape (pipelines,), for times of shape (batches, pipelines)."""
    last: Array = finish_ms(pipeline, times_ms, (-1,), overlap=overlap)[0]
    return last


def checked_times(times_ms: Mapping[Stage, ArrayLike]) -> dict[Stage, Array]:
    """Return the stage times as arrays of one shape. Raises ValueError unless they are finite, 0 or more, and some."""
    arrays = {stage: np.asarray(times_ms[stage], dtype=np.float64) for stage in STAGES}
    shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    if not shape or shape[0] < 1:
        message = f"times must have a first axis of at least 1 batch (got shape {shape})"
        raise ValueError(message)
    for stage, array in arrays.items():
        if array.size and not (array.min() >= 0 and array.max() < np.inf):
            message = f"times of {stage} must be finite and 0 or more"
            raise ValueError(message)
    return {stage: np.broadcast_to(array, shape) for stage, array in arrays.items()}


def _batches(pipeline: Pipeline, times: Mapping[Stage, Array], *, overlap: bool) -> Iterator[_Batch]:
    """Yield the batches in order, remembering only as many as a slot can hold back."""
    if overlap and pipeline.contended:
        message = "this pipeline is contended: its claimants have no fixed order; use the engine simpy"
        raise ValueError(message)
    depth = max(pipeline.host_slots, pipeline.device_slots, pipeline.staging_slots)
    past: deque[_Batch] = deque(maxlen=depth)
    step = _overlapped if overlap else _sequential
    returning = bool(times["return"].any())
    columns = [times[stage] for stage in STAGES]
    for number in range(len(times["train"])):
        batch = step(pipeline, dict(zip(STAGES, [column[number] for column in columns], strict=True)), past, returning)
        past.append(batch)
        yield batch


def _sequential(pipeline: Pipeline, times: Mapping[Stage, Array], past: deque[_Batch], _returning: bool) -> _Batch:
    batch = _Batch({}, {})
    now = past[-1].end["return"] if past else np.zeros(times["train"].shape)
    for stage in order_of(pipeline):
        batch.start[stage] = now
        now = now + times[stage]
        batch.end[stage] = now
    return batch


def order_of(pipeline: Pipeline) -> tuple[Stage, ...]:
    """Return the stages in the order in which one batch goes through them."""
    if pipeline.quantize_on == "dsp":
        return ("sample", "transfer", "quantize", "train", "return")
    return STAGES


def _overlapped(pipeline: Pipeline, times: Mapping[Stage, Array], past: deque[_Batch], returning: bool) -> _Batch:
    """Return the next batch. What holds nothing back is None: it costs no comparison."""
    start: dict[Stage, Array] = {}
    end: dict[Stage, Array] = {}
    before = past[-1].end if past else None
    known = len(past)

    def last(stage: Stage, ago: int = 1) -> Array | None:
        return past[-ago].end[stage] if ago <= known else None

    def work(stage: Stage, *after: Array | None) -> Array:
        begin: Array | None = None
        for other in after:
            if other is not None:
                begin = other if begin is None else np.maximum(begin, other)
        start[stage] = np.zeros(times[stage].shape) if begin is None else begin
        end[stage] = done = start[stage] + times[stage]
        return done

    on_cpu = pipeline.quantize_on == "cpu"
    host_free = None  # a thread that copies has emptied its host slot before it comes back to fill one
    if not pipeline.copies_in_thread and pipeline.host_slots <= known:
        held = past[-pipeline.host_slots]
        host_free = (held.start if pipeline.host_slot_freed == "transfer_start" else held.end)["transfer"]

    if pipeline.quantizes_apart:
        sampled = work("sample", last("sample"), last("quantize", pipeline.staging_slots))
        ready = work("quantize", sampled, last("quantize"), host_free)
    elif on_cpu:
        cpu_free = last("transfer" if pipeline.copies_in_thread else "quantize")
        ready = work("quantize", work("sample", cpu_free), host_free)
    else:
        ready = work("sample", last("transfer" if pipeline.copies_in_thread else "sample"), host_free)
    trained = None if before is None else before["train"]
    dsp_free = trained if pipeline.link_holds == "dsp" else None
    moved = work("transfer", ready, last("transfer"), last("train", pipeline.device_slots), dsp_free)
    if not on_cpu:
        moved = work("quantize", moved, trained)
    done = work("train", moved, trained)
    if returning:
        work("return", done, last("return"))
    else:
        start["return"] = end["return"] = done
    return _Batch(start, end)
