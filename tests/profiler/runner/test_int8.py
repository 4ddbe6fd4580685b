"""INT8 training in C equals the oracle bit for bit: every path of this processor, threads, odd shapes, extremes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.int8 import oracle
from fl_sim.int8.layers import read_layers
from profiler.native.library import library
from profiler.native.network import Network
from profiler.native.rules import ROUNDINGS, Rounding, Rules
from tests.fl_sim.int8 import worked_example as example
from tests.fl_sim.int8.worked_example import sums
from tests.profiler.runner.descriptions import models
from tests.profiler.runner.twins import compare, every_network, mantissas

SHAPES = [
    "1x1x1:fc1",
    "1x1x5:fc3,fc2",
    "5x5x1:conv1k1,fc2",
    "2x2x3:conv5k1,pool,fc3",
    "7x9x3:conv5k3p1,pool,fc4",
    "9x7x3:conv5k5p2,conv3k3,pool,fc7,fc5",
    "8x8x20:conv50k5,pool,fc62",
    "13x11x5:conv20k3p1,conv20k3p1,pool,conv50k3,pool,fc50,fc10",
    "5x33x2:conv33k3p2,pool,fc17",
    "6x6x64:conv65k3p1,pool,fc10",
    "4x4x130:conv16k3p1,fc31",
    "12x12x1:conv3k5p4,pool,fc2",
    # One input channel and a pool: planes, of one line of cells or several, in one tile or two.
    "5x41x1:conv5k3p2,pool,conv4k2,fc3",
    "9x37x1:conv7k4p1,pool,fc5",
    "4x90x1:conv33k2,pool,fc3",
    "5x6x1:conv1k1,pool,conv3k1,pool,fc2",
    "9x9x1:conv16k9p8,pool,fc4",
    # Few channels behind the first layer: the way back by lines, at shifts of 4, 8, 16 and 32 or 48 channels.
    "10x10x3:conv4k2,conv6k5,pool,fc3",
    "12x9x3:conv7k2,conv9k4,fc4",
    "9x11x2:conv16k3,conv5k5p1,pool,fc3",
    "8x8x1:conv16k3p1,pool,conv32k3p1,pool,fc9",
    "8x8x1:conv32k3p1,pool,conv33k3,fc5",
    "9x9x1:conv48k3,conv12k4,pool,fc3",
    "3x3x7:conv4k3p2,pool,conv6k2p1,fc3",
    "10x10x3:conv8k2,pool,conv8k4,fc9",
]
SMALL_LENET = "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62"
LENET = "28x28x1:conv20k5,pool,conv50k5,pool,fc500,fc62"
ALL_STOCHASTIC = Rules(3, 2, "stochastic", "stochastic", "stochastic", "stochastic", seed=2**40 + 11)


def test_the_worked_example_of_the_specification() -> None:
    x, weights, labels = example.images(), example.weights(), example.LABELS
    trace = oracle.train(
        read_layers(example.MODEL), weights, example.WEIGHT_EXPONENTS, x, example.EXPONENT, labels, Rules()
    )
    assert trace.logits.tolist() == example.LOGITS
    assert trace.logits_exponent == example.LOGITS_EXPONENT
    assert trace.loss_gradient.tolist() == example.LOSS_GRADIENT
    assert list(zip(trace.activation_shifts, trace.error_shifts, strict=True)) == example.SHIFTS
    assert [int(np.abs(a).max()) for a in trace.accumulators] == example.LARGEST_SUMS
    assert [int(np.abs(g).max()) for g in trace.gradients] == example.LARGEST_GRADIENTS
    assert sums(oracle.clipped(oracle.shifted(trace.accumulators[0], 9, "nearest"))) == example.CONVOLUTION
    assert sums(trace.logits) == example.OF_LOGITS
    assert [sums(g) for g in trace.gradients] == example.GRADIENTS
    assert [sums(u) for u in trace.updates] == example.UPDATES
    assert [sums(w) for w in trace.weights] == example.WEIGHTS
    with every_network(example.MODEL, 3) as networks:
        for network in networks:
            for i, e in enumerate(example.WEIGHT_EXPONENTS):
                network.set_weights_int8(i, weights[i].astype(np.int8), e)
            logits, exponent = network.forward_int8(x.astype(np.int8), example.EXPONENT)
            assert (logits.tolist(), exponent) == (example.LOGITS, example.LOGITS_EXPONENT)
            network.train_int8(x.astype(np.int8), example.EXPONENT, labels)
            assert network.loss_gradient().tolist() == example.LOSS_GRADIENT
            assert [network.shifts(i)[:2] for i in range(2)] == example.SHIFTS
            assert [sums(network.gradient(i)) for i in range(2)] == example.GRADIENTS
            new = [network.weights_int8(i) for i in range(2)]
            assert [sums(w) for w, _ in new] == example.WEIGHTS
            assert tuple(e for _, e in new) == example.WEIGHT_EXPONENTS


@pytest.mark.parametrize("model", SHAPES)
def test_odd_shapes(model: str) -> None:
    compare(model, [5, 2, 7, 1], Rules(mu_conv=4, mu_fc=3), batch_size=8)


@pytest.mark.parametrize("model", SHAPES)
def test_odd_shapes_with_draws(model: str) -> None:
    compare(model, [3, 2], ALL_STOCHASTIC, threads=(1, 3))


@pytest.mark.parametrize("activation", ROUNDINGS)
@pytest.mark.parametrize("update", ROUNDINGS)
def test_every_rounding(activation: Rounding, update: Rounding) -> None:
    rules = Rules(2, 4, activation, activation, update, update, seed=9)
    compare("9x7x3:conv5k3p1,pool,conv6k3,fc7,fc5", [5, 5, 4], rules, threads=(1, 2))


@pytest.mark.parametrize("mu", [-6, -1, 0, 1, 5, 9, 31])
def test_every_mu(mu: int) -> None:
    compare("7x9x3:conv5k3p1,pool,fc4", [5, 5], Rules(mu_conv=mu, mu_fc=mu), threads=(1, 2))
    compare("7x9x3:conv5k3p1,pool,fc4", [5], Rules(mu, mu, update="stochastic"), threads=(1,))


def test_lenet_over_steps() -> None:
    compare(LENET, [5, 5, 3], Rules(), threads=(1, 2))


def test_small_lenet_over_steps() -> None:
    compare(SMALL_LENET, [5, 5, 5, 4], Rules(5, 5), threads=(1, 4))


def test_a_large_batch() -> None:
    compare("14x14x3:conv16k3p1,pool,conv20k3p1,pool,fc10", [64, 33], Rules(), threads=(1, 3))


def test_layers_of_vgg() -> None:
    """Channels in whole vectors, several blocks of outputs and inputs."""
    compare("8x8x64:conv128k3p1,conv128k3p1,pool,conv256k3p1,pool,fc10", [2], Rules(5, 5), threads=(1, 2))


@pytest.mark.parametrize("inputs", ["extreme", "largest", "zeros"])
@pytest.mark.parametrize("weights", ["extreme", "largest", "zeros"])
@pytest.mark.parametrize("model", ["8x8x20:conv50k5,pool,fc62", "9x7x3:conv5k3p1,pool,conv6k3,fc70,fc5"])
def test_extremes(model: str, inputs: str, weights: str) -> None:
    rules = Rules(update="stochastic") if weights == "largest" else Rules()
    compare(model, [4, 4], rules, inputs=inputs, weights=weights, threads=(1, 2))


def test_sums_near_the_end_of_int32() -> None:
    """Sixteen-bit sums on the way would overflow: every product has the same sign, in both directions."""
    compare("1x2x3000:fc40,fc2", [2], Rules(), inputs="largest", weights="largest", threads=(1,))
    compare("64x64x1:conv2k3p1,fc2", [24], Rules(), inputs="largest", weights="largest", threads=(1,))


@pytest.mark.parametrize("exponent", [-127, -40, -20, -12, -7, -3, 0, 2, 9, 60, 127])
def test_logits_of_any_size(exponent: int) -> None:
    compare("6x6x1:conv4k3,fc5", [6, 6], Rules(), exponents=(exponent, 0), threads=(1,))


@settings(max_examples=150)
@given(
    model=models(),
    batches=st.lists(st.integers(1, 9), min_size=1, max_size=2),
    mu=st.integers(-2, 8),
    rounding=st.sampled_from(ROUNDINGS),
    inputs=st.sampled_from(["any", "extreme", "largest"]),
    seed=st.integers(0, 2**32),
)
def test_any_small_network(
    model: str, batches: list[int], mu: int, rounding: Rounding, inputs: str, seed: int
) -> None:  # fmt: skip
    rules = Rules(mu, mu, rounding, rounding, rounding, rounding, seed=seed)
    compare(model, batches, rules, inputs=inputs, seed=seed, threads=(1, 2))


def test_updates_are_as_large_as_mu_says() -> None:
    with every_network("9x7x3:conv5k3p1,pool,fc4", 6, (1,)) as networks:
        for network in networks:
            network.init(4)
            rng = np.random.default_rng(1)
            before = [network.weights_int8(i)[0].astype(int) for i in range(2)]
            network.train_int8(mantissas(rng, (6, 9, 7, 3)), -6, np.arange(6, dtype=np.int32) % 4, Rules(4, 2))
            moved = [np.abs(network.weights_int8(i)[0] - before[i]).max() for i in range(2)]
            assert [8 <= moved[0] <= 16, 2 <= moved[1] <= 4] == [True, True], moved


def test_no_error_means_no_update() -> None:
    """With one class the loss is zero, and so is everything behind it."""
    with every_network("5x5x2:conv3k3,fc1", 2, (1,)) as networks:
        for network in networks:
            network.init(4)
            before = network.checksum()
            x = mantissas(np.random.default_rng(3), (2, 5, 5, 2))
            assert network.train_int8(x, -6, np.zeros(2, dtype=np.int32)).right == 2
            assert network.checksum() == before


@pytest.mark.parametrize("size", [1, 3, 15, 16, 17, 64, 1000])
@pytest.mark.parametrize("scale", [1e-30, 0.003, 0.5, 1.0, 100.0, 1e30])
def test_quantisation_equals_the_oracle(size: int, scale: float) -> None:
    x = (np.random.default_rng(size).standard_normal(size) * scale).astype(np.float32)
    for values in (x, np.full(size, scale, dtype=np.float32), np.zeros(size, dtype=np.float32), np.round(x)):
        m, e = oracle.quantised(values)
        for path in library().paths():
            found, exponent = library().quantize(values, path)
            assert (exponent, found.tolist()) == (e, m.tolist()), path


def test_first_weights_are_the_floats_rounded() -> None:
    with Network(SMALL_LENET, "int8", 1) as network, Network(SMALL_LENET, "fp32", 1) as floats:
        network.init(5)
        floats.init(5)
        for i in range(len(network.layers)):
            m, e = network.weights_int8(i)
            w, _ = floats.weights_fp32(i)
            assert e == int(np.ceil(np.log2(np.abs(w).max() / 127)))
            assert np.abs(w - m * 2.0**e).max() <= 2.0**e / 2
