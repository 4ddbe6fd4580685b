"""The integer cross-entropy in torch, for several clients at once: logits int8 [clients, images, classes]."""

import torch
from torch import Tensor

from fl_sim.int8.rounding import LARGEST, How, divide_

_SHIFT = 4  # what is left of 2^11 are the 128 of the whole error
_LOG2_E_15 = 47274  # log2 of Euler's number, times 2^15
_TAYLOR_BELOW = -6  # exponents of logits below 1
# Beyond these exponents nothing changes: above, every difference is out of range; below, all logits are as one.
_LEAST, _MOST = -20, 20


def loss_gradient(logits: Tensor, exponents: Tensor, labels: Tensor, by: How) -> Tensor:
    """Return 128 (p - onehot) as int8 for logits * 2^exponent; exponents [clients], labels int64 [clients, images].

    Its slow twin is ``oracle.loss_gradient``; for the formula see int8_training.md's 1.6 or docs/background.
    """
    m, e = logits.long(), exponents.long().clamp(_LEAST, _MOST).view(-1, 1, 1)
    down = (-e).clamp_min(0)
    y = (m.abs() * _LOG2_E_15 >> 15 << e.clamp_min(0) >> down) * m.sign()
    above = (y - y.amax(-1, keepdim=True) + 10).clamp_min(0)
    one = torch.ones_like(e)
    powers = (one << above) - 1
    t = one << down
    taylor = 2 * t * t + 2 * t * m + m * m
    p = torch.where(e < _TAYLOR_BELOW, taylor, powers)
    g = torch.div(2048 * p, p.sum(-1, keepdim=True), rounding_mode="floor")
    g.scatter_add_(-1, labels.unsqueeze(-1), -g.sum(-1, keepdim=True))
    return divide_(g.int(), _SHIFT, by).clamp_(-LARGEST, LARGEST).to(torch.int8)


def judged(logits: Tensor, exponents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return which images are right, and their cross-entropy in doubles, both [clients, images].

    The first of several largest logits counts, as everywhere.
    """
    classes = torch.arange(logits.shape[-1], device=logits.device)
    largest = logits == logits.amax(-1, keepdim=True)
    found = torch.where(largest, classes, logits.shape[-1]).amin(-1)
    values = logits.double() * torch.exp2(exponents.double().clamp(-100, 100)).view(-1, 1, 1)
    losses = values.logsumexp(-1) - values.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return found == labels, losses
