"""How fast rounds are simulated: LEAF's LeNet, 192 clients of 226 images, batch 5, 20 clients a round, no evaluation.

Run from the repository root: python benchmarks/simulator.py [rounds]. First, in a process without torch: what a round
costs beside training, for populations of up to a million clients, and the memory at its peak. Then whole rounds of the
round loop, native FP32 and INT8 on one and two threads, in turn with a lean loop of torch's on one thread; a ratio is
the median over the rounds of one's time by the other's of the same round. The goals are the project's own.
"""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing

# Torch counts its threads once, at the start.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np

from fl_sim.config import Config
from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.engine import Place, Receive, Told
from fl_sim.engines.native import NativeEngine
from fl_sim.partition import Partition
from fl_sim.run import rounds, work_of
from fl_sim.server import first_server
from fl_sim.setting import Setting, make_setting
from fl_sim.task import LocalTask
from fl_sim.weights import Weights
from profiler.native.library import library

Round = Callable[[], object]

CLIENTS, SAMPLES, COHORT, BATCH, CLASSES, RATE = 192, 226, 20, 5, 62, 0.05
POPULATIONS = (192, 20_000, 1_000_000)
MOST_ROUNDS = 10**6
NO_BATCH = np.zeros(1, dtype=np.int32)
FEW = 5  # images of a client in the populations: a million clients of 226 would be a gigabyte of indices


class Idle(NativeEngine):
    """Clients that take no step: what is left is what a round costs beside training."""

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        idle = [LocalTask(task.client, task.round_number, task.indices, NO_BATCH) for task in tasks]
        return super().train(start, idle, receive)


def noise() -> Dataset:
    rng = np.random.default_rng(1)

    def images(count: int) -> Images:
        pixels = rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
        return Images(pixels, rng.integers(0, CLASSES, count, dtype=np.int32))

    return make_dataset("noise", CLASSES, images(CLIENTS * SAMPLES), images(100), "seeded noise")


def setting_of(dataset: Dataset, method: str, clients: int = CLIENTS, samples: int = SAMPLES) -> Setting:
    config = Config(
        method=method, dataset="noise", model="lenetleaf", bias=method == "floatfl", cohort=COHORT, rounds=MOST_ROUNDS,
        batch_size=BATCH, learning_rate=str(RATE), mu="3", evaluate_every=MOST_ROUNDS,
    )  # fmt: skip
    offsets = np.arange(clients + 1, dtype=np.int64) * samples
    indices = (np.arange(clients * samples) % len(dataset.train)).astype(np.int32)
    return make_setting(config, dataset, Partition(offsets, indices))


def rounds_of(setting: Setting, engine: NativeEngine) -> Round:
    going = rounds(setting, engine, first_server(setting))
    return lambda: next(going)


def lean_loop(dataset: Dataset) -> Round:
    """FedAvg by hand: float images in memory, functional calls, one foreach update a step."""
    import torch
    from torch.nn.functional import conv2d, cross_entropy, linear, max_pool2d

    torch.set_num_threads(1)
    torch.manual_seed(1)
    pixels = torch.from_numpy(dataset.train.pixels.transpose(0, 3, 1, 2)).float().div(255)
    x = ((pixels - pixels.mean()) / pixels.std()).view(CLIENTS, SAMPLES, 1, 28, 28)
    y = torch.from_numpy(dataset.train.labels).long().view(CLIENTS, SAMPLES)
    shapes = ((6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 256), (120,), (84, 120), (84,), (CLASSES, 84), (CLASSES,))
    server = [torch.empty(shape).uniform_(-0.05, 0.05) for shape in shapes]
    local = [weight.clone().requires_grad_() for weight in server]
    rng = np.random.default_rng(1)

    def client(number: int) -> None:
        w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = local
        order = torch.from_numpy(rng.permutation(SAMPLES))
        for images, labels in zip(x[number][order].split(BATCH), y[number][order].split(BATCH), strict=True):
            h = max_pool2d(conv2d(images, w1, b1).relu_(), 2)
            h = max_pool2d(conv2d(h, w2, b2).relu_(), 2).flatten(1)
            h = linear(linear(h, w3, b3).relu_(), w4, b4).relu_()
            gradients = torch.autograd.grad(cross_entropy(linear(h, w5, b5), labels), local)
            with torch.no_grad():
                torch._foreach_add_(local, gradients, alpha=-RATE)

    def one_round() -> None:
        nonlocal server
        mean = [torch.zeros_like(weight) for weight in server]
        for number in rng.choice(CLIENTS, COHORT, replace=False):
            with torch.no_grad():
                torch._foreach_copy_(local, server)
            client(int(number))
            with torch.no_grad():
                torch._foreach_add_(mean, local, alpha=1 / COHORT)
        server = mean

    return one_round


def overhead(dataset: Dataset, repeats: int = 300) -> None:
    print(f"\nwithout steps: {COHORT} clients a round, threads 2, median (and least) of {repeats} rounds")
    cases = [(method, CLIENTS, SAMPLES) for method in ("floatfl", "qfedupdate")]
    cases += [("qfedupdate", clients, FEW) for clients in POPULATIONS]
    for method, clients, samples in cases:
        setting = setting_of(dataset, method, clients, samples)
        with closing(Idle(work_of(setting), Place(workers=2))) as engine:
            one = rounds_of(setting, engine)
            times_ms = [timed_s(one) * 1e3 for _ in range(repeats)][10:]
        median_ms = statistics.median(times_ms)
        who = f"{method:11}{clients:>10,} clients of {samples:3} images"
        print(f"  {who}{median_ms:9.2f} ms ({min(times_ms):.2f}){median_ms / COHORT:9.3f} ms a client-round")
        judge(median_ms / COHORT <= 0.1, "at most 0.1 ms a client-round, 2 ms a round")


def memory(dataset: Dataset) -> None:
    print("\nmemory at its peak, one FP32 and one INT8 run on two threads, data included")
    for method in ("floatfl", "qfedupdate"):
        setting = setting_of(dataset, method)
        with closing(NativeEngine(work_of(setting), Place(workers=2))) as engine:
            timed_s(rounds_of(setting, engine))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {peak_mb:.0f} MB, torch {'imported' if 'torch' in sys.modules else 'not imported'}")
    judge(peak_mb < 300 and "torch" not in sys.modules, "below 300 MB and without torch")


def timed_s(one: Round) -> float:
    begun_s = time.perf_counter()
    one()
    return time.perf_counter() - begun_s


def speed(dataset: Dataset, count: int) -> None:
    float_setting, int_setting = setting_of(dataset, "floatfl"), setting_of(dataset, "qfedupdate")
    with ExitStack() as stack:
        ways: dict[str, Round] = {}
        for threads in (1, 2):
            for name, setting in (("fp32", float_setting), ("int8", int_setting)):
                engine = stack.enter_context(closing(NativeEngine(work_of(setting), Place(workers=threads))))
                ways[f"{name}, threads {threads}"] = rounds_of(setting, engine)
        ways["lean torch loop"] = lean_loop(dataset)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(count + 1):
            for name, one in ways.items():
                taken_s = timed_s(one)
                if number:  # the first is to warm up
                    times[name].append(taken_s)
    print(f"\n{COHORT} clients, {COHORT * -(-SAMPLES // BATCH)} steps a round, {count} rounds each in turn")
    for name, taken in times.items():
        ratio = by(times, "lean torch loop", name)
        print(
            f"  {name:18}{statistics.median(taken):9.4f} s (least {min(taken):.4f}){ratio:8.2f} times the loop's speed"
        )
    print()
    for threads, most_s in ((1, 0.16), (2, 0.08)):
        fp32, int8 = f"fp32, threads {threads}", f"int8, threads {threads}"
        judge(statistics.median(times[fp32]) <= most_s, f"FP32 on {threads} threads at most {most_s} s a round")
        share = by(times, fp32, int8)
        judge(share >= 1, f"INT8 no slower than FP32 on {threads} threads: {share:.2f} times its speed")


def by(times: dict[str, list[float]], slow: str, fast: str) -> float:
    """Return how many times faster one way is: the median over rounds, in each of which both did one."""
    return statistics.median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def judge(met: bool, goal: str) -> None:
    print(f"  {'met' if met else 'MISSED'}: {goal}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    dataset = noise()
    print(
        f"paths: FP32 {library().best_path('fp32')}, INT8 {library().best_path('int8')}; load {os.getloadavg()[0]:.1f}"
    )
    memory(dataset)
    overhead(dataset)
    speed(dataset, count)


if __name__ == "__main__":
    main()
