"""A client trained in integers, through the matrix product of one's choice: what the torch engines call."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from fl_sim.int8 import oracle
from fl_sim.int8.layers import Layer, layers_of
from fl_sim.model import Model
from fl_sim.task import Evaluation, LocalResult, LocalTask, whole_loss
from fl_sim.trainer import Niti
from fl_sim.weights import IntWeights, Mantissas
from profiler.native.model import largest_batch
from profiler.native.rules import Rules

if TYPE_CHECKING:
    from fl_sim.int8.network import Network

Labels = npt.NDArray[np.int32]


class Held(Protocol):
    """Weights in training: numpy's or torch's. A batch gives how many were right before it, and the mean loss."""

    def train(
        self, images: Mantissas, exponent: int, labels: Labels, rules: Rules, step: int
    ) -> tuple[int, float]:  # fmt: skip
        """Train one step."""
        ...

    def judge(self, images: Mantissas, exponent: int, labels: Labels, rules: Rules) -> tuple[int, float]:
        """Go forward only."""
        ...

    def values(self) -> Mantissas:
        """Return all weights as one vector."""
        ...


class Int8Client:
    """Trains and judges one model; every product and device gives the same bits.

    ``product`` is auto, int_mm, split, float32, float64 or oracle (numpy's int64), ``device`` is torch's. Mantissas of
    images and weights are from -127 to 127. Raises ValueError for another product or device, a model with biases, or a
    product that is not exact on this machine.
    """

    def __init__(self, model: Model, product: str = "auto", device: str = "cpu") -> None:
        if model.bias:
            message = f"model {model.name} has biases, INT8 training has none; make the model with bias=False"
            raise ValueError(message)
        self.model = model
        self._layers = layers_of(model.layers)
        self._most = largest_batch(model.layers, "int8")
        self._network: Network | None = None
        if product != "oracle":
            from fl_sim.int8.network import open_network

            self._network = open_network(self._layers, product, device)

    def train(
        self, start: IntWeights, images: Mantissas, exponent: int, labels: Labels, task: LocalTask, trainer: Niti
    ) -> LocalResult:
        """Return what a client makes of ``start``; its samples are ``task.indices`` of ``images`` int8 [n, h, w, c].

        Batch b is step b of the stochastic rounding with ``task.rounding_seed``. Raises ValueError for a batch whose
        sums 32 bits may not hold.
        """
        rules = trainer.rules(task.round_number, task.rounding_seed)
        held, right, loss_sum = self._hold(start), 0, 0.0
        for step, (begin, end) in enumerate(pairwise(task.bounds)):
            self._check_batch(int(end - begin))
            chosen = task.indices[begin:end]
            found, loss = held.train(images[chosen], exponent, labels[chosen], rules, step)
            right += found
            loss_sum += whole_loss(loss * len(chosen))
        return LocalResult(IntWeights(held.values(), start.exponents), right, loss_sum)

    def train_stacked(
        self, start: IntWeights, images: Mantissas, exponent: int, labels: Labels, tasks: Sequence[LocalTask],
        trainer: Niti,
    ) -> list[LocalResult]:  # fmt: skip
        """Return what ``train`` returns for each task, all clients in one vectorised step; memory grows with them."""
        if self._network is None or not any(task.steps for task in tasks):
            return [self.train(start, images, exponent, labels, task, trainer) for task in tasks]
        from fl_sim.int8.stacked import train_cohort

        self._check_batch(max(int(np.diff(task.bounds).max(initial=0)) for task in tasks))
        rules = [trainer.rules(task.round_number, task.rounding_seed) for task in tasks]
        made = train_cohort(self._network, self._parts(start), start.exponents, images, exponent, labels, tasks, rules)
        return [LocalResult(IntWeights(values, start.exponents), right, loss) for values, right, loss in made]

    def judge(self, weights: IntWeights, images: Mantissas, exponent: int, labels: Labels, batch: int) -> Evaluation:
        """Judge weights on all ``images`` int8 [n, h, w, c] in batches of ``batch``, with nearest rounding."""
        self._check_batch(min(batch, len(images)))
        held, right, loss_sum = self._hold(weights), 0, 0.0
        for begin in range(0, len(images), batch):
            chosen = slice(begin, begin + batch)
            found, loss = held.judge(images[chosen], exponent, labels[chosen], Rules())
            right += found
            loss_sum += whole_loss(loss * len(images[chosen]))
        return Evaluation(right, loss_sum, len(images))

    def _parts(self, weights: IntWeights) -> list[Mantissas]:
        parts = zip(self.model.split(weights.values), self._layers, strict=True)
        return [part.astype(np.int8).reshape(layer.weights) for part, layer in parts]

    def _hold(self, start: IntWeights) -> Held:
        parts = self._parts(start)
        if self._network is None:
            return _OracleHeld(self._layers, parts, start.exponents)
        from fl_sim.int8.step import TorchHeld

        return TorchHeld(self._network, parts, start.exponents)

    def _check_batch(self, count: int) -> None:
        if count > self._most:
            message = f"batch_size must be at most {self._most} for model {self.model.name} (got {count}):"
            message = f"{message} the sums of more may not fit in 32 bits; take smaller batches"
            raise ValueError(message)


class _OracleHeld:
    """Weights in numpy's int64."""

    def __init__(self, layers: Sequence[Layer], parts: Sequence[Mantissas], exponents: Sequence[int]) -> None:
        self._layers, self._exponents = layers, exponents
        self._weights = [part.astype(np.int64) for part in parts]

    def train(
        self, images: Mantissas, exponent: int, labels: Labels, rules: Rules, step: int
    ) -> tuple[int, float]:  # fmt: skip
        x = images.astype(np.int64)
        trace = oracle.train(self._layers, self._weights, self._exponents, x, exponent, labels, rules, step)
        self._weights = trace.weights
        return trace.right, trace.loss

    def judge(self, images: Mantissas, exponent: int, labels: Labels, rules: Rules) -> tuple[int, float]:
        x = images.astype(np.int64)
        done = oracle.forward_pass(self._layers, self._weights, self._exponents, x, exponent, rules)
        logits = done.inputs[-1]
        right = int((logits.argmax(axis=1) == labels).sum())
        return right, oracle.cross_entropy(logits, done.logits_exponent, labels)

    def values(self) -> Mantissas:
        return np.concatenate([part.ravel() for part in self._weights]).astype(np.int8)
