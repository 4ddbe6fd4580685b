"""How fast the native kernels train, as ratios against torch in the same run, one thread each on one core.

Run from the repository root: python benchmarks/native.py [rounds]. What is compared takes turns, so that what else the
machine does hits all alike: a ratio is the median over the rounds. The targets are the project's own.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

# oneDNN and OpenMP count their threads once, at the start.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from profiler.native.library import library
from profiler.native.network import Network

Step = Callable[[], object]

LENET, VGG = "lenet5", "vgg16"
LEAF = "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62"
CORE = max(os.sched_getaffinity(0))


class Torch(nn.Module):
    """The library's layers in torch."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for i, layer in enumerate(network.layers):
            o, c = layer.out_shape[2], layer.in_shape[2]
            if layer.kind == "conv":
                parts.append(nn.Conv2d(c, o, layer.kernel, padding=layer.pad, bias=network.bias))
            else:
                before = network.layers[i - 1].kind if i else "conv"
                parts += [nn.Flatten()] if before == "conv" else []
                parts.append(nn.Linear(int(np.prod(layer.in_shape)), o, bias=network.bias))
            parts += [nn.ReLU()] if layer.relu else []
            parts += [nn.MaxPool2d(2)] if layer.pool else []
        self.parts = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x)


def of_torch(network: Network, batch: int, layout: torch.memory_format) -> Step:
    model = Torch(network).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    batches = [
        (torch.from_numpy(x.transpose(0, 3, 1, 2)).contiguous(memory_format=layout), torch.from_numpy(labels).long())
        for x, labels in data(network, batch)
    ]
    turn = cycle(batches)
    loss_of = nn.CrossEntropyLoss()

    def step() -> None:
        x, labels = next(turn)
        optimizer.zero_grad()
        loss_of(model(x), labels).backward()
        optimizer.step()

    return step


def of_library(network: Network, batch: int) -> Step:
    network.init(1)
    if network.precision == "fp32":
        turn = cycle(data(network, batch))
        return lambda: network.train_fp32(*next(turn), 0.01)
    quantised = cycle([(*library().quantize(x), labels) for x, labels in data(network, batch)])
    return lambda: network.train_int8(*next(quantised))


def data(network: Network, batch: int) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]]:
    """Return some hundred images in batches: a network that knows its only batch by heart has nothing left to do."""
    rng = np.random.default_rng(1)
    shape = (batch, *network.layers[0].in_shape)
    return [
        (rng.standard_normal(shape).astype(np.float32), rng.integers(0, network.classes, batch, dtype=np.int32))
        for _ in range(max(4, 320 // batch))
    ]


def timed(steps: dict[str, Step], rounds: int, repeat: int) -> dict[str, list[float]]:
    """Return milliseconds a step, by way: in each round every way in turn does ``repeat`` steps."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(max(2, repeat // 4)):
            step()
    for _ in range(rounds):
        for name, step in steps.items():
            begun_ns = time.perf_counter_ns()
            for _ in range(repeat):
                step()
            times[name].append((time.perf_counter_ns() - begun_ns) / repeat / 1e6)
    return times


@contextmanager
def ways(model: str, batch: int, bias: bool) -> Iterator[dict[str, Step]]:
    """Give the ways to train one step, all on one thread."""
    with ExitStack() as stack:
        fp32 = stack.enter_context(Network(model, "fp32", batch, bias=bias))
        int8 = stack.enter_context(Network(model, "int8", batch))
        yield {
            "torch": of_torch(fp32, batch, torch.contiguous_format),
            "torch, channels last": of_torch(fp32, batch, torch.channels_last),
            f"fp32 {fp32.path}": of_library(fp32, batch),
            f"int8 {int8.path}": of_library(int8, batch),
        }


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Return how many times faster one way is: the median over rounds, in each of which both did their steps."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def show(title: str, times: dict[str, list[float]], peer: str) -> None:
    print(f"\n{title}")
    print(f"  {'':24}{'median ms':>11}{'minimum ms':>12}{'speed':>10}{'(of minima)':>13}")
    for name, values in times.items():
        of_minima = min(times[peer]) / min(values)
        row = f"{statistics.median(values):11.3f}{min(values):12.3f}{ratio(times, peer, name):9.2f}x{of_minima:12.2f}x"
        print(f"  {name:24}{row}")


def judge(times: dict[str, list[float]], slow: str, fast: str, least: float) -> None:
    first = {name.split(" ")[0]: name for name in reversed(times)}  # "fp32" is "fp32 avx512"
    found = ratio(times, first[slow], first[fast])
    print(
        f"  {'met' if found >= least else 'MISSED'}: {fast} at least {least:g} times the speed of {slow}: {found:.2f}"
    )


def threads(model: str, batch: int, rounds: int, repeat: int) -> None:
    for precision in ("fp32", "int8"):
        with ExitStack() as stack:
            networks = [stack.enter_context(Network(model, precision, batch, threads=count)) for count in (1, 2)]
            steps = {name: of_library(of, batch) for name, of in zip(("1 thread", "2 threads"), networks, strict=True)}
            times = timed(steps, rounds, repeat)
        show(f"{model}, {precision} {networks[0].path}, batch {batch}", times, "1 thread")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    torch.set_num_threads(1)
    torch.manual_seed(1)
    everywhere = os.sched_getaffinity(0)
    print(f"{processor()}; paths {', '.join(library().paths())}; torch {torch.__version__}; {rounds} rounds")
    os.sched_setaffinity(0, {CORE})
    with ways(LENET, 5, False) as steps:
        times = timed(steps, rounds, 10)
    show("LeNet-5, batch 5, one thread", times, "torch")
    judge(times, "torch", "fp32", 8)
    judge(times, "fp32", "int8", 1)
    with ways(LEAF, 5, True) as steps:
        times = timed(steps, rounds, 10)
    show("LEAF's LeNet (6-16-120-84-62; FP32 with biases), batch 5, one thread", times, "torch")
    with ways(VGG, 64, False) as steps:
        times = timed(steps, max(3, rounds // 6), 1)
    show("VGG-16, batch 64, one thread", times, "torch")
    judge(times, "torch", "fp32", 0.8)
    if "vnni" in library().paths():
        judge(times, "fp32", "int8", 1.5)
    os.sched_setaffinity(0, everywhere)
    if len(everywhere) > 1:
        threads(LENET, 5, rounds, 10)
        threads(VGG, 64, max(3, rounds // 8), 1)


if __name__ == "__main__":
    main()
