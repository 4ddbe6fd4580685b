"""How fast the native kernels train, as ratios against torch in the same run, one thread each on one core.

Run from the repository root: python benchmarks/native.py [rounds]. What is compared takes turns, so that what else the
machine does hits all alike; ratios are of medians, and of minima beside them. The targets are the project's own.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

# oneDNN and OpenMP count their threads once, at the start.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from profiler.native.library import library
from profiler.native.network import Network

Step = Callable[[], object]

LENET, VGG = "lenet5", "vgg16"
LEAF = "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62"
CORE = max(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Target:
    """A ratio of two ways that should be at least so large."""

    slow: str
    fast: str
    least: float
    words: str


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
    h, w, c = network.layers[0].in_shape
    x = torch.randn(batch, c, h, w).to(memory_format=layout)
    labels = torch.randint(0, network.classes, (batch,))
    loss_of = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(x), labels).backward()
        optimizer.step()

    return step


def of_library(network: Network, batch: int) -> Step:
    network.init(1)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((batch, *network.layers[0].in_shape)).astype(np.float32)
    labels = rng.integers(0, network.classes, batch, dtype=np.int32)
    if network.precision == "fp32":
        return lambda: network.train_fp32(x, labels, 0.01)
    mantissas, exponent = library().quantize(x)
    return lambda: network.train_int8(mantissas, exponent, labels)


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
def ways(model: str, batch: int, bias: bool, *, torch_too: bool = True) -> Iterator[dict[str, Step]]:
    """Give the ways to train one step, all on one thread."""
    with ExitStack() as stack:
        fp32 = stack.enter_context(Network(model, "fp32", batch, bias=bias))
        int8 = stack.enter_context(Network(model, "int8", batch))
        steps: dict[str, Step] = {}
        if torch_too:
            steps["torch"] = of_torch(fp32, batch, torch.contiguous_format)
            steps["torch, channels last"] = of_torch(fp32, batch, torch.channels_last)
        steps[f"fp32 {fp32.path}"] = of_library(fp32, batch)
        steps[f"int8 {int8.path}"] = of_library(int8, batch)
        yield steps


def show(title: str, times: dict[str, list[float]], peer: str) -> None:
    print(f"\n{title}")
    print(f"  {'':24}{'median ms':>11}{'minimum ms':>12}{'times ' + peer:>16}{'(of minima)':>13}")
    for name, values in times.items():
        of_medians = statistics.median(times[peer]) / statistics.median(values)
        of_minima = min(times[peer]) / min(values)
        row = f"{statistics.median(values):11.3f}{min(values):12.3f}{of_medians:15.2f}x{of_minima:12.2f}x"
        print(f"  {name:24}{row}")


def judge(times: dict[str, list[float]], targets: Sequence[Target]) -> None:
    for target in targets:
        slow = min((name for name in times if name.startswith(target.slow)), key=len)
        fast = next(name for name in times if name.startswith(target.fast))
        ratio = statistics.median(times[slow]) / statistics.median(times[fast])
        verdict = "met" if ratio >= target.least else "MISSED"
        print(f"  {verdict}: {target.words} at least {target.least:g}: {ratio:.2f}")


def threads(model: str, batch: int, rounds: int, repeat: int) -> None:
    """Print one thread against two, on the first two cores; without two there is nothing to see."""
    allowed = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        steps = {}
        for precision in ("fp32", "int8"):
            for count in (1, 2):
                network = stack.enter_context(Network(model, precision, batch, threads=count))
                steps[f"{precision}, {count} thread{'s'[: count - 1]}"] = of_library(network, batch)
        times = timed(steps, rounds, repeat)
    print(f"\n{model}, batch {batch}, threads on {len(allowed)} cores")
    for precision in ("fp32", "int8"):
        one, two = times[f"{precision}, 1 thread"], times[f"{precision}, 2 threads"]
        medians = statistics.median(one), statistics.median(two)
        print(f"  {precision}: {medians[0]:.3f} ms and {medians[1]:.3f} ms, {medians[0] / medians[1]:.2f}x "
              f"({min(one) / min(two):.2f}x of minima)")  # fmt: skip


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    torch.set_num_threads(1)
    torch.manual_seed(1)
    everywhere = os.sched_getaffinity(0)
    print(f"{processor()}; paths {', '.join(library().paths())}; torch {torch.__version__}; {rounds} rounds")
    os.sched_setaffinity(0, {CORE})
    with ways(LENET, 5, False) as steps:
        times = timed(steps, rounds, 20)
    show("LeNet-5, batch 5, one thread", times, "torch")
    judge(times, [Target("torch", "fp32", 8, "FP32 over torch"), Target("fp32", "int8", 1, "INT8 over FP32")])
    with ways(LEAF, 5, True) as steps:
        times = timed(steps, rounds, 20)
    show("LEAF's LeNet (6-16-120-84-62; FP32 with biases), batch 5, one thread", times, "torch")
    with ways(VGG, 64, False) as steps:
        times = timed(steps, max(3, rounds // 6), 1)
    show("VGG-16, batch 64, one thread", times, "torch")
    vnni = [Target("fp32", "int8", 1.5, "INT8 over FP32 (VNNI)")] if "vnni" in library().paths() else []
    judge(times, [Target("torch", "fp32", 0.8, "FP32 over torch"), *vnni])
    os.sched_setaffinity(0, everywhere)
    if len(everywhere) > 1:
        threads(LENET, 5, rounds, 20)
        threads(VGG, 64, max(3, rounds // 8), 1)


if __name__ == "__main__":
    main()
