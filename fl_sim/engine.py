"""An engine trains clients and judges models; which one does it changes nothing but the time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from fl_sim.data.dataset import Dataset
from fl_sim.model import Model
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Trainer
from fl_sim.weights import Weights

EngineName = Literal["native", "eager", "stacked"]
Told = TypeVar("Told")
Receive = Callable[[Sequence[int], Sequence[LocalResult]], Sequence[Told]]
ENGINES: tuple[EngineName, ...] = ("native", "eager", "stacked")


@dataclass(frozen=True)
class Work:
    """What an engine is opened for."""

    model: Model
    dataset: Dataset
    trainer: Trainer
    batch_size: int
    evaluation_batch: int = 100


@dataclass(frozen=True)
class Place:
    """Where an engine runs: ``workers`` are threads of this process, ``device`` is torch's (eager and stacked).

    ``product`` is the INT8 matrix product of the torch engines: auto, int_mm, split, float32, float64 or oracle.
    """

    workers: int = 1
    device: str = "cpu"
    product: str = "auto"


class Engine(Protocol):
    """Opened for one piece of ``Work``; must be closed.

    Results do not depend on the engine: bit for bit in INT8, within rounding in FP32.
    """

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        """Train every task from ``start``; give (place in ``tasks``, what ``receive`` says) as they end, in any order.

        ``receive`` is handed places and results, one or some at a time, where the clients were trained and while their
        weights are in the cache: by several threads at once if the engine has them. It returns one thing for each; the
        results are not kept. What it raises ends the training.

        ``start`` is FloatWeights for an Fp32 trainer, IntWeights for Niti. Raises ArithmeticError naming client and
        round when the loss or a weight is no longer finite.
        """
        ...

    def evaluate(self, weights: Weights, first: int = 0, end: int | None = None) -> Evaluation:
        """Judge weights on test images ``first`` to ``end - 1``, in batches of ``Work.evaluation_batch`` from there on.

        IntWeights are judged in integers with nearest rounding, FloatWeights in floats, whatever the trainer is.
        """
        ...

    def close(self) -> None:
        """Give back memory and threads; a second time does nothing."""
        ...


def open_engine(name: str, work: Work, place: Place = Place()) -> Engine:
    """Return an engine by name. Raises ValueError when it cannot do the work (the message says which one can)."""
    if name == "native":
        from fl_sim.engines.native import NativeEngine

        return NativeEngine(work, place)
    if name == "eager":
        from fl_sim.engines.eager import EagerEngine

        return EagerEngine(work, place)
    if name == "stacked":
        from fl_sim.engines.stacked import StackedEngine

        return StackedEngine(work, place)
    message = f"engine must be one of {', '.join(ENGINES)} (got {str(name)[:40]!r})"
    raise ValueError(message)
