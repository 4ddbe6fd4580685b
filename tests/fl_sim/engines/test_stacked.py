"""The stacked engine beside the eager one: ragged clients, short batches, groups, divergence."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fl_sim.engine import EngineName, Place, Work, open_engine  # noqa: E402
from fl_sim.engines.stacked import StackedEngine  # noqa: E402
from fl_sim.float32.cohort import widest  # noqa: E402
from fl_sim.model import find_model  # noqa: E402
from fl_sim.task import LocalResult, LocalTask  # noqa: E402
from fl_sim.weights import FloatWeights, IntWeights  # noqa: E402
from tests.fl_sim.engines.toys import (  # noqa: E402
    MODELS,
    as_is,
    fp32,
    niti,
    ragged_tasks,
    start_of,
    task_of,
    weights_of,
    work_of,
)


def trained(name: EngineName, work: Work, tasks: list[LocalTask], width: int = 0) -> list[LocalResult]:
    engine = open_engine(name, work)
    if width:
        assert isinstance(engine, StackedEngine)
        engine.width = width
    found = dict(engine.train(start_of(work), tasks, as_is))
    engine.close()
    assert sorted(found) == list(range(len(tasks)))
    return [found[place] for place in range(len(tasks))]


def assert_same(found: list[LocalResult], expected: list[LocalResult], atol: float = 2e-6) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.weights.values, other.weights.values, atol=atol)
        assert one.right == other.right
        assert one.loss_sum == pytest.approx(other.loss_sum, rel=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_stacked_clients_end_where_single_ones_do(name: str, bias: bool) -> None:
    work = work_of(name, fp32("0.1"), bias=bias)
    tasks = ragged_tasks()
    found = trained("stacked", work, tasks)
    assert_same(found, trained("eager", work, tasks))
    start = start_of(work).values
    assert all(np.abs(result.weights.values - start).max() > 1e-3 for result in found)
    assert len({result.weights.values.tobytes() for result in found}) == len(tasks)


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.0), (0.0, 0.1), (0.9, 0.1)])
def test_momentum_and_decay_are_those_of_the_eager_engine(momentum: float, decay: float) -> None:
    work = work_of("odd", fp32("0.03", momentum, decay), bias=True)
    assert_same(trained("stacked", work, ragged_tasks()), trained("eager", work, ragged_tasks()))


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 100])
def test_the_width_of_a_group_changes_nothing(width: int) -> None:
    work = work_of("digits", fp32("0.1", 0.5), bias=True)
    tasks = [*ragged_tasks(), *ragged_tasks()]
    assert_same(trained("stacked", work, tasks, width), trained("stacked", work, tasks))


def test_images_that_fill_a_batch_up_do_not_count() -> None:
    work = work_of("dense", fp32("0.1"), bias=True)
    alone = trained("stacked", work, [task_of(1, 1)])
    assert_same(trained("stacked", work, [task_of(2, 30), task_of(1, 1), task_of(3, 29)])[1:2], alone)
    assert alone[0].right in (0, 1)
    assert alone[0].loss_sum > 0


@pytest.mark.parametrize("engine", ["eager", "stacked"])
def test_one_client_that_diverges_ends_the_round_by_name(engine: EngineName) -> None:
    work = work_of("digits", fp32("1e12"))
    with pytest.raises(ArithmeticError, match=r"client 4, round 2: .*lower learning_rate"):
        trained(engine, work, [task_of(4, 40, epochs=3)])


@pytest.mark.parametrize("engine", ["eager", "stacked"])
def test_a_loss_of_test_images_that_is_no_number_is_said(engine: EngineName) -> None:
    work = work_of("leaf", fp32())
    huge = FloatWeights(weights_of(work.model) * np.float32(1e12))
    with pytest.raises(ArithmeticError, match=r"loss on test images .*lower learning_rate"):
        open_engine(engine, work).evaluate(huge)


def test_both_judge_alike_and_refuse_alike() -> None:
    work = work_of("odd", fp32())
    weights = FloatWeights(weights_of(work.model))
    eager, stacked = (open_engine(name, work) for name in ("eager", "stacked"))
    assert stacked.evaluate(weights) == eager.evaluate(weights)
    assert stacked.evaluate(weights, 3, 11) == eager.evaluate(weights, 3, 11)
    with pytest.raises(ValueError, match="start must be FloatWeights"):
        stacked.train(IntWeights(weights.values.astype(np.int8), (0,) * 4), [], as_is)
    with pytest.raises(ValueError, match="start must be IntWeights"):
        StackedEngine(replace(work, trainer=niti()), Place()).train(weights, [], as_is)
    with pytest.raises(ValueError, match=r"workers must be 1 for the engine stacked \(got 4\)"):
        StackedEngine(work, Place(workers=4))
    assert list(stacked.train(weights, [], as_is)) == []
    with pytest.raises(ValueError, match="one learning rate"):
        list(
            StackedEngine(replace(work, trainer=fp32("1 0.5@3")), Place()).train(
                weights, [task_of(1, 3), task_of(2, 3, round_number=3)], as_is
            )
        )


def test_large_networks_are_stacked_by_fewer_clients_and_one_at_least() -> None:
    digits, lenet, vgg = (find_model(name, 10) for name in ("digits", "lenet5", "vgg16"))
    memory_bytes = 1 << 28
    assert widest(digits, 5, memory_bytes) > widest(lenet, 5, memory_bytes) > widest(lenet, 64, memory_bytes)
    assert widest(vgg, 64, memory_bytes) == 1
    assert StackedEngine(work_of("digits", fp32()), Place()).width == 16


def test_threads_are_what_they_were() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        work = work_of("dense", fp32())
        for _ in open_engine("stacked", work).train(start_of(work), ragged_tasks(), as_is):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
