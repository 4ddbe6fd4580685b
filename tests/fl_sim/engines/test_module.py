"""Any torch module: what travels, how it trains beside torch.optim.SGD, and whole runs of it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fl_sim.config import Config  # noqa: E402
from fl_sim.data.dataset import Dataset  # noqa: E402
from fl_sim.data.pixels import float_table, floats  # noqa: E402
from fl_sim.engine import Place, Work, open_engine  # noqa: E402
from fl_sim.float32.module import ModuleModel, federated, module_model, values_of  # noqa: E402
from fl_sim.run import Round, rounds, work_of  # noqa: E402
from fl_sim.server import first_server  # noqa: E402
from fl_sim.setting import make_setting  # noqa: E402
from fl_sim.task import LocalResult, LocalTask  # noqa: E402
from fl_sim.trainer import Fp32  # noqa: E402
from fl_sim.weights import FloatWeights  # noqa: E402
from tests.fl_sim.engines.toys import CLASSES, as_is, dataset_of, fp32, model_of, niti, ragged_tasks, task_of  # noqa: E402

nn = torch.nn
DATA = dataset_of(model_of("digits"))


class Plain(nn.Module):
    """A bias that nothing uses, a weight that is not trained, and one weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.square = nn.Linear(36, 36, bias=False)
        self.out = nn.Linear(36, CLASSES)
        self.unused = nn.Parameter(torch.ones(3))
        self.scale = nn.Parameter(torch.full((36,), 0.5), requires_grad=False)

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        x = torch.max_pool2d(torch.relu(self.conv(x)), 2).flatten(1)
        return self.out(self.square(torch.relu(self.square(x))) * self.scale)


class Normed(nn.Module):
    """Buffers of all kinds, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.out = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, CLASSES))
        self.register_buffer("kept_here", torch.full((2,), 3.0), persistent=False)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        if self.training:
            self.seen += len(x)
            self.kept_here += 1
        return self.out(self.norm(x)) * (self.kept_here[0] / 3)


def work_with(make: Callable[[], "nn.Module"], trainer: Fp32, dataset: Dataset = DATA) -> Work:
    return Work(module_model(make, dataset), dataset, trainer, 5, evaluation_batch=7)


def start_with(work: Work, seed: int = 0) -> FloatWeights:
    return FloatWeights(work.model.initial(np.random.default_rng(seed)))


def trained(work: Work, start: FloatWeights, tasks: list[LocalTask]) -> dict[int, LocalResult]:
    with closing(open_engine("eager", work)) as engine:
        return dict(engine.train(start, tasks, as_is))


def by_torch(work: Work, start: FloatWeights, task: LocalTask) -> np.ndarray:
    """The slow twin: torch.optim.SGD and backward, without dropout."""
    assert isinstance(work.model, ModuleModel)
    assert isinstance(work.trainer, Fp32)
    module, at = work.model.make(), 0
    with torch.no_grad():
        for _, tensor in federated(module):
            tensor.copy_(torch.tensor(start.values[at : at + tensor.numel()]).view(tensor.shape))
            at += tensor.numel()
    trainer, train = work.trainer, work.dataset.train
    sgd = torch.optim.SGD(
        module.parameters(), trainer.learning_rate.at(task.round_number), trainer.momentum,
        weight_decay=trainer.weight_decay,
    )  # fmt: skip
    x = torch.from_numpy(floats(train.pixels, float_table(work.dataset))).permute(0, 3, 1, 2).contiguous()
    for first, end in zip(task.bounds[:-1], task.bounds[1:], strict=True):
        places = task.indices[first:end]
        sgd.zero_grad()
        labels = torch.from_numpy(train.labels[places].astype(np.int64))
        nn.functional.cross_entropy(module(x[places]), labels).backward()
        sgd.step()
    return values_of(module)


def test_parameters_travel_then_the_floats_that_are_saved() -> None:
    model = module_model(Normed, DATA)
    names = [name for name, _ in model.tensors]
    assert names == ["norm.weight", "norm.bias", "out.2.weight", "out.2.bias", "seen", "norm.running_mean",
                     "norm.running_var"]  # fmt: skip
    assert model.sizes == (1, 1, 640, 10, 1, 1, 1)
    assert model.parameters == 655
    assert (model.name, model.classes, model.input_shape) == ("Normed", CLASSES, (8, 8, 1))
    assert model.text.startswith("module norm.weight [1], norm.bias [1], out.2.weight [10, 64], ")
    parts = model.split(np.arange(655, dtype=np.float32))
    assert [len(part) for part in parts] == list(model.sizes)
    assert model.weight_shape(2) == (10, 64)


def test_the_first_weights_are_the_modules_own_and_depend_on_the_seed_alone() -> None:
    model = module_model(Normed, DATA)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (model.initial(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(one[[0, 1, 652, 653, 654]], [1, 0, 0, 0, 1])  # batch normalisation's, not Xavier's


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.9, 0.1)])
def test_a_module_ends_where_torch_takes_it(momentum: float, decay: float) -> None:
    work = work_with(Plain, fp32("0.05", momentum, decay))
    start, task = start_with(work), task_of(1, 33, epochs=2)
    found = trained(work, start, [task])[0].weights
    np.testing.assert_allclose(found.values, by_torch(work, start, task), atol=1e-6)
    tensors = {name: part for (name, _), part in zip(work.model.tensors, work.model.split(found.values), strict=True)}  # type: ignore[attr-defined]
    np.testing.assert_array_equal(tensors["unused"], 1)  # torch.optim.SGD leaves it, too: no decay without a gradient
    np.testing.assert_array_equal(tensors["scale"], 0.5)
    assert np.abs(found.values - start.values).max() > 0.01


def test_a_network_and_its_module_are_one() -> None:
    """A model of layers without convolutions, and the module of the same: equal vectors, equal results."""
    layers = Work(model_of("8x8x1:fc12,fc10", bias=True), DATA, fp32("0.1", 0.9, 0.01), 5, evaluation_batch=7)
    module = work_with(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10)), fp32("0.1", 0.9, 0.01)
    )
    start = start_with(module)
    one, other = trained(layers, start, ragged_tasks()), trained(module, start, ragged_tasks())
    for place, result in one.items():
        np.testing.assert_allclose(result.weights.values, other[place].weights.values, atol=1e-6)
        assert result.right == other[place].right
        assert result.loss_sum == pytest.approx(other[place].loss_sum, rel=1e-5)
    judged = [open_engine("eager", work).evaluate(start) for work in (layers, module)]
    assert judged[0].right == judged[1].right
    assert judged[0].loss == pytest.approx(judged[1].loss, rel=1e-5)


def test_clients_do_not_meet_in_a_module() -> None:
    """Dropout, statistics and counters depend on the client alone, not on who came before or torch's own generator."""
    work = work_with(Normed, fp32("0.1", 0.5))
    start, tasks = start_with(work), [task_of(client, 20) for client in (1, 2, 3)]
    forth = trained(work, start, tasks)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    back = trained(work, start, tasks[::-1])
    assert torch.equal(torch.get_rng_state(), before)
    for place in range(3):
        np.testing.assert_array_equal(forth[place].weights.values, back[2 - place].weights.values)
    other_seed = trained(work, start, [replace(tasks[0], rounding_seed=5)])[0].weights.values
    assert not np.array_equal(other_seed, forth[0].weights.values)  # another dropout
    assert forth[0].weights.values[652] == 20  # the saved counter travels; the one that is not saved began anew


def test_judging_changes_nothing_and_is_without_dropout() -> None:
    work = work_with(Normed, fp32("0.1"))
    start = start_with(work)
    with closing(open_engine("eager", work)) as engine:
        first = engine.evaluate(start)
        training = engine.train(start, [task_of(1, 20), task_of(2, 20)], as_is)
        found = dict([next(training)])
        assert engine.evaluate(start) == first
        found |= dict(training)
        assert engine.evaluate(start) == first
    expected = trained(work, start, [task_of(1, 20), task_of(2, 20)])
    for place in range(2):
        np.testing.assert_array_equal(found[place].weights.values, expected[place].weights.values)
    assert first.images == len(DATA.test)


def test_a_module_that_diverges_is_named_and_its_own_errors_say_where() -> None:
    work = work_with(Plain, fp32("1e20"))
    with pytest.raises(ArithmeticError, match=r"client 8, round 2: .*lower learning_rate"):
        trained(work, start_with(work), [task_of(8, 30)])

    class NoSingles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(64, CLASSES)
            self.norm = nn.BatchNorm1d(CLASSES)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            return self.norm(self.out(x.flatten(1)))

    work = work_with(NoSingles, fp32())
    with pytest.raises(ValueError, match="Expected more than 1 value per channel") as caught:
        trained(work, start_with(work), [task_of(8, 6)])
    assert caught.value.__notes__ == ["in client 8, round 2, 6 images"]


def lazy() -> "nn.Module":
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(CLASSES))


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: 3, r"make must return a torch.nn.Module \(got int\)"),
        (lambda: nn.Linear(3, CLASSES), r"module Linear does not take images \[2, 1, 8, 8\]"),
        (lambda: nn.Flatten(), r"must give logits \[2, 10\] for 2 images \(got \[2, 64\]\)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9)), r"must give logits \[2, 10\].*got \[2, 9\]"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (64,)), nn.Linear(64, 10)).requires_grad_(False),
         "no parameter that is trained"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double(), "does not take images"),
        (lazy, "1.weight has no shape yet"),
    ],
)  # fmt: skip
def test_a_module_that_does_not_fit_is_refused_before_anything_is_trained(
    make: Callable[[], "nn.Module"], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        module_model(make, DATA)


def test_a_tensor_of_another_kind_is_named() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(64, CLASSES)
            self.big = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            return self.out(x.flatten(1))

    with pytest.raises(ValueError, match=r"module Half: big must be torch.float32 \(got torch.float64\)"):
        module_model(Half, DATA)


def test_engines_that_cannot_train_a_module_say_which_can() -> None:
    work = work_with(Plain, fp32())
    with pytest.raises(ValueError, match="module Plain cannot be stacked; take the engine eager"):
        open_engine("stacked", work, Place())
    with pytest.raises(
        ValueError, match="model Plain must be one of layers for the engine native; take the engine eager"
    ):
        open_engine("native", work)
    with pytest.raises(ValueError, match="module Plain cannot be trained in integers"):
        open_engine("eager", replace(work, trainer=niti()), Place())


def learner() -> "nn.Module":
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, CLASSES))


def run_of(method: str, make: Callable[[], "nn.Module"]) -> list[Round]:
    config = Config(
        method=method, partition="iid", clients=4, cohort=3, rounds=12, batch_size=8, learning_rate="0.1",
        evaluation_batch=7,
    )  # fmt: skip
    setting = make_setting(config, DATA, model=module_model(make, DATA, "mine"))
    assert setting.config.model == "mine"
    with closing(open_engine("eager", work_of(setting))) as engine:
        return list(rounds(setting, engine, first_server(setting)))


@pytest.mark.parametrize("method", ["floatfl", "quanfl", "quanfl_ef"])
def test_whole_runs_of_a_module_learn_and_repeat_themselves(method: str) -> None:
    found, again = run_of(method, learner), run_of(method, learner)
    assert found[-1].row.fp32_accuracy > 0.5 > found[0].row.fp32_accuracy
    np.testing.assert_array_equal(found[-1].server.weights, again[-1].server.weights)
    model = module_model(learner, DATA)
    sent = 4 * model.parameters if method == "floatfl" else model.parameters + len(model.layers)
    assert {row.upload_bytes for done in found for row in done.clients} == {sent}
    if method == "quanfl":
        assert found[-1].row.int8_accuracy > 0.5


def test_statistics_of_batches_are_averaged_like_weights() -> None:
    found = run_of("floatfl", Normed)
    model = module_model(Normed, DATA)
    statistics = model.split(found[-1].server.weights)[-3:]
    assert abs(float(statistics[1][0])) > 0
    assert float(statistics[0][0]) == pytest.approx(12 * 16, abs=12)  # a dozen rounds of 16 images a client
