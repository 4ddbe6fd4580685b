from collections.abc import Callable
from typing import Any

import pytest

from profiler.workload.reading import Reading, read_output

MAIN = "count=50 first=119212 curr=118055 min=113737 max=124776 avg=119375 std=1948"
SUMMARY = (
    "Inference timings in us: Init: 870557, First inference: 130565, Warmup (avg): 122373, Inference (avg): 119375"
)
COMPLETE = "Explicitly applied {} delegate, and the model graph will be completely executed by the delegate."
PARTIAL = COMPLETE.replace("completely", "partially").replace(" delegate.", " delegate w/ 3 delegate kernels.")
NOTHING = "Though {} delegate is explicitly applied, the model graph will not be executed by the delegate."


@pytest.fixture
def read(workload: Callable[..., Any]) -> Callable[..., Reading]:
    def read_text(text: str, processor: str = "cpu", **changes: Any) -> Reading:
        return read_output(workload(reader="tflite", processor=processor, stage="infer", **changes), text.encode(), {})

    return read_text


def test_the_second_statistics_are_the_measured_runs(examples: dict[str, Any]) -> None:
    workload, out = examples["tflite"]
    reading = read_output(workload, out, {})
    assert (reading.mean_ms, reading.std_ms, reading.batches) == (119.375, 1.948, 50)
    assert (reading.warmup_ms, reading.warmup_batches, reading.startup_ms) == (122.373, 5, 870.557)
    assert (reading.batch_ms, reading.coverage, reading.accelerator, reading.problems) == (None, "complete", "GPU", ())


@pytest.mark.parametrize("prefix", ["", "INFO: ", "05-31 09:26:04.108 I/tflite  (30385): ", "I/tflite: "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_prefixes_of_logs_and_line_ends_do_not_matter(prefix: str, end: str, read: Callable[..., Reading]) -> None:
    rows = ["count=1 curr=9992420", MAIN, SUMMARY, ""]
    reading = read(end.join(prefix + row for row in rows))
    assert (reading.mean_ms, reading.batches, reading.warmup_ms, reading.warmup_batches) == (119.375, 50, 9992.42, 1)


@pytest.mark.parametrize(
    ("text", "mean_ms", "std_ms", "batches"),
    [
        ("count=3 first=9 curr=9 min=8 max=9 avg=1.19375e+05 std=0\n" + SUMMARY, 119.375, 0, 3),
        ("count=3 first=9 curr=9 min=8 max=9 avg=3756.87 std=35 p5=1 median=2 p95=3\n" + SUMMARY, 3.75687, 0.035, 3),
        (SUMMARY, 119.375, None, None),
        ("count=0 avg=7 std=1\n" + SUMMARY, 119.375, None, None),
        ("Average inference timings in us: Warmup: 76605.9, Init: 9933, no stats: 66767.6", 66.7676, None, None),
        ("Timings (microseconds): count=10 first=1 curr=2 min=1 max=3 avg=1500.5 std=20", 1.5005, 0.02, 10),
        ("Timings (microseconds): count=1 curr=1500", 1.5, None, 1),
    ],
)
def test_every_variant_of_the_statistics_is_read(
    text: str, mean_ms: float, std_ms: float | None, batches: int | None, read: Callable[..., Reading]
) -> None:
    reading = read(text)
    assert reading.mean_ms == pytest.approx(mean_ms)
    assert (reading.std_ms, reading.batches, reading.problems) == (std_ms, batches, ())


def test_statistics_without_the_summary_may_be_the_warm_up(read: Callable[..., Reading]) -> None:
    assert "cut short" in read(MAIN).problems[0]


@pytest.mark.parametrize(
    ("processor", "lines", "coverage", "valid"),
    [
        ("gpu", [COMPLETE.format("GPU")], "complete", True),
        ("gpu", [PARTIAL.format("GPU")], "partial", False),
        ("gpu", [NOTHING.format("GPU")], "none", False),
        ("dsp", [COMPLETE.format("GPU")], "none", False),
        ("dsp", [COMPLETE.format("XNNPACK")], "none", False),
        ("dsp", [COMPLETE.format("Hexagon")], "complete", True),
        ("dsp", [COMPLETE.format("NNAPI")], "complete", True),
        ("dsp", ["NNAPI accelerator name: [nnapi-reference]", COMPLETE.format("NNAPI")], "none", False),
        ("dsp", ["NNAPI accelerator name: [qti-gpu]", COMPLETE.format("NNAPI")], "none", False),
        ("dsp", ["NNAPI accelerator name: [qti-dsp]", COMPLETE.format("NNAPI")], "complete", True),
        ("npu", [COMPLETE.format("STABLE_DELEGATE")], "complete", True),
        ("gpu", [COMPLETE.format("GPU"), PARTIAL.format("XNNPACK")], "complete", True),
        ("npu", [COMPLETE.format("EXTERNAL"), NOTHING.format("NNAPI")], "complete", True),
        ("cpu", [COMPLETE.format("XNNPACK")], None, True),
        ("cpu", [], None, True),
        ("cpu", [COMPLETE.format("GPU")], "complete", False),
        ("cpu", [NOTHING.format("GPU")], None, True),
    ],
)
def test_what_the_delegate_took_decides_whether_it_is_a_measurement(
    processor: str, lines: list[str], coverage: str | None, valid: bool, read: Callable[..., Reading]
) -> None:
    reading = read("\n".join([*lines, MAIN, MAIN, SUMMARY]), processor)
    assert (reading.coverage, not reading.problems) == (coverage, valid)


def test_a_part_of_the_graph_is_enough_if_the_workload_says_so(read: Callable[..., Reading]) -> None:
    reading = read("\n".join([PARTIAL.format("GPU"), MAIN, SUMMARY]), "gpu", accept_partial=True)
    assert (reading.problems, len(reading.notes)) == ((), 1)
    reading = read("\n".join([NOTHING.format("GPU"), MAIN, SUMMARY]), "gpu", accept_partial=True)
    assert reading.problems


def test_no_word_about_the_delegate_is_a_doubt(read: Callable[..., Reading]) -> None:
    reading = read("\n".join([MAIN, SUMMARY]), "dsp")
    assert (reading.problems, reading.notes) == ((), ("nothing in the output says that the dsp did the work",))
