"""The timeline as Chrome/Perfetto trace JSON: open it at ui.perfetto.dev or in chrome://tracing."""

import json
from collections.abc import Iterator
from typing import Any

from costmodel.engine import Answer
from costmodel.scenario import pipeline_of
from costmodel.spans import Spans
from costmodel.stages import Pipeline, Stage, work_of
from profiler.names import printable

_OVERLAPPED, _SEQUENTIAL = 1, 2
MOST_BATCHES = 20_000


def trace_json(found: Answer) -> str:
    """Return a trace with a process for the overlapped run and one for the sequential run, a track per resource.

    Only complete events (X), metadata (M) and counters (C) are used; ``ts`` and ``dur`` are in microseconds. Counters
    are the batches waiting for the link and for the DSP, and the speeds of CPU and DSP where they changed, their unit
    in the name. At most 20,000 batches are written.
    """
    pipeline = pipeline_of(found.scenario)
    events: list[dict[str, Any]] = []
    for process, words, spans in (
        (_OVERLAPPED, "overlapped", found.spans),
        (_SEQUENTIAL, "sequential", found.sequential_spans),
    ):
        events += _run(process, words, pipeline, spans)
    events += _speeds(found)
    other = {"scenario": printable(found.scenario.title or found.scenario.name, 200), "engine": found.engine}
    document = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n"


def _run(process: int, words: str, pipeline: Pipeline, spans: Spans) -> Iterator[dict[str, Any]]:
    shown = min(spans.batches, MOST_BATCHES)
    yield _metadata(process, 0, "process_name", words)
    yield {"ph": "M", "name": "process_sort_index", "pid": process, "tid": 0, "args": {"sort_index": process}}
    for track, (resource, stages) in enumerate(work_of(pipeline).items(), start=1):
        thread = 10 * process + track
        yield _metadata(process, thread, "thread_name", resource)
        yield {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": thread, "args": {"sort_index": track}}
        spent = [
            (spans.start_ms[stage][number], spans.end_ms[stage][number], number, stage)
            for number in range(shown)
            for stage in stages
            if spans.end_ms[stage][number] > spans.start_ms[stage][number]
        ]
        for start_ms, end_ms, number, stage in sorted(spent):
            yield {
                "ph": "X",
                "name": f"{stage} {number + 1}",
                "cat": str(stage),
                "pid": process,
                "tid": thread,
                "ts": _us(start_ms),
                "dur": max(0.0, round(_us(end_ms) - _us(start_ms), 3)),
                "args": {"batch": number + 1},
            }
    ready: Stage = "sample" if pipeline.quantize_on == "dsp" else "quantize"
    waiting = "waiting for the link (batches)"
    yield from _counter(process, waiting, spans.end_ms[ready], spans.start_ms["transfer"], shown)
    first: Stage = "quantize" if pipeline.quantize_on == "dsp" else "train"
    waiting = "waiting for the DSP (batches)"
    yield from _counter(process, waiting, spans.end_ms["transfer"], spans.start_ms[first], shown)


def _speeds(found: Answer) -> Iterator[dict[str, Any]]:
    """Yield the speeds of CPU and DSP where something changed them, full speed first."""
    last_ms = float(found.spans.makespan_ms)
    for resource in sorted({change.resource for change in found.speeds}):
        name = f"{resource} speed (share of full)"
        changes = [(change.at_ms, change.speed) for change in found.speeds if change.resource == resource]
        for at_ms, speed in [(0.0, 1.0), *changes]:
            if at_ms <= last_ms:
                yield {"ph": "C", "name": name, "pid": _OVERLAPPED, "ts": _us(at_ms), "args": {"speed": speed}}


def _counter(process: int, name: str, enter: Any, leave: Any, shown: int) -> Iterator[dict[str, Any]]:
    """Yield how many batches have entered and not left, at every moment at which that changes."""
    moves: dict[float, int] = {}
    for times, step in ((enter, 1), (leave, -1)):
        for time_ms in times[:shown]:
            moves[_us(time_ms)] = moves.get(_us(time_ms), 0) + step
    count = 0
    for at_us, step in sorted(moves.items()):
        if step:
            count += step
            yield {"ph": "C", "name": name, "pid": process, "ts": at_us, "args": {"batches": count}}


def _metadata(process: int, thread: int, name: str, value: str) -> dict[str, Any]:
    return {"ph": "M", "name": name, "pid": process, "tid": thread, "args": {"name": value}}


def _us(time_ms: float) -> float:
    return round(float(time_ms) * 1e3, 3)  # to the nanosecond, which is what a trace keeps
