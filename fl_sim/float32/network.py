"""A network's step in float32, written out: forward, backward and SGD on one vector of weights, without autograd.

Images and convolutions lie channels last, so that the vector's O, ky, kx, C and H, W, C are views and nothing is
permuted. ``tests/fl_sim/engines/test_eager.py`` holds it to autograd and torch.optim.SGD, its slow twins.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fl_sim.model import Model

convolution_backward = torch.ops.aten.convolution_backward.default
max_pool = torch.ops.aten.max_pool2d_with_indices.default
max_pool_backward = torch.ops.aten.max_pool2d_with_indices_backward.default
relu_backward = torch.ops.aten.threshold_backward.default


@dataclass(frozen=True)
class Layer:
    """What a step must know of a layer; ``pool``: a 2x2 max-pool follows, ``flattens``: its input is H, W, C."""

    conv: bool
    outputs: int
    pad: int
    pool: bool
    relu: bool
    flattens: bool


class Parameters(NamedTuple):
    """A layer's weights, [O, C, ky, kx] or [O, inputs], and its biases if it has them: views of the vector."""

    weight: Tensor
    bias: Tensor | None


class Whole(NamedTuple):
    """A vector of all weights (or their velocity), and its views by layer."""

    vector: Tensor
    parts: list[Parameters]


class Kept(NamedTuple):
    """What the way back needs of a layer: input, output before the pool and the pool's winners, output."""

    inputs: Tensor
    unpooled: Tensor | None
    winners: Tensor | None
    outputs: Tensor


def layers_of(model: Model) -> tuple[Layer, ...]:
    """Return the layers of a model. A pool is where the next layer's input is smaller than the output."""
    found, extents = list[Layer](), model.layers
    for i, extent in enumerate(extents):
        conv, last = extent.kind == "conv", i == len(extents) - 1
        pool = conv and (extents[i + 1].h, extents[i + 1].w) != (extent.out_h, extent.out_w)
        flattens = not conv and (i == 0 or extents[i - 1].kind == "conv")
        found.append(Layer(conv, extent.outputs, extent.pad, pool, not last, flattens))
    return tuple(found)


def whole(model: Model, vector: Tensor) -> Whole:
    """Return a vector [parameters] with each layer's weights and biases as views of it."""
    found = list[Parameters]()
    for i, extent in enumerate(model.layers):
        part = vector[model.bounds[i] : model.bounds[i + 1]]
        count = extent.outputs * extent.inputs
        weight = part[:count].view(model.weight_shape(i))
        if extent.kind == "conv":
            weight = weight.permute(0, 3, 1, 2)
        found.append(Parameters(weight, part[count:] if model.bias else None))
    return Whole(vector, found)


def forward(layers: tuple[Layer, ...], weights: list[Parameters], x: Tensor, kept: list[Kept] | None = None) -> Tensor:
    """Return the logits [n, classes] of images [n, c, h, w]; what the way back needs is appended to ``kept``.

    The order is convolution, ReLU, pool; done is the pool first, which gives the same with fewer numbers to cut.
    """
    for layer, (weight, bias) in zip(layers, weights, strict=True):
        unpooled = winners = None
        if layer.conv:
            out = torch.conv2d(x, weight, bias, padding=layer.pad)
            if layer.pool:
                unpooled = out
                out, winners = max_pool(unpooled, [2, 2])
        else:
            x = x.permute(0, 2, 3, 1).flatten(1) if layer.flattens else x
            out = torch.mm(x, weight.t()) if bias is None else torch.addmm(bias, x, weight.t())
        if layer.relu:
            out.relu_()
        if kept is not None:
            kept.append(Kept(x, unpooled, winners, out))
        x = out
    return x


def loss_gradient(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient [n, classes] of the batch's mean cross-entropy: (softmax - one-hot) / n."""
    gradient = torch.softmax(logits, 1)
    gradient[torch.arange(len(labels), device=labels.device), labels] -= 1
    return gradient.div_(len(labels))


@dataclass(frozen=True)
class Descent:
    """How a step of SGD moves weights: v <- momentum v + g + decay w, w <- w - rate v."""

    rate: float
    momentum: float
    decay: float


def backward(
    layers: tuple[Layer, ...],
    weights: list[Parameters],
    kept: list[Kept],
    error: Tensor,
    into: list[Parameters],
    *,
    old: float,
    new: float,
) -> None:
    """Make every number t of ``into`` old * t + new * its gradient, from the loss's gradient by the logits.

    ``into`` may be the weights themselves: a layer's are changed when they are needed no more. That saves a pass over
    the gradient, which is long where most weights are in one fully connected layer.
    """
    for i in range(len(layers) - 1, -1, -1):
        layer, (weight, bias), (inputs, unpooled, winners, outputs) = layers[i], weights[i], kept[i]
        before = error = relu_backward(error, outputs, 0) if layer.relu else error
        if layer.conv:
            if unpooled is not None:
                error = max_pool_backward(error, unpooled, [2, 2], [2, 2], [0, 0], [1, 1], False, winners)
            pad, wanted = [layer.pad, layer.pad], [i > 0, True, bias is not None]
            error, of_weight, of_bias = convolution_backward(
                error, inputs, weight, [layer.outputs], [1, 1], pad, [1, 1], False, [0, 0], 1, wanted
            )
            _add(into[i].weight, of_weight, old, new)
        else:
            if i:
                error = torch.mm(error, weight)
                if layer.flattens:
                    n, c, h, w = kept[i - 1].outputs.shape
                    error = error.view(n, h, w, c).permute(0, 3, 1, 2)
            into[i].weight.addmm_(before.t(), inputs, beta=old, alpha=new)
        onto = into[i].bias
        if onto is not None:
            _add(onto, of_bias if layer.conv else before.sum(0), old, new)


def descend(
    layers: tuple[Layer, ...], weights: Whole, velocity: Whole | None, kept: list[Kept], error: Tensor, by: Descent
) -> None:
    """Take one step of SGD in place; ``velocity`` is None without momentum."""
    if velocity is None:
        into = weights.parts
        backward(layers, into, kept, error, into, old=1 - by.rate * by.decay, new=-by.rate)
        return
    backward(layers, weights.parts, kept, error, velocity.parts, old=by.momentum, new=1)
    if by.decay:
        velocity.vector.add_(weights.vector, alpha=by.decay)
    weights.vector.add_(velocity.vector, alpha=-by.rate)


def _add(numbers: Tensor, gradient: Tensor, old: float, new: float) -> None:
    if old != 1:
        numbers.mul_(old)
    numbers.add_(gradient, alpha=new)
