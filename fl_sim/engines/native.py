"""The native engine: C kernels, one client a thread, with its network near the core that trains it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal

import numpy as np

from fl_sim.data.pixels import float_table, mantissa_table
from fl_sim.engine import Place, Receive, Told, Work
from fl_sim.engines.crew import Crew
from fl_sim.engines.request import check_length, start_of, test_range
from fl_sim.model import Model
from fl_sim.task import Evaluation, Indices, LocalResult, LocalTask
from fl_sim.trainer import Fp32
from fl_sim.weights import FloatWeights, IntWeights, Weights
from profiler.native.model import largest_batch
from profiler.native.network import Client, Network
from profiler.native.rules import Rules
from profiler.native.samples import Outcome, Samples, Stop

Precision = Literal["fp32", "int8"]

_MOST_WORKERS = 1024
_BATCHES_AT_ONCE = 4  # of test images that a thread judges in one call


class NativeEngine:
    """See ``fl_sim.engine.Engine``; ``Place.workers`` threads. Nothing here imports torch.

    Raises ValueError for what the kernels cannot do: momentum, weight decay, a device other than the processor, a model
    or a batch that is too large; and where they cannot be built (the message says what to install).
    """

    def __init__(self, work: Work, place: Place) -> None:
        _check(work, place)
        self.work = work
        self._feeds: dict[tuple[str, Precision], Samples] = {}
        self._crew = Crew(place.workers, partial(_Bench, work))
        _network(work, _precision(work), work.batch_size).close()  # a wrong model or build is said now

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        """Train the tasks, those with most images first; see ``Engine.train``."""
        begun: Weights
        if isinstance(self.work.trainer, Fp32):
            begun = start_of(self.work, start, FloatWeights)
        else:
            begun = start_of(self.work, start, IntWeights)
        order = sorted(range(len(tasks)), key=lambda i: -len(tasks[i].indices))
        feed, stop, trainer = self._feed("train", _precision(self.work)), Stop(), self.work.trainer
        numbers = {task.round_number for task in tasks}
        if isinstance(trainer, Fp32):
            of_round: dict[int, float] | dict[int, Rules] = {i: trainer.learning_rate.at(i) for i in numbers}
        else:
            of_round = {i: trainer.rules(i) for i in numbers}
        return self._each(_Cohort(tasks, order, feed, begun, of_round, stop, receive))

    def _each(self, cohort: "_Cohort[Told]") -> Iterator[tuple[int, Told]]:
        with closing(self._crew.do("train", cohort.train, cohort.sizes(), cohort.stop.set)) as results:
            for place, told in results:
                yield cohort.order[place], told

    def evaluate(self, weights: Weights, first: int = 0, end: int | None = None) -> Evaluation:
        """Judge weights on test images, some batches a thread at a time; see ``Engine.evaluate``."""
        check_length(self.work, weights)
        first, end = test_range(self.work, first, end)
        precision: Precision = "int8" if isinstance(weights, IntWeights) else "fp32"
        _check_evaluation(self.work, precision)
        feed, stop = self._feed("test", precision), Stop()
        images = _BATCHES_AT_ONCE * self.work.evaluation_batch
        pieces = [np.arange(at, min(at + images, end), dtype=np.int32) for at in range(first, end, images)]

        def judge(bench: _Bench, places: range) -> list[Outcome]:
            return [
                _judge(bench, work=self.work, feed=feed, weights=weights, images=pieces[i], stop=stop) for i in places
            ]

        right, loss_sum = 0, 0.0
        for _, found in self._crew.do(precision, judge, [len(piece) for piece in pieces], stop.set):
            right, loss_sum = right + found.right, loss_sum + found.loss
        return Evaluation(right, loss_sum, end - first)

    def _feed(self, part: Literal["train", "test"], precision: Precision) -> Samples:
        """Return images as the kernels read them: the data set's own pixels, and a table."""
        found = self._feeds.get((part, precision))
        if found is None:
            images = self.work.dataset.train if part == "train" else self.work.dataset.test
            if precision == "fp32":
                found = Samples(images.pixels, images.labels, float_table(self.work.dataset))
            else:
                found = Samples(images.pixels, images.labels, *mantissa_table(self.work.dataset))
            self._feeds[part, precision] = found
        return found

    def close(self) -> None:
        """End the threads and give back their memory; a second time does nothing."""
        self._crew.close()


@dataclass(frozen=True, eq=False)
class _Cohort(Generic[Told]):
    """Clients that are trained together in an order, and what they share; by round the learning rate or the rules."""

    tasks: Sequence[LocalTask]
    order: list[int]
    feed: Samples
    start: Weights
    of_round: dict[int, float] | dict[int, Rules]
    stop: Stop
    receive: Receive[Told]

    def sizes(self) -> list[int]:
        """Return each client's images, at least 1, in the cohort's order."""
        return [max(1, len(self.tasks[i].indices)) for i in self.order]

    def train(self, bench: "_Bench", places: range) -> Sequence[Told]:
        """Train some of the tasks. Raises ArithmeticError naming the client that diverged."""
        chosen, whole = self.order[places.start : places.stop], isinstance(self.start, IntWeights)
        tasks = [self.tasks[i] for i in chosen]
        clients = [
            Client(task.indices, task.bounds, self.of_round[task.round_number], task.rounding_seed) for task in tasks
        ]
        results = list[LocalResult]()
        made = bench.trainer(self).train_clients(self.feed, clients, stop=self.stop)
        for task, (found, values, exponents) in zip(tasks, made, strict=False):  # it ends early where one diverges
            _check_finite(found, task)
            weights = IntWeights(values, exponents) if whole else FloatWeights(values)
            results.append(LocalResult(weights, found.right, found.loss))
        if self.stop.word.value:  # the call is over, and who was stopped has no weights: nobody waits for these
            return []
        return self.receive(chosen, results)


class _Bench:
    """A thread's networks: one to train, and one for each precision that is judged. They have no threads of theirs."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._trainer: Network | None = None
        self._began: Stop | None = None  # of the cohort that trains; the cohort itself would keep a round's sums alive
        self._judges: dict[Precision, tuple[Network, Weights]] = {}

    def trainer(self, cohort: "_Cohort[Any]") -> Network:
        """Return the network that trains, with the weights kept that the cohort starts from."""
        if self._trainer is None:
            self._trainer = _network(self._work, _precision(self._work), self._work.batch_size)
        if self._began is not cohort.stop:
            _set(self._trainer, cohort.start)
            self._trainer.keep()
            self._began = cohort.stop
        return self._trainer

    def judge(self, weights: Weights) -> Network:
        """Return a network with these weights; they are set once, however many pieces it judges."""
        precision: Precision = "int8" if isinstance(weights, IntWeights) else "fp32"
        network, held = self._judges.get(precision, (None, None))
        if network is None:
            network = _network(self._work, precision, self._work.evaluation_batch)
        if held is not weights:
            _set(network, weights)
        self._judges[precision] = network, weights
        return network

    def close(self) -> None:
        for network in [self._trainer, *(network for network, _ in self._judges.values())]:
            if network is not None:
                network.close()


def _judge(bench: _Bench, *, work: Work, feed: Samples, weights: Weights, images: Indices, stop: Stop) -> Outcome:
    count, batch = len(images), work.evaluation_batch
    bounds = np.minimum(np.arange(0, count + batch, batch), count).astype(np.int32)
    return bench.judge(weights).judge(feed, images, bounds, stop=stop)


def _precision(work: Work) -> Precision:
    return "fp32" if isinstance(work.trainer, Fp32) else "int8"


def _network(work: Work, precision: Precision, batch_size: int) -> Network:
    return Network(work.model.text, precision, batch_size, bias=work.model.bias)


def _set(network: Network, weights: Weights) -> None:
    if isinstance(weights, IntWeights):
        network.set_flat_int8(weights.values, weights.exponents)
    else:
        network.set_flat_fp32(weights.values)


def _check(work: Work, place: Place) -> None:
    trainer = work.trainer
    if type(work.model) is not Model:
        message = f"model {work.model.name} must be one of layers for the engine native; take the engine eager"
        raise ValueError(message)
    if not 1 <= place.workers <= _MOST_WORKERS:
        message = f"workers must be from 1 to {_MOST_WORKERS} (got {place.workers}); as many as cores is best"
        raise ValueError(message)
    if place.device != "cpu":
        message = (
            f"device must be cpu for the engine native (got {place.device}); the engines eager and stacked have it"
        )
        raise ValueError(message)
    if place.product != "auto":
        message = f"product must be auto for the engine native (got {place.product}); it is for eager and stacked"
        raise ValueError(message)
    if not isinstance(trainer, Fp32):
        if work.model.bias:
            message = f"bias must be left out of {work.model.name}: integers train without biases"
            raise ValueError(message)
    elif trainer.momentum or trainer.weight_decay:
        name, value = ("momentum", trainer.momentum) if trainer.momentum else ("weight_decay", trainer.weight_decay)
        message = f"{name} must be 0 for the engine native (got {value:g}); the engine eager has it"
        raise ValueError(message)


def _check_evaluation(work: Work, precision: Precision) -> None:
    most = largest_batch(work.model.layers, precision)
    if work.evaluation_batch > most:
        message = f"evaluation_batch must be at most {most} for {work.model.name} in {precision}"
        message = f"{message} (got {work.evaluation_batch})"
        raise ValueError(message)


def _check_finite(found: Outcome, task: LocalTask) -> None:
    if found.finite:
        return
    where = f"client {task.client}, round {task.round_number}, step {found.batches} of {task.steps}"
    message = f"{where}: the loss or a weight is no longer finite; training diverged, lower learning_rate"
    raise ArithmeticError(message)
