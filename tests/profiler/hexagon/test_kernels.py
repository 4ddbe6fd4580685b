"""Every HVX kernel and its scalar twin equal numpy's int64 bit for bit: extremes, odd sizes, tails, golden vectors."""

import numpy as np
import pytest

from fl_sim.int8 import oracle
from fl_sim.int8.layers import Layer
from profiler.native.hexagon import checker, emulated
from tests.profiler.hexagon.cases import PATHS, Shape, convolved

SHAPES = [
    Shape(1, 1, 1, 1, 1, 1, 0),
    Shape(5, 1, 1, 37, 33, 1, 0),
    Shape(7, 1, 1, 130, 64, 1, 0),
    Shape(2, 6, 6, 2, 4, 3, 1),
    Shape(1, 5, 7, 3, 5, 3, 0),
    Shape(3, 9, 4, 1, 20, 4, 2),
    Shape(2, 7, 5, 40, 130, 3, 2),
    Shape(1, 33, 35, 4, 8, 2, 1),
    Shape(2, 4, 4, 96, 65, 3, 1),
]
LENET = [Shape(5, 28, 28, 1, 20, 5, 0), Shape(5, 12, 12, 20, 50, 5, 0)]
GOLDEN = [0, 1, -1, 7, 8, 9, -7, -8, -9, 15, 16, 17, 23, 24, 25, -23, -24, -25, 100, -100, 2047, -2047, 2048]
NEAREST_4 = [0, 0, 0, 0, 1, 1, 0, -1, -1, 1, 1, 1, 1, 2, 2, -1, -2, -2, 6, -6, 127, -127, 127]
PSEUDO_4 = [0, 0, 0, 0, 1, 1, 0, -1, -1, 0, 1, 1, 1, 2, 2, -1, -2, -2, 7, -7, 127, -127, 128]
PSEUDO_5 = [0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 1, 1, 0, 1, 1, 0, -1, -1, 4, -4, 64, -64, 64]


def mantissas(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "extreme":
        return rng.choice(np.array([-127, 127], np.int8), shape)
    if kind == "largest":
        return np.full(shape, 127, np.int8)
    return rng.integers(-127, 128, shape).astype(np.int8)


def layer_of(shape: Shape) -> Layer:
    return Layer(True, shape.weights, (shape.h, shape.w, shape.c), shape.out[1:], shape.pad)


@pytest.mark.parametrize("kind", ["any", "extreme", "largest"])
@pytest.mark.parametrize("shape", [*SHAPES, *LENET], ids=lambda shape: "-".join(map(str, shape.words)))
def test_products_are_exact(check: str, shape: Shape, kind: str) -> None:
    image, weights = mantissas(kind, (shape.batch, shape.h, shape.w, shape.c), 1), mantissas(kind, shape.weights, 2)
    errors, layer = mantissas(kind, shape.out, 3), layer_of(shape)
    p = shape.pad
    padded = np.pad(image, ((0, 0), (p, p), (p, p), (0, 0)))
    x, w, e = image.astype(np.int64), weights.astype(np.int64), errors.astype(np.int64)
    for path in PATHS if shape in SHAPES else ("hvx",):
        assert np.array_equal(convolved(check, "forward", path, shape, padded, weights), oracle.forward(x, w, layer))
        assert np.array_equal(
            convolved(check, "error", path, shape, errors, weights), oracle.input_error(x, e, w, layer)
        )
        gradient = convolved(check, "gradient", path, shape, padded, errors)
        assert np.array_equal(gradient, oracle.weight_gradient(x, e, w, layer))


def test_a_long_sum_wraps_nowhere(check: str) -> None:
    """The longest sum that int32 holds: 133,144 products of 127 by 127, though the bias passes 2^31 on the way."""
    shape = Shape(1, 1, 1, 65536, 1, 1, 0)
    most = np.full((1, 1, 1, 65536), 127, np.int8)
    for sign in (1, -1):
        weights = (sign * most).astype(np.int8)
        assert convolved(check, "forward", "hvx", shape, most, weights).ravel().tolist() == [sign * 127 * 127 * 65536]
    shape = Shape(11, 89, 136, 1, 1, 1, 0)
    image = np.full((11, 89, 136, 1), 127, np.int8)
    for sign in (1, -1):
        errors = (sign * image).astype(np.int8)
        expected = sign * 127 * 127 * 133144
        assert convolved(check, "gradient", "hvx", shape, image, errors).ravel().tolist() == [expected]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [(1, 1), (1, 31), (3, 20), (5, 52), (7, 62), (4, 128), (2, 129), (3, 160), (9, 500)])
def test_requantised_sums_equal_the_oracle(check: str, path: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size))
    for largest in (0, 1, 127, 128, 129, 256, 257, 62220, 2**24, 2**24 + 1, 2**31 - 1):
        x = rng.integers(-largest, largest, size, endpoint=True).astype(np.int32)
        x.flat[rng.integers(x.size)] = largest * rng.choice([-1, 1])
        content, _ = emulated(check, ("requantize", path, *size), x.tobytes())
        expected, _ = oracle.requantised(x.astype(np.int64), "nearest")
        assert np.array_equal(np.frombuffer(content, np.int8).reshape(size), expected)


@pytest.mark.parametrize("path", PATHS)
def test_nearest_rounding_is_the_golden_one(check: str, path: str) -> None:
    content, _ = emulated(check, ("requantize", path, 1, len(GOLDEN)), np.array(GOLDEN, np.int32).tobytes())
    assert np.frombuffer(content, np.int8).tolist() == NEAREST_4


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("mu", "golden"), [(7, PSEUDO_4), (6, PSEUDO_5)])
def test_the_update_is_the_golden_one(check: str, path: str, mu: int, golden: list[int]) -> None:
    """The largest, 2048, has 11 bits: mu 7 is a shift of 4. Weights of 1 and of -1 show an update of 128, too."""
    for before in (1, -1):
        weights = np.full(len(GOLDEN), before, np.int8)
        content, _ = emulated(
            check, ("update", path, 1, len(GOLDEN), mu), np.array(GOLDEN, np.int32).tobytes() + weights.tobytes()
        )
        expected = np.clip(before - np.array(golden), -127, 127)
        assert np.frombuffer(content, np.int8).tolist() == expected.tolist()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [(1, 1), (3, 12), (5, 31), (4, 100), (2, 128), (3, 257)])
def test_updates_equal_the_oracle(check: str, path: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size))
    for largest in (0, 1, 5, 129, 24449, 2**24, 2**31 - 1):
        for mu in (-3, 0, 1, 5, 16, 40):
            gradient = rng.integers(-largest, largest, size, endpoint=True).astype(np.int32)
            gradient.flat[0] = largest
            weights = rng.integers(-127, 128, size).astype(np.int8)
            content, _ = emulated(check, ("update", path, *size, mu), gradient.tobytes() + weights.tobytes())
            s = min(max(oracle.bits(largest) - mu, 0), 31)
            update = oracle.shifted(gradient, s, "pseudo-stochastic")
            expected = oracle.clipped(weights.astype(np.int64) - update)
            assert np.array_equal(np.frombuffer(content, np.int8).reshape(size), expected)


@pytest.mark.parametrize("exponent", [-64, -20, -13, -9, -7, -6, -3, 0, 3, 20, 64])
def test_loss_gradients_equal_the_oracle(check: str, exponent: int) -> None:
    rng = np.random.default_rng(exponent + 64)
    logits, labels = rng.integers(-127, 128, (9, 62)).astype(np.int8), rng.integers(0, 62, 9).astype(np.int32)
    content, _ = emulated(check, ("loss", 9, 62, exponent), logits.tobytes() + labels.tobytes())
    within = min(max(exponent, -20), 20)
    expected = oracle.loss_gradient(logits.astype(np.int64), within, labels, "pseudo-stochastic")
    assert np.array_equal(np.frombuffer(content, np.int8).reshape(9, 62), expected)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("forward", "hvx", 1, 1, 1, 1, 1, 3, 0), "KERNEL must fit the padded image"),
        (("forward", "neon", 1, 1, 1, 1, 1, 1, 0), "hvx or scalar"),
        (("forward", "hvx", 1, 1, 1, 1, 1, 1, 1), "PAD must be a whole number from 0 to 0"),
        (("update", "hvx", 1, "x", 1), "WIDTH must be a whole number"),
        (("requantize", "hvx", 1, 4), "the input ends before 16 bytes"),
        (("network", "hvx", "4x4x1:conv3k9,fc2", 0, 1, 0, 1, 1), "larger than what is left"),
        (("nonsense",), "see the head of check.c"),
    ],
)
def test_what_will_not_do_is_refused(check: str, words: tuple[object, ...], rule: str) -> None:
    with pytest.raises(ValueError, match=f"exit code 2, .*{rule}"):
        emulated(check, words, b"")


def test_another_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="'v79' is unknown; known: v66, v68"):
        checker("v79")
