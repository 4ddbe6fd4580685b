"""The binding: what Python may get wrong is said clearly and never reaches C; what C makes comes back as numpy."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from profiler.native.check import FLOAT32, check_array
from profiler.native.library import PATHS, Library, library
from profiler.native.network import Network
from profiler.native.rules import Rules

MODEL = "6x6x2:conv4k3p1,pool,fc5"


@pytest.fixture
def int8() -> Any:
    with Network(MODEL, "int8", 3) as network:
        network.init(1)
        yield network


@pytest.fixture
def fp32() -> Any:
    with Network(MODEL, "fp32", 3, bias=True) as network:
        network.init(1)
        yield network


def x8(*shape: int) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.ones(shape or (3, 6, 6, 2), dtype=np.int8)


def x32(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ones(shape or (3, 6, 6, 2), dtype=np.float32)


def labels(*values: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(values or (0, 1, 2), dtype=np.int32)


def says(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(ValueError, match="^" + words[0]) as caught:
        call()
    for word in words[1:]:
        assert word in str(caught.value), str(caught.value)


def test_a_network_says_what_it_is(int8: Network) -> None:
    conv, fc = int8.layers
    assert (conv.kind, conv.in_shape, conv.out_shape, conv.kernel, conv.pad) == ("conv", (6, 6, 2), (3, 3, 4), 3, 1)
    assert (conv.relu, conv.pool, conv.weight_shape) == (True, True, (4, 3, 3, 2))
    assert (fc.kind, fc.relu, fc.pool, fc.weight_shape) == ("fc", False, False, (5, 36))
    assert int8.classes == 5
    assert int8.path == library().best_path("int8")


@pytest.mark.parametrize(
    ("name", "classes", "weights", "layers"), [("lenet5", 0, 456_500, 4), ("lenet5", 10, 430_500, 4),
                                              ("vgg16", 0, 14_715_584, 14), ("vgg11", 100, 9_268_928, 9)],
)  # fmt: skip
def test_named_models_have_their_published_sizes(name: str, classes: int, weights: int, layers: int) -> None:
    with Network(name, "int8", 1, classes=classes) as network:
        assert sum(math.prod(layer.weight_shape) for layer in network.layers) == weights
        assert len(network.layers) == layers


def test_paths_have_names() -> None:
    paths = library().paths()
    assert paths[0] == "scalar"
    assert set(paths) <= set(PATHS)
    for precision in ("fp32", "int8"):
        assert library().best_path(precision) in paths
    for path in paths:
        with Network(MODEL, "int8", 1, path=path) as network:
            assert network.path == path
        with Network(MODEL, "fp32", 1, path=path) as network:  # floats have no instructions of vnni, dotprod or i8mm
            assert network.path == {"vnni": "avx512", "dotprod": "neon", "i8mm": "neon"}.get(path, path)
    other = next(path for path in PATHS if path not in paths)
    says(lambda: Network(MODEL, "int8", 1, path=other), "path: this processor cannot run", "scalar")
    says(lambda: Network(MODEL, "int8", 1, path="avx"), "path 'avx' is unknown; nearest: avx2")
    assert len(library().build_id) == 32


def test_weights_come_back_as_they_were_set(int8: Network, fp32: Network) -> None:
    rng = np.random.default_rng(1)
    for i, layer in enumerate(int8.layers):
        m = rng.integers(-127, 128, layer.weight_shape, dtype=np.int8)
        w = rng.standard_normal(layer.weight_shape).astype(np.float32)
        b = rng.standard_normal(layer.weight_shape[0]).astype(np.float32)
        int8.set_weights_int8(i, m, -9 + i)
        fp32.set_weights_fp32(i, w, b)
        found, exponent = int8.weights_int8(i)
        assert (found == m).all()
        assert exponent == -9 + i
        of_layer, biases = fp32.weights_fp32(i)
        assert (of_layer == w).all()
        assert (biases == b).all()


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    with Network(MODEL, "int8", np.int64(3), threads=np.uint8(1)) as network:  # type: ignore[arg-type]
        network.init(np.uint64(2**64 - 1))  # type: ignore[arg-type]
        network.set_weights_int8(np.int32(1), network.weights_int8(1)[0], np.int8(-3))  # type: ignore[arg-type]
        assert network.weights_int8(1)[1] == -3
        network.train_int8(x8(), np.int16(-2), labels(), step=np.uint64(2**63))  # type: ignore[arg-type]


def test_checksums_tell_weights_apart(int8: Network) -> None:
    before = int8.checksum()
    m, e = int8.weights_int8(1)
    m[4, 35] ^= 1
    int8.set_weights_int8(1, m, e)
    assert int8.checksum() != before
    m[4, 35] ^= 1
    int8.set_weights_int8(1, m, e)
    assert int8.checksum() == before
    int8.set_weights_int8(1, m, e + 1)
    assert int8.checksum() != before


def test_first_weights_depend_on_the_seed_alone(fp32: Network) -> None:
    first = fp32.checksum()
    fp32.init(2)
    assert fp32.checksum() != first
    fp32.init(1)
    assert fp32.checksum() == first
    for i, layer in enumerate(fp32.layers):
        w, b = fp32.weights_fp32(i)
        limit = math.sqrt(6 / (np.prod(layer.weight_shape[1:]) + layer.kernel**2 * layer.weight_shape[0]))
        assert np.abs(w).max() <= limit * 1.000001
        assert np.abs(w).max() > 0.8 * limit
        assert not b.any()


def test_training_learns(fp32: Network, int8: Network) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, 6, 6, 2)).astype(np.float32)
    m, e = library().quantize(x)
    before, quantised_before = fp32.train_fp32(x, labels(), 0.1), int8.train_int8(m, e, labels())
    for _ in range(30):
        after, quantised_after = fp32.train_fp32(x, labels(), 0.1), int8.train_int8(m, e, labels())
    assert after.right == quantised_after.right == 3
    assert after.loss < before.loss / 2
    assert quantised_after.loss < quantised_before.loss / 2


def test_wrong_networks() -> None:
    says(lambda: Network("lenet", "int8", 1), "model:", "28x28x1:conv20k5")
    says(lambda: Network("lenet5\0x", "int8", 1), "model:")
    says(lambda: Network(5, "int8", 1), "model:")  # type: ignore[arg-type]
    says(lambda: Network("6x6x2:conv4k9,fc2\x1b[31m", "int8", 1), "model:", "kernel is larger")
    says(lambda: Network("6x6x2:fc2é", "int8", 1), "model:")
    says(lambda: Network(MODEL, "int16", 1), "precision 'int16' is unknown; known: fp32, int8")  # type: ignore[arg-type]
    says(lambda: Network(MODEL, "int8", 0), "batch_size: must be from 1 to 65536")
    says(lambda: Network(MODEL, "int8", 1.5), "batch_size: must be a whole number")  # type: ignore[arg-type]
    says(lambda: Network(MODEL, "int8", True), "batch_size: must be a whole number")
    says(lambda: Network(MODEL, "int8", 2**31), "batch_size: must be a whole number")
    says(lambda: Network(MODEL, "int8", 1, threads=0), "threads: must be from 1 to 1024")
    says(lambda: Network(MODEL, "int8", 1, classes=7), "classes: the model ends in 5")
    says(lambda: Network(MODEL, "int8", 1, classes=-1), "classes:")
    says(lambda: Network(MODEL, "int8", 1, bias=True), "bias: int8 networks have none")
    says(lambda: Network(MODEL, "int8", 1, cpus=[-1]), "cpus: must be a whole number from 0")
    says(lambda: Network("64x64x1:conv2k3p1,fc2", "int8", 64), "batch_size: too large")
    says(lambda: Network("9x9x2000:fc2", "int8", 1), "model: int8 sums at most")


def test_wrong_batches(int8: Network, fp32: Network) -> None:
    says(lambda: int8.train_int8(x8(4, 6, 6, 2), 0, labels(0, 0, 0, 0)), "x: must hold at most 3 images", "got 4")
    says(lambda: int8.train_int8(x8(0, 6, 6, 2), 0, labels()), "x: must hold at least one value")
    says(lambda: int8.train_int8(x8(3, 6, 6), 0, labels()), r"x: must have the shape \(3, 6, 6, 2\)")
    says(lambda: int8.train_int8(x8(3, 2, 6, 6), 0, labels()), "x: must have the shape")
    says(lambda: int8.train_int8(np.int8(3), 0, labels()), "x: must be an array of int8")  # type: ignore[arg-type]
    says(lambda: int8.train_int8([[1]], 0, labels()), "x: must be an array of int8")  # type: ignore[arg-type]
    says(lambda: int8.train_int8(x32(), 0, labels()), "x: must be an array of int8", "<f4")  # type: ignore[arg-type]
    says(lambda: int8.train_int8(x8(6, 6, 6, 2)[::2], 0, labels()), "x: must lie row by row")
    says(lambda: int8.train_int8(x8() * np.int8(-128), 0, labels()), "x: mantissas must be from -127")
    says(lambda: int8.train_int8(x8(), 128, labels()), "exponent: must be a whole number from -127 to 127")
    says(lambda: int8.train_int8(x8(), 0.5, labels()), "exponent:")  # type: ignore[arg-type]
    says(lambda: int8.train_int8(x8(), 0, labels(0, 1)), r"labels: must have the shape \(3,\)")
    says(lambda: int8.train_int8(x8(), 0, labels(0, 1, 5)), "labels: must be from 0 to 4", "got 5")
    says(lambda: int8.train_int8(x8(), 0, labels(0, -1, 4)), "labels: must be from 0 to 4", "got -1")
    says(lambda: int8.train_int8(x8(), 0, np.zeros(3, dtype=np.int64)), "labels: must be an array of int32")  # type: ignore[arg-type]
    says(lambda: int8.train_int8(x8(), 0, labels(), step=-1), "step: must be a whole number from 0")
    says(lambda: int8.forward_int8(x8(9, 6, 6, 2), 0), "x: must hold at most 3")
    says(lambda: fp32.train_fp32(x32(), labels(), math.nan), "learning_rate: must be finite")
    says(lambda: fp32.train_fp32(x32(), labels(), 1e39), "learning_rate: must be finite")
    says(lambda: fp32.train_fp32(x32(4, 6, 6, 2), labels(0, 0, 0, 0), 0.1), "x: must hold at most 3 images")
    for value in (math.nan, math.inf):
        x = x32()
        x[1, 2, 3, 1] = value
        says(lambda x=x: fp32.train_fp32(x, labels(), 0.1), "x: must be finite", f"got {value} at [1, 2, 3, 1]")
        says(lambda x=x: fp32.forward_fp32(x), "x: must be finite")
        says(lambda x=x: library().quantize(x), "x: must be finite")
    assert fp32.forward_fp32(x32()).shape == (3, 5), "and it still works"


def test_arrays_that_c_must_not_read() -> None:
    shifted = np.frombuffer(bytes(13), dtype=np.uint8)[1:].view(np.float32)
    says(lambda: check_array("x", shifted, FLOAT32), "x: must lie row by row")
    swapped = np.zeros(3, dtype=">f4")
    says(lambda: check_array("x", swapped, FLOAT32), "x: must be an array of float32", ">f4")
    readable = np.zeros(3, dtype=np.float32)
    readable.flags.writeable = False
    check_array("x", readable, FLOAT32, (3,))


def test_wrong_weights(int8: Network, fp32: Network) -> None:
    m, w, b = x8(4, 3, 3, 2), x32(4, 3, 3, 2), x32(4)
    for layer in (-1, 2, 1.0, None):
        says(lambda layer=layer: int8.weights_int8(layer), "layer: must be a whole number from 0 to 1")
        says(lambda layer=layer: int8.set_weights_int8(layer, m, 0), "layer:")
        says(lambda layer=layer: fp32.weights_fp32(layer), "layer:")
        says(lambda layer=layer: int8.gradient(layer), "layer:")
        says(lambda layer=layer: int8.shifts(layer), "layer:")
    says(lambda: int8.set_weights_int8(0, x8(4, 2, 3, 3), 0), "mantissas: must have the shape")
    says(lambda: int8.set_weights_int8(0, m * np.int8(-128), 0), "mantissas: mantissas must be from -127")
    says(lambda: int8.set_weights_int8(0, m, -200), "exponent:")
    says(lambda: fp32.set_weights_fp32(0, w), "biases: must be given")
    says(lambda: fp32.set_weights_fp32(0, w, x32(5)), "biases: must have the shape")
    says(lambda: fp32.set_weights_fp32(0, w * np.float32(math.inf), b), "weights: must be finite")
    says(lambda: fp32.init(-1), "seed: must be a whole number from 0")
    with Network(MODEL, "fp32", 1) as plain:
        says(lambda: plain.set_weights_fp32(0, w, b), "biases: must be left out")


def test_calls_of_the_other_precision(int8: Network, fp32: Network) -> None:
    calls: list[Callable[[], object]] = [
        lambda: int8.train_fp32(x32(), labels(), 0.1),
        lambda: int8.forward_fp32(x32()),
        lambda: int8.weights_fp32(0),
        lambda: int8.set_weights_fp32(0, x32(4, 3, 3, 2)),
        lambda: fp32.train_int8(x8(), 0, labels()),
        lambda: fp32.forward_int8(x8(), 0),
        lambda: fp32.weights_int8(0),
        lambda: fp32.set_weights_int8(0, x8(4, 3, 3, 2), 0),
        lambda: fp32.gradient(0),
        lambda: fp32.shifts(0),
        lambda: fp32.loss_gradient(),
    ]
    for call in calls:
        says(call, "precision: the network is")


def test_gradients_need_a_step(int8: Network) -> None:
    calls: list[Callable[[], object]] = [lambda: int8.gradient(0), lambda: int8.shifts(0), int8.loss_gradient]
    for call in calls:
        says(call, "no step was trained")
    int8.train_int8(x8(2, 6, 6, 2), 0, labels(0, 1))
    assert int8.loss_gradient().shape == (2, 5)
    assert int8.gradient(1).shape == (5, 36)
    int8.forward_int8(x8(), 0)
    for call in calls:
        says(call, "no step was trained since")


def test_wrong_rules() -> None:
    says(lambda: Rules(mu_conv=32), "mu_conv: must be a whole number from -31 to 31")
    says(lambda: Rules(update="pseudo"), "update 'pseudo' is unknown; ")  # type: ignore[arg-type]
    says(lambda: Rules(seed=-1), "seed:")


def test_a_closed_network_says_so() -> None:
    with Network(MODEL, "int8", 3) as network:
        network.train_int8(x8(), 0, labels())
    network.close()
    for call in (network.checksum, lambda: network.train_int8(x8(), 0, labels()), lambda: network.gradient(0)):
        says(call, "the network is closed")


def test_a_forgotten_network_is_closed_with_a_warning() -> None:
    network = Network(MODEL, "int8", 1)
    with pytest.warns(ResourceWarning, match="not closed"):
        del network


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    says(lambda: Library(text), r".*: not a library of the kernels")
    says(lambda: Library(tmp_path / "missing.so"), r".*: not a library of the kernels")
