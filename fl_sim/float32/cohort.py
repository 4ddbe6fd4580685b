"""Several clients trained in one vectorised step: tensors have the clients first, every layer is one batched product.

Convolutions are products with the patches of their input. That pays where calls cost more than numbers: on a CPU the
digits' network takes a quarter of the time, LeNet-5 hardly less. Clients of fewer batches stand last, so that those
still training are the first ones; short batches are filled up with images that do not count.
``client.train_client`` is the slow twin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from fl_sim.float32.client import finished
from fl_sim.float32.feed import Feed
from fl_sim.float32.network import Descent, Layer, max_pool, max_pool_backward, relu_backward
from fl_sim.model import Floats, Model
from fl_sim.task import LocalResult, LocalTask
from fl_sim.trainer import Fp32
from profiler.native.model import Extent


class Stack(NamedTuple):
    """All clients' weights (or velocities) [clients, parameters], and its views by layer.

    A layer's weights are [clients, outputs, inputs], its biases [clients, 1, outputs].
    """

    vectors: Tensor
    parts: list[tuple[Tensor, Tensor | None]]

    def first(self, clients: int) -> "Stack":
        """Return the first clients' part."""
        parts = [(weight[:clients], None if bias is None else bias[:clients]) for weight, bias in self.parts]
        return Stack(self.vectors[:clients], parts)


class Batch(NamedTuple):
    """Images [clients, n, h, w, c], labels [clients, n], and an image's share in its batch's mean: 0 if it fills up."""

    x: Tensor
    y: Tensor
    share: Tensor


class Kept(NamedTuple):
    """What the way back needs of a layer: its inputs (patches), the output before the pool, the winners, the output."""

    inputs: Tensor
    unpooled: Tensor | None
    winners: Tensor | None
    outputs: Tensor


def train_cohort(
    model: Model, layers: tuple[Layer, ...], start: Floats, feed: Feed, tasks: Sequence[LocalTask], trainer: Fp32
) -> list[LocalResult]:
    """Return what every task makes of ``start``, in the tasks' order. Raises ArithmeticError if one diverges."""
    order = sorted(range(len(tasks)), key=lambda i: -tasks[i].steps)
    ranked = [tasks[i] for i in order]
    vectors = torch.tensor(start, device=feed.device).repeat(len(tasks), 1)
    weights = _stack(model, vectors)
    velocity = _stack(model, torch.zeros_like(vectors)) if trainer.momentum else None
    right = torch.zeros(len(tasks), dtype=torch.int64, device=feed.device)
    loss_sum = torch.zeros(len(tasks), dtype=torch.float64, device=feed.device)
    rates = {trainer.learning_rate.at(task.round_number) for task in tasks}
    if len(rates) > 1:
        message = "tasks of one cohort must have one learning rate: those of one round"
        raise ValueError(message)
    by = Descent(rates.pop() if rates else 0.0, trainer.momentum, trainer.weight_decay)
    with torch.inference_mode():
        for step in range(ranked[0].steps if ranked else 0):
            training = [task for task in ranked if task.steps > step]
            batch, kept = _batch(feed, training, step), list[Kept]()
            active = weights.first(len(training))
            logits = _forward(model, layers, active, batch.x, kept)
            counts = batch.share > 0
            right[: len(training)] += ((logits.argmax(2) == batch.y) & counts).sum(1)
            losses = cross_entropy(logits.flatten(0, 1), batch.y.flatten(), reduction="none").double()
            loss_sum[: len(training)] += (losses.view_as(batch.y) * counts).sum(1)
            error = torch.softmax(logits, 2)
            error.scatter_add_(2, batch.y[:, :, None], torch.full_like(batch.share, -1)[:, :, None])
            error *= batch.share[:, :, None]
            moving = None if velocity is None else velocity.first(len(training))
            _descend(model, layers, active, moving, kept, error, by)
    found: list[LocalResult | None] = [None] * len(tasks)
    values = vectors.cpu().numpy()
    for row, place in enumerate(order):
        found[place] = finished(values[row].copy(), int(right[row]), float(loss_sum[row]), tasks[place])
    return [result for result in found if result is not None]


def widest(model: Model, batch_size: int, memory_bytes: int) -> int:
    """Return how many clients fit into so much memory together, 1 at least: patches, activations and weights."""
    numbers = 3 * model.parameters
    for extent in model.layers:
        places = batch_size * extent.out_h * extent.out_w
        numbers += places * (2 * extent.inputs if extent.kind == "conv" else 0) + 4 * places * extent.outputs
    return max(1, memory_bytes // (4 * numbers))


def _stack(model: Model, vectors: Tensor) -> Stack:
    parts = list[tuple[Tensor, Tensor | None]]()
    for i, extent in enumerate(model.layers):
        part = vectors[:, model.bounds[i] : model.bounds[i + 1]]
        count = extent.outputs * extent.inputs
        weight = part[:, :count].view(-1, extent.outputs, extent.inputs)
        parts.append((weight, part[:, None, count:] if model.bias else None))
    return Stack(vectors, parts)


def _batch(feed: Feed, tasks: Sequence[LocalTask], step: int) -> Batch:
    """Return batch ``step`` of every task; short ones are filled up with their own first image."""
    held = [task.indices[task.bounds[step] : task.bounds[step + 1]] for task in tasks]
    longest = max(len(places) for places in held)
    filled = np.stack([np.concatenate([p, np.repeat(p[:1], longest - len(p))]) for p in held])
    share = np.zeros(filled.shape, dtype=np.float32)
    for row, places in zip(share, held, strict=True):
        row[: len(places)] = 1 / len(places)
    x, y = feed.take(filled.ravel())
    x = x.permute(0, 2, 3, 1).reshape(*filled.shape, *x.shape[2:], x.shape[1])
    return Batch(x, y.view(filled.shape), torch.from_numpy(share).to(feed.device))


def _patches(x: Tensor, kernel: int) -> Tensor:
    """Return [clients, n * out_h * out_w, kernel * kernel * c] of padded images [clients, n, h, w, c]: a copy."""
    clients, n, h, w, c = x.shape
    out_h, out_w = h - kernel + 1, w - kernel + 1
    by_client, by_image, by_row, by_place, _ = x.stride()
    # A row of a patch is contiguous: kernel * c numbers.
    seen = x.as_strided(
        (clients, n, out_h, out_w, kernel, kernel * c), (by_client, by_image, by_row, by_place, by_row, 1)
    )
    return seen.reshape(clients, n * out_h * out_w, kernel * kernel * c)


def _images_of_patches(patches: Tensor, extent: Extent) -> Tensor:
    """Return [images, h, w, c]: the sums of what all patches say of a place; the way back of padding and patches."""
    kernel, border = extent.kernel, extent.pad
    patches = patches.view(-1, extent.out_h, extent.out_w, kernel, kernel, extent.c)
    sums = patches.new_zeros(len(patches), extent.h + 2 * border, extent.w + 2 * border, extent.c)
    for y in range(kernel):
        for x in range(kernel):
            sums[:, y : y + extent.out_h, x : x + extent.out_w] += patches[:, :, :, y, x]
    return sums[:, border : border + extent.h, border : border + extent.w]


def _forward(model: Model, layers: tuple[Layer, ...], weights: Stack, x: Tensor, kept: list[Kept]) -> Tensor:
    clients, n = x.shape[:2]
    for extent, layer, (weight, bias) in zip(model.layers, layers, weights.parts, strict=True):
        unpooled = winners = None
        if layer.conv:
            border = extent.pad
            inputs = _patches(pad(x, (0, 0, border, border, border, border)) if border else x, extent.kernel)
        else:
            inputs = x.reshape(clients, n, extent.inputs)
        x = torch.bmm(inputs, weight.mT) if bias is None else torch.baddbmm(bias, inputs, weight.mT)
        if layer.conv:
            x = x.view(clients * n, extent.out_h, extent.out_w, extent.outputs)
            if layer.pool:
                unpooled = x.permute(0, 3, 1, 2)
                pooled, winners = max_pool(unpooled, [2, 2])
                x = pooled.permute(0, 2, 3, 1)
            x = x.reshape(clients, n, *x.shape[1:])
        if layer.relu:
            x.relu_()
        kept.append(Kept(inputs, unpooled, winners, x))
    return x


def _backward(
    model: Model, layers: tuple[Layer, ...], weights: Stack, kept: list[Kept], error: Tensor, into: Stack,
    *, old: float, new: float,
) -> None:  # fmt: skip
    """Do what ``network.backward`` does, for all clients."""
    clients = len(error)
    for i in range(len(layers) - 1, -1, -1):
        layer, extent, of = layers[i], model.layers[i], kept[i]
        weight, _ = weights.parts[i]
        error = error.reshape(of.outputs.shape)
        if layer.relu:
            error = relu_backward(error, of.outputs, 0)
        if of.unpooled is not None:
            small = error.flatten(0, 1).permute(0, 3, 1, 2)
            large = max_pool_backward(small, of.unpooled, [2, 2], [2, 2], [0, 0], [1, 1], False, of.winners)
            error = large.permute(0, 2, 3, 1)
        rows = error.reshape(clients, -1, extent.outputs)
        if i:
            error = torch.bmm(rows, weight)
            if layer.conv:
                error = _images_of_patches(error, extent)
        onto, of_bias = into.parts[i]
        onto.baddbmm_(rows.mT, of.inputs, beta=old, alpha=new)
        if of_bias is not None:
            of_bias.mul_(old).add_(rows.sum(1, keepdim=True), alpha=new)


def _descend(
    model: Model, layers: tuple[Layer, ...], weights: Stack, velocity: Stack | None, kept: list[Kept], error: Tensor,
    by: Descent,
) -> None:  # fmt: skip
    """Do what ``network.descend`` does, for all clients."""
    if velocity is None:
        old = 1 - by.rate * by.decay
        _backward(model, layers, weights, kept, error, weights, old=old, new=-by.rate)
        return
    _backward(model, layers, weights, kept, error, velocity, old=by.momentum, new=1)
    if by.decay:
        velocity.vectors.add_(weights.vectors, alpha=by.decay)
    weights.vectors.add_(velocity.vectors, alpha=-by.rate)
