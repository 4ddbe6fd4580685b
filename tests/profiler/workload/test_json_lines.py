import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.workload.reading import Reading, read_output

Lines = Callable[..., list[str]]


@pytest.fixture
def read(workload: Callable[..., Any], run_output: Lines) -> Callable[..., Reading]:
    def read_run(batches: list[tuple[int, int]], changes: dict[str, Any] | None = None, **run: Any) -> Reading:
        return read_output(workload(**changes or {}), "\n".join(run_output(batches, **run)).encode(), {})

    return read_run


def test_without_overlap_a_batch_takes_from_its_start_to_its_end(read: Callable[..., Reading]) -> None:
    reading = read([(1000, 1010), (1010, 1030), (1030, 1045)], warmup=[(500, 600), (600, 650)])
    assert reading.batch_ms is not None
    np.testing.assert_allclose(reading.batch_ms, [10, 20, 15])
    assert (reading.batches, reading.mean_ms, reading.std_ms) == (3, pytest.approx(15), pytest.approx(5))
    assert (reading.warmup_batches, reading.warmup_ms) == (2, pytest.approx(75))
    assert (reading.startup_ms, reading.checksum) == (pytest.approx(250), "00ff")
    assert reading.run_window_s == (pytest.approx(101.0), pytest.approx(101.045))
    assert (reading.suspended_s, reading.problems, reading.notes) == (0, (), ())


def test_with_overlap_batches_share_the_time_from_the_first_start_to_the_last_end(read: Callable[..., Reading]) -> None:
    reading = read([(1000, 1100), (1030, 1140), (1060, 1190)], {"overlap": "on"})
    assert reading.batch_ms is not None
    np.testing.assert_allclose(reading.batch_ms, [100, 40, 50])
    assert reading.mean_ms == pytest.approx(190 / 3)
    assert read([(1000, 1100), (1030, 1140)]).mean_ms == pytest.approx(70)  # overlap that nobody announced
    announced = read([(1000, 1010), (1030, 1040)], {"overlap": "on"})
    assert announced.mean_ms == pytest.approx(20), "an overlapped run counts the waits, too"


@given(steps=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=30))
def test_overlapped_batches_add_up_to_the_run(
    steps: list[tuple[int, int]], workload: Callable[..., Any], run_output: Lines
) -> None:
    batches, t0, t1 = [], 0, 0
    for wait, more in steps:
        t0, t1 = min(t0 + wait, t1 + wait), t1 + more
        batches.append((min(t0, t1), t1))
    reading = read_output(workload(overlap="on"), "\n".join(run_output(batches)).encode(), {})
    assert reading.batch_ms is not None
    assert float(reading.batch_ms.sum()) == pytest.approx(batches[-1][1] - batches[0][0])
    assert reading.mean_ms * len(batches) == pytest.approx(batches[-1][1] - batches[0][0])


def test_time_between_batches_is_told(read: Callable[..., Reading]) -> None:
    reading = read([(1000, 1010), (1090, 1100)])
    assert reading.mean_ms == pytest.approx(10)
    assert reading.notes == ("80% of the run lies between the batches",)


@pytest.mark.parametrize(
    ("key", "value"),
    [("model", "vgg16"), ("precision", "fp32"), ("processor", "dsp"), ("batch_size", 32), ("version", 2)],
)
def test_a_program_that_ran_something_else_is_no_measurement(
    key: str, value: object, read: Callable[..., Reading]
) -> None:
    reading = read([(0, 10)], hello={key: value})
    assert any(key in problem for problem in reading.problems)
    assert reading.mean_ms == pytest.approx(10)


@pytest.mark.parametrize(
    ("said", "workload_says", "problem"),
    [
        ({"classes": 10}, {"dataset": "CIFAR-100"}, "ran classes = 10, the workload is 100"),
        ({"stage": "sample"}, {}, "ran stage = sample, the workload is total"),
        ({"stage": "transfer"}, {"stage": "transfer", "empty_call": True}, "stage = transfer, the workload is empty"),
        ({"overlap": "on"}, {"overlap": "off"}, "ran overlap = on, the workload is off"),
        ({"threads": 1}, {"threads": 2}, "ran threads = 1, the workload is 2"),
    ],
)
def test_what_a_program_says_beyond_the_contract_is_compared(
    said: dict[str, Any], workload_says: dict[str, Any], problem: str, read: Callable[..., Reading]
) -> None:
    assert any(problem in found for found in read([(0, 10)], workload_says, hello=said).problems)
    right = {"classes": 100, "stage": "total", "overlap": "off", "threads": 2, "path": "vnni"}
    reading = read([(0, 10)], {"dataset": "CIFAR-100", "overlap": "off", "threads": 2}, hello=right)
    assert (reading.problems, reading.path) == ((), "vnni")


def test_a_warm_up_whose_batches_overlap_took_the_time_from_its_start_to_its_end(read: Callable[..., Reading]) -> None:
    reading = read([(1000, 1100), (1030, 1140)], {"overlap": "on"}, warmup=[(500, 600), (510, 640), (520, 690)])
    assert reading.warmup_ms == pytest.approx(190 / 3)


def test_a_program_on_the_accelerator_says_so(read: Callable[..., Reading]) -> None:
    reading = read([(0, 10)], {"processor": "dsp"}, hello={"processor": "dsp"})
    assert (reading.accelerator, reading.coverage, reading.problems, reading.notes) == ("dsp", "complete", (), ())


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ({"rc": 7}, "the program ended with rc = 7"),
        ({"batches": 5}, "the program did 5 batches, 1 were read"),
        ({"boottime_ns": 190_000_000_000}, "the device was suspended for 30 s"),
    ],
)
def test_an_end_that_does_not_fit_is_a_problem(end: dict[str, Any], problem: str, read: Callable[..., Reading]) -> None:
    assert any(problem in found for found in read([(1000, 1010)], end=end).problems)


def test_a_run_that_was_cut_short_keeps_what_was_read(workload: Callable[..., Any], run_output: Lines) -> None:
    lines = run_output([(1000, 1010), (1010, 1030)])
    reading = read_output(workload(), "\n".join([*lines[:-1], lines[-1][:40]]).encode(), {})
    assert (reading.batches, reading.mean_ms) == (2, pytest.approx(15))
    assert reading.problems == ("no line of kind end: the run was cut short",)
    assert reading.notes == ("1 lines are torn",)
    assert reading.suspended_s is None
    assert reading.run_window_s == (pytest.approx(101.0), pytest.approx(101.03))


@pytest.mark.parametrize(("left_out", "problem"), [(0, "no line of kind hello"), (2, "warm-up cannot be told")])
def test_a_line_that_is_not_there_is_a_problem(
    left_out: int, problem: str, workload: Callable[..., Any], run_output: Lines
) -> None:
    lines = [line for line in run_output([(1000, 1010)]) if '"warmup"' not in line]
    kept = [line for line in lines if json.loads(line)["kind"] != ("hello" if left_out == 0 else "phase")]
    reading = read_output(workload(), "\n".join(kept).encode(), {})
    assert any(problem in found for found in reading.problems)


def test_a_clock_that_runs_backwards_is_a_problem(read: Callable[..., Reading]) -> None:
    for batches in ([(1000, 990), (1000, 1010)], [(1000, 1020), (1000, 1010)], [(1000, 1020), (990, 1030)]):
        assert "the clock of the batches runs backwards" in read(batches).problems


def test_two_programs_in_one_output_are_a_problem(workload: Callable[..., Any], run_output: Lines) -> None:
    lines = run_output([(1000, 1010)])
    reading = read_output(workload(), "\n".join(lines + lines).encode(), {})
    assert any("two programs" in problem for problem in reading.problems)


def test_parts_are_there_if_every_batch_has_them(
    read: Callable[..., Reading], workload: Callable[..., Any], run_output: Lines
) -> None:
    parts = {"sample": 2_000_000, "train": 7_000_000, "gossip": 1}
    reading = read([(1000, 1010), (1010, 1020)], parts=parts, warmup=[(0, 9)])
    assert set(reading.parts_ms) == {"sample", "train"}
    np.testing.assert_allclose(reading.parts_ms["train"], [7, 7])
    lines = [
        line.replace('"train"', '"pain"', 1) if '"i": 1' in line else line
        for line in run_output([(0, 1), (1, 2)], parts=parts)
    ]
    assert set(read_output(workload(), "\n".join(lines).encode(), {}).parts_ms) == {"sample"}


def test_numbers_that_are_no_nanoseconds_are_not_read(workload: Callable[..., Any], run_output: Lines) -> None:
    good = run_output([(1000, 1010)])
    for bad in ("1.5", "-1", "true", '"1"', "1e400", "NaN", str(2**63), "[1]", "null"):
        line = f'{{"kind":"batch","i":1,"t0_ns":{bad},"t1_ns":1020000000}}'
        reading = read_output(workload(), "\n".join([*good[:-1], line, good[-1]]).encode(), {})
        assert (reading.batches, reading.mean_ms) == (1, pytest.approx(10))
        assert "1 lines are torn" in reading.notes


def test_notes_and_checksums_are_safe_to_print(workload: Callable[..., Any], run_output: Lines) -> None:
    lines = run_output([(1000, 1010)], end={"checksum": "a\x1b[2Jb"})
    note = json.dumps({"kind": "note", "what": "hot \x1b[31m phone"})
    reading = read_output(workload(), "\n".join([lines[0], note, *lines[1:]]).encode(), {})
    assert reading.notes == ("the program says: hot ?[31m phone",)
    assert reading.checksum == "a?[2Jb"


def test_an_output_without_a_batch_says_what_was_expected(workload: Callable[..., Any], run_output: Lines) -> None:
    for text in ("", "Segmentation fault\n", "\n".join(run_output([]))):
        with pytest.raises(ValueError, match=r'expected.*"kind":"batch"') as caught:
            read_output(workload(), text.encode(), {})
        assert "\n" not in str(caught.value)
        assert ("Segmentation fault" in str(caught.value)) == ("Segmentation" in text)


def test_a_line_may_stand_for_several_batches(workload: Callable[..., Any], run_output: Lines) -> None:
    lines = [json.loads(line) for line in run_output([(1000, 1010), (1010, 1040)])]
    for line, count in zip((line for line in lines if line["kind"] == "batch"), (1, 4), strict=True):
        line["parts_ns"] = {"sample": 5_000_000 * count}
        if count > 1:
            line["count"] = count
    lines[-1]["batches"] = 5
    reading = read_output(workload(), "\n".join(map(json.dumps, lines)).encode(), {})
    assert (reading.batches, reading.mean_ms, reading.batch_ms) == (5, pytest.approx(8), None)
    assert reading.block_ms is not None
    np.testing.assert_allclose(reading.block_ms, [10, 7.5])
    assert reading.parts_ms == {"sample": pytest.approx(5)}
    assert reading.problems == ()


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, 10**10, None])
def test_a_count_that_is_none_is_not_read(count: Any, workload: Callable[..., Any], run_output: Lines) -> None:
    lines = [json.loads(line) for line in run_output([(1000, 1010), (1010, 1040)])]
    next(line for line in lines if line["kind"] == "batch")["count"] = count
    assert "1 lines are torn" in read_output(workload(), "\n".join(map(json.dumps, lines)).encode(), {}).notes


def test_blocks_say_how_far_the_mean_may_be_off() -> None:
    from profiler.workload.reading import of_blocks

    equal = of_blocks(np.array([10.0, 14.0, 12.0]), np.array([2, 2, 2]))
    assert equal.mean_ms == pytest.approx(6.0)
    assert equal.mean_error_ms == pytest.approx(np.std([5.0, 7.0, 6.0], ddof=1) / np.sqrt(3))
    assert of_blocks(np.array([10.0]), np.array([2])).mean_error_ms is None
    assert of_blocks(np.array([10.0, 14.0]), np.array([1, 1])).mean_error_ms is None, "batches have their own"


@pytest.mark.parametrize(("waited_ns", "share"), [(0, 0), (10_000_000, 0.25), (10**12, 1), (None, None), (-5, None)])
def test_what_the_program_waited_for_a_core_is_a_share_of_the_run(
    waited_ns: int | None, share: float | None, read: Callable[..., Reading]
) -> None:
    end = {} if waited_ns is None else {"waited_ns": waited_ns}
    reading = read([(1000, 1010), (1010, 1040)], end=end)
    assert reading.waited == (None if share is None else pytest.approx(share))
