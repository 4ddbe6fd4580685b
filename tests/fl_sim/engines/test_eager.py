"""The eager engine beside autograd and torch.optim.SGD."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fl_sim.data.pixels import float_table, floats  # noqa: E402
from fl_sim.engine import Place, Work, open_engine  # noqa: E402
from fl_sim.engines.eager import EagerEngine  # noqa: E402
from fl_sim.float32.client import finished  # noqa: E402
from fl_sim.float32.device import alone  # noqa: E402
from fl_sim.float32.feed import Feed  # noqa: E402
from fl_sim.float32.network import layers_of, whole  # noqa: E402
from fl_sim.model import Model  # noqa: E402
from fl_sim.task import LocalResult, LocalTask  # noqa: E402
from fl_sim.trainer import Fp32  # noqa: E402
from fl_sim.weights import FloatWeights, IntWeights  # noqa: E402
from tests.fl_sim.engines.toys import (  # noqa: E402
    MODELS,
    TEST_IMAGES,
    as_is,
    fp32,
    niti,
    ragged_tasks,
    start_of,
    task_of,
    weights_of,
    work_of,
)

CPU = torch.device("cpu")


def twin(model: Model, values: np.ndarray) -> "torch.nn.Module":
    """The model of layers as torch has them, NCHW, with the order of the issue: convolution, ReLU, pool."""

    class Twin(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kinds = {"conv": torch.nn.Conv2d, "fc": torch.nn.Linear}
            made = [
                kinds[e.kind](e.c, e.outputs, e.kernel, padding=e.pad, bias=model.bias)
                if e.kind == "conv"
                else kinds[e.kind](e.inputs, e.outputs, bias=model.bias)
                for e in model.layers
            ]
            self.layers = torch.nn.ModuleList(made)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            for layer, extent, following in zip(self.layers, model.layers, (*model.layers[1:], None), strict=True):
                if extent.kind == "fc" and x.dim() > 2:
                    x = x.permute(0, 2, 3, 1).flatten(1)
                x = layer(x)
                if following is None:
                    return x
                x = torch.relu(x)
                if extent.kind == "conv" and (following.h, following.w) != (extent.out_h, extent.out_w):
                    x = torch.max_pool2d(x, 2)
            return x

    module = Twin()
    with torch.no_grad():
        for layer, parts in zip(module.layers, whole(model, torch.tensor(values)).parts, strict=True):
            layer.weight.copy_(parts.weight)
            if parts.bias is not None:
                layer.bias.copy_(parts.bias)
    return module


def vector_of(model: Model, module: "torch.nn.Module") -> np.ndarray:
    vector = torch.zeros(model.parameters)
    with torch.no_grad():
        for layer, parts in zip(module.layers, whole(model, vector).parts, strict=True):
            parts.weight.copy_(layer.weight)
            if parts.bias is not None:
                parts.bias.copy_(layer.bias)
    return vector.numpy()


def trained_by_autograd(work: Work, start: np.ndarray, task: LocalTask) -> LocalResult:
    trainer = work.trainer
    assert isinstance(trainer, Fp32)
    module = twin(work.model, start)
    sgd = torch.optim.SGD(
        module.parameters(), trainer.learning_rate.at(task.round_number), trainer.momentum,
        weight_decay=trainer.weight_decay,
    )  # fmt: skip
    train = work.dataset.train
    x = torch.from_numpy(floats(train.pixels, float_table(work.dataset))).permute(0, 3, 1, 2).contiguous()
    right, loss_sum = 0, 0.0
    for b in range(task.steps):
        places = task.indices[task.bounds[b] : task.bounds[b + 1]]
        labels = torch.from_numpy(train.labels[places].astype(np.int64))
        logits = module(x[places])
        loss = torch.nn.functional.cross_entropy(logits, labels)
        right += int((logits.argmax(1) == labels).sum())
        loss_sum += loss.item() * len(places)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    return LocalResult(FloatWeights(vector_of(work.model, module)), right, loss_sum)


def trained(work: Work, start: FloatWeights | IntWeights, tasks: Sequence[LocalTask]) -> dict[int, LocalResult]:
    engine = EagerEngine(work, Place())
    found = dict(engine.train(start, tasks, as_is))
    engine.close()
    return found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_client_ends_where_autograd_and_sgd_take_it(name: str, bias: bool) -> None:
    work = work_of(name, fp32("0.1"), bias=bias)
    start = weights_of(work.model)
    task = task_of(3, 32, epochs=2)
    found = trained(work, FloatWeights(start), [task])[0]
    expected = trained_by_autograd(work, start, task)
    moved = np.abs(expected.weights.values - start).max()
    assert moved > 0.01
    np.testing.assert_allclose(found.weights.values, expected.weights.values, atol=2e-5 + 1e-4 * moved)
    assert found.right == expected.right
    assert found.loss_sum == pytest.approx(expected.loss_sum, rel=1e-4)
    assert found.weights.values.dtype == np.float32


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.0), (0.0, 0.1), (0.9, 0.1), (0.5, 0.01)])
def test_momentum_and_decay_are_those_of_torch(momentum: float, decay: float) -> None:
    work = work_of("odd", fp32("0.03", momentum, decay), bias=True)
    start, task = weights_of(work.model), task_of(4, 40, epochs=2)
    found = trained(work, FloatWeights(start), [task])[0].weights.values
    np.testing.assert_allclose(found, trained_by_autograd(work, start, task).weights.values, atol=3e-5)
    plain = trained(replace(work, trainer=fp32("0.03")), FloatWeights(start), [task])[0].weights.values
    assert np.abs(found - plain).max() > 1e-2


def test_the_rate_is_that_of_the_round() -> None:
    work = work_of("dense", fp32("0.1 0.01@5"))
    start = FloatWeights(weights_of(work.model))
    early, late = (trained(work, start, [task_of(1, 9, round_number=number)])[0].weights.values for number in (4, 5))
    assert np.abs(early - start.values).max() > 5 * np.abs(late - start.values).max() > 0


def test_velocity_begins_at_nothing_with_every_client() -> None:
    work = work_of("dense", fp32("0.1", 0.9))
    start, task = FloatWeights(weights_of(work.model)), task_of(1, 20)
    found = trained(work, start, [task, task])
    np.testing.assert_array_equal(found[0].weights.values, found[1].weights.values)


def test_neither_the_order_of_tasks_nor_their_company_matters() -> None:
    work = work_of("digits", fp32("0.1", 0.5), bias=True)
    start, tasks = FloatWeights(weights_of(work.model)), ragged_tasks()
    before = start.values.copy()
    forth, back = trained(work, start, tasks), trained(work, start, tasks[::-1])
    for place in range(len(tasks)):
        other = back[len(tasks) - 1 - place]
        np.testing.assert_array_equal(forth[place].weights.values, other.weights.values)
        assert (forth[place].right, forth[place].loss_sum) == (other.right, other.loss_sum)
    np.testing.assert_array_equal(start.values, before)


def test_a_client_larger_than_a_piece_is_fed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_of("plain", fp32("0.1"))
    start, task = FloatWeights(weights_of(work.model)), task_of(1, 41, epochs=2)
    whole_client = trained(work, start, [task])[0]
    feed = Feed(work.dataset.train, float_table(work.dataset), CPU)
    assert list(feed.pieces(task)) == [(0, task.steps)]
    monkeypatch.setattr("fl_sim.float32.feed._PIECE_BYTES", 4 * 7 * 6 * 3 * 12)
    pieces = list(feed.pieces(task))
    assert pieces[0] == (0, 2)
    assert [first for first, _ in pieces[1:]] == [end for _, end in pieces[:-1]]
    assert pieces[-1][1] == task.steps
    assert all(task.bounds[end] - task.bounds[first] <= 12 for first, end in pieces)
    in_pieces = trained(work, start, [task])[0]
    np.testing.assert_array_equal(in_pieces.weights.values, whole_client.weights.values)
    assert in_pieces.loss_sum == pytest.approx(whole_client.loss_sum)
    monkeypatch.setattr("fl_sim.float32.feed._PIECE_BYTES", 1)
    np.testing.assert_array_equal(trained(work, start, [task])[0].weights.values, whole_client.weights.values)


@pytest.mark.parametrize("name", ["leaf", "odd", "plain"])
def test_images_are_fed_as_the_table_says(name: str) -> None:
    dataset = work_of(name, fp32()).dataset
    feed = Feed(dataset.train, float_table(dataset), CPU)
    places = np.array([3, 60, 3, 0], dtype=np.int32)
    x, y = feed.take(places)
    expected = floats(dataset.train.pixels[places], float_table(dataset))
    np.testing.assert_array_equal(x.permute(0, 2, 3, 1).numpy(), expected)
    np.testing.assert_array_equal(y.numpy(), dataset.train.labels[places])
    assert x.permute(0, 2, 3, 1).is_contiguous()


def test_arrays_that_cannot_be_written_to_are_as_good_as_others() -> None:
    work = work_of("plain", fp32())
    start, task = FloatWeights(weights_of(work.model)), task_of(1, 20)
    expected, judged = trained(work, start, [task])[0], EagerEngine(work, Place()).evaluate(start)
    for images in (work.dataset.train, work.dataset.test):
        images.pixels.flags.writeable = images.labels.flags.writeable = False
    start.values.flags.writeable = False
    np.testing.assert_array_equal(trained(work, start, [task])[0].weights.values, expected.weights.values)
    assert EagerEngine(work, Place()).evaluate(start) == judged


def test_weights_are_judged_as_torch_would() -> None:
    work = work_of("odd", fp32(), bias=True)
    values = weights_of(work.model)
    test = work.dataset.test
    x = torch.from_numpy(floats(test.pixels, float_table(work.dataset))).permute(0, 3, 1, 2)
    labels = torch.from_numpy(test.labels.astype(np.int64))
    with torch.no_grad():
        logits = twin(work.model, values)(x)
    engine = EagerEngine(work, Place())
    found = engine.evaluate(FloatWeights(values))
    assert found.images == TEST_IMAGES
    assert found.right == int((logits.argmax(1) == labels).sum())
    assert found.loss_sum == pytest.approx(
        float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum")), rel=1e-5
    )
    parts = [engine.evaluate(FloatWeights(values), a, b) for a, b in ((0, 7), (7, 20), (20, 23))]
    assert sum(part.right for part in parts) == found.right
    assert sum(part.loss_sum for part in parts) == pytest.approx(found.loss_sum)
    assert [part.images for part in parts] == [7, 13, 3]


def test_training_learns() -> None:
    work = work_of("digits", fp32("0.05"))
    engine = EagerEngine(work, Place())
    start = FloatWeights(weights_of(work.model))
    [(_, result)] = engine.train(start, [task_of(1, 64, epochs=8)], as_is)
    assert engine.evaluate(start).accuracy < 0.5
    assert engine.evaluate(result.weights).accuracy > 0.9


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_are_one_in_training_and_what_they_were_behind_it(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[int]()
    before = torch.get_num_threads()
    work = work_of("dense", fp32())
    start = FloatWeights(weights_of(work.model))

    def layers(*args: object) -> object:
        seen.append(torch.get_num_threads())
        raise ZeroDivisionError

    try:
        torch.set_num_threads(threads)
        engine = EagerEngine(work, Place())
        for _ in engine.train(start, ragged_tasks(), as_is):
            assert torch.get_num_threads() == threads
        engine.evaluate(start)
        assert torch.get_num_threads() == threads
        monkeypatch.setattr("fl_sim.float32.client.forward", layers)
        with pytest.raises(ZeroDivisionError):
            list(engine.train(start, ragged_tasks(), as_is))
        assert (seen, torch.get_num_threads()) == ([1], threads)
    finally:
        torch.set_num_threads(before)


def test_convolutions_on_a_gpu_are_of_full_precision_while_an_engine_computes() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark
    with alone(torch.device("cuda")):
        assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark) == (False, True, False)
    assert (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark) == before
    assert before[0], "this test cannot fail where TF32 is off anyway"


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_client_that_diverges_is_named_with_its_round_and_the_way_out(momentum: float) -> None:
    work = work_of("digits", fp32("1e12", momentum))
    start = FloatWeights(weights_of(work.model))
    with pytest.raises(ArithmeticError, match=r"client 9, round 2: .*no longer finite.*lower learning_rate"):
        trained(work, start, [task_of(9, 40, epochs=3)])


def test_a_weight_that_is_no_number_at_the_end_is_seen_even_if_the_loss_was_one() -> None:
    work = work_of("dense", fp32("9e29"))
    start = FloatWeights(weights_of(work.model) * np.float32(1e10))
    with pytest.raises(ArithmeticError, match="client 9, round 2"):
        trained(work, start, [task_of(9, 5)])  # one step: its loss is the one before it


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_seen_even_if_the_weights_are(loss: float) -> None:
    with pytest.raises(ArithmeticError, match="client 9, round 2"):
        finished(np.zeros(3, dtype=np.float32), 0, loss, task_of(9, 5))


def test_what_an_engine_cannot_do_is_said_with_the_way_out() -> None:
    work = work_of("dense", fp32())
    with pytest.raises(ValueError, match=r"workers must be 1 .*got 2.*torchrun.*native"):
        EagerEngine(work, Place(workers=2))
    with pytest.raises(ValueError, match=r"device 'cuda:77' cannot be used.*use cpu"):
        EagerEngine(work, Place(device="cuda:77"))
    with pytest.raises(ValueError, match="device 'my phone' cannot be used"):
        EagerEngine(work, Place(device="my phone"))
    with pytest.raises(ValueError, match="cannot be used"):
        EagerEngine(work, Place(device="meta"))
    engine = EagerEngine(work, Place())
    values = weights_of(work.model)
    with pytest.raises(ValueError, match="start must be FloatWeights for a trainer of fp32"):
        engine.train(IntWeights(values.astype(np.int8), (0, 0)), [], as_is)
    with pytest.raises(ValueError, match="start must be IntWeights for a trainer of int8"):
        EagerEngine(replace(work, trainer=niti()), Place()).train(FloatWeights(values), [], as_is)
    with pytest.raises(ValueError, match=f"weights must be {len(values)} numbers"):
        engine.train(FloatWeights(values[1:]), [], as_is)
    with pytest.raises(ValueError, match=f"weights must be {len(values)} numbers"):
        engine.evaluate(FloatWeights(values[1:]))
    for first, end in ((0, 24), (-1, 3), (5, 5), (7, 3)):
        with pytest.raises(ValueError, match="a part of the 23 test images"):
            engine.evaluate(FloatWeights(values), first, end)


def test_nothing_to_train_gives_nothing_and_closing_twice_is_once() -> None:
    work = work_of("dense", fp32())
    engine = open_engine("eager", work)
    assert list(engine.train(start_of(work), [], as_is)) == []
    engine.close()
    engine.close()


def test_pools_are_found_from_the_shapes() -> None:
    found = {name: [layer.pool for layer in layers_of(work_of(name, fp32()).model)] for name in ("odd", "plain")}
    assert found == {"odd": [True, True, False, False], "plain": [False, False, False]}
