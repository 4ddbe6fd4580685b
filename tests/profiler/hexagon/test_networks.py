"""Whole steps on the emulated DSP equal the oracle, the worked example of the specification and the CPU's kernels."""

import numpy as np
import pytest

from fl_sim.int8 import oracle
from fl_sim.int8.layers import read_layers
from profiler.native.hexagon import checker
from profiler.native.network import Network
from profiler.native.rules import Rules
from tests.fl_sim.int8 import worked_example as example
from tests.fl_sim.int8.worked_example import sums
from tests.profiler.hexagon.cases import PATHS, Step, program, trained
from tests.profiler.runner.twins import mantissas

MODELS = [
    "1x1x1:fc1",
    "1x1x5:fc3,fc2",
    "7x9x3:conv5k3p1,pool,fc4",
    "9x7x3:conv5k5p2,conv3k3,pool,fc7,fc5",
    "8x8x20:conv50k5,pool,fc62",
    "13x11x5:conv20k3p1,conv20k3p1,pool,conv50k3,pool,fc50,fc10",
    "5x33x2:conv33k3p2,pool,fc17",
    "4x4x130:conv16k3p1,fc31",
    "12x12x1:conv3k5p4,pool,fc2",
]
LENET = "28x28x1:conv20k5,pool,conv50k5,pool,fc500,fc62"


@pytest.mark.parametrize("path", PATHS)
def test_the_worked_example_of_the_specification(check: str, path: str) -> None:
    weights = [w.astype(np.int8) for w in example.weights()]
    x, exponents = example.images().astype(np.int8), list(example.WEIGHT_EXPONENTS)
    step = trained(check, path, example.MODEL, x, example.EXPONENT, example.LABELS, weights, exponents, 3, 3)
    assert step.logits.tolist() == example.LOGITS
    assert step.loss_gradient.tolist() == example.LOSS_GRADIENT
    assert [tuple(layer["shifts"][:2]) for layer in step.layers] == example.SHIFTS
    assert step.layers[1]["exponent"] == example.LOGITS_EXPONENT
    assert [int(np.abs(g).max()) for g in step.gradients] == example.LARGEST_GRADIENTS
    assert [sums(g) for g in step.gradients] == example.GRADIENTS
    assert [sums(w) for w in step.weights] == example.WEIGHTS


@pytest.mark.parametrize("kind", ["any", "extreme", "largest", "zeros"])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_equals_the_oracle(check: str, model: str, kind: str) -> None:
    rng = np.random.default_rng(len(model))
    layers = read_layers(model)
    for batch in (1, 3):
        x, labels = (
            mantissas(rng, (batch, *layers[0].into), kind),
            rng.integers(0, layers[-1].out[2], batch).astype(np.int32),
        )
        weights = [mantissas(rng, layer.weights, kind) for layer in layers]
        exponents = [-8 - i for i in range(len(layers))]
        wide = [w.astype(np.int64) for w in weights]
        trace = oracle.train(layers, wide, exponents, x.astype(np.int64), -7, labels, Rules(2, 1))
        for path in PATHS:
            same(trained(check, path, model, x, -7, labels, weights, exponents, 2, 1), trace)


def same(step: Step, trace: oracle.Trace) -> None:
    assert np.array_equal(step.logits, trace.logits)
    assert np.array_equal(step.loss_gradient, trace.loss_gradient)
    for i, layer in enumerate(step.layers):
        assert np.array_equal(step.gradients[i], trace.gradients[i]), f"gradient of layer {i}"
        assert np.array_equal(step.weights[i], trace.weights[i]), f"weights of layer {i}"
        shifts = [trace.activation_shifts[i], trace.error_shifts[i], max(trace.update_shifts[i], 0)]
        assert layer["shifts"] == shifts


def test_lenet_equals_the_oracle(check: str) -> None:
    rng = np.random.default_rng(5)
    layers = read_layers(LENET)
    x, labels = mantissas(rng, (5, *layers[0].into)), rng.integers(0, 62, 5).astype(np.int32)
    weights = [mantissas(rng, layer.weights) for layer in layers]
    wide = [w.astype(np.int64) for w in weights]
    trace = oracle.train(layers, wide, [-8] * 4, x.astype(np.int64), -7, labels, Rules(3, 3))
    same(trained(check, "hvx", "lenet5", x, -7, labels, weights, [-8] * 4, 3, 3), trace)


@pytest.mark.slow
def test_vgg_at_the_papers_batch_equals_the_kernels_of_the_cpu() -> None:
    rng = np.random.default_rng(16)
    x, labels = mantissas(rng, (64, 32, 32, 3)), rng.integers(0, 10, 64).astype(np.int32)
    rules = Rules(3, 2)
    with Network("vgg16", "int8", 64, threads=2) as network:
        weights = [mantissas(rng, layer.weight_shape) for layer in network.layers]
        for i, array in enumerate(weights):
            network.set_weights_int8(i, array, -9)
        network.train_int8(x, -7, labels, rules)
        step = trained(program("v66"), "hvx", "vgg16", x, -7, labels, weights, [-9] * len(weights), 3, 2)
        for i in range(len(weights)):
            assert np.array_equal(step.gradients[i], network.gradient(i).astype(np.int64))
            assert np.array_equal(step.weights[i], network.weights_int8(i)[0].astype(np.int64))


def test_the_checked_program_is_built_once(check: str) -> None:
    assert check in {checker("v66"), checker("v68")}
