import importlib.util
import json

import pytest

from costmodel.engine import Answer, answer
from costmodel.paper_scenario import paper_scenario
from costmodel.scenario_file import with_settings
from costmodel.stages import work_of
from reports.pipeline.trace import trace_json

CIFAR = with_settings(paper_scenario("xiaomi10_cifar10"), {"stage.sample_ms": 1.0})
SCENARIOS = {
    "plain": {},
    "blocking": {"link.holds": "dsp", "quantize_on": "dsp"},
    "half duplex": {"link.duplex": "half", "link.return_ms": 30},
    "two threads": {"cpu_threads": 2, "link.return_ms": 3},
    "contended": {"cpu_threads": 2, "link.holds": "cpu"},
    "jitter": {"noise.kind": "lognormal", "noise.cv": 0.5},
    "busy phone": {"foreground.every_ms": 900, "foreground.for_ms": 300},
    "failures": {"failure.probability": 0.3},
}


def found(name: str) -> Answer:
    return answer(with_settings(CIFAR, SCENARIOS[name]), batches=40)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_event_is_one_of_three_kinds_and_a_track_does_one_thing_at_a_time(name: str) -> None:
    events = json.loads(trace_json(found(name)))["traceEvents"]
    assert {event["ph"] for event in events} == {"X", "M", "C"}
    spans: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for event in events:
        assert {"name", "pid"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            spans.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] == "C":
            (unit, value), *_ = event["args"].items()
            assert value >= 0
            assert ("(batches)" if unit == "batches" else "(share of full)") in event["name"]
    assert len(spans) >= 6
    for track in spans.values():
        for (_, end), (start, _) in zip(sorted(track), sorted(track)[1:], strict=False):
            assert end <= start + 0.0015  # a nanosecond of rounding


def test_a_changed_speed_is_a_counter() -> None:
    events = json.loads(trace_json(found("busy phone")))["traceEvents"]
    speeds = [(event["ts"], event["args"]["speed"]) for event in events if "speed" in event.get("args", {})]
    assert speeds[:3] == [(0.0, 1.0), (600e3, 0.0), (900e3, 1.0)]


def test_the_times_are_those_of_the_answer_in_microseconds() -> None:
    result = found("plain")
    events = json.loads(trace_json(result))["traceEvents"]
    train = [event for event in events if event["name"] == "train 40" and event["pid"] == 1]
    assert len(train) == 1
    assert train[0]["ts"] == pytest.approx(1e3 * float(result.spans.start_ms["train"][39]))
    assert train[0]["dur"] == pytest.approx(397e3)
    names = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names == {"cpu", "link", "dsp"}


@pytest.mark.skipif(importlib.util.find_spec("perfetto") is None, reason="perfetto is not installed")
@pytest.mark.parametrize("name", SCENARIOS)
def test_perfetto_reads_every_event(name: str) -> None:
    from tests.reports.pipeline.perfetto import Perfetto, engine_folder

    folder = engine_folder()
    if folder is None:
        pytest.skip("Perfetto's engine needs Node.js")
    result = found(name)
    text = trace_json(result)
    events = json.loads(text)["traceEvents"]
    with Perfetto(text.encode(), folder) as perfetto:
        problems = perfetto.query(
            "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
        )
        assert problems == []
        slices = perfetto.query("select count(*) as n, min(dur) as least, max(ts + dur) as ends from slice")[0]
        assert slices["n"] == sum(event["ph"] == "X" for event in events)
        assert slices["least"] >= 0
        last_ms = float(result.sequential_spans.makespan_ms)
        assert slices["ends"] / 1e6 == pytest.approx(last_ms, rel=1e-6)
        threads = perfetto.query("select distinct name from thread where name is not null")
        lanes = {row["name"] for row in threads}
        assert set(work_of_scenario(name)) <= lanes
        counters = perfetto.query(
            "select distinct t.name as name from counter c join counter_track t on c.track_id = t.id"
        )
        assert any("waiting for the link" in row["name"] for row in counters)
        processes = {row["name"] for row in perfetto.query("select name from process where name is not null")}
        assert {"overlapped", "sequential"} <= processes


def work_of_scenario(name: str) -> list[str]:
    from costmodel.scenario import pipeline_of

    return list(work_of(pipeline_of(with_settings(CIFAR, SCENARIOS[name]))))
