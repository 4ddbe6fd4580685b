"""An engine that trains nothing: weights drift by whole steps that depend on client, round and weight alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fl_sim.config import Config
from fl_sim.data.dataset import Images, make_dataset
from fl_sim.engine import Receive, Told
from fl_sim.partition import Partition, from_owners
from fl_sim.setting import Setting, make_setting
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.weights import FloatWeights, IntWeights, Weights

CLASSES, CLIENTS = 3, 12


def drift(task: LocalTask, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the steps of a client in a round, -3 to 3."""
    rng = np.random.default_rng([task.client, task.round_number, 7])
    return rng.integers(-3, 4, count)


class DriftingEngine:
    """Gives its results in reverse; ``fails_at`` (client, round) raises instead of training."""

    def __init__(self, fails_at: tuple[int, int] | None = None, error: BaseException | None = None) -> None:
        self.fails_at, self.error = fails_at, error or RuntimeError("pulled the plug")
        self.trained = 0

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        for i in reversed(range(len(tasks))):
            task = tasks[i]
            if self.fails_at == (task.client, task.round_number) or self.fails_at == (-1, task.round_number):
                raise self.error
            self.trained += 1
            step = drift(task, len(start.values))
            if isinstance(start, IntWeights):
                moved: Weights = IntWeights(np.clip(start.values + step, -127, 127).astype(np.int8), start.exponents)
            else:
                moved = FloatWeights((start.values + step / 1024).astype(np.float32))
            yield i, receive([i], [LocalResult(moved, len(task.indices) // 2, float(task.client) / 3)])[0]

    def evaluate(self, weights: Weights, first: int = 0, end: int | None = None) -> Evaluation:
        assert end is not None
        key = int(np.abs(weights.values.astype(np.float64)).sum() * 64)
        right = sum((key + i) % 3 == 0 for i in range(first, end))
        return Evaluation(right, float(end - first), end - first)

    def close(self) -> None:
        pass


def setting_of(**changes: Any) -> Setting:
    """Return a small setting: 12 clients of 1 to 12 images, 3 classes, images of 6 x 6."""
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(CLIENTS), np.arange(1, CLIENTS + 1)).astype(np.int32)
    count = len(owner)

    def images(n: int) -> Images:
        return Images(rng.integers(0, 256, (n, 6, 6, 1), dtype=np.uint8), rng.integers(0, CLASSES, n, dtype=np.int32))

    dataset = make_dataset(
        "toy", CLASSES, images(count), images(23), "made by a test", train_owner=owner, owners=CLIENTS
    )
    usual = {"model": "6x6x1:conv4k3,pool,fc3", "cohort": 5, "rounds": 6, "batch_size": 4, "evaluation_batch": 5}
    config = Config(**usual | changes)
    return make_setting(config, dataset, partition_of(owner))


def partition_of(owner: np.ndarray[Any, np.dtype[np.int32]]) -> Partition:
    return from_owners(owner, CLIENTS)
