"""All clients of a cohort in one vectorised step: pays for tiny networks, and on a GPU."""

from collections.abc import Callable, Iterator, Sequence

from fl_sim.engine import Place, Receive, Told, Work
from fl_sim.engines.eager import EagerEngine, check_one_worker
from fl_sim.engines.request import start_of
from fl_sim.float32.cohort import train_cohort, widest
from fl_sim.float32.device import alone
from fl_sim.float32.module import ModuleModel
from fl_sim.float32.network import layers_of
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Fp32
from fl_sim.weights import FloatWeights, IntWeights, Weights

# Wider than this nothing is gained: on a CPU the clients fall out of the cache.
_WIDEST, _WIDEST_GPU = 16, 64
_MEMORY_BYTES, _MEMORY_BYTES_GPU = 1 << 28, 1 << 32

Cohort = Callable[[Sequence[LocalTask]], Sequence[LocalResult]]


class StackedEngine:
    """See ``fl_sim.engine.Engine``. Raises ValueError for more than one worker or a device that is not there."""

    def __init__(self, work: Work, place: Place) -> None:
        check_one_worker("stacked", place)
        if isinstance(work.model, ModuleModel):
            message = f"module {work.model.name} cannot be stacked; take the engine eager"
            raise ValueError(message)
        self.work = work
        self._one = EagerEngine(work, place)  # judges: there is only one model to judge
        gpu = self._one.device.type != "cpu"
        memory_bytes, most = (_MEMORY_BYTES_GPU, _WIDEST_GPU) if gpu else (_MEMORY_BYTES, _WIDEST)
        self.width = min(most, widest(work.model, work.batch_size, memory_bytes))

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        """Train the tasks in groups of ``width``, the longest first; see ``Engine.train``."""
        return self._grouped(self._cohort(start), tasks, receive)

    def _cohort(self, start: Weights) -> Cohort:
        trainer, model = self.work.trainer, self.work.model
        if isinstance(trainer, Fp32):
            values, layers = start_of(self.work, start, FloatWeights).values, layers_of(model)
            return lambda tasks: train_cohort(model, layers, values, self._one.feed, tasks, trainer)
        mantissas, integers = start_of(self.work, start, IntWeights), self._one.integers
        return lambda tasks: integers.train_stacked(mantissas, tasks, trainer)

    def _grouped(
        self, cohort: Cohort, tasks: Sequence[LocalTask], receive: Receive[Told]
    ) -> Iterator[tuple[int, Told]]:
        ranked = sorted(range(len(tasks)), key=lambda i: -tasks[i].steps)
        for first in range(0, len(ranked), self.width):
            places = ranked[first : first + self.width]
            with alone(self._one.device):
                results = cohort([tasks[i] for i in places])
            yield from zip(places, receive(places, results), strict=True)

    def evaluate(self, weights: Weights, first: int = 0, end: int | None = None) -> Evaluation:
        """Judge weights on test images; see ``Engine.evaluate``."""
        return self._one.evaluate(weights, first, end)

    def close(self) -> None:
        """Give back the memory of the INT8 half; a second time does nothing."""
        self._one.close()
