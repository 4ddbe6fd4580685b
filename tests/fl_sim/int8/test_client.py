"""Whole trainings of a client: every product makes the same bits, and they are those of the C kernels."""

import numpy as np
import pytest

pytest.importorskip("torch")

from fl_sim.data.digits import load_digits
from fl_sim.data.pixels import mantissa_table, mantissas
from fl_sim.int8.client import Int8Client
from fl_sim.int8.layers import Layer, layers_of, read_layers
from fl_sim.int8.product import PRODUCTS, is_exact
from fl_sim.model import Model, find_model, initial_weights
from fl_sim.schedule import read_schedule
from fl_sim.task import local_task
from fl_sim.trainer import Niti
from fl_sim.weights import IntWeights, layer_exponents, quantized
from profiler.native.network import Network

PRODUCTS_HERE = ("oracle", "auto", *(name for name in PRODUCTS if is_exact(name)))
DIGITS = find_model("digits", 10)


def trainer_of(stochastic: bool = False) -> Niti:
    mu_conv, mu_fc = read_schedule("3 1@5", "mu_conv"), read_schedule("2", "mu_fc")
    if not stochastic:
        return Niti(mu_conv, mu_fc)
    return Niti(mu_conv, mu_fc, "stochastic", "stochastic", "stochastic", "stochastic")


def start_of(model: Model) -> IntWeights:
    values = initial_weights(model, np.random.default_rng(3))
    return quantized(model, values, layer_exponents(model, values))


def data_of(model: Model, count: int = 60) -> tuple[np.ndarray, int, np.ndarray]:
    rng = np.random.default_rng(8)
    kinds = rng.standard_normal((model.classes, *model.input_shape))
    labels = rng.integers(0, model.classes, count).astype(np.int32)
    x = 30 * (kinds[labels] + 0.5 * rng.standard_normal((count, *model.input_shape)))
    return np.clip(np.round(x), -127, 127).astype(np.int8), -5, labels


@pytest.mark.parametrize("stochastic", [False, True])
def test_every_product_makes_the_same_bits(stochastic: bool) -> None:
    rng, start, data = np.random.default_rng(1), start_of(DIGITS), data_of(DIGITS)
    task = local_task(
        rng.permutation(60)[:23].astype(np.int32), rng, client=4, round_number=6, epochs=2, batch_size=5,
        rounding_seed=2**64 - 5,
    )  # fmt: skip
    trainer = trainer_of(stochastic)
    results = [Int8Client(DIGITS, product).train(start, *data, task, trainer) for product in PRODUCTS_HERE]
    with Network(DIGITS.text, "int8", 5) as peer:
        for i, part in enumerate(DIGITS.split(start.values)):
            peer.set_weights_int8(i, part.reshape(DIGITS.weight_shape(i)).astype(np.int8), start.exponents[i])
        right, loss_sum = 0, 0.0
        for step in range(task.steps):
            chosen = task.indices[task.bounds[step] : task.bounds[step + 1]]
            rules = trainer.rules(6, task.rounding_seed)
            trained = peer.train_int8(data[0][chosen], data[1], data[2][chosen], rules, step=step)
            right, loss_sum = right + trained.right, loss_sum + trained.loss * len(chosen)
        kernels = np.concatenate([peer.weights_int8(i)[0].ravel() for i in range(len(DIGITS.layers))])
    for product, result in zip(PRODUCTS_HERE, results, strict=True):
        assert isinstance(result.weights, IntWeights)
        assert result.weights.exponents == start.exponents
        assert result.weights.values.dtype == np.int8
        assert (result.weights.values == kernels).all(), product
        assert result.right == right, product
        assert result.loss_sum == pytest.approx(loss_sum, rel=1e-4), product
    assert (kernels != start.values).any()


def test_every_product_judges_alike() -> None:
    start, (images, exponent, labels) = start_of(DIGITS), data_of(DIGITS)
    judged = [Int8Client(DIGITS, name).judge(start, images, exponent, labels, 25) for name in PRODUCTS_HERE]
    assert {(of.right, of.images) for of in judged} == {(judged[0].right, 60)}
    assert [of.loss_sum for of in judged] == pytest.approx([judged[0].loss_sum] * len(judged))
    with Network(DIGITS.text, "int8", 25) as peer:
        for i, part in enumerate(DIGITS.split(start.values)):
            peer.set_weights_int8(i, part.reshape(DIGITS.weight_shape(i)).astype(np.int8), start.exponents[i])
        batches = [peer.forward_int8(images[at : at + 25], exponent)[0] for at in range(0, 60, 25)]
    assert judged[0].right == int((np.concatenate(batches).argmax(axis=1) == labels).sum())


def test_a_training_on_digits() -> None:
    """The specification saw 0.986 after 12 epochs, with mu 3 and then 2; other seeds than this one 0.975 to 0.983."""
    dataset, rng = load_digits(), np.random.default_rng(2)
    table, client, trainer = mantissa_table(dataset), Int8Client(DIGITS), Niti(*[read_schedule("3 2@7", "mu")] * 2)
    images, weights = mantissas(dataset.train.pixels, table), start_of(DIGITS)
    everything = np.arange(len(images), dtype=np.int32)
    for epoch in range(1, 13):
        task = local_task(everything, rng, client=0, round_number=epoch, epochs=1, batch_size=32)
        after = client.train(weights, images, table.exponent, dataset.train.labels, task, trainer).weights
        assert isinstance(after, IntWeights)
        weights = after
    test = mantissas(dataset.test.pixels, table)
    judged = client.judge(weights, test, table.exponent, dataset.test.labels, 100)
    assert judged.images == len(test)
    assert judged.accuracy >= 0.96


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="has biases, INT8 training has none"):
        Int8Client(find_model("digits", 10, bias=True))
    with pytest.raises(ValueError, match="product must be one of auto"):
        Int8Client(DIGITS, "fast")
    wide = find_model("400x400x1:conv1k1,fc2", 2)  # 160,000 places of one image
    for product in ("auto", "oracle"):
        client = Int8Client(wide, product)
        rng, one = np.random.default_rng(1), np.zeros(1, np.int32)
        task = local_task(one, rng, client=0, round_number=1, epochs=1, batch_size=1)
        data = (np.zeros((1, 400, 400, 1), np.int8), 0, np.zeros(1, np.int32))
        with pytest.raises(ValueError, match="batch_size must be at most 0 for model 400x400x1"):
            client.train(start_of(wide), *data, task, trainer_of())
        with pytest.raises(ValueError, match="batch_size must be at most 0"):
            client.train_stacked(start_of(wide), *data, [task], trainer_of())
        with pytest.raises(ValueError, match="batch_size must be at most 0"):
            client.judge(start_of(wide), *data, 1)


def test_layers_are_read_from_a_model() -> None:
    found = read_layers("9x8x3:conv5k3p1,pool,conv6k3,fc7,fc5")
    assert found == (
        Layer(True, (5, 3, 3, 3), (9, 8, 3), (9, 8, 5), 1, True, True),
        Layer(True, (6, 3, 3, 5), (4, 4, 5), (2, 2, 6)),
        Layer(False, (7, 24), (2, 2, 6), (1, 1, 7)),
        Layer(False, (5, 7), (1, 1, 7), (1, 1, 5), relu=False),
    )
    assert [layer.behind for layer in found] == [(4, 4, 5), (2, 2, 6), (1, 1, 7), (1, 1, 5)]
    assert layers_of(DIGITS.layers) == read_layers(DIGITS.text)
