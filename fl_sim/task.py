"""What a client does in a round: which samples in which order, and what came of it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fl_sim.weights import Weights

Indices = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class LocalTask:
    """One client's training in one round. Batch b is ``indices[bounds[b]:bounds[b + 1]]`` of the train images."""

    client: int
    round_number: int
    indices: Indices
    bounds: Indices
    rounding_seed: int = 0

    @property
    def steps(self) -> int:
        """Batches, each one step of SGD."""
        return len(self.bounds) - 1


@dataclass(frozen=True, eq=False)
class LocalResult:
    """What a client made: its weights, and over all its steps the images right and the summed loss before each."""

    weights: Weights
    right: int
    loss_sum: float  # sum over images of their cross-entropy


_LOSS_UNIT = 2.0**20


def whole_loss(batch_loss: float) -> float:
    """Return a batch's summed loss as a multiple of 2^-20: sums of such are exact, so in any order the same."""
    return round(batch_loss * _LOSS_UNIT) / _LOSS_UNIT


@dataclass(frozen=True)
class Evaluation:
    """A model on the test images. ``loss_sum`` adds up ``whole_loss`` of every batch."""

    right: int
    loss_sum: float
    images: int

    @property
    def accuracy(self) -> float:
        """Share of images that are right."""
        return self.right / self.images

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return self.loss_sum / self.images


def local_task(
    samples: Indices, rng: np.random.Generator, *, client: int, round_number: int, epochs: int, batch_size: int,
    rounding_seed: int = 0,
) -> LocalTask:  # fmt: skip
    """Return the task of a client that holds ``samples``: each epoch in a new order, a short last batch kept.

    Raises ValueError for no samples, epochs or images in a batch, and for more images in all than an int32 counts.
    """
    count = len(samples)
    if count < 1 or epochs < 1 or batch_size < 1 or count * epochs >= 2**31:
        rule = "samples, epochs and batch_size must be at least 1, samples times epochs below 2^31"
        message = f"{rule} (got {count} of client {client}, {epochs} and {batch_size})"
        raise ValueError(message)
    orders = [rng.permutation(count) for _ in range(epochs)]
    order = samples[orders[0] if epochs == 1 else np.concatenate(orders)]
    return LocalTask(client, round_number, order, _bounds(count, epochs, batch_size), rounding_seed)


@lru_cache(maxsize=256)
def _bounds(count: int, epochs: int, batch_size: int) -> Indices:
    """Return where batches begin and end, read-only: clients with as many samples share them."""
    starts = np.arange(0, count, batch_size)
    ends = np.minimum(starts + batch_size, count) + count * np.arange(epochs)[:, None]
    bounds = np.concatenate([[0], ends.reshape(-1)]).astype(np.int32)
    bounds.flags.writeable = False
    return bounds
