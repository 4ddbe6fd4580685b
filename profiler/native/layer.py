"""A layer of a network, and what a step says."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from profiler.native.library import CLayer


@dataclass(frozen=True)
class Layer:
    """A layer of a network; ``out_shape`` is behind its pool, shapes are height, width, channels."""

    kind: Literal["conv", "fc"]
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    kernel: int
    pad: int
    relu: bool
    pool: bool

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """O, ky, kx, C of a convolution; O and the flattened H, W, C of a fully connected layer."""
        outputs, (h, w, c) = self.out_shape[2], self.in_shape
        return (outputs, self.kernel, self.kernel, c) if self.kind == "conv" else (outputs, h * w * c)


class Trained(NamedTuple):
    """What a step says about the batch before it: how many were right, and the mean cross-entropy."""

    right: int
    loss: float


class Shifts(NamedTuple):
    """A layer's shifts in the last INT8 step; ``error`` is -1 for the first layer, which has none."""

    activation: int
    error: int
    update: int


def layer_of(c: CLayer) -> Layer:
    """Return what C says of a layer."""
    shapes = (c.in_h, c.in_w, c.in_c), (c.out_h, c.out_w, c.out_c)
    return Layer("fc" if c.kind else "conv", *shapes, c.kernel, c.pad, bool(c.relu), bool(c.pool))
