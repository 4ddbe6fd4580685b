"""INT8 networks of the library beside the oracle: both are trained on the same batches and compared bit for bit."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt

from fl_sim.int8 import oracle
from fl_sim.int8.layers import read_layers
from profiler.native.library import library
from profiler.native.network import Network
from profiler.native.rules import Rules

Threads = Sequence[int]


@contextmanager
def every_network(model: str, batch_size: int, threads: Threads = (1, 2, 3, 4)) -> Iterator[list[Network]]:
    """Give one network for each path that works here, and each number of threads."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Network(model, "int8", batch_size, path=path, threads=count))
            for path in library().paths()
            for count in threads
        ]


def mantissas(rng: np.random.Generator, shape: Sequence[int], kind: str = "any") -> npt.NDArray[np.int8]:
    """Return mantissas: any, only the largest of either sign, only the largest, or zeros."""
    if kind == "zeros":
        return np.zeros(shape, dtype=np.int8)
    if kind == "largest":
        return np.full(shape, 127, dtype=np.int8)
    if kind == "extreme":
        return rng.choice(np.array([-127, 127], dtype=np.int8), shape)
    return rng.integers(-127, 128, shape, dtype=np.int8)


def compare(
    model: str, batches: Sequence[int], rules: Rules, *, batch_size: int = 0, threads: Threads = (1, 2, 3, 4),
    inputs: str = "any", weights: str = "any", exponents: tuple[int, int] = (-6, -8), seed: int = 0,
) -> list[oracle.Trace]:  # fmt: skip
    """Train a step on each of ``batches`` images and assert that every network makes what the oracle makes of it."""
    rng = np.random.default_rng(seed)
    layers = read_layers(model)
    of_x, of_weights = exponents
    traces = []
    with every_network(model, batch_size or max(batches), threads) as networks:
        held = [mantissas(rng, layer.weights, weights) for layer in layers]
        for network in networks:
            for i, values in enumerate(held):
                network.set_weights_int8(i, values, of_weights - i)
        current = [values.astype(np.int64) for values in held]
        for step, batch in enumerate(batches):
            x = mantissas(rng, (batch, *layers[0].into), inputs)
            labels = rng.integers(0, networks[0].classes, batch, dtype=np.int32)
            trace = oracle.train(
                layers, current, [of_weights - i for i in range(len(layers))], x.astype(np.int64), of_x, labels,
                rules, step,
            )  # fmt: skip
            for network in networks:
                same(network, trace, x, of_x, labels, rules, step)
            current = trace.weights
            traces.append(trace)
    return traces


def same(
    network: Network, trace: oracle.Trace, x: npt.NDArray[np.int8], exponent: int, labels: npt.NDArray[np.int32],
    rules: Rules, step: int,
) -> None:  # fmt: skip
    """Train a network by one step and assert that all it tells equals the oracle's."""
    where = f"{network.path}, step {step}"
    logits, logits_exponent = network.forward_int8(x, exponent, rules, step=step)
    assert (logits == trace.logits).all(), where
    assert logits_exponent == trace.logits_exponent, where
    trained = network.train_int8(x, exponent, labels, rules, step=step)
    assert trained.right == trace.right, where
    assert np.isclose(trained.loss, trace.loss, rtol=1e-4, atol=1e-5), where
    assert (network.loss_gradient() == trace.loss_gradient).all(), where
    for i, gradient in enumerate(trace.gradients):
        place = f"{where}, layer {i}"
        shifts = network.shifts(i)
        assert shifts == (trace.activation_shifts[i], trace.error_shifts[i], trace.update_shifts[i]), place
        assert (network.gradient(i) == gradient).all(), place
        assert (network.weights_int8(i)[0] == trace.weights[i]).all(), place
