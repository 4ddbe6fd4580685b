"""Small data sets, tasks and models for the engines' tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.engine import Work
from fl_sim.model import Model, find_model
from fl_sim.schedule import read_schedule
from fl_sim.task import LocalResult, LocalTask, local_task
from fl_sim.trainer import Fp32, Niti, Trainer
from fl_sim.weights import Floats, FloatWeights, IntWeights, layer_exponents, quantized

# Odd edges under a pool, a pool behind padding, convolutions without a pool, a first layer without convolution.
MODELS = {
    "digits": "8x8x1:conv16k3p1,pool,conv32k3p1,pool,fc64,fc10",
    "odd": "9x11x2:conv5k2,pool,conv7k3p2,pool,fc12,fc10",
    "plain": "7x6x3:conv6k3,conv4k3p1,fc10",
    "dense": "4x5x2:fc9,fc10",
    "leaf": "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc10",
}
CLASSES, IMAGES, TEST_IMAGES = 10, 64, 23


def as_is(_places: Sequence[int], results: Sequence[LocalResult]) -> Sequence[LocalResult]:
    """Receive results as they are."""
    return results


def model_of(name: str, *, bias: bool = False) -> Model:
    return find_model(MODELS.get(name, name), CLASSES, bias=bias)


def dataset_of(model: Model, seed: int = 0, images: int = IMAGES) -> Dataset:
    """Noisy patterns, one for each class: something can be learnt."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(40, 216, (model.classes, *model.input_shape))

    def noisy(count: int) -> Images:
        labels = rng.integers(0, model.classes, count, dtype=np.int32)
        pixels = patterns[labels] + rng.integers(-40, 41, (count, *model.input_shape))
        return Images(pixels.astype(np.uint8), labels)

    return make_dataset("toy", model.classes, noisy(images), noisy(TEST_IMAGES), "made by a test")


def fp32(rate: str = "0.05", momentum: float = 0.0, decay: float = 0.0) -> Fp32:
    return Fp32(read_schedule(rate, "learning_rate"), momentum, decay)


def niti(mu: str = "3", **roundings: Any) -> Niti:
    schedule = read_schedule(mu, "mu", whole=True)
    return Niti(schedule, schedule, **roundings)


def work_of(name: str, trainer: Trainer, *, bias: bool = False, batch_size: int = 5) -> Work:
    model = model_of(name, bias=bias)
    return Work(model, dataset_of(model), trainer, batch_size, evaluation_batch=7)


def task_of(
    client: int, samples: int, *, epochs: int = 1, batch_size: int = 5, round_number: int = 2, images: int = IMAGES
) -> LocalTask:
    rng = np.random.default_rng([client, samples])
    held = rng.choice(images, samples, replace=False).astype(np.int32)
    return local_task(
        held, rng, client=client, round_number=round_number, epochs=epochs, batch_size=batch_size,
        rounding_seed=1000 + client,
    )  # fmt: skip


def ragged_tasks() -> list[LocalTask]:
    """Clients of one sample, of whole batches, of a short last one, of several epochs."""
    return [task_of(1, 1), task_of(2, 5), task_of(3, 17), task_of(4, 31, epochs=2), task_of(5, 6), task_of(6, 3)]


def weights_of(model: Model, seed: int = 0) -> Floats:
    """Weights and biases, none of them 0; larger than Xavier's, so that few steps move them far."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.05, model.parameters).astype(np.float32)
    for layer, part in zip(model.layers, model.split(values), strict=True):
        part *= 20 / np.sqrt(layer.inputs)
    return values


def start_of(work: Work, seed: int = 0) -> FloatWeights | IntWeights:
    values = weights_of(work.model, seed)
    if isinstance(work.trainer, Fp32):
        return FloatWeights(values)
    return quantized(work.model, values, layer_exponents(work.model, values))
