"""The reference engine: torch, one client after another, one batch after another."""

from collections.abc import Callable, Iterator, Sequence

from fl_sim.data.pixels import float_table
from fl_sim.engine import Place, Receive, Told, Work
from fl_sim.engines.integers import Integers
from fl_sim.engines.request import check_length, start_of, test_range
from fl_sim.float32.client import judge, predictor, train_client
from fl_sim.float32.device import alone, open_device
from fl_sim.float32.feed import Feed
from fl_sim.float32.module import ModuleModel
from fl_sim.float32.module_client import ModuleClient
from fl_sim.float32.network import layers_of
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Fp32
from fl_sim.weights import FloatWeights, IntWeights, Weights, floats


class EagerEngine:
    """See ``fl_sim.engine.Engine``; a ``ModuleModel`` is trained, too, and judged in floats whatever its weights are.

    Raises ValueError for more than one worker, a device that is not there, or a module that should train in integers.
    """

    def __init__(self, work: Work, place: Place) -> None:
        check_one_worker("eager", place)
        _check_precision(work)
        self.work, self.place = work, place
        self.device = open_device(place.device)
        self._module = ModuleClient(work.model, self.device) if isinstance(work.model, ModuleModel) else None
        self._layers = () if self._module else layers_of(work.model)
        table = float_table(work.dataset)
        self.feed = Feed(work.dataset.train, table, self.device)
        self._test_feed = Feed(work.dataset.test, table, self.device)
        self._integers: Integers | None = None

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        """Train the tasks in their order; see ``Engine.train``."""
        return self._each(self._client(start), tasks, receive)

    def _client(self, start: Weights) -> Callable[[LocalTask], LocalResult]:
        trainer = self.work.trainer
        if isinstance(trainer, Fp32):
            values = start_of(self.work, start, FloatWeights).values
            module = self._module
            if module:
                return lambda task: module.train(values, self.feed, task, trainer)
            return lambda task: train_client(self.work.model, self._layers, values, self.feed, task, trainer)
        mantissas, integers = start_of(self.work, start, IntWeights), self.integers
        return lambda task: integers.train(mantissas, task, trainer)

    def _each(
        self, client: Callable[[LocalTask], LocalResult], tasks: Sequence[LocalTask], receive: Receive[Told]
    ) -> Iterator[tuple[int, Told]]:
        for place, task in enumerate(tasks):
            with alone(self.device):
                result = client(task)
            yield place, receive([place], [result])[0]

    def evaluate(self, weights: Weights, first: int = 0, end: int | None = None) -> Evaluation:
        """Judge weights on test images; see ``Engine.evaluate``."""
        check_length(self.work, weights)
        first, end = test_range(self.work, first, end)
        with alone(self.device):
            if isinstance(weights, IntWeights) and not self._module:
                return self.integers.judge(weights, first, end)
            values = floats(self.work.model, weights)
            if self._module:
                predict = self._module.predictor(values)
            else:
                predict = predictor(self.work.model, self._layers, values, self.device)
            return judge(predict, self._test_feed, self.work.evaluation_batch, first, end)

    @property
    def integers(self) -> Integers:
        """The INT8 half, opened when it is first needed."""
        if self._integers is None:
            self._integers = Integers(self.work, self.place)
        return self._integers

    def close(self) -> None:
        """Give back the memory of the INT8 half; a second time does nothing."""
        self._integers = None


def _check_precision(work: Work) -> None:
    if isinstance(work.model, ModuleModel) and not isinstance(work.trainer, Fp32):
        message = (
            f"module {work.model.name} cannot be trained in integers; take a method that trains in FP32, floatfl "
            f"or quanfl, or a model of layers"
        )
        raise ValueError(message)


def check_one_worker(engine: str, place: Place) -> None:
    """Raise ValueError unless one worker is asked for: torch's calls of small networks wait for each other."""
    if place.workers != 1:
        message = (
            f"workers must be 1 for the engine {engine} (got {place.workers}); start several processes with "
            f"torchrun, or take the engine native, which has threads"
        )
        raise ValueError(message)
