"""A cohort in one step equals its clients one by one, bit for bit: ragged, short, and of every rounding."""

from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fl_sim.int8 import oracle  # noqa: E402
from fl_sim.int8.client import Int8Client  # noqa: E402
from fl_sim.int8.layers import read_layers  # noqa: E402
from fl_sim.int8.product import PRODUCTS, is_exact  # noqa: E402
from fl_sim.model import Model, find_model, initial_weights  # noqa: E402
from fl_sim.schedule import read_schedule  # noqa: E402
from fl_sim.task import LocalTask, local_task  # noqa: E402
from fl_sim.trainer import Niti  # noqa: E402
from fl_sim.weights import IntWeights, layer_exponents, quantized  # noqa: E402
from profiler.native.rules import ROUNDINGS, Rounding, Rules  # noqa: E402

SAMPLES = (13, 1, 10, 4, 29, 5, 2)  # of the clients: more and fewer than a batch of 5, and whole batches


def start_of(model: Model) -> IntWeights:
    values = initial_weights(model, np.random.default_rng(3))
    return quantized(model, values, layer_exponents(model, values))


def niti(rounding: Rounding = "nearest", update: Rounding = "pseudo-stochastic") -> Niti:
    mu_conv, mu_fc = read_schedule("4 1@2", "mu_conv"), read_schedule("2", "mu_fc")
    return Niti(mu_conv, mu_fc, rounding, rounding, update, update)


def images_of(model: Model, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    images = rng.integers(-127, 128, (40, *model.input_shape)).astype(np.int8)
    return images, rng.integers(0, model.classes, 40).astype(np.int32)


def tasks_of(samples: Sequence[int], rng: np.random.Generator, epochs: int = 2) -> list[LocalTask]:
    return [
        local_task(
            rng.permutation(40)[:count].astype(np.int32), rng, client=i, round_number=1 + i % 2, epochs=epochs,
            batch_size=5, rounding_seed=2**63 + 7 * i,
        )
        for i, count in enumerate(samples)
    ]  # fmt: skip


def assert_one_by_one(client: Int8Client, tasks: Sequence[LocalTask], trainer: Niti, rng: np.random.Generator) -> None:
    start, (images, labels) = start_of(client.model), images_of(client.model, rng)
    before = start.values.copy()
    together = client.train_stacked(start, images, -6, labels, tasks, trainer)
    assert (start.values == before).all()
    assert len(together) == len(tasks)
    for task, found in zip(tasks, together, strict=True):
        alone = client.train(start, images, -6, labels, task, trainer)
        assert isinstance(found.weights, IntWeights)
        assert isinstance(alone.weights, IntWeights)
        assert found.weights.exponents == alone.weights.exponents
        assert (found.weights.values == alone.weights.values).all(), task.client
        assert found.right == alone.right, task.client
        assert found.loss_sum == pytest.approx(alone.loss_sum, rel=1e-9), task.client


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("update", ROUNDINGS)
def test_every_rounding(rounding: Rounding, update: Rounding) -> None:
    rng = np.random.default_rng(1)
    client = Int8Client(find_model("digits", 10))
    assert_one_by_one(client, tasks_of(SAMPLES, rng), niti(rounding, update), rng)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("model", ["7x9x3:conv5k3p1,pool,conv6k3,fc7,fc5", "6x6x2:conv4k5p4,pool,fc9", "1x1x5:fc1"])
def test_every_product(product: str, model: str) -> None:
    if not is_exact(product):  # type: ignore[arg-type]
        pytest.skip(f"{product} is not exact on this processor")
    rng = np.random.default_rng(2)
    client = Int8Client(find_model(model, int(model.rpartition("fc")[2])), product)
    assert_one_by_one(client, tasks_of(SAMPLES, rng), niti("stochastic", "stochastic"), rng)


def test_a_larger_model_and_blocks_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    client = Int8Client(find_model("lenetleaf", 62))
    assert_one_by_one(client, tasks_of((7, 12, 3), rng, epochs=1), niti("stochastic", "stochastic"), rng)
    monkeypatch.setattr("fl_sim.int8.stacked._BLOCK", 1000)
    assert_one_by_one(client, tasks_of((7, 12, 3), rng, epochs=1), niti("nearest", "stochastic"), rng)


def test_one_client_and_cohorts_after_one_another() -> None:
    """The memory of a larger cohort is used again."""
    rng = np.random.default_rng(4)
    client = Int8Client(find_model("9x7x3:conv5k3p2,pool,conv6k3,fc5", 5))
    for samples in (SAMPLES, (6,), (5, 5), (*SAMPLES, 31)):
        assert_one_by_one(client, tasks_of(samples, rng), niti(), rng)


def test_filled_up_images_leave_the_error_alone() -> None:
    """Clients sure of what is right have small errors: those of an image of zeros would be the largest."""
    model = find_model("1x1x9:fc8,fc6,fc3", 3)
    client, start, layers = Int8Client(model), start_of(model), read_layers(model.text)
    parts = [part.reshape(layer.weights) for part, layer in zip(model.split(start.values), layers, strict=True)]
    wide = [part.astype(np.int64) for part in parts]
    for seed in range(4):
        rng = np.random.default_rng(seed)
        images, _ = images_of(model, rng)
        done = oracle.forward_pass(layers, wide, start.exponents, images.astype(np.int64), -3, Rules())
        labels = done.inputs[-1].argmax(axis=1).astype(np.int32)
        tasks = tasks_of(SAMPLES, rng)
        together = client.train_stacked(start, images, -3, labels, tasks, niti())
        for task, found in zip(tasks, together, strict=True):
            alone = client.train(start, images, -3, labels, task, niti())
            assert (found.weights.values == alone.weights.values).all(), task.client


def test_clients_without_steps_keep_their_weights() -> None:
    rng, client = np.random.default_rng(5), Int8Client(find_model("digits", 10))
    idle = LocalTask(0, 1, np.zeros(0, np.int32), np.zeros(1, np.int32))
    assert_one_by_one(client, [idle, *tasks_of((6,), rng), idle], niti(), rng)
    assert_one_by_one(client, [idle], niti(), rng)
    assert client.train_stacked(start_of(client.model), *images_for(client, rng), [], niti()) == []


def images_for(client: Int8Client, rng: np.random.Generator) -> tuple[np.ndarray, int, np.ndarray]:
    images, labels = images_of(client.model, rng)
    return images, -6, labels
