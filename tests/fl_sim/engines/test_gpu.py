"""The torch engines on a GPU end where they do on the processor. Runs where there is one."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fl_sim.engine import EngineName, Place, Work, open_engine  # noqa: E402
from fl_sim.float32.module import module_model  # noqa: E402
from fl_sim.task import Evaluation, LocalResult  # noqa: E402
from fl_sim.weights import FloatWeights  # noqa: E402
from tests.fl_sim.engines.test_module import DATA, Normed, Plain  # noqa: E402
from tests.fl_sim.engines.toys import MODELS, as_is, fp32, niti, ragged_tasks, start_of, work_of  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]


def on(device: str, name: EngineName, work: Work, start: Any) -> tuple[list[LocalResult], Evaluation]:
    with closing(open_engine(name, work, Place(device=device))) as engine:
        found = dict(engine.train(start, ragged_tasks(), as_is))
        return [found[place] for place in range(len(found))], engine.evaluate(start)


def both(name: EngineName, work: Work, start: Any) -> Iterator[tuple[LocalResult, LocalResult]]:
    (gpu, gpu_judged), (cpu, cpu_judged) = on("cuda", name, work, start), on("cpu", "eager", work, start)
    assert gpu_judged.right == cpu_judged.right
    assert gpu_judged.loss == pytest.approx(cpu_judged.loss, rel=1e-4)
    yield from zip(gpu, cpu, strict=True)


@pytest.mark.parametrize("engine", ["eager", "stacked"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_floats_are_close(name: str, engine: EngineName) -> None:
    for trainer in (fp32("0.05"), fp32("0.03", 0.9, 0.1)):
        work = work_of(name, trainer, bias=True)
        for gpu, cpu in both(engine, work, start_of(work)):
            np.testing.assert_allclose(gpu.weights.values, cpu.weights.values, atol=1e-4)


@pytest.mark.parametrize("engine", ["eager", "stacked"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_integers_are_equal_bit_for_bit(name: str, engine: EngineName) -> None:
    for trainer in (niti("3"), niti("2", activation="stochastic", error="stochastic", update="stochastic")):
        work = work_of(name, trainer)
        for gpu, cpu in both(engine, work, start_of(work)):
            np.testing.assert_array_equal(gpu.weights.values, cpu.weights.values)
            assert gpu.right == cpu.right


def test_modules_are_close() -> None:
    work = Work(module_model(Plain, DATA), DATA, fp32("0.05", 0.9), 5, evaluation_batch=7)
    start = FloatWeights(work.model.initial(np.random.default_rng(0)))
    for gpu, cpu in both("eager", work, start):
        np.testing.assert_allclose(gpu.weights.values, cpu.weights.values, atol=1e-4)


def test_dropout_on_a_gpu_depends_on_the_client_alone() -> None:
    work = Work(module_model(Normed, DATA), DATA, fp32("0.05"), 5, evaluation_batch=7)
    start = FloatWeights(work.model.initial(np.random.default_rng(0)))
    before = torch.cuda.get_rng_state()
    with closing(open_engine("eager", work, Place(device="cuda"))) as engine:
        forth = dict(engine.train(start, ragged_tasks(), as_is))
        back = dict(engine.train(start, ragged_tasks()[::-1], as_is))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    for place, result in forth.items():
        np.testing.assert_allclose(result.weights.values, back[5 - place].weights.values, atol=1e-6)
