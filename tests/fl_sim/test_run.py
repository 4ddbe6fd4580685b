"""The round loop beside the paper's algorithms written out in fractions, and over any number of processes."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fl_sim.engine import Receive, Told
from fl_sim.method import REGISTRY
from fl_sim.ranks import shares
from fl_sim.run import Round, rounds
from fl_sim.server import first_server
from fl_sim.sums import add
from fl_sim.task import LocalTask
from fl_sim.weights import FloatWeights, Weights, layer_exponents, quantized, scales
from tests.fl_sim.drifting import DriftingEngine, drift, setting_of

INT8 = [name for name, method in REGISTRY.items() if method.precision == "int8"]


def run(ranks: "Fellow | None" = None, **changes: object) -> list[Round]:
    setting = setting_of(**changes)
    return list(rounds(setting, DriftingEngine(), first_server(setting), ranks))


def half_away(x: Fraction) -> int:
    whole = int(abs(x) + Fraction(1, 2))
    return whole if x >= 0 else -whole


@pytest.mark.parametrize("method", ["qfedavg", "qfedupdate"])
def test_the_paper_algorithms_in_fractions(method: str) -> None:
    """Algorithms 1 and 2, weight by weight; the server's numbers are rounded to float32 once a round."""
    setting = setting_of(method=method)
    server = first_server(setting)
    exponents, model = server.exponents, setting.model
    w = [Fraction(float(value)) for value in server.weights]
    step = [Fraction(2) ** int(e) for e in np.repeat(exponents, model.sizes)]
    for number, done in enumerate(run(method=method), start=1):
        sent = [max(-127, min(127, half_away(value / s))) for value, s in zip(w, step, strict=True)]
        tasks = [setting.task(client, number) for client in setting.cohort(number)]
        heavy = [len(setting.partition.of(task.client)) for task in tasks]
        moved = [np.clip(np.array(sent) + drift(task, len(sent)), -127, 127).tolist() for task in tasks]
        mean = [
            sum(Fraction(n * m[i]) for n, m in zip(heavy, moved, strict=True)) / sum(heavy) * step[i]
            for i in range(len(sent))
        ]
        if method == "qfedavg":
            w = mean
        else:
            w = [value - (q * s - m) for value, q, s, m in zip(w, sent, step, mean, strict=True)]
        found = done.server.weights
        assert np.allclose(found, [float(value) for value in w], rtol=2e-7, atol=1e-9)
        half = [s / 2 for s in step]
        above = [abs(m - q * s) >= h for m, q, s, h in zip(mean, sent, step, half, strict=True)]
        assert done.row.share_above_half_lsb == pytest.approx(np.mean(above), abs=1e-12)
        w = [Fraction(float(value)) for value in found]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_tasks_of_a_round_are_those_of_its_clients(epochs: int) -> None:
    setting = setting_of(epochs=epochs)
    tasks = setting.tasks(2)
    assert [task.client for task in tasks] == setting.cohort(2)
    for task in tasks:
        twin = setting.task(task.client, 2)
        assert (task.indices.tolist(), task.bounds.tolist()) == (twin.indices.tolist(), twin.bounds.tolist())
        assert (task.round_number, task.rounding_seed) == (2, twin.rounding_seed)


@pytest.mark.parametrize("method", INT8)
def test_shares_of_the_grid_from_scratch(method: str) -> None:
    """The servers' mantissas are kept; here they are found anew."""
    setting = setting_of(method=method)
    before = first_server(setting)
    for done in run(method=method):
        now, last = (
            quantized(setting.model, server.weights, server.exponents).values for server in (done.server, before)
        )
        assert done.row.share_changed == np.mean(now != last)
        assert done.row.share_saturated == np.mean(np.abs(now) == 127)
        assert (done.server.nearest(setting.model).values == now).all()
        before = done.server


def test_floatfl_is_the_weighted_mean() -> None:
    setting = setting_of(method="floatfl", rounds=1)
    server = first_server(setting)
    (done,) = run(method="floatfl", rounds=1)
    tasks = [setting.task(client, 1) for client in setting.cohort(1)]
    heavy = np.array([len(setting.partition.of(task.client)) for task in tasks], dtype=np.float64)
    moved = np.array([server.weights + np.float32(1) * drift(task, len(server.weights)) / 1024 for task in tasks])
    expected = (heavy[:, None] * moved.astype(np.float32)).sum(axis=0) / heavy.sum()
    assert np.allclose(done.server.weights, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", REGISTRY)
def test_every_method_runs_and_logs(method: str) -> None:
    made = run(method=method)
    assert [done.row.round for done in made] == [1, 2, 3, 4, 5, 6]
    again = run(method=method)
    for one, other in zip(made, again, strict=True):
        assert (one.server.weights == other.server.weights).all()
        assert repr(one.row) == repr(other.row)
        assert one.clients == other.clients
    row, clients = made[-1].row, made[-1].clients
    assert row.upload_bytes == sum(client.upload_bytes for client in clients) > 0
    assert row.download_bytes == sum(client.download_bytes for client in clients) > 0
    assert row.samples == sum(client.samples for client in clients)
    assert np.isnan(row.share_changed) == (method not in INT8)
    assert np.isnan(row.int8_accuracy) == (REGISTRY[method].downlink.format != "int8")


@pytest.mark.parametrize("method", INT8)
def test_weights_stay_near_the_grid(method: str) -> None:
    """Without momentum the FP32 weights never leave the INT8 model by more than half a step (int8_training.md 3)."""
    setting = setting_of(method=method, rounds=20)
    for done in run(method=method, rounds=20):
        server = done.server
        near = quantized(setting.model, server.weights, server.exponents).values * scales(
            setting.model, server.exponents
        )
        assert (np.abs(server.weights - near) <= scales(setting.model, server.exponents) / 2 * (1 + 1e-6)).all()
        assert server.exponents == layer_exponents(setting.model, first_server(setting).weights)


@pytest.mark.parametrize("server", [{"server_rate": 8.0}, {"server_momentum": 0.9}, {"server_rate": 0.5}])
def test_weights_that_leave_the_grid_are_kept_in_its_range(server: dict[str, float]) -> None:
    setting = setting_of(rounds=40, **server)
    for done in run(rounds=40, **server):
        most = 127.5 * scales(setting.model, done.server.exponents)
        assert (np.abs(done.server.weights) <= most).all()


class Fellow:
    """One of several processes, as a thread: sums are made at a barrier."""

    def __init__(self, rank: int, barrier: threading.Barrier, box: list[np.ndarray]) -> None:
        self.rank, self.count, self._barrier, self._box = rank, barrier.parties, barrier, box

    def add_up(self, numbers: np.ndarray) -> None:
        self._box[self.rank] = numbers.copy()
        self._barrier.wait(30)
        total = sum(self._box[1:], start=self._box[0])
        self._barrier.wait(30)
        numbers[:] = total

    def close(self) -> None:
        pass


@pytest.mark.parametrize("method", ["floatfl", "quanfl", "qfedavg", "qfedupdate_momentum", "quanfl_signsgd"])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_any_number_of_processes_makes_the_same(method: str, count: int) -> None:
    alone = run(method=method)
    barrier, box = threading.Barrier(count), [np.zeros(0)] * count
    made: dict[int, list[Round]] = {}

    def one(rank: int) -> None:
        made[rank] = run(Fellow(rank, barrier, box), method=method)

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for rank in range(count):
        for mine, other in zip(made[rank], alone, strict=True):
            assert (mine.server.weights == other.server.weights).all()
            assert repr(mine.row) == repr(other.row)
            assert mine.clients == other.clients


class Threaded(DriftingEngine):
    """Hands results over from several threads, some at a time; ``wrong`` is a client whose weights are no numbers."""

    def __init__(self, wrong: int = -1) -> None:
        super().__init__()
        self.wrong = wrong

    def train(self, start: Weights, tasks: Sequence[LocalTask], receive: Receive[Told]) -> Iterator[tuple[int, Told]]:
        made = dict(super().train(start, tasks, lambda _, results: results))
        for place, task in enumerate(tasks):
            if task.client == self.wrong:
                nothing = np.full_like(made[place].weights.values, np.nan)
                made[place] = replace(made[place], weights=FloatWeights(nothing))
        shares = [range(0, 1), range(1, 3), range(3, len(tasks))]
        with ThreadPoolExecutor(3) as pool:
            told = list(pool.map(lambda share: receive(share, [made[place] for place in share]), shares))
        for share, of_share in zip(shares, told, strict=True):
            yield from zip(share, of_share, strict=True)


@pytest.mark.parametrize("method", REGISTRY)
def test_who_hands_results_over_and_how_many_at_a_time_changes_nothing(method: str) -> None:
    setting = setting_of(method=method)
    for one, other in zip(rounds(setting, Threaded(), first_server(setting)), run(method=method), strict=True):
        assert one.server.weights.tobytes() == other.server.weights.tobytes()
        assert one.clients == other.clients
        assert repr(one.row) == repr(other.row)  # NaN is not equal to itself


def test_threads_add_to_sums_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = setting_of(method="qfedupdate", rounds=1)
    together, seen = threading.Barrier(3, timeout=60), []

    def meet(sums: Any, *rest: Any) -> None:
        seen.append(sums)
        together.wait()
        add(sums, *rest)

    (alone,) = run(method="qfedupdate", rounds=1)
    monkeypatch.setattr("fl_sim.run.add", meet)
    (found,) = rounds(setting, Threaded(), first_server(setting))
    assert len({sums.ctypes.data for sums in seen}) == 3
    assert found.server.weights.tobytes() == alone.server.weights.tobytes()


@pytest.mark.parametrize("place", range(5))
def test_who_diverged_among_several_is_named(place: int) -> None:
    setting = setting_of(method="floatfl")
    client = setting.cohort(1)[place]
    with pytest.raises(ArithmeticError, match=rf"^client {client}, round 1: weights must be finite"):
        next(rounds(setting, Threaded(client), first_server(setting)))


def test_memories_stay_in_one_process() -> None:
    with pytest.raises(ValueError, match="without torchrun"):
        run(Fellow(0, threading.Barrier(2), []), method="quanfl_ef")


def test_shares_are_even_and_whole() -> None:
    setting = setting_of(cohort=12)
    tasks = [setting.task(client, 1) for client in range(12)]
    for count in (1, 2, 3, 5, 12, 20):
        found = shares(tasks, count)
        assert sorted(place for share in found for place in share) == list(range(12))
        loads = [sum(len(tasks[place].indices) for place in share) for share in found]
        assert max(loads) - min(loads) <= 12


def test_rounds_that_are_not_judged() -> None:
    made = run(evaluate_every=4)
    assert [np.isnan(done.row.fp32_accuracy) for done in made] == [True, True, True, False, True, False]


def test_the_order_of_the_cohort_and_of_batches_is_drawn_anew() -> None:
    setting = setting_of(epochs=2)
    assert len({tuple(setting.cohort(number)) for number in range(1, 30)}) > 10
    task = setting.task(11, 1)
    assert sorted(task.indices[:12]) == sorted(task.indices[12:]) == setting.partition.of(11).tolist()
    assert task.bounds.tolist() == [0, 4, 8, 12, 16, 20, 24]
    assert task.indices.tolist() != setting.task(11, 2).indices.tolist()
    assert setting.task(0, 1).bounds.tolist() == [0, 1, 2]
