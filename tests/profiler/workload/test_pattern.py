import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from profiler.workload import pattern
from profiler.workload.reading import Reading, read_output

Read = Callable[..., Reading]


@pytest.fixture
def read(workload: Callable[..., Any]) -> Read:
    def read_text(text: str, expression: str, **changes: Any) -> Reading:
        return read_output(workload(reader="regex", pattern=expression, **changes), text.encode(), {})

    return read_text


@pytest.mark.parametrize(("unit", "ms"), [("ms", 1), ("us", 1e-3), ("s", 1e3)])
def test_each_matching_line_is_a_batch_in_the_unit_of_its_name(unit: str, ms: float, read: Read) -> None:
    reading = read("step 8\nnoise\nstep 10\r\nI/app: step 9 x", rf"step (?P<time_{unit}>[\d.]+)")
    assert reading.batch_ms is not None
    np.testing.assert_allclose(reading.batch_ms, np.array([8, 10, 9]) * ms)
    assert (reading.batches, reading.problems, reading.warmup_batches) == (3, (), 0)


def test_a_line_may_be_of_several_batches(read: Read) -> None:
    text = "10 steps 50 ms\n5 steps 40 ms"
    reading = read(text, r"(?P<batches>\d+) steps (?P<time_ms>\d+)")
    assert (reading.mean_ms, reading.batches, reading.batch_ms) == (6, 15, None)
    same = read(text, r"steps (?P<time_ms>\d+)", batches_per_line=10)
    assert (same.mean_ms, same.batches) == (4.5, 20)


def test_the_first_batches_are_warm_up_unless_the_program_does_it(read: Read) -> None:
    text, expression = "9 ms\n9 ms\n5 ms\n", r"(?P<time_ms>\d+) ms"
    reading = read(text, expression, warmup=2)
    assert (reading.mean_ms, reading.batches, reading.warmup_batches, reading.warmup_ms) == (5, 1, 2, 9)
    assert read(text, expression, warmup=2, command="./run {warmup}").batches == 3
    with pytest.raises(ValueError, match="after 3 batches of warm-up"):
        read(text, expression, warmup=3)


def test_parts_loss_and_accuracy_are_read(read: Read) -> None:
    expression = (
        r"(?P<time_us>\d+)us q=(?P<quantize>\d+) (t=(?P<transfer>\d+) )?loss (?P<loss>\S+)( acc (?P<accuracy>\S+))?"
    )
    reading = read("9000us q=1000 t=5 loss 2.5\n8000us q=2000 loss nan acc 0.5", expression)
    assert set(reading.parts_ms) == {"quantize"}, "not every line has a transfer"
    np.testing.assert_allclose(reading.parts_ms["quantize"], [1, 2])
    assert (reading.loss, reading.accuracy) == (2.5, 0.5)


def test_lines_without_a_usable_number_are_told(read: Read) -> None:
    reading = read("t=5\nt=nan\nt=-3\nt=1e400\nt=", r"t=(?P<time_ms>\S*)")
    assert (reading.batches, reading.mean_ms) == (1, 5)
    assert reading.notes == ("4 matching lines have no usable time or number of batches",)
    with pytest.raises(ValueError, match="expected a line with the pattern; its last lines: nothing"):
        read("nothing", r"t=(?P<time_ms>\S*)")


def test_a_pattern_of_exponential_time_is_ended(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    monkeypatch.setattr(pattern, "LONGEST_S", 1.0)
    began = time.monotonic()
    with pytest.raises(ValueError, match="longer than 1 s"):
        read("a" * 60 + "!", r"(?P<time_ms>(a+)+)$")
    assert time.monotonic() - began < 10


def test_a_search_that_dies_is_one_line(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    def dies(*words: object, **options: object) -> None:
        raise subprocess.CalledProcessError(-9, "python")

    monkeypatch.setattr(subprocess, "run", dies)
    with pytest.raises(ValueError, match="could not be searched"):
        read("5 ms", r"(?P<time_ms>\d+) ms")


def test_json_lines_are_read_by_their_keys(workload: Callable[..., Any]) -> None:
    keys = workload(reader="json_keys", keys={"time_s": "stats.step.time", "loss": "loss"})
    rows = [{"stats": {"step": {"time": 0.5}}, "loss": 3}, {"stats": 5}, {"stats": {"step": {"time": 1}}, "loss": 2}]
    rows += [{"stats": {"step": {"time": bad}}} for bad in (True, "1", None, [1], -1)]
    text = "start\n" + "\n".join(map(json.dumps, rows)) + '\n{"stats": {"step": {"time": NaN}}}\n{torn'
    reading = read_output(keys, text.encode(), {})
    assert reading.batch_ms is not None
    np.testing.assert_allclose(reading.batch_ms, [500, 1000])
    assert reading.loss == 2
    with pytest.raises(ValueError, match=r"a JSON line with stats\.step\.time, loss"):
        read_output(keys, b'{"stats": 1}', {})
