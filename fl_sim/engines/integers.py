"""The INT8 half of the torch engines: pixels as mantissas, and the integer client that is fed with them."""

from collections.abc import Sequence

from fl_sim.data.dataset import Labels
from fl_sim.data.pixels import mantissa_table, mantissas
from fl_sim.engine import Place, Work
from fl_sim.int8.client import Int8Client
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Niti
from fl_sim.weights import IntWeights, Mantissas


class Integers:
    """Opened when an engine first meets mantissas. Raises ValueError as ``Int8Client`` does."""

    def __init__(self, work: Work, place: Place) -> None:
        self._client = Int8Client(work.model, place.product, place.device)
        self._dataset, self._batch = work.dataset, work.evaluation_batch
        self._table = mantissa_table(work.dataset)
        self._train: Mantissas | None = None

    def train(self, start: IntWeights, task: LocalTask, trainer: Niti) -> LocalResult:
        """Train one client."""
        images, labels = self._images()
        return self._client.train(start, images, self._table.exponent, labels, task, trainer)

    def train_stacked(self, start: IntWeights, tasks: Sequence[LocalTask], trainer: Niti) -> list[LocalResult]:
        """Train several clients at once."""
        images, labels = self._images()
        return self._client.train_stacked(start, images, self._table.exponent, labels, tasks, trainer)

    def _images(self) -> tuple[Mantissas, Labels]:
        """Return the train images, looked up when they are first needed: as many bytes as the pixels."""
        if self._train is None:
            self._train = mantissas(self._dataset.train.pixels, self._table)
        return self._train, self._dataset.train.labels

    def judge(self, weights: IntWeights, first: int, end: int) -> Evaluation:
        """Judge weights on test images ``first`` to ``end - 1``."""
        test = self._dataset.test
        images = mantissas(test.pixels[first:end], self._table)
        return self._client.judge(weights, images, self._table.exponent, test.labels[first:end], self._batch)
