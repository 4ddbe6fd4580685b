"""What holds for every reader: on garbage, on cut and changed outputs, and on very long ones."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.names import has_control_characters
from profiler.workload.lines import MAX_BYTES, MAX_LINES, Lines, lines_of, number
from profiler.workload.reading import Reading, read_output
from profiler.workload.workload import READERS, Workload

Example = tuple[Workload, bytes]
FAST = [reader for reader in READERS if reader != "regex"]  # which starts a process for every output


def outcome(workload: Workload, out: bytes, files: Mapping[str, bytes] | None = None) -> Reading | None:
    """The reading if there is one; it or the error must be fit to be shown and used."""
    try:
        reading = read_output(workload, out, files or {})
    except ValueError as error:
        text = str(error)
        assert text
        assert not has_control_characters(text), "one line, safe to print"
        assert len(text) < 1_000
        return None
    for text in (*reading.problems, *reading.notes):
        assert not has_control_characters(text)
    assert reading.problems or 1e-6 <= reading.mean_ms <= 1e9
    for value in (reading.mean_ms, reading.std_ms, reading.warmup_ms, reading.startup_ms, reading.suspended_s):
        assert value is None or math.isfinite(value)
    assert reading.batches is None or reading.batches > 0 or reading.problems
    if reading.batch_ms is not None:
        assert len(reading.batch_ms) == reading.batches
        assert all(len(part) == reading.batches for part in reading.parts_ms.values() if not isinstance(part, float))
    return reading


@pytest.mark.parametrize("reader", FAST)
def test_every_reader_reads_its_example_whatever_the_line_ends(reader: str, examples: dict[str, Example]) -> None:
    workload, out = examples[reader]
    reading = outcome(workload, out)
    assert reading is not None
    assert reading.problems == ()
    for other in (out.replace(b"\n", b"\r\n"), out.replace(b"\n", b"\r\r\n"), out.replace(b"\n", b"\n\n")):
        same = outcome(workload, other)
        assert same is not None
        assert (same.mean_ms, same.batches, same.problems) == (reading.mean_ms, reading.batches, ())


@pytest.mark.parametrize("reader", FAST)
@settings(max_examples=150)
@given(data=st.data())
def test_no_output_breaks_a_reader(reader: str, data: st.DataObject, examples: dict[str, Example]) -> None:
    workload, good = examples[reader]
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, len(good)))
    change = data.draw(st.sampled_from(("cut", "drop", "insert", "swap a number", "repeat a part")))
    noise = data.draw(st.one_of(st.binary(max_size=20), st.sampled_from(NASTY)))
    if change == "cut":
        bad = good[:stop]
    elif change == "drop":
        bad = good[:start] + good[stop:]
    elif change == "insert":
        bad = good[:start] + noise + good[start:]
    elif change == "repeat a part":
        bad = good[:stop] + good[start:stop] + good[stop:]
    else:
        digits = [index for index, byte in enumerate(good) if byte in b"0123456789"]
        index = data.draw(st.sampled_from(digits))
        bad = good[:index] + noise + good[index + 1 :]
    outcome(workload, bad)
    outcome(workload, b"", {"out": bad})


NASTY = [
    b"-",
    b"nan",
    b"inf",
    b"1e999",
    b"9" * 400,
    b"9" * 5_000,
    b"0",
    b"\0",
    b"\x1b[2J",
    b"\xff\xfe",
    "\u202e\u2028\x85".encode(),
    b"[" * 3_000,
    b'{"a":' * 600,
    b'{"kind":"hello","version":' + b"[" * 900 + b"]" * 900 + b"}",
    b"\n",
]


@pytest.mark.parametrize("reader", FAST)
@given(noise=st.binary(max_size=300))
def test_noise_is_no_reading(reader: str, noise: bytes, examples: dict[str, Example]) -> None:
    assert outcome(examples[reader][0], noise) is None


@pytest.mark.parametrize("noise", NASTY)
def test_the_generic_reader_stands_noise_too(noise: bytes, workload: Callable[..., Any]) -> None:
    generic = workload(reader="regex", pattern=r"(?P<time_ms>\S+) ms")
    reading = outcome(generic, b"5 ms\n" + noise + b" ms\n7 ms\n")
    assert reading is not None
    assert reading.mean_ms in (4, 6) or reading.mean_ms == pytest.approx(6), "noise is left out, or is the number 0"


@pytest.mark.parametrize("reader", FAST)
@pytest.mark.parametrize("filler", [b"9", b"[", b"count=", b"{", b" ", b"epoch: 0  1 / 1 loss: ", b"avg ", b"a: "])
def test_long_lines_take_bounded_time(reader: str, filler: bytes, examples: dict[str, Example]) -> None:
    workload, good = examples[reader]
    long_lines = (filler * (4_000 // len(filler)) + b"\n") * 100  # just short enough to be read
    began = time.monotonic()
    outcome(workload, long_lines + good)
    outcome(workload, filler * (10_000_000 // len(filler)) + b"\n" + good)
    assert time.monotonic() - began < 5


def test_lines_too_long_to_be_read_are_told(examples: dict[str, Example]) -> None:
    workload, good = examples["tflite"]
    reading = outcome(workload, b"x" * 5_000 + b"\n" + good)
    assert reading is not None
    assert reading.notes[-1] == "1 lines were too long to be read"
    assert reading.mean_ms == 119.375


def test_outputs_are_bounded() -> None:
    with pytest.raises(ValueError, match="at most 67,108,864 are read"):
        lines_of(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ValueError, match="more than 1,000,000 lines"):
        lines_of(b"x\n" * (MAX_LINES + 1))
    assert lines_of(b"\n \n\na\r\n") == Lines(("a",), 0)


def test_a_number_is_what_was_printed() -> None:
    good = {"5": 5, "5.": 5, ".5": 0.5, "1e3": 1000, "1.5E-3": 0.0015}
    assert {text: number(text) for text in good} == good
    assert [number(text) for text in (None, "", "-5", "nan", "inf", "1e19", "five")] == [None] * 7


def test_a_batch_of_no_time_is_a_problem(workload: Callable[..., Any]) -> None:
    keys = workload(reader="json_keys", keys={"time_ms": "t"})
    for mean in ("0", "1e10"):
        assert "cannot be" in read_output(keys, f'{{"t": {mean}}}'.encode(), {}).problems[0]


def test_the_number_of_batches_may_be_the_workloads(examples: dict[str, Example], workload: Callable[..., Any]) -> None:
    snpe = workload(reader="snpe", processor="dsp", stage="infer", batches_per_call=40)
    reading = read_output(snpe, examples["snpe"][1], {})
    assert (reading.batches, reading.notes) == (
        40,
        ("the number of batches is the workload's; the output does not say it",),
    )
