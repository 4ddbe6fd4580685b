"""A client trained in float32, and a model judged: what the engines share."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fl_sim.float32.feed import Feed
from fl_sim.float32.network import Descent, Kept, Layer, descend, forward, loss_gradient, whole
from fl_sim.model import Floats, Model
from fl_sim.task import Evaluation, LocalResult, LocalTask, whole_loss
from fl_sim.trainer import Fp32
from fl_sim.weights import FloatWeights

Step = Callable[[Tensor, Tensor], Tensor]  # trains on images and labels of a batch, returns the logits before it


def train_client(
    model: Model, layers: tuple[Layer, ...], start: Floats, feed: Feed, task: LocalTask, trainer: Fp32
) -> LocalResult:
    """Return what a client makes of ``start``, float32 [parameters]. Raises ArithmeticError if it diverges."""
    weights = whole(model, torch.tensor(start, device=feed.device))
    velocity = whole(model, torch.zeros_like(weights.vector)) if trainer.momentum else None
    by = Descent(trainer.learning_rate.at(task.round_number), trainer.momentum, trainer.weight_decay)

    def step(x: Tensor, y: Tensor) -> Tensor:
        kept = list[Kept]()
        logits = forward(layers, weights.parts, x, kept)
        descend(layers, weights, velocity, kept, loss_gradient(logits, y), by)
        return logits

    with torch.inference_mode():
        right, loss_sum = run_steps(step, feed, task)
        return finished(weights.vector.cpu().numpy(), right, loss_sum, task)


def run_steps(
    step: Step, feed: Feed, task: LocalTask, layout: Callable[[Tensor], Tensor] | None = None
) -> tuple[int, float]:
    """Take every step of a task; return the images right and the summed loss before each step.

    ``layout`` puts a client's images into another memory format before the first step.
    """
    right, loss_sum, bounds = 0, 0.0, task.bounds.tolist()
    for first, end in feed.pieces(task):
        begin = bounds[first]
        x, y = feed.take(task.indices[begin : bounds[end]])
        x = x if layout is None else layout(x)
        logits = [
            step(x[bounds[b] - begin : bounds[b + 1] - begin], y[bounds[b] - begin : bounds[b + 1] - begin])
            for b in range(first, end)
        ]
        told = count(torch.cat(logits), y)  # once for all steps: it costs a step of a small network a fiftieth
        right, loss_sum = right + told[0], loss_sum + told[1]
    return right, loss_sum


def count(logits: Tensor, labels: Tensor) -> tuple[int, float]:
    """Return how many images are right, and the sum of their cross-entropies."""
    right = int((logits.argmax(1) == labels).sum())
    return right, float(cross_entropy(logits, labels, reduction="none").sum(dtype=torch.float64))


def finished(values: Floats, right: int, loss_sum: float, task: LocalTask) -> LocalResult:
    """Return a client's result; ArithmeticError if its loss or a weight is no longer finite."""
    if not (np.isfinite(loss_sum) and np.isfinite(values).all()):
        message = (
            f"client {task.client}, round {task.round_number}: the loss or a weight is no longer finite; training "
            f"diverged, lower learning_rate"
        )
        raise ArithmeticError(message)
    return LocalResult(FloatWeights(values), right, loss_sum)


def judge(predict: Callable[[Tensor], Tensor], feed: Feed, batch: int, first: int, end: int) -> Evaluation:
    """Judge what ``predict`` makes of images ``first`` to ``end - 1``, in batches.

    Raises ArithmeticError if the loss is not finite.
    """
    right, loss_sum = 0, 0.0
    with torch.inference_mode():
        for begin in range(first, end, batch):
            x, y = feed.take(np.arange(begin, min(begin + batch, end), dtype=np.int32))
            told = count(predict(x), y)
            if not np.isfinite(told[1]):
                message = "the loss on test images is no longer finite; training diverged, lower learning_rate"
                raise ArithmeticError(message)
            right, loss_sum = right + told[0], loss_sum + whole_loss(told[1])
    return Evaluation(right, loss_sum, end - first)


def predictor(
    model: Model, layers: tuple[Layer, ...], values: Floats, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return the function that gives the logits of images under these weights."""
    weights = whole(model, torch.tensor(values, device=device))
    return lambda x: forward(layers, weights.parts, x)
