"""What an INT8 step costs through each exact product, as ratios to torch's own FP32 step; one thread, CPU time.

Run from the repository root: python benchmarks/int8_torch.py [rounds]. What is compared takes turns in each round; a
ratio is the median over the rounds of a way's time by the better FP32 layout's of the same round, with the smallest and
the largest. The project's goal for VGG-16 with 64 images through int_mm is half of FP32.

Below, the cohort of the stacked engine: time for a client's step, by the same clients one after another.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable

# oneDNN and OpenMP count their threads once, at the start.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from torch import nn

from fl_sim.int8.client import Int8Client
from fl_sim.int8.layers import layers_of
from fl_sim.int8.network import open_network
from fl_sim.int8.product import PRODUCTS, is_exact
from fl_sim.int8.step import train
from fl_sim.model import Model, find_model, initial_weights
from fl_sim.schedule import read_schedule
from fl_sim.task import LocalTask, local_task
from fl_sim.trainer import Niti
from fl_sim.weights import IntWeights, layer_exponents, quantized
from profiler.native.rules import Rules

Step = Callable[[], object]
GOAL = 0.5
CLIENTS, SAMPLES, BATCH = 16, 25, 5


def fp32(model: Model, images: np.ndarray, labels: np.ndarray, layout: torch.memory_format) -> Step:
    """Torch's own step: modules, autograd, SGD by one foreach call."""
    parts: list[nn.Module] = []
    for layer in layers_of(model.layers):
        if layer.convolution:
            parts.append(nn.Conv2d(layer.into[2], layer.out[2], layer.weights[1], padding=layer.pad, bias=False))
        else:
            parts += [nn.Flatten(), nn.Linear(layer.weights[1], layer.weights[0], bias=False)]
        parts += [nn.ReLU()] if layer.relu else []
        parts += [nn.MaxPool2d(2)] if layer.pool else []
    module = nn.Sequential(*parts).to(memory_format=layout)
    weights = list(module.parameters())
    x = torch.from_numpy(images).float().div_(64).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y = torch.from_numpy(labels).long()

    def step() -> None:
        gradients = torch.autograd.grad(nn.functional.cross_entropy(module(x), y), weights)
        with torch.no_grad():
            torch._foreach_add_(weights, list(gradients), alpha=-0.01)

    return step


def int8(model: Model, images: np.ndarray, labels: np.ndarray, product: str) -> Step:
    layers, start = layers_of(model.layers), start_of(model)
    network = open_network(layers, product)
    parts = zip(model.split(start.values), layers, strict=True)
    weights = [torch.from_numpy(part.astype(np.int8).reshape(layer.weights)) for part, layer in parts]
    x, y = torch.from_numpy(images), torch.from_numpy(labels).long()

    def step() -> None:
        with torch.inference_mode():
            train(network, weights, start.exponents, x, -6, y, Rules())

    return step


def start_of(model: Model) -> IntWeights:
    values = initial_weights(model, np.random.default_rng(1))
    return quantized(model, values, layer_exponents(model, values))


def data(model: Model, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    images = np.clip(np.round(40 * rng.standard_normal((count, *model.input_shape))), -127, 127).astype(np.int8)
    return images, rng.integers(0, model.classes, count).astype(np.int32)


def timed(ways: dict[str, Step], rounds: int, repeat: int) -> dict[str, list[float]]:
    """Return milliseconds of CPU time a step, by way; every round, every way in turn does ``repeat`` steps."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for step in ways.values():
        step()
    for _ in range(rounds):
        for name, step in ways.items():
            begun_ns = time.thread_time_ns()
            for _ in range(repeat):
                step()
            times[name].append((time.thread_time_ns() - begun_ns) / repeat / 1e6)
    return times


def steps(name: str, classes: int, batch: int, rounds: int, repeat: int) -> float:
    """Print a table and return the ratio of int_mm."""
    model = find_model(name, classes)
    ways = {"torch FP32": fp32(model, *data(model, batch), torch.contiguous_format)}
    ways["torch FP32, channels last"] = fp32(model, *data(model, batch), torch.channels_last)
    exact = [product for product in PRODUCTS if is_exact(product)]
    ways |= {f"INT8 {product}": int8(model, *data(model, batch), product) for product in exact}
    times = timed(ways, rounds, repeat)
    best = [min(pair) for pair in zip(*list(times.values())[:2], strict=True)]
    print(f"\n{name}, {batch} images")
    ratios = {}
    for way, values in times.items():
        of = [a / b for a, b in zip(values, best, strict=True)]
        ratios[way] = statistics.median(of)
        print(f"  {way:27}{statistics.median(values):10.2f} ms{ratios[way]:8.2f}  ({min(of):.2f} to {max(of):.2f})")
    return ratios.get("INT8 int_mm", float("nan"))


def cohort(name: str, rounds: int) -> None:
    model, rng = find_model(name, 10), np.random.default_rng(3)
    images, labels = data(model, 200)
    mu, client, start = read_schedule("3", "mu"), Int8Client(model), start_of(model)
    tasks: list[LocalTask] = [
        local_task(
            rng.permutation(200)[: SAMPLES + i % 5].astype(np.int32), rng, client=i, round_number=1, epochs=1,
            batch_size=BATCH,
        )
        for i in range(CLIENTS)
    ]  # fmt: skip
    trainer, count = Niti(mu, mu), sum(task.steps for task in tasks)
    ways: dict[str, Step] = {
        "alone": lambda: [client.train(start, images, -6, labels, task, trainer) for task in tasks],
        "stacked": lambda: client.train_stacked(start, images, -6, labels, tasks, trainer),
    }
    times = timed(ways, rounds, 1)
    ratio = statistics.median(b / a for a, b in zip(times["alone"], times["stacked"], strict=True))
    alone, stacked = (statistics.median(values) / count for values in times.values())
    print(f"  {name:12}{alone:8.3f} ms alone{stacked:8.3f} ms stacked{ratio:8.2f}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    steps("lenet5", 62, 5, rounds, 20)
    found = steps("vgg16", 10, 64, rounds, 1)
    print(f"  {'met' if found <= GOAL else 'MISSED'}: INT8 through int_mm at most {GOAL:g} of FP32: {found:.2f}")
    print(f"\n{CLIENTS} clients of {SAMPLES} to {SAMPLES + 4} images, batch {BATCH}: a client's step")
    for name in ("digits", "lenetleaf", "lenet5"):
        cohort(name, rounds)


if __name__ == "__main__":
    main()
