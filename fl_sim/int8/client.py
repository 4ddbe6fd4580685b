"""A client trained in integers, through the matrix product of one's choice: what the torch engines call."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fl_sim.model import Model
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Niti
from fl_sim.weights import IntWeights, Mantissas

Labels = npt.NDArray[np.int32]


class Int8Client:
    """Trains and judges one model; every product and device gives the same bits.

    ``product`` is auto, int_mm, split, float32, float64 or oracle (numpy's int64), ``device`` is torch's. Raises
    ValueError for another product or device, a model with biases, or a product that this processor does not make exact.
    """

    def __init__(self, model: Model, product: str = "auto", device: str = "cpu") -> None:
        self.model = model

    def train(
        self, start: IntWeights, images: Mantissas, exponent: int, labels: Labels, task: LocalTask, trainer: Niti
    ) -> LocalResult:
        """Return what a client makes of ``start``; its samples are ``task.indices`` of ``images`` int8 [n, h, w, c].

        Batch b is step b of the stochastic rounding with ``task.rounding_seed``.
        """
        raise NotImplementedError

    def train_stacked(
        self, start: IntWeights, images: Mantissas, exponent: int, labels: Labels, tasks: Sequence[LocalTask],
        trainer: Niti,
    ) -> list[LocalResult]:  # fmt: skip
        """Return what ``train`` returns for each task, all clients in one vectorised step; memory grows with them."""
        raise NotImplementedError

    def judge(self, weights: IntWeights, images: Mantissas, exponent: int, labels: Labels, batch: int) -> Evaluation:
        """Judge weights on all ``images`` int8 [n, h, w, c] in batches of ``batch``, with nearest rounding."""
        raise NotImplementedError
