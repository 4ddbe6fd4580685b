"""A network of one client in torch: its layers, its product, its memory, and the sums that a step is made of.

Pixels are NHWC; a convolution multiplies patches, piece by piece of the batch, so that sums stay in the cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fl_sim.int8.layers import Layer
from fl_sim.int8.patches import patches, turned
from fl_sim.int8.product import Product, find_product

# A piece: few enough sums for the cache, and enough rows that packing the weights does not show.
_SUMS = 1 << 18
_LEAST_ROWS = 1024


@dataclass
class Network:
    """Layers, how they are multiplied and where; the memory of a step is kept for the next one."""

    layers: tuple[Layer, ...]
    product: Product
    device: torch.device
    _kept: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def take(self, name: str, layer: int, shape: Sequence[int]) -> Tensor:
        """Return int8 of a shape that is zero at first, and later holds what was last written under that name.

        The shape may change in its first dimension only.
        """
        held = self._kept.get((name, layer))
        if held is None or len(held) < shape[0]:
            held = self._kept[name, layer] = torch.zeros(tuple(shape), dtype=torch.int8, device=self.device)
        return held[: shape[0]]


def open_network(layers: tuple[Layer, ...], product: str = "auto", device: str = "cpu") -> Network:
    """Return a network for a product's and a torch device's name; ValueError for one that is not to be had here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        message = f"device {device[:40]!r} is not one of this torch ({str(error).splitlines()[0][:120]}); cpu always is"
        raise ValueError(message) from error
    return Network(layers, find_product(product, device), torch.device(device))


def input_of(network: Network, i: int, n: int) -> Tensor:
    """Return where the inputs of a layer for n images are written."""
    return without_border(bordered(network, i, n), network.layers[i].pad)


def bordered(network: Network, i: int, n: int) -> Tensor:
    """Return where the inputs of a layer for n images are written, with their border of zeros."""
    layer = network.layers[i]
    h, w, c = layer.into
    return network.take("input", i, (n, h + 2 * layer.pad, w + 2 * layer.pad, c))


def without_border(x: Tensor, border: int) -> Tensor:
    """Return the inside of images."""
    return x[:, border : x.shape[1] - border, border : x.shape[2] - border]


def _pieces(n: int, places: int, outputs: int) -> Iterator[tuple[int, int]]:
    """Give the first and last images of products of a convolution."""
    images = max(_SUMS // (places * outputs), -(-_LEAST_ROWS // places), 1)
    return ((first, min(first + images, n)) for first in range(0, n, images))


def _seen(network: Network, i: int, first: int, end: int) -> Tensor:
    """Return the patches of a convolution's input, in memory that the next call takes again."""
    layer = network.layers[i]
    (h, w, _), k, c = layer.out, layer.weights[1], layer.into[2]
    out = network.take("patches", i, (end - first, h * w, k * k * c))
    return patches(bordered(network, i, end)[first:], k, h, w, out)


def forward_sums(network: Network, i: int, n: int, w: Tensor) -> Iterator[Tensor]:
    """Give the sums of a layer, int32 [rows, outputs], piece by piece of the batch."""
    layer = network.layers[i]
    by = w.view(len(w), -1).T
    if not layer.convolution:
        yield network.product(bordered(network, i, n).view(n, -1), by)
        return
    for first, end in _pieces(n, layer.out[0] * layer.out[1], len(w)):
        yield network.product(_seen(network, i, first, end), by)


def gradient_sums(network: Network, i: int, n: int, error: Tensor) -> Tensor:
    """Return a layer's gradient, int32 [outputs, inputs of one]."""
    layer = network.layers[i]
    outputs = layer.weights[0]
    if not layer.convolution:
        return network.product(error.view(n, outputs).T, bordered(network, i, n).view(n, -1))
    total = None
    for first, end in _pieces(n, layer.out[0] * layer.out[1], outputs):
        part = network.product(error[first:end].view(-1, outputs).T, _seen(network, i, first, end))
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def error_sums(network: Network, i: int, n: int, w: Tensor, error: Tensor) -> Iterator[Tensor]:
    """Give the sums of the error at a layer's inputs, int32 [rows, channels], piece by piece of the batch."""
    layer = network.layers[i]
    if not layer.convolution:
        yield network.product(error.view(n, len(w)), w)
        return
    (h, w_, c), k = layer.into, layer.weights[1]
    (rows, columns, outputs), border = layer.out, k - 1 - layer.pad
    wide = network.take("bordered error", i, (n, rows + 2 * border, columns + 2 * border, outputs))
    without_border(wide, border).copy_(error)
    by = turned(w)
    for first, end in _pieces(n, h * w_, c):
        out = network.take("patches of errors", i, (end - first, h * w_, k * k * outputs))
        yield network.product(patches(wide[first:end], k, h, w_, out), by)
