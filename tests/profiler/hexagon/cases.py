"""The Hexagon kernels under qemu as functions of numpy arrays, for comparison with the oracle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fl_sim.int8.oracle import Ints
from profiler.native.compiler import CompilerMissing
from profiler.native.hexagon import EmulatorMissing, checker, emulated, emulator

Bytes = npt.NDArray[np.int8]
PATHS = ("hvx", "scalar")


@dataclass(frozen=True)
class Shape:
    """A convolution as the program's arguments have it."""

    batch: int
    h: int
    w: int
    c: int
    o: int
    kernel: int
    pad: int

    @property
    def words(self) -> tuple[int, ...]:
        return (self.batch, self.h, self.w, self.c, self.o, self.kernel, self.pad)

    @property
    def image(self) -> tuple[int, ...]:
        return (self.batch, self.h + 2 * self.pad, self.w + 2 * self.pad, self.c)

    @property
    def weights(self) -> tuple[int, ...]:
        return (self.o, self.kernel, self.kernel, self.c)

    @property
    def out(self) -> tuple[int, ...]:
        rest = 2 * self.pad - self.kernel + 1
        return (self.batch, self.h + rest, self.w + rest, self.o)


@dataclass(frozen=True)
class Step:
    """What a step of a network on the DSP wrote."""

    logits: Ints
    loss_gradient: Ints
    gradients: list[Ints]
    weights: list[Ints]
    layers: list[dict[str, Any]]


def program(architecture: str) -> str:
    """Return the checked program; skips the test where it cannot be built or run."""
    try:
        emulator()
        return checker(architecture)
    except (EmulatorMissing, CompilerMissing) as error:
        pytest.skip(str(error))


def convolved(check: str, what: str, path: str, shape: Shape, left: Bytes, right: Bytes) -> Ints:
    """Return the sums of forward, error or gradient. Errors come without their padding."""
    around = shape.kernel - 1 - shape.pad
    if what == "error":
        left = np.pad(left, ((0, 0), (around, around), (around, around), (0, 0)))
    content, _ = emulated(check, (what, path, *shape.words), left.tobytes() + right.tobytes())
    size = {"forward": shape.out, "error": (shape.batch, shape.h, shape.w, shape.c), "gradient": shape.weights}[what]
    return np.frombuffer(content, np.int32).reshape(size).astype(np.int64)


def trained(
    check: str, path: str, model: str, x: Bytes, exponent: int, labels: npt.NDArray[np.int32],
    weights: Sequence[Bytes], exponents: Sequence[int], mu_conv: int, mu_fc: int, classes: int = 0,
) -> Step:  # fmt: skip
    """Return what one step makes of the weights."""
    parts = [x.tobytes(), labels.tobytes()]
    for array, of in zip(weights, exponents, strict=True):
        parts += [np.int32(of).tobytes(), array.tobytes()]
    words = ("network", path, model, classes, len(x), exponent, mu_conv, mu_fc)
    content, layers = emulated(check, words, b"".join(parts))
    outputs, at = len(weights[-1]), 0

    def take(shape: Sequence[int], kind: type[np.generic]) -> Ints:
        nonlocal at
        count = int(np.prod(shape))
        array = np.frombuffer(content, kind, count, at).reshape(shape)
        at += array.nbytes
        return array.astype(np.int64)

    logits, loss = take((len(x), outputs), np.int8), take((len(x), outputs), np.int8)
    gradients, fresh = [], []
    for array in weights:
        gradients.append(take(array.shape, np.int32))
        fresh.append(take(array.shape, np.int8))
    assert at == len(content)
    return Step(logits, loss, gradients, fresh, layers)
