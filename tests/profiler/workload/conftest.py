"""A workload to change, and one good output of every reader."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from profiler.workload.workload import Workload

Make = Callable[..., Workload]
Example = tuple[Workload, bytes]


def make_workload(**changes: Any) -> Workload:
    values: dict[str, Any] = {
        "name": "lenet",
        "reader": "json_lines",
        "command": "./run",
        "model": "LeNet-5",
        "dataset": "FEMNIST",
        "precision": "int8",
        "processor": "cpu",
        "batch_size": 16,
    }
    return Workload(**values | changes)


def run_lines(
    batches: list[tuple[int, int]],
    *,
    warmup: list[tuple[int, int]] | None = None,
    hello: dict[str, Any] | None = None,
    end: dict[str, Any] | None = None,
    parts: dict[str, int] | None = None,
) -> list[str]:
    """The lines of a program whose batches began and ended at these ms; boot time is 100 s ahead; it ran for 60 s."""
    ms = 1_000_000
    second = 1_000 * ms
    head = {
        "kind": "hello",
        "version": 1,
        "program": "runner",
        "model": "lenet5",
        "precision": "int8",
        "processor": "cpu",
        "batch_size": 16,
        "boottime_ns": 100 * second,
        "monotonic_ns": 0,
    }
    lines = [head | (hello or {}), {"kind": "phase", "name": "warmup", "boottime_ns": 100 * second + 250 * ms}]
    lines += [
        {"kind": "batch", "i": i, "t0_ns": t0 * ms, "t1_ns": t1 * ms, "parts_ns": {}}
        for i, (t0, t1) in enumerate(warmup or [])
    ]
    lines.append({"kind": "phase", "name": "run", "boottime_ns": 101 * second})
    lines += [
        {"kind": "batch", "i": i, "t0_ns": t0 * ms, "t1_ns": t1 * ms, "parts_ns": parts or {}}
        for i, (t0, t1) in enumerate(batches)
    ]
    tail = {
        "kind": "end",
        "rc": 0,
        "batches": len(batches),
        "checksum": "00ff",
        "boottime_ns": 160 * second,
        "monotonic_ns": 60 * second,
    }
    lines.append(tail | (end or {}))
    return [json.dumps(line) for line in lines]


@pytest.fixture(scope="session")
def workload() -> Make:
    """Make a workload, with changes."""
    return make_workload


@pytest.fixture(scope="session")
def run_output() -> Callable[..., list[str]]:
    """Make the JSON lines of a run."""
    return run_lines


TFLITE = """INFO: STARTING!
INFO: Graph: [model.tflite]
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
INFO: Initialized session in 870.557ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=5 first=130565 curr=120001 min=119800 max=130565 avg=122373 std=4100

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=50 first=119212 curr=118055 min=113737 max=124776 avg=119375 std=1948

INFO: Inference timings in us: Init: 870557, First inference: 130565, Warmup (avg): 122373, Inference (avg): 119375
"""
MNN_BENCHMARK = """MNN benchmark
Forward type: CPU thread=4 precision=1 sparsity=0
--------> Benchmarking... loop = 10, warmup = 5
[-INFO-]: precision=1
[ - ] squeezenet.mnn              max =   32.977 ms  min =   10.251 ms  avg =   11.586 ms
[ - ] mobilenet-v1.mnn            max =    9.541 ms  min =    5.984 ms  avg =    6.460 ms
"""
MNN_TRAIN = """epoch: 0  640 / 60000 loss: 2.31 lr: 0.01 time: 900.5 ms / 9 iter
epoch: 0  1280 / 60000 loss: 2.1 lr: 0.00999 time: 600.5 ms / 10 iter
epoch: 0  1920 / 60000 loss: 1.9 lr: 0.00998 time: 580 ms / 10 iter
epoch: 0  2240 / 60000 loss: 1.875 lr: 0.00997 time: 300.0 ms / 5 iter
"""
MANDHELING = """epoch: 0  64 / 60000 loss: 2.31 lr: 0.01 time: 75.1 ms / 0 iter
epoch: 0  128 / 60000 loss: 2.30 lr: 0.00999 time: 30.5 ms / 1 iter
epoch: 0  192 / 60000 loss: 2.29 lr: 0.00998 time: 31.5 ms / 1 iter
epoch: 0  256 / 60000 loss: 2.28 lr: 0.00997 time: 3.1e1 ms / 1 iter
test: 2000 / 10000
epoch: 0lr  accuracy: 0.9712
"""
EXECUTORCH = """I 00:00:00.012345 executorch:qnn_executor_runner.cpp:500] Perform 3 inference for warming up
I 00:00:01.500000 executorch:qnn_executor_runner.cpp:510] Start inference (0)
I 00:00:02.000000 executorch:qnn_executor_runner.cpp:530] 100 inference took 512.500000 ms, avg 5.125000 ms
I 00:00:02.000100 executorch:qnn_executor_runner.cpp:560] Total 1 inference took 512.500000 ms, avg 512.500000 ms
"""
QNN = """Qnn Init/Prepare/Finalize/De-Init/Execute/Lib-Load Statistics:
------------------------------------------------------------
Init Stats:
-----------
    NetRun:  331158 us

Execute Stats (Average):
------------------------
Total Inference Time:
---------------------
Graph 0 (model):
    NetRun:  2952 us
    Backend (Number of HVX threads used): 4 count
    Backend (RPC (execute) time): 2920 us
    Backend (QNN accelerator (execute) time): 2600 us
    Backend (Accelerator (execute) time): 2492 us
    Backend (QNN (execute) time): 2949 us

Execute Stats (Min):
------------------------
    NetRun:  2900 us
    Backend (RPC (execute) time): 2800 us
"""
SNPE = """Dnn Runtime Load/Deserialize/Create/De-Init Statistics:
--------------------------------------------------
Load: 149 us
Init: 48856 us
De-Init: 6699 us

RPC Init Time: 20000 us
Accelerator Init Time: 15000 us

Average SNPE Statistics:
------------------------------
Total Inference Time: 4270 us
Forward Propagate Time: 4200 us
RPC Execute Time: 4180 us
Snpe Accelerator Time: 3950 us
Accelerator Time: 3940 us
Misc Accelerator Time: 10 us

Layer Times:
---------------
0: 1419 us : DSP
1: 21 us : DSP
"""


@pytest.fixture(scope="session")
def examples() -> dict[str, Example]:
    """One good output of every reader, and its workload."""
    batches = [(1_000 + 20 * i, 1_018 + 20 * i + i % 3) for i in range(12)]
    lines = run_lines(batches, warmup=[(900, 950)], parts={"sample": 10, "train": 20})
    float_cpu = {"precision": "fp32", "stage": "infer"}
    return {
        "json_lines": (make_workload(), "\n".join(lines).encode() + b"\n"),
        "tflite": (make_workload(reader="tflite", processor="gpu", stage="infer"), TFLITE.encode()),
        "mnn_benchmark": (
            make_workload(reader="mnn_benchmark", model="MobileNet-V1", **float_cpu),
            MNN_BENCHMARK.encode(),
        ),
        "mnn_train": (make_workload(reader="mnn_train", precision="fp32", batch_size=64), MNN_TRAIN.encode()),
        "mandheling_train": (make_workload(reader="mandheling_train", batch_size=64), MANDHELING.encode()),
        "executorch": (
            make_workload(reader="executorch", processor="npu", stage="infer", command="./r {warmup}", warmup=3),
            EXECUTORCH.encode(),
        ),
        "qnn": (make_workload(reader="qnn", processor="npu", stage="infer"), QNN.encode()),
        "snpe": (make_workload(reader="snpe", processor="dsp", stage="infer"), SNPE.encode()),
        "json_keys": (
            make_workload(reader="json_keys", keys={"time_ms": "t.ms", "loss": "loss"}),
            b'{"t": {"ms": 5.5}, "loss": 2}\n{"t": {"ms": 6.5}, "loss": 1}\n',
        ),
    }
