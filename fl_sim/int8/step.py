"""One training step of one client in torch, over any exact product.

Its slow twin is ``fl_sim.int8.oracle``, which it equals bit for bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fl_sim.int8.loss import judged, loss_gradient
from fl_sim.int8.network import Network, error_sums, forward_sums, gradient_sums, input_of
from fl_sim.int8.oracle import OF_ACTIVATION, OF_ERROR, OF_LOSS, OF_UPDATE, bits
from fl_sim.int8.patches import Winners, pooled, unpooled
from fl_sim.int8.rounding import LARGEST, MOST_SHIFT, How, divide_, how, largest, requantise_
from profiler.native.rules import Rules

_BLOCK = 1 << 16  # numbers that are rounded at once: they stay in the cache from the first pass to the last


@dataclass
class Step:
    """What a step made of a batch, beside new weights; shifts and gradients layer by layer."""

    logits: Tensor
    logits_exponent: int
    right: int
    loss: float
    loss_gradient: Tensor
    activation_shifts: list[int]
    error_shifts: list[int]
    update_shifts: list[int]
    gradients: list[Tensor]


@dataclass
class Forward:
    """What a batch left behind on its way: inputs of each layer without border, pools' winners, shifts."""

    logits: Tensor
    exponent: int
    inputs: list[Tensor]
    winners: list[Winners | None]
    shifts: list[int]


def forward(
    network: Network, weights: Sequence[Tensor], exponents: Sequence[int], x: Tensor, exponent: int, rules: Rules,
    step: int = 0,
) -> Forward:  # fmt: skip
    """Return what becomes of a batch int8 [n, h, w, c]; ``step`` numbers the random draws."""
    n, last = len(x), len(network.layers) - 1
    inside = input_of(network, 0, n)
    inside.copy_(x)
    done = Forward(x, exponent, [], [], [])
    for i, (layer, w) in enumerate(zip(network.layers, weights, strict=True)):
        done.inputs.append(inside)
        sums, s = _summed(forward_sums(network, i, n, w))
        done.shifts.append(s)
        done.exponent += exponents[i] + s
        inside = network.take("logits", 0, (n, *layer.out)) if i == last else input_of(network, i + 1, n)
        made = network.take("output", i, (n, *layer.out)) if layer.pool else inside
        _requantise(sums, s, made, how(rules, step, i, OF_ACTIVATION), relu=layer.relu)
        done.winners.append(pooled(made, inside) if layer.pool else None)
    done.logits = inside.view(n, -1)
    return done


def train(
    network: Network, weights: Sequence[Tensor], exponents: Sequence[int], x: Tensor, exponent: int, labels: Tensor,
    rules: Rules, step: int = 0, *, keep_gradients: bool = False,
) -> Step:  # fmt: skip
    """Train one step on a batch int8 [n, h, w, c], labels int64 [n]: the weights change in place."""
    done = forward(network, weights, exponents, x, exponent, rules, step)
    n, layers = len(x), network.layers
    right, loss = _judged(done, labels)
    logits, e = done.logits.unsqueeze(0), torch.tensor([done.exponent], device=network.device)
    error = loss_gradient(logits, e, labels.unsqueeze(0), how(rules, step, len(layers) - 1, OF_LOSS))[0]
    made = Step(
        done.logits, done.exponent, right, loss, error, done.shifts, [-1] * len(layers),
        [0] * len(layers), [],
    )  # fmt: skip
    for i in reversed(range(len(layers))):
        layer, w = layers[i], weights[i]
        gradient = gradient_sums(network, i, n, error)
        if keep_gradients:
            made.gradients.insert(0, gradient.reshape(layer.weights).clone())
        if i > 0:
            sums, s = _summed(error_sums(network, i, n, w, error))
            made.error_shifts[i] = s
            error = _passed_back(network, i, sums, s, done, how(rules, step, i, OF_ERROR))
        mu = rules.mu_conv if layer.convolution else rules.mu_fc
        made.update_shifts[i] = _update(w, gradient, mu, how(rules, step, i, OF_UPDATE))
    return made


def _judged(done: Forward, labels: Tensor) -> tuple[int, float]:
    """Return how many images are right, and the mean cross-entropy."""
    e = torch.tensor([done.exponent], device=labels.device)
    right, losses = judged(done.logits.unsqueeze(0), e, labels.unsqueeze(0))
    return int(right.sum()), float(losses.mean())


def _summed(pieces: Iterator[Tensor]) -> tuple[list[Tensor], int]:
    """Return a tensor's sums and their shift; each piece is searched for its largest while the cache has it."""
    sums, most = list[Tensor](), 0
    for piece in pieces:
        sums.append(piece)
        most = max(most, largest(piece))
    return sums, max(bits(most) - 7, 0)


def _requantise(sums: list[Tensor], s: int, out: Tensor, by: How, *, relu: bool = False) -> None:
    """Write the mantissas of sums that lie in order of ``out`` [n, h, w, c]."""
    image, first = out.shape[1:].numel(), 0
    for part in sums:
        to = out[first : first + part.numel() // image]
        requantise_(part.view(to.shape), s, to, by, relu=relu, first=first * image)
        first += len(to)


def _passed_back(network: Network, i: int, sums: list[Tensor], s: int, done: Forward, by: How) -> Tensor:
    """Return the error of the layer before layer i, through its pool and ReLU, int8 [n, h, w, c] in one piece."""
    before, of = network.layers[i - 1], done.inputs[i]
    n, winners = len(of), done.winners[i - 1]
    error = network.take("error behind", i, of.shape)
    _requantise(sums, s, error, by)
    error *= of.sign()  # behind a ReLU nothing is negative: 1 where the error passes
    if winners is None:
        return error
    spread = network.take("error", i - 1, (n, *before.out))
    unpooled(error, winners, spread)
    return spread


def _update(w: Tensor, gradient: Tensor, mu: int, by: How) -> int:
    """Move weights in place by a gradient, which is spent, and return the shift (Eq. 2 of the paper)."""
    s = min(max(bits(largest(gradient)) - mu, 0), MOST_SHIFT)
    moved, sums = w.view(-1), gradient.view(-1)
    for first in range(0, len(sums), _BLOCK):
        held = moved[first : first + _BLOCK]
        update = divide_(sums[first : first + _BLOCK], s, by, first)
        held.copy_(torch.sub(held.int(), update).clamp_(-LARGEST, LARGEST))
    return s


class TorchHeld:
    """Weights in training: ``fl_sim.int8.client.Held`` in torch."""

    def __init__(
        self, network: Network, parts: Sequence[npt.NDArray[np.int8]], exponents: Sequence[int]
    ) -> None:  # fmt: skip
        self._network, self._exponents = network, exponents
        self._weights = [torch.from_numpy(part.copy()).to(network.device) for part in parts]

    @torch.inference_mode()
    def train(
        self, images: npt.NDArray[np.int8], exponent: int, labels: npt.NDArray[np.int32], rules: Rules, step: int
    ) -> tuple[int, float]:  # fmt: skip
        """Train one step; return how many images were right before it, and their mean loss."""
        x, of = self._moved(images, labels)
        done = train(self._network, self._weights, self._exponents, x, exponent, of, rules, step)
        return done.right, done.loss

    @torch.inference_mode()
    def judge(
        self, images: npt.NDArray[np.int8], exponent: int, labels: npt.NDArray[np.int32], rules: Rules
    ) -> tuple[int, float]:  # fmt: skip
        """Go forward only; return how many images are right, and their mean loss."""
        x, of = self._moved(images, labels)
        done = forward(self._network, self._weights, self._exponents, x, exponent, rules)
        return _judged(done, of)

    def values(self) -> npt.NDArray[np.int8]:
        """Return all weights as one vector."""
        return np.concatenate([part.cpu().numpy().ravel() for part in self._weights])

    def _moved(self, images: npt.NDArray[np.int8], labels: npt.NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        device = self._network.device
        return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device, torch.int64)
