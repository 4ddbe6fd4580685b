"""A step in torch equals the oracle and the C kernels bit for bit, over whole trainings and through every product."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from fl_sim.data.digits import load_digits  # noqa: E402
from fl_sim.data.pixels import mantissa_table, mantissas  # noqa: E402
from fl_sim.int8 import oracle  # noqa: E402
from fl_sim.int8.layers import read_layers  # noqa: E402
from fl_sim.int8.network import Network, open_network  # noqa: E402
from fl_sim.int8.product import PRODUCTS, is_exact  # noqa: E402
from fl_sim.int8.step import Step, forward, train  # noqa: E402
from fl_sim.model import find_model, initial_weights  # noqa: E402
from fl_sim.weights import floats, layer_exponents, quantized  # noqa: E402
from profiler.native import network as native  # noqa: E402
from profiler.native.rules import ROUNDINGS, Rounding, Rules  # noqa: E402
from tests.fl_sim.int8 import worked_example as example  # noqa: E402
from tests.fl_sim.int8.worked_example import sums  # noqa: E402
from tests.profiler.runner.descriptions import models  # noqa: E402

ALL_STOCHASTIC = Rules(3, 2, "stochastic", "stochastic", "stochastic", "stochastic", seed=2**40 + 11)
SHAPES = [
    "1x1x1:fc1",
    "1x1x5:fc3,fc2",
    "5x5x1:conv1k1,fc2",
    "2x2x3:conv5k1,pool,fc3",
    "7x9x3:conv5k3p1,pool,fc4",
    "9x7x3:conv5k5p2,conv3k3,pool,fc7,fc5",
    "13x11x5:conv20k3p1,conv20k3p1,pool,conv50k3,pool,fc50,fc10",
    "4x4x130:conv16k3p1,fc31",
    "12x12x1:conv3k5p4,pool,fc2",
    "3x3x7:conv4k3p2,pool,conv6k2p1,fc3",
]


def drawn(rng: np.random.Generator, shape: Sequence[int], kind: str) -> np.ndarray:
    if kind == "any":
        return rng.integers(-127, 128, shape).astype(np.int8)
    if kind == "extreme":
        return rng.choice(np.array([-127, 127], np.int8), shape)
    return np.full(shape, 127 if kind == "largest" else 0, np.int8)


def stepped(
    network: Network, weights: list[torch.Tensor], exponents: list[int], x: np.ndarray, e: int, labels: np.ndarray,
    rules: Rules, step: int = 0,
) -> Step:  # fmt: skip
    with torch.inference_mode():
        of = torch.from_numpy(labels).long()
        return train(network, weights, exponents, torch.from_numpy(x), e, of, rules, step, keep_gradients=True)


def same(found: Step, weights: list[torch.Tensor], trace: oracle.Trace, where: str) -> None:
    assert (found.logits.numpy() == trace.logits).all(), where
    assert found.logits_exponent == trace.logits_exponent, where
    assert (found.loss_gradient.numpy() == trace.loss_gradient).all(), where
    assert found.right == trace.right, where
    assert found.loss == pytest.approx(trace.loss, rel=1e-9, abs=1e-12), where
    assert found.activation_shifts == trace.activation_shifts, where
    assert found.error_shifts == trace.error_shifts, where
    assert found.update_shifts == trace.update_shifts, where
    for i, w in enumerate(weights):
        assert (found.gradients[i].numpy() == trace.gradients[i]).all(), f"{where}, layer {i}"
        assert (w.numpy() == trace.weights[i]).all(), f"{where}, layer {i}"


def compare(
    model: str, batches: Sequence[int], rules: Rules, *, products: Sequence[str] = ("auto",), inputs: str = "any",
    weights: str = "any", exponents: tuple[int, int] = (-6, -8), seed: int = 0,
) -> None:  # fmt: skip
    """Train a step on each of ``batches`` images and assert that every product makes what the oracle makes of it."""
    layers, rng = read_layers(model), np.random.default_rng(seed)
    of_weights = [exponents[1] - i for i in range(len(layers))]
    held = [drawn(rng, layer.weights, weights) for layer in layers]
    current = [part.astype(np.int64) for part in held]
    made = {name: (open_network(layers, name), [torch.from_numpy(part.copy()) for part in held]) for name in products}
    for step, n in enumerate(batches):
        x, labels = drawn(rng, (n, *layers[0].into), inputs), rng.integers(0, layers[-1].out[2], n).astype(np.int32)
        trace = oracle.train(layers, current, of_weights, x.astype(np.int64), exponents[0], labels, rules, step)
        current = trace.weights
        for name, (network, own) in made.items():
            found = stepped(network, own, of_weights, x, exponents[0], labels, rules, step)
            same(found, own, trace, f"{name}, {model}, step {step}")


def test_the_worked_example_of_the_specification() -> None:
    layers = read_layers(example.MODEL)
    for name in ("auto", *(each for each in PRODUCTS if is_exact(each))):
        network = open_network(layers, name)
        weights = [torch.from_numpy(w.astype(np.int8)) for w in example.weights()]
        x, of = example.images().astype(np.int8), list(example.WEIGHT_EXPONENTS)
        found = stepped(network, weights, of, x, example.EXPONENT, example.LABELS, Rules(), 0)
        assert found.logits.tolist() == example.LOGITS
        assert found.logits_exponent == example.LOGITS_EXPONENT
        assert found.loss_gradient.tolist() == example.LOSS_GRADIENT
        assert list(zip(found.activation_shifts, found.error_shifts, strict=True)) == example.SHIFTS
        assert [int(g.abs().max()) for g in found.gradients] == example.LARGEST_GRADIENTS
        assert [sums(g.numpy()) for g in found.gradients] == example.GRADIENTS
        assert [sums(w.numpy()) for w in weights] == example.WEIGHTS


@pytest.mark.parametrize("rules", [Rules(4, 3), ALL_STOCHASTIC], ids=["default", "stochastic"])
@pytest.mark.parametrize("model", SHAPES)
def test_odd_shapes_through_every_product(model: str, rules: Rules) -> None:
    compare(model, [5, 2, 7, 1], rules, products=[name for name in PRODUCTS if is_exact(name)])


@pytest.mark.parametrize("activation", ROUNDINGS)
@pytest.mark.parametrize("update", ROUNDINGS)
def test_every_rounding(activation: Rounding, update: Rounding) -> None:
    rules = Rules(2, 4, activation, activation, update, update, seed=9)
    compare("9x7x3:conv5k3p1,pool,conv6k3,fc7,fc5", [5, 5, 4], rules)


@pytest.mark.parametrize("mu", [-31, -6, -1, 0, 1, 5, 9, 31])
def test_every_mu(mu: int) -> None:
    for update in ROUNDINGS:
        compare("7x9x3:conv5k3p1,pool,fc4", [5, 5], Rules(mu, mu, update=update))


@pytest.mark.parametrize("inputs", ["extreme", "largest", "zeros"])
@pytest.mark.parametrize("weights", ["extreme", "largest", "zeros"])
def test_extremes(inputs: str, weights: str) -> None:
    rules = Rules(update="stochastic") if weights == "largest" else Rules()
    for model in ("8x8x20:conv50k5,pool,fc62", "9x7x3:conv5k3p1,pool,conv6k3,fc70,fc5"):
        compare(model, [4, 4], rules, products=["auto", "float32"], inputs=inputs, weights=weights)


def test_sums_near_the_end_of_int32() -> None:
    for products in (["auto", "float32", "float64"],):
        compare("1x2x3000:fc40,fc2", [2], Rules(), products=products, inputs="largest", weights="largest")
        compare("64x64x1:conv2k3p1,fc2", [24], Rules(), products=products, inputs="largest", weights="largest")


@pytest.mark.parametrize("exponent", [-127, -20, -7, 0, 9, 127])
def test_logits_of_any_size(exponent: int) -> None:
    compare("6x6x1:conv4k3,fc5", [6, 6], Rules(), exponents=(exponent, 0))


@settings(max_examples=60)
@given(
    model=models(), batches=st.lists(st.integers(1, 9), min_size=1, max_size=2), mu=st.integers(-2, 8),
    rounding=st.sampled_from(ROUNDINGS), inputs=st.sampled_from(["any", "extreme", "largest"]),
    seed=st.integers(0, 2**32),
)  # fmt: skip
def test_any_small_network(
    model: str, batches: list[int], mu: int, rounding: Rounding, inputs: str, seed: int
) -> None:  # fmt: skip
    compare(model, batches, Rules(mu, mu, rounding, rounding, rounding, rounding, seed=seed), inputs=inputs, seed=seed)


def test_a_batch_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of few rows, updates in small blocks: places and sums go on where the piece before ended."""
    monkeypatch.setattr("fl_sim.int8.network._SUMS", 64)
    monkeypatch.setattr("fl_sim.int8.network._LEAST_ROWS", 1)
    monkeypatch.setattr("fl_sim.int8.step._BLOCK", 7)
    for rules in (Rules(), ALL_STOCHASTIC):
        compare("9x7x3:conv5k3p1,pool,conv6k3,fc7,fc5", [5, 3, 6], rules)


@pytest.mark.parametrize(
    ("name", "classes", "batches", "rules"),
    [
        ("digits", 10, (5, 20, 3), Rules()),
        ("digits", 10, (5, 7), ALL_STOCHASTIC),
        ("lenetleaf", 62, (5, 5, 4), Rules(5, 1)),
        ("lenet5", 62, (5, 3), Rules(3, 3, "pseudo-stochastic", "pseudo-stochastic")),
        ("lenet5", 10, (5,), ALL_STOCHASTIC),
        ("vggslim", 10, (3, 2), Rules(5, 5)),
        ("vggslim", 100, (2,), ALL_STOCHASTIC),
    ],
)
def test_models_equal_the_kernels(name: str, classes: int, batches: Sequence[int], rules: Rules) -> None:
    model, rng = find_model(name, classes), np.random.default_rng(5)
    layers = read_layers(model.text)
    values = initial_weights(model, rng)
    start = quantized(model, values, layer_exponents(model, values))
    parts = [part.reshape(layer.weights) for part, layer in zip(model.split(start.values), layers, strict=True)]
    weights = [torch.from_numpy(part.astype(np.int8)) for part in parts]
    network = open_network(layers)
    with native.Network(model.text, "int8", max(batches)) as peer:
        for i, part in enumerate(parts):
            peer.set_weights_int8(i, part.astype(np.int8), start.exponents[i])
        for step, n in enumerate(batches):
            x = drawn(rng, (n, *model.input_shape), "any")
            labels = rng.integers(0, classes, n).astype(np.int32)
            with torch.inference_mode():
                done = forward(network, weights, start.exponents, torch.from_numpy(x), -5, rules, step)
            logits, exponent = peer.forward_int8(x, -5, rules, step=step)
            assert (done.logits.numpy() == logits).all()
            assert done.exponent == exponent
            found = stepped(network, weights, list(start.exponents), x, -5, labels, rules, step)
            trained = peer.train_int8(x, -5, labels, rules, step=step)
            assert found.right == trained.right
            assert found.loss == pytest.approx(trained.loss, rel=1e-4)
            assert (found.loss_gradient.numpy() == peer.loss_gradient()).all()
            for i, w in enumerate(weights):
                shifts = found.activation_shifts[i], found.error_shifts[i], found.update_shifts[i]
                assert shifts == peer.shifts(i)
                assert (found.gradients[i].numpy() == peer.gradient(i)).all()
                assert (w.numpy() == peer.weights_int8(i)[0]).all()


def cosines(batch: int, seed: int) -> list[float]:
    """Compare the gradients of some images of digits, layer by layer, with those of float autograd."""
    model, dataset, rng = find_model("digits", 10), load_digits(), np.random.default_rng(seed)
    layers, values = read_layers(model.text), initial_weights(model, rng)
    chosen = rng.permutation(len(dataset.train))[:batch]
    start, table = quantized(model, values, layer_exponents(model, values)), mantissa_table(dataset)
    x, labels = mantissas(dataset.train.pixels[chosen], table), dataset.train.labels[chosen]
    parts = [part.reshape(layer.weights) for part, layer in zip(model.split(start.values), layers, strict=True)]
    weights = [torch.from_numpy(part.astype(np.int8)) for part in parts]
    found = stepped(open_network(layers), weights, list(start.exponents), x, table.exponent, labels, Rules())

    true = [torch.from_numpy(part.copy()).requires_grad_() for part in model.split(floats(model, start))]
    y = torch.from_numpy(x).float() * 2.0**table.exponent
    for layer, flat in zip(layers, true, strict=True):
        w = flat.view(layer.weights)
        if layer.convolution:
            y = torch.nn.functional.conv2d(y.permute(0, 3, 1, 2), w.permute(0, 3, 1, 2), padding=layer.pad)
            y = y.permute(0, 2, 3, 1)
        else:
            y = y.reshape(batch, -1) @ w.T
        y = y.relu() if layer.relu else y
        if layer.pool:
            y = torch.nn.functional.max_pool2d(y.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    torch.nn.functional.cross_entropy(y, torch.from_numpy(labels).long()).backward()
    pairs = zip((g.flatten().float() for g in found.gradients), (of.grad for of in true), strict=True)
    return [float(torch.nn.functional.cosine_similarity(ours, theirs, dim=0)) for ours, theirs in pairs]


@pytest.mark.parametrize("batch", [5, 20, 64])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_point_where_autograd_does(batch: int, seed: int) -> None:
    found = cosines(batch, seed)
    assert min(found) >= 0.9, found
    assert found[-1] >= 0.99, found


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="device 'nonsense' is not one of this torch"):
        open_network(read_layers("1x1x1:fc1"), device="nonsense")
