"""The native engine: the same as its kernels step by step, on any number of threads, and close to the eager engine."""

import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl_sim.data.pixels import float_table, floats, mantissa_table, mantissas
from fl_sim.engine import Place, Work, open_engine
from fl_sim.engines.native import NativeEngine
from fl_sim.task import Evaluation, LocalResult, LocalTask
from fl_sim.trainer import Fp32
from fl_sim.weights import FloatWeights, IntWeights
from profiler.native.network import Network
from tests.fl_sim.engines.toys import TEST_IMAGES, as_is, fp32, niti, ragged_tasks, start_of, task_of, work_of

NAMES = ["digits", "odd", "plain", "dense", "leaf"]


@contextmanager
def opened(work: Work, workers: int = 1) -> Iterator[NativeEngine]:
    with closing(NativeEngine(work, Place(workers=workers))) as engine:
        yield engine


def trained(work: Work, tasks: list[LocalTask], workers: int = 1, seed: int = 0) -> list[LocalResult]:
    with opened(work, workers) as engine:
        found = dict(engine.train(start_of(work, seed), tasks, as_is))
    assert sorted(found) == list(range(len(tasks)))
    return [found[i] for i in range(len(tasks))]


def same(a: LocalResult, b: LocalResult) -> bool:
    weights = a.weights.values.tobytes() == b.weights.values.tobytes()
    if isinstance(a.weights, IntWeights):
        assert isinstance(b.weights, IntWeights)
        weights = weights and a.weights.exponents == b.weights.exponents
    return weights and (a.right, a.loss_sum) == (b.right, b.loss_sum)


def by_steps(work: Work, start: FloatWeights | IntWeights, task: LocalTask) -> LocalResult:
    """The slow twin: one call a step, images looked up by numpy."""
    dataset, labels = work.dataset, work.dataset.train.labels
    right, loss_sum = 0, 0.0
    with Network(work.model.text, work.trainer.precision, work.batch_size, bias=work.model.bias) as network:  # type: ignore[arg-type]
        if isinstance(start, IntWeights):
            network.set_flat_int8(start.values, start.exponents)
        else:
            network.set_flat_fp32(start.values)
        for step in range(task.steps):
            chosen = task.indices[task.bounds[step] : task.bounds[step + 1]]
            pixels = dataset.train.pixels[chosen]
            if isinstance(work.trainer, Fp32):
                rate = work.trainer.learning_rate.at(task.round_number)
                said = network.train_fp32(floats(pixels, float_table(dataset)), labels[chosen], rate)
            else:
                rules, table = work.trainer.rules(task.round_number, task.rounding_seed), mantissa_table(dataset)
                said = network.train_int8(mantissas(pixels, table), table.exponent, labels[chosen], rules, step=step)
            right, loss_sum = right + said.right, loss_sum + np.rint(said.loss * len(chosen) * 2**20) / 2**20
        whole = isinstance(start, IntWeights)
        weights = IntWeights(*network.flat_int8()) if whole else FloatWeights(network.flat_fp32())
    return LocalResult(weights, right, loss_sum)


WORKS = [
    *((name, fp32("0.05 0.01@3"), bias) for name in NAMES for bias in (False, True)),
    *((name, niti("3 2@2"), False) for name in NAMES),
    ("digits", niti("2", activation="stochastic", error="stochastic", update="stochastic", loss="stochastic"), False),
]


@pytest.mark.parametrize(("name", "trainer", "bias"), WORKS)
def test_the_same_as_step_by_step_on_any_number_of_threads(name: str, trainer: Any, bias: bool) -> None:
    work, tasks = work_of(name, trainer, bias=bias), ragged_tasks()
    expected = [by_steps(work, start_of(work), task) for task in tasks]
    for workers in (1, 2, 5):
        for found, result in zip(trained(work, tasks, workers), expected, strict=True):
            assert same(found, result)


def test_one_engine_for_many_rounds() -> None:
    work = work_of("digits", niti())
    tasks = ragged_tasks()
    with opened(work, 2) as engine:
        for seed in (1, 2, 1):
            start = start_of(work, seed)
            for place, found in engine.train(start, tasks, as_is):
                assert same(found, trained(work, [tasks[place]], 1, seed)[0])
        assert list(engine.train(start_of(work), [], as_is)) == []
    with pytest.raises(ValueError, match="the engine is closed; open a new one"):
        list(engine.train(start_of(work), tasks, as_is))
    engine.close()


@pytest.mark.parametrize("trainer", [fp32(), niti()])
def test_judging_does_not_depend_on_threads_and_parts(trainer: Any) -> None:
    work = replace(work_of("odd", trainer), evaluation_batch=2)
    whole, in_floats = start_of(work_of("odd", niti())), start_of(work_of("odd", fp32()))
    with opened(work, 1) as engine, opened(work, 3) as several:
        for weights in (whole, in_floats, whole):
            found = engine.evaluate(weights)
            assert found.images == TEST_IMAGES
            assert several.evaluate(weights) == found
            parts = [engine.evaluate(weights, first, min(first + 6, TEST_IMAGES)) for first in range(0, TEST_IMAGES, 6)]
            right, loss_sum = sum(part.right for part in parts), sum(part.loss_sum for part in parts)
            assert Evaluation(right, loss_sum, TEST_IMAGES) == found
        with pytest.raises(ValueError, match="first and end must be a part of the 23 test images"):
            engine.evaluate(whole, 0, 24)
        with pytest.raises(ValueError, match="weights must be"):
            engine.evaluate(FloatWeights(in_floats.values[1:]))


def test_judging_equals_the_scores() -> None:
    work = work_of("digits", niti())
    weights, test = start_of(work), work.dataset.test
    table, right = mantissa_table(work.dataset), 0
    assert isinstance(weights, IntWeights)
    with opened(work) as engine, Network(work.model.text, "int8", 7) as network:
        network.set_flat_int8(weights.values, weights.exponents)
        for first in range(0, TEST_IMAGES, 7):
            logits, _ = network.forward_int8(mantissas(test.pixels[first : first + 7], table), table.exponent)
            right += int((logits.argmax(axis=1) == test.labels[first : first + 7]).sum())
        assert engine.evaluate(weights).right == right


@pytest.mark.parametrize("workers", [1, 3])
def test_training_that_diverges_names_client_and_round(workers: int) -> None:
    work, tasks = work_of("dense", fp32()), ragged_tasks()
    start = start_of(work)
    assert isinstance(start, FloatWeights)
    with opened(work, workers) as engine:
        with pytest.raises(ArithmeticError, match=r"client \d, round 2, step 0 of \d+: .* lower learning_rate"):
            list(engine.train(FloatWeights(start.values * np.float32(1e30)), tasks, as_is))
        again = dict(engine.train(start, tasks, as_is))
        for i, result in enumerate(trained(work, tasks)):
            assert same(again[i], result), "the threads still work, and nothing of the divergence is left"


def test_nothing_of_a_round_is_kept_when_it_is_over() -> None:
    work, tasks = work_of("digits", niti()), ragged_tasks()
    with opened(work, 3) as engine:
        gone = []
        for _ in range(3):

            def receive(_places: Sequence[int], results: Sequence[LocalResult]) -> Sequence[LocalResult]:
                return results

            gone.append(weakref.ref(receive))
            list(engine.train(start_of(work), tasks, receive))
        del receive
        until_s = time.monotonic() + 10
        while any(each() is not None for each in gone) and time.monotonic() < until_s:
            time.sleep(0.001)
        assert [each() for each in gone] == [None] * 3


def test_who_leaves_early_stops_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []

    class Watched(Network):
        def train_clients(self, *arguments: Any, **more: Any) -> list[Any]:
            made = super().train_clients(*arguments, **more)
            steps.extend(found.batches for found, _, _ in made)
            return made

    monkeypatch.setattr("fl_sim.engines.native.Network", Watched)
    work = work_of("leaf", fp32(), bias=True)
    tasks = [task_of(0, 1), *(task_of(i, 60, epochs=4000) for i in (1, 2, 3))]
    received: list[int] = []

    def receive(places: Sequence[int], results: Sequence[LocalResult]) -> Sequence[LocalResult]:
        received.extend(places)
        return results

    with opened(work, 4) as engine:  # a thread for each: the short task ends first
        results = engine.train(start_of(work), tasks, receive)
        place, _ = next(results)
        results.close()
    assert (place, steps[0]) == (0, 1)
    assert received == [0], "who was stopped has made nothing"
    assert all(count < 12 * 4000 for count in steps[1:])


WRONG: list[tuple[Any, Place, str]] = [
    (fp32(momentum=0.9), Place(), "momentum must be 0 for the engine native .got 0.9.; the engine eager has it"),
    (fp32(decay=1e-4), Place(), "weight_decay must be 0 for the engine native"),
    (fp32(), Place(workers=0), "workers must be from 1 to 1024"),
    (fp32(), Place(device="cuda"), "device must be cpu for the engine native"),
    (niti(), Place(product="oracle"), "product must be auto for the engine native"),
]


@pytest.mark.parametrize(("trainer", "place", "message"), WRONG)
def test_what_it_cannot_do(trainer: Any, place: Place, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_engine("native", work_of("digits", trainer), place)


def test_wrong_work() -> None:
    with pytest.raises(ValueError, match="bias must be left out of 8x8x1:"):
        open_engine("native", work_of("digits", niti(), bias=True))
    work = work_of("digits", niti())
    with pytest.raises(ValueError, match="batch_size"):
        open_engine("native", replace(work, batch_size=65537))
    with opened(replace(work, evaluation_batch=3000)) as engine:
        with pytest.raises(ValueError, match=r"evaluation_batch must be at most 2080 for .* in int8 \(got 3000"):
            engine.evaluate(start_of(work))
        with pytest.raises(ValueError, match="start must be IntWeights"):
            engine.train(start_of(work_of("digits", fp32())), [], as_is)


def test_no_torch_is_imported() -> None:
    program = """
import sys
from tests.fl_sim.engines.test_native import trained, work_of, ragged_tasks, niti, fp32
trained(work_of("digits", niti()), ragged_tasks(), 2)
trained(work_of("digits", fp32()), ragged_tasks(), 1)
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("name", NAMES)
def test_close_to_the_eager_engine(name: str) -> None:
    pytest.importorskip("torch")
    work = work_of(name, fp32(), bias=True)
    tasks, start = ragged_tasks(), start_of(work)
    with closing(open_engine("eager", work)) as eager:
        expected = dict(eager.train(start, tasks, as_is))
        judged = eager.evaluate(start)
    for i, found in enumerate(trained(work, tasks)):
        off = np.abs(found.weights.values - expected[i].weights.values).max()
        assert off < 1e-4 * np.abs(expected[i].weights.values).max()
        assert found.right == expected[i].right
        assert found.loss_sum == pytest.approx(expected[i].loss_sum, rel=1e-4)
    with opened(work) as engine:
        assert engine.evaluate(start).right == judged.right
        assert engine.evaluate(start).loss_sum == pytest.approx(judged.loss_sum, rel=1e-5)
