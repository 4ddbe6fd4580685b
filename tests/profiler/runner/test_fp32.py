"""FP32 training in C against torch's autograd in double precision, on every path; and INT8 gradients beside them."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.native.layer import Layer
from profiler.native.library import library
from profiler.native.network import Network
from tests.profiler.runner.descriptions import models

torch = pytest.importorskip("torch")
functional = torch.nn.functional

SMALL_LENET = "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62"
SHAPES = [
    ("1x1x5:fc3,fc2", [1, 4]),
    ("5x5x1:conv1k1,fc2", [3]),
    ("2x2x3:conv5k1,pool,fc3", [2, 1]),
    ("7x9x3:conv5k3p1,pool,fc4", [5, 2]),
    ("9x7x3:conv5k5p2,conv3k3,pool,fc7,fc5", [7]),
    ("12x12x1:conv3k5p4,pool,fc2", [4]),
    ("13x11x5:conv20k3p1,conv20k3p1,pool,conv50k3,pool,fc50,fc10", [5, 5, 1]),
    ("5x33x2:conv33k3p2,pool,fc17", [3]),
    ("4x4x130:conv16k3p1,fc31", [2]),
    ("10x10x3:conv8k2,pool,conv8k4,fc9", [64]),
    ("8x8x64:conv128k3p1,conv128k3p1,pool,fc10", [4]),
    (SMALL_LENET, [5, 5, 5]),
    ("lenet5", [5, 3]),
]
Floats = npt.NDArray[np.float32]
seeds = st.integers(0, 2**32)


class Peer:
    """The same network in torch: the library's layers, with parameters in double precision and NCHW inside."""

    def __init__(self, network: Network) -> None:
        self.layers = network.layers
        self.parameters: list[list[torch.Tensor]] = []
        for i, layer in enumerate(network.layers):
            values = network.weights_fp32(i) if network.precision == "fp32" else (dequantised(network, i), np.empty(0))
            self.parameters.append([parameter(layer, value) for value in values if value.size])

    def forward(self, x: npt.NDArray[np.float64]) -> torch.Tensor:
        y = torch.tensor(x).permute(0, 3, 1, 2)
        for layer, of in zip(self.layers, self.parameters, strict=True):
            if layer.kind == "conv":
                y = functional.conv2d(y, *of, padding=layer.pad)
            else:
                y = functional.linear((y.permute(0, 2, 3, 1) if y.ndim == 4 else y).flatten(1), *of)
            y = functional.relu(y) if layer.relu else y
            y = functional.max_pool2d(y, 2) if layer.pool else y
        return y

    def train(
        self, x: npt.NDArray[np.float64], labels: npt.NDArray[np.int32], learning_rate: float
    ) -> tuple[int, float]:
        """Do a step; return how many were right before it, and the loss."""
        flat = [p for of in self.parameters for p in of]
        logits = self.forward(x)
        target = torch.tensor(labels, dtype=torch.int64)
        loss = functional.cross_entropy(logits, target)
        gradients = torch.autograd.grad(loss, flat)
        with torch.no_grad():
            for p, gradient in zip(flat, gradients, strict=True):
                p -= learning_rate * gradient
        return int((logits.argmax(dim=1) == target).sum()), loss.item()

    def gradients(self, x: npt.NDArray[np.float64], labels: npt.NDArray[np.int32]) -> list[npt.NDArray[np.float64]]:
        loss = functional.cross_entropy(self.forward(x), torch.tensor(labels, dtype=torch.int64))
        return [ours(g.numpy()) for g in torch.autograd.grad(loss, [p for of in self.parameters for p in of])]


def parameter(layer: Layer, value: npt.NDArray[np.floating]) -> torch.Tensor:
    value = value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
    return torch.tensor(value.astype(np.float64), requires_grad=True)


def ours(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value


def dequantised(network: Network, layer: int) -> npt.NDArray[np.float64]:
    m, e = network.weights_int8(layer)
    return m * 2.0**e


def images(rng: np.random.Generator, network: Network, batch: int) -> Floats:
    return rng.standard_normal((batch, *network.layers[0].in_shape)).astype(np.float32)


def close(found: npt.NDArray[np.floating], true: npt.NDArray[np.floating], where: str, tolerance: float = 2e-5) -> None:
    off = np.abs(found - true).max()
    assert off <= tolerance * np.abs(true).max(), f"{where}: off by {off} of {np.abs(true).max()}"


def compare(network: Network, batches: Sequence[int], learning_rate: float, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    network.init(seed)
    if network.bias:
        for i, layer in enumerate(network.layers):
            biases = rng.uniform(-0.2, 0.2, layer.weight_shape[0]).astype(np.float32)
            network.set_weights_fp32(i, network.weights_fp32(i)[0], biases)
    peer = Peer(network)
    for step, batch in enumerate(batches):
        where = f"{network.path}, step {step}"
        x, labels = images(rng, network, batch), rng.integers(0, network.classes, batch, dtype=np.int32)
        close(network.forward_fp32(x), peer.forward(x.astype(np.float64)).detach().numpy(), where)
        right, loss = peer.train(x.astype(np.float64), labels, learning_rate)
        trained = network.train_fp32(x, labels, learning_rate)
        assert trained.right == right, where
        assert trained.loss == pytest.approx(loss, rel=1e-5, abs=1e-6), where
    for i, of in enumerate(peer.parameters):
        for found, true in zip(network.weights_fp32(i), of, strict=False):
            close(found, ours(true.detach().numpy()), f"{network.path}, layer {i}")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are quicker without torch's threads, which the other tests need besides."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("model", "batches"), SHAPES)
def test_training_equals_autograd(model: str, batches: list[int], bias: bool) -> None:
    for path in library().paths():
        with Network(model, "fp32", max(*batches, 2), path=path, bias=bias) as network:
            compare(network, batches, 0.05)


@settings(max_examples=200)
@given(model=models(), batches=st.lists(st.integers(1, 9), min_size=1, max_size=2), bias=st.booleans(), seed=seeds)
def test_any_small_network(model: str, batches: list[int], bias: bool, seed: int) -> None:
    for path in library().paths():
        with Network(model, "fp32", 9, path=path, bias=bias, threads=1 + seed % 2) as network:
            compare(network, batches, 0.05, seed)


def test_softmax_is_exact_to_the_last_bits() -> None:
    """A large learning rate makes the likelihoods all that is left of the weights."""
    w = np.random.default_rng(4).uniform(-3, 3, (62, 1)).astype(np.float32)
    likely = np.exp(w.astype(np.float64)) / np.exp(w.astype(np.float64)).sum()
    for path in library().paths():
        with Network("1x1x1:fc62", "fp32", 1, path=path) as network:
            network.set_weights_fp32(0, w)
            network.train_fp32(np.ones((1, 1, 1, 1), dtype=np.float32), np.array([7], dtype=np.int32), 1e6)
            found = (w - network.weights_fp32(0)[0]) / 1e6
            found[7] += 1
            assert np.abs(found / likely - 1)[np.arange(62) != 7].max() < 6e-7, path


def test_many_steps_stay_close() -> None:
    for path in library().paths():
        with Network(SMALL_LENET, "fp32", 5, path=path, bias=True) as network:
            compare(network, [5] * 20, 0.01)


def test_ties_go_to_the_first_maximum() -> None:
    """Whole numbers add up exactly, so that ties are ties: in pools, and at the zero of ReLU."""
    rng = np.random.default_rng(8)
    for path in library().paths():
        with Network("12x12x1:conv5k3,pool,conv4k2,pool,fc3", "fp32", 6, path=path) as network:
            for i, layer in enumerate(network.layers):
                network.set_weights_fp32(i, rng.integers(-1, 2, layer.weight_shape).astype(np.float32))
            peer = Peer(network)
            x = rng.integers(-1, 2, (6, 12, 12, 1)).astype(np.float32)
            labels = rng.integers(0, 3, 6, dtype=np.int32)
            peer.train(x.astype(np.float64), labels, 0.5)
            network.train_fp32(x, labels, 0.5)
            for i, of in enumerate(peer.parameters):
                close(network.weights_fp32(i)[0], ours(of[0].detach().numpy()), f"{path}, layer {i}")


def test_extreme_logits_have_a_finite_loss() -> None:
    for path in library().paths():
        with Network("1x1x2:fc3", "fp32", 2, path=path) as network:
            network.set_weights_fp32(0, np.array([[1e4, 0], [0, 1e4], [-1e4, 0]], dtype=np.float32))
            x = np.array([1, 0, 0, -1], dtype=np.float32).reshape(2, 1, 1, 2)
            trained = network.train_fp32(x, np.array([2, 0], dtype=np.int32), 0.1)
            assert trained.loss == pytest.approx((2e4 + np.log(2)) / 2)
            assert np.isfinite(network.weights_fp32(0)[0]).all()


def test_int8_gradients_point_where_autograd_does() -> None:
    """The oracle's own law: the integer gradient is the gradient, at the first weights."""
    rng = np.random.default_rng(2)
    with Network("12x12x1:conv8k3,pool,conv16k3,pool,fc10", "int8", 64) as network:
        network.init(6)
        kinds = rng.standard_normal((10, 12, 12, 1))
        labels = rng.integers(0, 10, 64, dtype=np.int32)
        x = (kinds[labels] + 0.5 * rng.standard_normal((64, 12, 12, 1))).astype(np.float32)
        mantissas, exponent = library().quantize(x)
        network_at_start = Peer(network)
        network.train_int8(mantissas, exponent, labels)
        true = network_at_start.gradients(mantissas * 2.0**exponent, labels)
        for i, expected in enumerate(true):
            found = network.gradient(i).astype(np.float64)
            cosine = (found * expected).sum() / np.linalg.norm(found) / np.linalg.norm(expected)
            assert cosine >= 0.9, f"layer {i}"
