"""A model that is trained: its layers, and how all its weights lie in one vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from profiler.names import did_you_mean, fold, printable
from profiler.native.model import Extent, read_model

Floats = npt.NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)

# Bodies without the last layer, whose outputs are the classes. Shapes of LeNet-5 and VGG as the paper's artifact has
# them (methods.md, section 1); vggslim and digits are ours, for machines without a GPU and for tests.
_BODIES: Mapping[str, str] = MappingProxyType(
    {
        "lenet5": "28x28x1:conv20k5,pool,conv50k5,pool,fc500",
        "lenetleaf": "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84",
        "vgg11": "32x32x3:conv64k3p1,pool,conv128k3p1,pool,conv256k3p1,conv256k3p1,pool,conv512k3p1,conv512k3p1,pool,"
        "conv512k3p1,conv512k3p1,pool",
        "vgg16": "32x32x3:conv64k3p1,conv64k3p1,pool,conv128k3p1,conv128k3p1,pool,conv256k3p1,conv256k3p1,conv256k3p1,"
        "pool,conv512k3p1,conv512k3p1,conv512k3p1,pool,conv512k3p1,conv512k3p1,conv512k3p1,pool",
        "vggslim": "32x32x3:conv32k3p1,conv32k3p1,pool,conv64k3p1,conv64k3p1,pool,conv128k3p1,conv128k3p1,pool",
        "digits": "8x8x1:conv16k3p1,pool,conv32k3p1,pool,fc64",
    }
)
MODELS = tuple(_BODIES)


@dataclass(frozen=True)
class Model:
    """A network in the grammar of ``profiler.native.model``, with or without biases (INT8 has none).

    One vector holds all weights, layer by layer: O, ky, kx, C of a convolution; O and the flattened H, W, C of a fully
    connected layer; with ``bias`` each layer's O biases behind its weights.
    """

    name: str
    text: str
    bias: bool = False

    @cached_property
    def layers(self) -> tuple[Extent, ...]:
        """The layers, in order."""
        return read_model(self.text)

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self.layers[-1].outputs

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        first = self.layers[0]
        return first.h, first.w, first.c

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of each layer in the vector, biases included."""
        return tuple(layer.outputs * (layer.inputs + self.bias) for layer in self.layers)

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """Where the layers begin and end in the vector: layer i is bounds[i] to bounds[i + 1]."""
        return (0, *np.cumsum(self.sizes).tolist())

    @property
    def parameters(self) -> int:
        """Numbers in the vector."""
        return self.bounds[-1]

    def split(self, values: npt.NDArray[Number]) -> list[npt.NDArray[Number]]:
        """Return views of each layer's part of a vector. Raises ValueError if it has not ``parameters`` numbers."""
        if values.shape != (self.parameters,):
            message = f"the weights of {self.name} must be {self.parameters} numbers (got {list(values.shape)})"
            raise ValueError(message)
        return [values[begin:end] for begin, end in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    def weight_shape(self, layer: int) -> tuple[int, ...]:
        """Return the shape of a layer's weights."""
        of = self.layers[layer]
        return (of.outputs, of.kernel, of.kernel, of.c) if of.kind == "conv" else (of.outputs, of.inputs)

    def initial(self, rng: np.random.Generator) -> Floats:
        """Return the weights that a run begins with; see ``initial_weights``."""
        return initial_weights(self, rng)


def find_model(name: str, classes: int, *, bias: bool = False) -> Model:
    """Return a named model for so many classes, or the one of a description such as ``8x8x1:conv8k3,pool,fc10``.

    Raises ValueError for an unknown name, a bad description, or one that does not end in ``classes`` outputs.
    """
    body = _BODIES.get(fold(name))
    text = f"{body},fc{classes}" if body else name
    if not body and not ("x" in name and "fc" in name):
        message = (
            f"model {printable(name, 40)!r} is unknown; {did_you_mean(name, MODELS)}, or write a description such as"
        )
        message = f"{message} 28x28x1:conv20k5,pool,fc500,fc62"
        raise ValueError(message)
    try:
        model = Model(fold(name) if body else text, text, bias)
        found = model.classes
    except ValueError as error:
        message = f"model {printable(name, 80)!r}: {error}"
        raise ValueError(message) from error
    if found != classes:
        message = f"model {printable(name, 80)!r} ends in {found} outputs, the data set has {classes} classes"
        raise ValueError(message)
    return model


def initial_weights(model: Model, rng: np.random.Generator) -> Floats:
    """Return Xavier uniform weights, one vector; biases 0.

    A layer's weights are uniform within sqrt(6 / (fan_in + fan_out)), with fan_out = k * k * outputs.
    """
    values = np.zeros(model.parameters, dtype=np.float32)
    for i, (layer, part) in enumerate(zip(model.layers, model.split(values), strict=True)):
        taps = layer.kernel**2 if layer.kind == "conv" else 1
        limit = np.sqrt(6.0 / (layer.inputs + taps * layer.outputs))
        count = int(np.prod(model.weight_shape(i)))
        part[:count] = rng.uniform(-limit, limit, count).astype(np.float32)
    return values
