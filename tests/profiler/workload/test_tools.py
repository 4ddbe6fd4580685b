"""MNN, Mandheling, ExecuTorch, QNN and SNPE."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from profiler.workload.reading import Reading, read_output

Read = Callable[..., Reading]


@pytest.fixture
def read(workload: Callable[..., Any], examples: dict[str, Any]) -> Read:
    def read_example(
        reader: str, *pairs: tuple[str, str], files: dict[str, bytes] | None = None, **changes: Any
    ) -> Reading:
        base, out = examples[reader]
        text = out.decode()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        same = {name: getattr(base, name) for name in ("model", "precision", "processor", "batch_size", "stage")}
        same |= {"command": base.command, "warmup": base.warmup, "reader": reader}
        return read_output(workload(**same | changes), text.encode(), files or {})

    return read_example


def test_mnn_benchmark_gives_the_mean_of_its_model(read: Read) -> None:
    reading = read("mnn_benchmark")
    assert (reading.mean_ms, reading.batches, reading.warmup_batches) == (6.46, 10, 5)
    assert (reading.std_ms, reading.coverage, reading.problems, reading.notes) == (None, None, (), ())
    older = read(
        "mnn_benchmark", ("avg =    6.460 ms", "avg = 6.460ms"), (" thread=4 precision=1", "** thread=4** precision=2")
    )
    assert older.mean_ms == 6.46
    assert older.notes == ("MNN was allowed to compute in fp16, the workload is fp32",)
    alone = read("mnn_benchmark", ("[ - ] squeezenet", "skipped"), model="anything")
    assert alone.mean_ms == 6.46
    assert "no batch was measured" in read("mnn_benchmark", ("loop = 10", "loop = 0")).problems[0]
    with pytest.raises(ValueError, match=r"expected '\[ - \] vgg.mnn"):
        read("mnn_benchmark", model="vgg")


def test_mnn_on_the_cpu_is_no_measurement_of_the_gpu(read: Read) -> None:
    gpu = ("Forward type: CPU", "Forward type: OpenCL")
    assert read("mnn_benchmark", processor="gpu").coverage == "none"
    assert read("mnn_benchmark", gpu, processor="gpu").coverage == "complete"
    assert read("mnn_benchmark", gpu, processor="gpu").problems == ()
    assert read("mnn_benchmark", gpu).problems, "the cpu was wanted"
    fell_back = ("MNN benchmark", "Can't Find type=3 backend, use 0 instead")
    assert read("mnn_benchmark", gpu, fell_back, processor="gpu").problems


def test_mnn_training_leaves_out_the_first_line_of_an_epoch(read: Read) -> None:
    reading = read("mnn_train")
    assert (reading.batches, reading.mean_ms) == (25, pytest.approx(1480.5 / 25))
    assert (reading.batch_ms, reading.samples_per_batch, reading.loss) == (None, 64, 1.875)
    assert reading.block_ms is not None
    np.testing.assert_allclose(reading.block_ms, [60.05, 58, 60])
    assert (reading.warmup_batches, reading.accuracy, reading.problems) == (9, None, ())


@pytest.mark.parametrize("second", ["epoch: 1  1280", "epoch: 0  320", "epoch: 0  640"])
def test_a_line_goes_on_only_within_its_epoch(second: str, workload: Callable[..., Any]) -> None:
    rest = " / 60000 loss: 1 lr: 0.01 time: 60 ms / 10 iter\n"
    training = workload(reader="mnn_train", precision="fp32", batch_size=64)
    with pytest.raises(ValueError, match="after the first of an epoch"):
        read_output(training, f"epoch: 0  640{rest}{second}{rest}".encode(), {})
    assert read_output(training, f"epoch: 0  640{rest}epoch: 0  1280{rest}".encode(), {}).batches == 10


def test_mnn_training_leaves_out_the_warm_up(read: Read) -> None:
    reading = read("mnn_train", warmup=11)
    assert (reading.batches, reading.warmup_batches) == (5, 29)
    assert reading.warmup_ms == pytest.approx(1180.5 / 20)
    with pytest.raises(ValueError, match="after the first of an epoch"):
        read("mnn_train", warmup=25)
    assert read("mnn_train", warmup=11, command="./run {warmup}").batches == 25, "the program does it"


def test_a_test_pass_inside_the_run_spoils_its_energy(read: Read) -> None:
    line = "epoch: 1  {} / 60000 loss: 1 lr: 0.01 time: {} ms / {} iter"
    second = "\n".join([line.format(640, 900, 9), line.format(1280, 600, 10)])
    tested = f"test: 2000 / 10000\nepoch: 0  accuracy: 0.9\n{second}\n"
    reading = read("mnn_train", ("/ 5 iter\n", f"/ 5 iter\n{tested}"))
    assert (reading.batches, reading.accuracy) == (35, 0.9)
    assert "test passes" in reading.problems[0]


def test_mandheling_times_every_batch_and_has_no_separator(read: Read) -> None:
    reading = read("mandheling_train")
    assert reading.batch_ms is not None
    np.testing.assert_allclose(reading.batch_ms, [30.5, 31.5, 31])
    assert (reading.accuracy, reading.warmup_batches, reading.samples_per_batch) == (0.9712, 0, 64)
    assert (reading.loss, reading.problems) == (2.28, ()), "a test after the last batch is outside of the run"
    assert "16" in read("mandheling_train", batch_size=16).problems[0]


def test_executorch_sums_its_inputs_once(read: Read) -> None:
    reading = read("executorch")
    assert (reading.batches, reading.mean_ms, reading.warmup_batches) == (100, 5.125, 3)
    assert reading.batch_ms is None
    older = read("executorch", ("Total 1 inference took 512.500000", "1 inference took 512.500000"))
    assert (older.batches, older.mean_ms) == (100, 5.125)
    newer = read("executorch", ("100 inference took", "100 inferences took"))
    assert newer.mean_ms == 5.125
    two = read("executorch", ("Total 1", "50 inference took 237.5 ms, avg 4.75 ms\nTotal 2"))
    assert (two.batches, two.mean_ms) == (150, 5.0)


def test_executorch_cut_short_keeps_equal_inputs(workload: Callable[..., Any]) -> None:
    out = b"100 inference took 500.0 ms, avg 5.0 ms\n" * 2
    reading = read_output(workload(reader="executorch", stage="infer"), out, {})
    assert (reading.batches, reading.mean_ms) == (200, 5)


def test_executorch_lists_its_iterations(read: Read) -> None:
    rows = [f"I executorch : Iteration {i} of 4: {time} ms" for i, time in enumerate([9, 5, 6, 7])]
    text = "\n".join(["Model loaded in 12.5 ms.", *rows, "Model executed successfully 4 time(s) in 27 ms."])
    with_all = read("executorch", ("Total 1", f"{text}\nTotal 1"))
    assert with_all.batch_ms is not None
    np.testing.assert_allclose(with_all.batch_ms, [9, 5, 6, 7])
    assert (with_all.startup_ms, with_all.std_ms) == (12.5, pytest.approx(np.std([9, 5, 6, 7], ddof=1)))
    left = read("executorch", ("Total 1", f"{text}\nTotal 1"), ("Perform 3", "Perform no"), command="./r", warmup=1)
    assert (left.batches, left.warmup_batches, left.warmup_ms) == (3, 1, 9)


def test_executorch_has_two_last_resorts(workload: Callable[..., Any]) -> None:
    portable = workload(reader="executorch", stage="infer")
    reading = read_output(portable, b"Model executed successfully 4 time(s) in 28.000000 ms.", {})
    assert (reading.batches, reading.mean_ms) == (4, 7)
    reading = read_output(portable, b"", {"out/inference_speed.txt": b"5.125\n"})
    assert (reading.batches, reading.mean_ms) == (None, 5.125)
    assert "one iteration" in reading.notes[0]
    with pytest.raises(ValueError, match=r"inference_speed\.txt; its last lines: \(nothing\)"):
        read_output(portable, b"", {"other.txt": b"5.125"})


def test_qnn_splits_a_call_into_transfer_and_work(read: Read) -> None:
    reading = read("qnn")
    assert (reading.mean_ms, reading.startup_ms, reading.batches) == (2.952, 331.158, None)
    assert reading.parts_ms == {"transfer": pytest.approx(0.428), "train": pytest.approx(2.492)}
    assert (reading.coverage, reading.problems) == ("complete", ())
    newer = read(
        "qnn", ("Backend (Accelerator (execute) time): 2492 us", "Accelerator (execute) time (cycles): 3 cycles")
    )
    assert newer.parts_ms["transfer"] == pytest.approx(0.320), "the outer accelerator time, if the inner is in cycles"
    assert read("qnn", batches_per_call=7).batches == 7
    second = ("\nExecute Stats (Min)", "Graph 1 (other):\n    NetRun:  9000 us\n\nExecute Stats (Min)")
    assert read("qnn", second).mean_ms == 2.952, "the first graph"


def test_qnn_without_a_call_did_not_leave_the_cpu(read: Read) -> None:
    pairs = [("RPC (execute)", "x"), ("QNN accelerator (execute)", "x"), ("Accelerator (execute)", "x")]
    assert "took nothing" in read("qnn", *pairs).problems[0]
    assert read("qnn", *pairs, processor="cpu").problems == ()
    assert read("qnn", processor="cpu").problems


def test_qnn_times_that_do_not_nest_are_not_split(read: Read) -> None:
    reading = read("qnn", ("time): 2920 us", "time): 2000 us"))
    assert (dict(reading.parts_ms), len(reading.notes)) == ({}, 1)
    assert reading.mean_ms == 2.952


def test_qnn_events_one_by_one_give_every_batch(workload: Callable[..., Any]) -> None:
    npu = workload(reader="qnn", processor="npu", stage="infer")
    detailed = (
        "Execute Stats:\nExecute Stat 1\nRPC (execute) time : 2717 us\nQNN accelerator (execute) time : 2714 us\n"
    )
    detailed += detailed.replace("Stat 1", "Stat 2").replace("27", "28").removeprefix("Execute Stats:\n")
    log = "".join(
        f"I/litert: RPC (execute) time: {rpc} us\nI/litert: QNN accelerator (execute) time: {work} us\n"
        for rpc, work in ((2717, 2714), (2817, 2814))
    )
    events = "Type: 1002, Init Event Name: RPC (load binary) time, Event Data: 16303 us\n"
    events += "Type: 1002, Init Event Name: QNN (load binary) time, Event Data: 17000 us\n"
    events += log.replace("I/litert: ", "Type: 3002, Event Name: ").replace("time:", "time, Event Data:")
    table = (
        "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier\n"
        "1,BACKEND,2717,US,BACKEND,ROOT,RPC (execute) time\n"
        "1,BACKEND,2714,US,BACKEND,ROOT,QNN accelerator (execute) time\n"
        "1,BACKEND,1000,CYCLES,BACKEND,ROOT,Accelerator (execute) time (cycles)\n"
        "2,BACKEND,2817,US,BACKEND,ROOT,RPC (execute) time\n"
        "2,BACKEND,2814,US,BACKEND,ROOT,QNN accelerator (execute) time\n"
    )
    for text in (detailed, log, events, table):
        reading = read_output(npu, text.encode(), {})
        assert reading.batch_ms is not None
        np.testing.assert_allclose(reading.batch_ms, [2.717, 2.817])
        np.testing.assert_allclose(reading.parts_ms["transfer"], [0.003, 0.003])
        assert reading.problems == ()
    assert read_output(npu, events.encode(), {}).startup_ms == 17
    assert read_output(npu, b"done", {"output/profile.csv": table.encode()}).batches == 2
    with_program = table + '3,EXECUTE,3000,US,NETRUN,ROOT,"Graph 0: m"\n'
    reading = read_output(npu, with_program.encode(), {})
    assert (reading.mean_ms, reading.batches) == (3, 1)
    assert reading.parts_ms == {"transfer": pytest.approx(0.003), "train": pytest.approx(2.764)}, "means of two calls"


def test_snpe_splits_a_call_into_transfer_and_work(read: Read) -> None:
    reading = read("snpe")
    assert (reading.mean_ms, reading.startup_ms) == (4.27, 48.856)
    assert reading.parts_ms == {"transfer": pytest.approx(0.24), "train": pytest.approx(3.94)}
    assert (reading.coverage, reading.problems) == ("complete", ())


def test_snpe_layers_say_where_the_graph_ran(read: Read) -> None:
    one, both = ("1: 21 us : DSP", "1: 21 us : CPU"), ("us : DSP", "us : CPU")
    assert read("snpe", one).coverage == "partial"
    assert read("snpe", both).coverage == "none"
    assert read("snpe", one).problems
    assert read("snpe", one, accept_partial=True).problems == ()
    subnet = ("0: 1419 us : DSP\n1: 21 us : DSP", "Subnet 0 (DSP) : 61 us\n3: conv/MatMul 2 : 23 us : DSP")
    assert read("snpe", subnet).coverage == "complete"
    assert read("snpe", ("us : DSP", "us : GPU"), processor="gpu").coverage == "complete"


def test_snpe_without_layers_needs_a_call(read: Read) -> None:
    bare = ("0: 1419 us : DSP\n1: 21 us : DSP\n", "")
    none = [
        ("RPC Execute Time: 4180 us", "RPC Execute Time: 0"),
        ("Accelerator Time: 39", "Accelerator Time: 0 NONE\nx 39"),
    ]
    assert read("snpe", bare).coverage == "complete"
    assert read("snpe", bare, *none).coverage == "none"
    assert read("snpe", bare, *none, processor="cpu").problems == ()
    assert read("snpe", bare, processor="cpu").problems
    assert read("snpe", bare, *none, processor="gpu").coverage is None
    assert read("snpe", bare, processor="gpu").coverage == "none"
    again = ("Layer Times:", "Total Inference Time: 9000 us\nLayer Times:")
    assert read("snpe", again).mean_ms == 4.27, "the first average"


def test_snpe_bench_gives_the_column_of_averages(workload: Callable[..., Any]) -> None:
    table = (
        "Init metrics\n,max (us),avg (us),min (us)\nInit,50000,48856,48000\n"
        "Execution metrics\nTotal Inference Time,5000,4270,4000\nForward Propagate,4300,4200,4100\n"
        "RPC Execute,4300,4180,4000\nSNPE Accelerator,4000,3950,3900\nAccelerator,4000,3940,3900\n"
    )
    reading = read_output(workload(reader="snpe", processor="dsp", stage="infer"), b"", {"bench.csv": table.encode()})
    assert (reading.mean_ms, reading.startup_ms, reading.coverage) == (4.27, 48.856, "complete")
    assert reading.parts_ms["transfer"] == pytest.approx(0.24)
