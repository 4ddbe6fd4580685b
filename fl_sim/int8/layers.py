"""The layers of an integer network, with the ReLU and the pool behind each."""

from dataclasses import dataclass

from profiler.native.model import Extent, read_model

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """A convolution or a fully connected layer, with the ReLU and the pool behind it; shapes are H, W, C."""

    convolution: bool
    weights: tuple[int, ...]  # O, ky, kx, C or O, inputs
    into: Shape
    out: Shape  # before the pool
    pad: int = 0
    relu: bool = True
    pool: bool = False

    @property
    def behind(self) -> Shape:
        """The shape that the next layer is given: behind the pool."""
        h, w, c = self.out
        return (h // 2, w // 2, c) if self.pool else self.out


def layers_of(extents: tuple[Extent, ...]) -> tuple[Layer, ...]:
    """Return the layers of a model's extents: all but the last have a ReLU, a smaller next input tells of a pool."""
    made = []
    for of, after in zip(extents, (*extents[1:], None), strict=True):
        convolution = of.kind == "conv"
        weights = (of.outputs, of.kernel, of.kernel, of.c) if convolution else (of.outputs, of.inputs)
        out = (of.out_h, of.out_w, of.outputs)
        pool = convolution and after is not None and (after.h, after.w) != out[:2]
        made.append(Layer(convolution, weights, (of.h, of.w, of.c), out, of.pad, after is not None, pool))
    return tuple(made)


def read_layers(text: str) -> tuple[Layer, ...]:
    """Return the layers of a description such as ``28x28x1:conv20k5,pool,fc62``; ValueError for a bad one."""
    return layers_of(read_model(text))
