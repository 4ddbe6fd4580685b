"""Native, eager and stacked: one result, bit for bit in INT8, within rounding in FP32; and only two need torch."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from fl_sim.config import Config
from fl_sim.engine import ENGINES, EngineName, Place, Work, open_engine
from fl_sim.run import rounds
from fl_sim.run import work_of as work_of_run
from fl_sim.server import Server, first_server
from fl_sim.setting import make_setting
from fl_sim.task import LocalResult, LocalTask
from fl_sim.weights import FloatWeights, IntWeights
from profiler.native.rules import ROUNDINGS, Rounding
from tests.fl_sim.engines.toys import (
    MODELS,
    TEST_IMAGES,
    as_is,
    dataset_of,
    fp32,
    model_of,
    niti,
    ragged_tasks,
    start_of,
    task_of,
    work_of,
)

WAYS: dict[str, tuple[EngineName, Place]] = {
    "native": ("native", Place()),
    "native on two threads": ("native", Place(workers=2)),
    "eager": ("eager", Place()),
    "stacked": ("stacked", Place()),
    "eager with int64": ("eager", Place(product="oracle")),
    "eager in floats": ("eager", Place(product="float32")),
    "stacked in floats": ("stacked", Place(product="float32")),
}
IN_FLOATS = ("native", "stacked")  # beside eager, the reference


def trained(way: str, work: Work, tasks: list[LocalTask], seed: int = 0) -> list[LocalResult]:
    name, place = WAYS[way]
    with closing(open_engine(name, work, place)) as engine:
        found = dict(engine.train(start_of(work, seed), tasks, as_is))
    assert sorted(found) == list(range(len(tasks)))
    return [found[i] for i in range(len(tasks))]


def same_bits(one: list[LocalResult], other: list[LocalResult]) -> None:
    for a, b in zip(one, other, strict=True):
        assert isinstance(a.weights, IntWeights)
        assert isinstance(b.weights, IntWeights)
        assert a.weights.values.dtype == b.weights.values.dtype == np.int8
        np.testing.assert_array_equal(a.weights.values, b.weights.values)
        assert a.weights.exponents == b.weights.exponents
        assert a.right == b.right
        assert a.loss_sum == pytest.approx(b.loss_sum, rel=1e-5, abs=1e-4)


def close(one: list[LocalResult], other: list[LocalResult], start: FloatWeights) -> None:
    for a, b in zip(one, other, strict=True):
        moved = np.abs(b.weights.values - start.values).max()
        assert moved > 1e-3
        np.testing.assert_allclose(a.weights.values, b.weights.values, atol=1e-6 + 1e-4 * moved)
        assert a.right == b.right
        assert a.loss_sum == pytest.approx(b.loss_sum, rel=1e-4)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_floats_agree_within_rounding(name: str, bias: bool) -> None:
    work = work_of(name, fp32("0.1"), bias=bias)
    start, tasks = start_of(work), [*ragged_tasks(), task_of(7, 60, epochs=2)]
    assert isinstance(start, FloatWeights)
    expected = trained("eager", work, tasks)
    for way in IN_FLOATS:
        close(trained(way, work, tasks), expected, start)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_integers_agree_bit_for_bit(name: str) -> None:
    work, tasks = work_of(name, niti("3")), ragged_tasks()
    expected = trained("native", work, tasks)
    start = start_of(work).values
    assert all((result.weights.values != start).mean() > 0.005 for result in expected)
    for way in WAYS:
        same_bits(trained(way, work, tasks), expected)


KINDS = ("activation", "error", "update", "loss")
MIXED: list[dict[str, Rounding]] = [
    *({kind: rounding for kind in KINDS} for rounding in ROUNDINGS),
    *({kind: rounding} for kind in KINDS for rounding in ROUNDINGS),
]


@pytest.mark.parametrize("roundings", MIXED, ids=lambda roundings: "-".join(f"{k} {v}" for k, v in roundings.items()))
def test_integers_agree_however_they_are_rounded(roundings: dict[str, Rounding]) -> None:
    work = work_of("odd", niti("2", **roundings))
    tasks = [task_of(1, 1), task_of(2, 13), task_of(3, 9, epochs=2)]
    expected = trained("native", work, tasks)
    for way in ("eager", "stacked", "eager with int64"):
        same_bits(trained(way, work, tasks), expected)


def test_stochastic_rounding_depends_on_the_clients_seed_in_every_engine() -> None:
    work = work_of("dense", niti("1", update="stochastic"))
    one, other = task_of(1, 20), task_of(1, 20)
    object.__setattr__(other, "rounding_seed", one.rounding_seed + 1)
    for way in ("native", "eager", "stacked"):
        found = trained(way, work, [one, other, one])
        np.testing.assert_array_equal(found[0].weights.values, found[2].weights.values)
        assert (found[0].weights.values != found[1].weights.values).any()


@pytest.mark.parametrize("way", ["native on two threads", "eager", "stacked"])
@pytest.mark.parametrize("trainer", [fp32("0.1"), niti("2", update="stochastic")], ids=["fp32", "int8"])
def test_the_order_of_tasks_does_not_matter(way: str, trainer: Any) -> None:
    work, tasks = work_of("digits", trainer), ragged_tasks()
    forth, back = trained(way, work, tasks), trained(way, work, tasks[::-1])[::-1]
    for one, other in zip(forth, back, strict=True):
        np.testing.assert_array_equal(one.weights.values, other.weights.values)
        assert one.right == other.right


@pytest.mark.parametrize("name", ["odd", "dense", "leaf"])
def test_all_judge_alike(name: str) -> None:
    in_floats, in_integers = work_of(name, fp32()), work_of(name, niti())
    for weights, rel in ((start_of(in_floats), 1e-5), (start_of(in_integers), 1e-5)):
        for work in (in_floats, in_integers):  # whatever the trainer is
            found = {way: judged(way, work, weights) for way in WAYS}
            for parts in found.values():
                assert [part.right for part in parts] == [part.right for part in found["native"]]
                assert [part.images for part in parts] == [TEST_IMAGES, 7, 16]
                for part, native in zip(parts, found["native"], strict=True):
                    assert part.loss_sum == pytest.approx(native.loss_sum, rel=rel, abs=1e-4)
                whole, first, rest = parts
                assert first.right + rest.right == whole.right
                assert first.loss_sum + rest.loss_sum == whole.loss_sum  # whole numbers of 2^-20: exact


def judged(way: str, work: Work, weights: FloatWeights | IntWeights) -> list[Any]:
    name, place = WAYS[way]
    with closing(open_engine(name, work, place)) as engine:
        return [engine.evaluate(weights), engine.evaluate(weights, 0, 7), engine.evaluate(weights, 7)]


@st.composite
def models(draw: st.DrawFn) -> str:
    """Any small model of the grammar for 10 classes."""
    h, w, c = draw(st.integers(3, 9)), draw(st.integers(3, 9)), draw(st.integers(1, 3))
    parts, shape = list[str](), f"{h}x{w}x{c}"
    for _ in range(draw(st.integers(0, 2))):
        kernel = draw(st.integers(1, min(h, w, 3)))
        pad = draw(st.integers(0, kernel - 1))
        parts.append(f"conv{draw(st.integers(1, 5))}k{kernel}p{pad}")
        h, w = h + 2 * pad - kernel + 1, w + 2 * pad - kernel + 1
        if min(h, w) >= 2 and draw(st.booleans()):
            parts.append("pool")
            h, w = h // 2, w // 2
    hidden = [f"fc{draw(st.integers(1, 8))}"] if draw(st.booleans()) else []
    return f"{shape}:{','.join([*parts, *hidden, 'fc10'])}"


@st.composite
def cohorts(draw: st.DrawFn) -> list[LocalTask]:
    return [
        task_of(client, draw(st.integers(1, 12)), epochs=draw(st.integers(1, 2)), batch_size=draw(st.integers(1, 5)))
        for client in range(draw(st.integers(1, 4)))
    ]


@settings(max_examples=40)
@given(models(), cohorts(), st.booleans())
def test_any_model_agrees(text: str, tasks: list[LocalTask], bias: bool) -> None:
    work = work_of(text, fp32("0.01"), bias=bias)
    expected = trained("eager", work, tasks)
    for way in IN_FLOATS:
        for one, other in zip(trained(way, work, tasks), expected, strict=True):
            np.testing.assert_allclose(one.weights.values, other.weights.values, atol=2e-5)
    work = work_of(text, niti("2"))
    expected = trained("native", work, tasks)
    for way in ("eager", "stacked"):
        same_bits(trained(way, work, tasks), expected)


def run(way: str, method: str) -> Server:
    model = model_of("digits")
    config = Config(
        method=method, model=model.text, partition="dirichlet", clients=6, cohort=4, rounds=3, batch_size=4,
        learning_rate="0.05", mu="2", update_rounding="stochastic", evaluation_batch=7,
    )  # fmt: skip
    setting, (name, place) = make_setting(config, dataset_of(model)), WAYS[way]
    with closing(open_engine(name, work_of_run(setting), place)) as engine:
        done = list(rounds(setting, engine, first_server(setting)))
    assert [round.row.round for round in done] == [1, 2, 3]
    return done[-1].server


@pytest.mark.parametrize("method", ["qfedupdate", "qfedavg_sr"])
def test_whole_runs_end_with_the_same_bits(method: str) -> None:
    native = run("native on two threads", method)
    for way in ("eager", "stacked"):
        found = run(way, method)
        np.testing.assert_array_equal(found.weights, native.weights)


def test_whole_runs_in_floats_end_close_together() -> None:
    native = run("native", "floatfl")
    for way in ("eager", "stacked"):
        np.testing.assert_allclose(run(way, "floatfl").weights, native.weights, atol=1e-5)


def in_a_new_process(program: str) -> Iterator[str]:
    done = subprocess.run([sys.executable, "-c", program], check=True, timeout=120, capture_output=True, text=True)
    yield from done.stdout.split()


def test_torch_is_imported_by_the_engines_that_need_it_and_by_no_other() -> None:
    program = """
import sys
import fl_sim.engine, fl_sim.run, fl_sim.simulation
from tests.fl_sim.engines.toys import *
work = work_of("dense", fp32())
for name in ("native", "eager"):
    engine = fl_sim.engine.open_engine(name, work)
    list(engine.train(start_of(work), ragged_tasks(), as_is))
    engine.evaluate(start_of(work))
    engine.close()
    print("torch" in sys.modules)
"""
    assert list(in_a_new_process(program)) == ["False", "True"]


def test_without_torch_its_engines_say_what_to_install() -> None:
    program = """
import sys
from importlib.machinery import PathFinder

class NoTorch(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "torch" else super().find_spec(name, path, target)

sys.meta_path[:] = [NoTorch if finder is PathFinder else finder for finder in sys.meta_path]
from fl_sim.engine import open_engine
from tests.fl_sim.engines.toys import *
for name in ("eager", "stacked"):
    try:
        open_engine(name, work_of("dense", fp32()))
    except ValueError as error:
        print(str(error).replace(" ", "_"))
open_engine("native", work_of("dense", fp32())).close()
"""
    said = list(in_a_new_process(program))
    assert len(said) == 2
    assert all("pip_install_'fedjoule[train]'" in line and "native" in line for line in said)


def test_every_engine_is_compared_here() -> None:
    assert {name for name, _ in WAYS.values()} == set(ENGINES)
