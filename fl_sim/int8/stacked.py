"""One training step of all clients of a cohort at once in torch: tensors [clients, images, ...], shifts by client.

Its slow twin is ``fl_sim.int8.network``, which it equals client by client and bit for bit: smaller batches are filled
up with zeros, which change no maximum and no gradient. It pays for tiny networks and on CUDA.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fl_sim.int8.loss import judged, loss_gradient
from fl_sim.int8.network import Network, bordered, input_of, without_border
from fl_sim.int8.oracle import OF_ACTIVATION, OF_ERROR, OF_LOSS, OF_UPDATE, random_key
from fl_sim.int8.patches import Winners, patches, pooled, turned, unpooled
from fl_sim.int8.rounding import LARGEST, MOST_SHIFT, How, bits, divide_, how, keys, requantise_
from fl_sim.task import LocalTask, whole_loss
from profiler.native.rules import Rules

Labels = npt.NDArray[np.int32]
Mantissas = npt.NDArray[np.int8]

_BLOCK = 1 << 16


@dataclass
class Cohort:
    """Clients in training, those with the most steps first; ``weights`` int8 [clients, ...] layer by layer."""

    network: Network
    weights: list[Tensor]
    exponents: Sequence[int]
    rules: Sequence[Rules]
    right: Tensor
    losses: list[Tensor] = field(default_factory=list)  # of each step, of the clients that trained in it


@dataclass
class Batch:
    """What the clients that still train are fed: int8 [clients, images, h, w, c], labels, and which are images."""

    x: Tensor
    exponent: int
    labels: Tensor
    filled: Tensor


def train_cohort(
    network: Network, parts: Sequence[Mantissas], exponents: Sequence[int], images: Mantissas, exponent: int,
    labels: Labels, tasks: Sequence[LocalTask], rules: Sequence[Rules],
) -> list[tuple[Mantissas, int, float]]:  # fmt: skip
    """Train each task from the same weights; return what each became, its images right and its summed loss."""
    order = sorted(range(len(tasks)), key=lambda i: -tasks[i].steps)
    device = network.device
    with torch.inference_mode():
        weights = [torch.from_numpy(part).to(device).repeat(len(tasks), *[1] * part.ndim) for part in parts]
        counts = torch.zeros(len(tasks), dtype=torch.int64, device=device)
        cohort = Cohort(network, weights, exponents, [rules[i] for i in order], counts)
        for step in range(max(task.steps for task in tasks)):
            live = [tasks[i] for i in order if tasks[i].steps > step]
            train_step(cohort, _batch(network, images, exponent, labels, live, step), step)
        values = torch.cat([part.flatten(1) for part in cohort.weights], dim=1).cpu().numpy()
        loss_sums = [0.0] * len(tasks)
        for losses in cohort.losses:
            for k, loss in enumerate(losses.tolist()):
                loss_sums[k] += whole_loss(loss)
        found = zip(values, cohort.right.tolist(), loss_sums, strict=True)
    return [made for _, made in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


def train_step(cohort: Cohort, batch: Batch, step: int) -> None:
    """Train the first clients of a cohort, as many as the batch is for, by one step; their weights change in place."""
    network, live, n = cohort.network, len(batch.x), batch.x.shape[1]
    weights, layers = [w[:live] for w in cohort.weights], network.layers
    hows = _Hows(cohort.rules[:live], step, network.device)
    exponents = torch.full((live,), batch.exponent, dtype=torch.int32, device=network.device)
    inside, last = input_of(network, 0, live * n), len(layers) - 1
    inside.copy_(batch.x.flatten(0, 1))
    inputs, seen, winners = list[Tensor](), list[Tensor](), list[Winners | None]()
    for i, (layer, w) in enumerate(zip(layers, weights, strict=True)):
        inputs.append(inside)
        seen.append(_by_client(_seen(network, i, live * n), live))
        sums = network.product(seen[-1], w.flatten(2).mT)
        s = _shifts(sums)
        exponents += cohort.exponents[i] + s
        inside = network.take("logits", 0, (live * n, *layer.out)) if i == last else input_of(network, i + 1, live * n)
        made = network.take("output", i, (live * n, *layer.out)) if layer.pool else inside
        _requantise(sums, s, made, hows.of(i, OF_ACTIVATION), relu=layer.relu)
        winners.append(pooled(made, inside) if layer.pool else None)
    logits = inside.view(live, n, -1)
    right, losses = judged(logits, exponents, batch.labels)
    cohort.right[:live] += (right & batch.filled).sum(1)
    cohort.losses.append((losses * batch.filled).sum(1))
    mus = [
        torch.tensor(mu, dtype=torch.int32, device=network.device)
        for mu in ([of.mu_fc for of in cohort.rules[:live]], [of.mu_conv for of in cohort.rules[:live]])
    ]
    error = loss_gradient(logits, exponents, batch.labels, hows.of(last, OF_LOSS))
    error *= batch.filled.unsqueeze(-1)
    error = error.view(live * n, 1, 1, -1)
    for i in reversed(range(len(layers))):
        gradient = network.product(error.reshape(live, -1, error.shape[-1]).mT, seen[i])
        if i > 0:
            sums = _error_sums(network, i, live, weights[i], error)
            passed = network.take("error behind", i, inputs[i].shape)
            _requantise(sums, _shifts(sums), passed, hows.of(i, OF_ERROR))
            passed *= inputs[i].sign()
            error, of_pool = passed, winners[i - 1]
            if of_pool is not None:
                error = network.take("error", i - 1, (live * n, *layers[i - 1].out))
                unpooled(passed, of_pool, error)
        _update(weights[i], gradient, mus[layers[i].convolution], hows.of(i, OF_UPDATE))


@dataclass
class _Hows:
    """How the clients round, each with its own keys."""

    rules: Sequence[Rules]
    step: int
    device: torch.device

    def of(self, layer: int, purpose: int) -> How:
        one = how(self.rules[0], self.step, layer, purpose)
        if one.rounding != "stochastic":
            return one
        words = [random_key(rules.seed, self.step, layer, purpose) for rules in self.rules]
        return How(one.rounding, keys(words, self.device))


def _batch(
    network: Network, images: Mantissas, exponent: int, labels: Labels, tasks: Sequence[LocalTask], step: int
) -> Batch:  # fmt: skip
    chosen = [task.indices[task.bounds[step] : task.bounds[step + 1]] for task in tasks]
    n = max(map(len, chosen))
    x = np.zeros((len(tasks), n, *images.shape[1:]), dtype=np.int8)
    of, filled = np.zeros((len(tasks), n), dtype=np.int64), np.zeros((len(tasks), n), dtype=np.bool_)
    for k, indices in enumerate(chosen):
        x[k, : len(indices)], of[k, : len(indices)], filled[k, : len(indices)] = images[indices], labels[indices], True
    moved = (torch.from_numpy(array).to(network.device) for array in (of, filled))
    return Batch(torch.from_numpy(x).to(network.device), exponent, *moved)


def _seen(network: Network, i: int, n: int) -> Tensor:
    """Return what each place of a layer sees, [rows, inputs of one]; it is kept for the gradient."""
    layer, x = network.layers[i], bordered(network, i, n)
    if not layer.convolution:
        return x.view(n, -1)
    (h, w, _), k, c = layer.out, layer.weights[1], layer.into[2]
    return patches(x, k, h, w, network.take("all patches", i, (n, h * w, k * k * c)))


def _error_sums(network: Network, i: int, clients: int, w: Tensor, error: Tensor) -> Tensor:
    """Return the sums of the error at a layer's inputs, int32 [clients, rows, channels]."""
    layer = network.layers[i]
    if not layer.convolution:
        return network.product(error.reshape(clients, -1, layer.weights[0]), w)
    (h, w_, _), k = layer.into, layer.weights[1]
    (rows, columns, outputs), border = layer.out, k - 1 - layer.pad
    n = len(error)
    wide = network.take("bordered error", i, (n, rows + 2 * border, columns + 2 * border, outputs))
    without_border(wide, border).copy_(error.view(n, rows, columns, outputs))
    seen = patches(wide, k, h, w_, network.take("all patches of errors", i, (n, h * w_, k * k * outputs)))
    return network.product(_by_client(seen, clients), turned(w))


def _by_client(x: Tensor, clients: int) -> Tensor:
    """Return a view [clients, rest, ...] of [clients * rest, ...]."""
    return x.view(clients, len(x) // clients, *x.shape[1:])


def _shifts(sums: Tensor) -> Tensor:
    """Return each client's shift, int32 [clients]."""
    return (bits(_largest(sums)) - 7).clamp_min(0)


def _largest(sums: Tensor) -> Tensor:
    low, high = torch.aminmax(sums.flatten(1), dim=1)
    return torch.maximum(-low, high)


def _requantise(sums: Tensor, s: Tensor, out: Tensor, by: How, *, relu: bool = False) -> None:
    """Write the mantissas of sums [clients, ...] that lie in order of ``out`` [clients * images, h, w, c]."""
    to = _by_client(out, len(sums))
    requantise_(sums.view(to.shape), s.view(-1, 1, 1, 1, 1), to, by, relu=relu)


def _update(w: Tensor, gradient: Tensor, mu: Tensor, by: How) -> None:
    """Move each client's weights in place by its gradient, which is spent (Eq. 2 of the paper)."""
    s = (bits(_largest(gradient)) - mu).clamp(0, MOST_SHIFT).view(-1, 1)
    moved, sums = w.view(len(w), -1), gradient.view(len(w), -1)
    columns = max(_BLOCK // len(w), 1) if w.device.type == "cpu" else moved.shape[1]
    for first in range(0, moved.shape[1], columns):
        held = moved[:, first : first + columns]
        update = divide_(sums[:, first : first + columns], s, by, first)
        held.copy_(torch.sub(held.int(), update).clamp_(-LARGEST, LARGEST))
