"""What the torch engines cost beside loops written by hand: clients of 226 images, batch 5, one thread, CPU time.

Run from the repository root: python benchmarks/eager.py [rounds]. What is compared takes turns in each round; a ratio
is the median over the rounds of its time by the lean loop's of the same round, with the range of the middle half.

The lean loop trains the same torch module: images are floats in memory already, weights are set, gradients come from
autograd.grad and are taken off by one foreach call; nothing is counted or checked. The project's goal for a module
through the eager engine is 1.02 of it.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn.functional import conv2d, cross_entropy, linear, max_pool2d, relu

from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.data.pixels import float_table, floats
from fl_sim.engine import Engine, Work, open_engine
from fl_sim.float32.module import module_model, values_of
from fl_sim.model import find_model
from fl_sim.schedule import read_schedule
from fl_sim.task import LocalTask, local_task
from fl_sim.trainer import Fp32
from fl_sim.weights import Floats, FloatWeights

Train = Callable[[Floats], object]

SAMPLES, BATCH, CLASSES, RATE, STACKED = 226, 5, 62, 0.05, 16
WIDTHS = {"lenetleaf": (6, 16, (120, 84)), "lenet5": (20, 50, (500,))}


class LeNet(nn.Module):
    def __init__(self, first: int, second: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, first, 5), nn.Conv2d(first, second, 5)
        sizes = [second * 16, *hidden, CLASSES]
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = max_pool2d(relu(self.conv1(x)), 2)
        x = max_pool2d(relu(self.conv2(x)), 2).flatten(1)
        for layer in self.linear[:-1]:
            x = relu(layer(x))
        return self.linear[-1](x)


def functional(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    """What LeNet computes, without the calls of modules."""
    x = max_pool2d(relu(conv2d(x, weights[0], weights[1])), 2)
    x = max_pool2d(relu(conv2d(x, weights[2], weights[3])), 2).flatten(1)
    for i in range(4, len(weights) - 2, 2):
        x = relu(linear(x, weights[i], weights[i + 1]))
    return linear(x, weights[-2], weights[-1])


class Loop:
    """Loops by hand over one client's batches."""

    def __init__(self, module: nn.Module, dataset: Dataset, task: LocalTask) -> None:
        self.module, self.parameters = module, list(module.parameters())
        self.x = torch.from_numpy(floats(dataset.train.pixels, float_table(dataset))[task.indices])
        self.x = self.x.permute(0, 3, 1, 2).contiguous()
        self.y = torch.from_numpy(dataset.train.labels[task.indices].astype(np.int64))
        self.bounds = task.bounds.tolist()
        self.sgd = torch.optim.SGD(self.parameters, RATE)

    def set(self, start: Floats) -> None:
        parts = torch.from_numpy(start).split([p.numel() for p in self.parameters])
        with torch.no_grad():
            for parameter, part in zip(self.parameters, parts, strict=True):
                parameter.copy_(part.view(parameter.shape))

    def lean(self, start: Floats, forward: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Floats:
        forward = forward or self.module
        self.set(start)
        for begin, end in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            loss = cross_entropy(forward(self.x[begin:end]), self.y[begin:end])
            gradients = torch.autograd.grad(loss, self.parameters)
            with torch.no_grad():
                torch._foreach_add_(self.parameters, gradients, alpha=-RATE)
        return values_of(self.module)

    def usual(self, start: Floats) -> Floats:
        self.set(start)
        for begin, end in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            self.sgd.zero_grad()
            cross_entropy(self.module(self.x[begin:end]), self.y[begin:end]).backward()
            self.sgd.step()
        return values_of(self.module)


def made_data() -> Dataset:
    rng = np.random.default_rng(0)

    def noise(count: int) -> Images:
        pixels = rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
        return Images(pixels, rng.integers(0, CLASSES, count, dtype=np.int32))

    return make_dataset("noise", CLASSES, noise(SAMPLES), noise(CLASSES), "a generator of random numbers")


def by_engine(engine: Engine, tasks: list[LocalTask]) -> Train:
    def train(start: Floats) -> object:
        return [result.weights for _, result in engine.train(FloatWeights(start), tasks, lambda _, made: made)][-1]

    return train


def compare(name: str, rounds: int) -> None:
    dataset, rng = made_data(), np.random.default_rng(1)
    places = np.arange(SAMPLES, dtype=np.int32)
    task = local_task(places, rng, client=0, round_number=1, epochs=1, batch_size=BATCH)
    trainer, model = Fp32(read_schedule(RATE, "learning_rate")), find_model(name, CLASSES, bias=True)
    torch.manual_seed(0)
    module = LeNet(*WIDTHS[name])
    of_module = module_model(lambda: LeNet(*WIDTHS[name]), dataset)
    loop = Loop(module, dataset, task)
    start = of_module.initial(rng)
    layers = Work(model, dataset, trainer, BATCH)
    first = module_engine = open_engine("eager", Work(of_module, dataset, trainer, BATCH))
    ways: dict[str, tuple[Train, Floats, int]] = {
        "lean loop": (loop.lean, start, 1),
        "module, engine eager": (by_engine(module_engine, [task]), start, 1),
        "lean loop without module calls": (
            lambda values: loop.lean(values, lambda x: functional(x, loop.parameters)), start, 1,
        ),
        "loop with torch.optim.SGD": (loop.usual, start, 1),
        "model of layers, engine eager": (by_engine(open_engine("eager", layers), [task]), model.initial(rng), 1),
        "model of layers, engine stacked": (
            by_engine(open_engine("stacked", layers), [task] * STACKED), model.initial(rng), STACKED,
        ),
    }  # fmt: skip
    [(_, result)] = first.train(FloatWeights(start), [task], lambda _, made: made)
    assert np.array_equal(result.weights.values, loop.lean(start)), "the module does not end where the lean loop does"
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, (train, values, clients) in ways.items():
            begin = time.process_time()
            for _ in range(max(1, 4 // clients)):
                train(values)
            if turn:  # the first is to warm up
                times[way].append((time.process_time() - begin) / max(clients, 4))
    print(f"{name}, batch {BATCH}, {task.steps} steps a client: CPU time a step, and by the lean loop's")
    for way, spent in times.items():
        ratios = [a / b for a, b in zip(spent, times["lean loop"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        least_us = min(spent) / task.steps * 1e6
        print(f"  {way:34} {least_us:6.0f} us  {middle:5.3f} ({low:.3f} to {high:.3f})")


def main() -> None:
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for name in WIDTHS:
        compare(name, rounds)


if __name__ == "__main__":
    main()
