"""What a fleet trains: paper mode's plan on equal phones gives paper mode's cells; a run's plan is in its log."""

from pathlib import Path

import numpy as np
import pytest

from costmodel.batch import find_batch_cost
from costmodel.round import PhasePower
from costmodel.workload import workloads
from fl_sim.converge import converge
from fl_sim.converged import Rule, converged, curve
from fl_sim.device_map import map_devices, read_device_map
from fl_sim.finished import FinishedRun, read_run
from fl_sim.fleet_plan import FleetPlan, paper_plan, run_plan
from fl_sim.fleet_run import fleet_rounds
from fl_sim.method import METHODS, REGISTRY
from fl_sim.plan import read_plan
from fl_sim.reading import Reading, readings
from fl_sim.rules import Rules
from fl_sim.selection import open_selector
from reports.printed import printed_table
from reports.table4 import paper_costs
from tests.fl_sim.written_run import FP32_BYTES, INT8_BYTES, femnist, rise, write_run
from traces.fleet import uniform_fleet

READING = readings()["epochs4_int8_payload"]
NAN = float("nan")


@pytest.mark.parametrize("reading", readings().values(), ids=lambda reading: reading.name)
def test_equal_phones_cost_what_table_4_has_in_paper_mode(reading: Reading) -> None:
    rows = 0
    for row in printed_table(4):
        workload, method = workloads()[row["workload"]], METHODS[row["method"]]
        plan = paper_plan(reading, workload, method)
        own = find_batch_cost(
            paper_costs(), device=row["device"], model=workload.model, dataset=workload.dataset,
            processor=row["processor"], precision=row["precision"],
        )  # fmt: skip
        read = read_plan(reading, workload, method)
        expected = converge(read, own)
        fleet = uniform_fleet("equal", plan.clients, model="", soc="", tier="", bit_per_s=read.bandwidth_bit_per_s)
        mapped = map_devices(
            fleet.hardware, paper_costs(), method, model=plan.model, dataset=plan.dataset, batch_size=plan.batch_size,
            given=read_device_map(f"default={row['device']}:{row['processor']}"),
        )  # fmt: skip
        load, rules = plan.load(mapped), Rules(plan.cohort)
        selector = open_selector("available", fleet, load, rules)
        played = list(fleet_rounds(fleet, load, rules, selector, 2, 0))
        share = plan.rounds / len(played)  # equal rounds, so a few tell of all
        assert expected.time_h == pytest.approx(played[-1].end_s / 3600 * share, rel=1e-9)
        joules = sum(float(each.clients.train_j.sum()) for each in played)
        assert expected.client_kj == pytest.approx(joules / 1e3 / plan.clients * share, rel=1e-9)
        rows += 1
    assert rows == 18


def test_given_rounds_are_taken_and_said() -> None:
    workload, method = workloads()["cifar10"], METHODS["qfedupdate"]
    own, given = paper_plan(READING, workload, method), paper_plan(READING, workload, method, 7)
    assert (own.rounds, own.cohort, own.clients, own.batch_size) == (175, 50, workload.clients, 64)
    assert own.notes[0] == (
        "175 rounds to converge, those of paper mode; epochs, payload and cohort of reading epochs4_int8_payload"
    )
    assert (own.download_bytes.tolist(), own.upload_bytes.tolist()) == ([15e6], [15e6])
    assert given.rounds == 7
    assert given.notes[0].startswith("7 rounds, given; ")


def test_a_reading_without_rounds_needs_them_given() -> None:
    method = next(each for name, each in REGISTRY.items() if name not in READING.workloads["cifar10"].rounds)
    with pytest.raises(ValueError, match=f"has no rounds for {method.name} on cifar10; give --rounds"):
        paper_plan(READING, workloads()["cifar10"], method)
    assert paper_plan(READING, workloads()["cifar10"], method, 3).rounds == 3


def test_signs_go_up_and_weights_come_down() -> None:
    plan = paper_plan(READING, workloads()["cifar10"], REGISTRY["quanfl_signsgd"], 3)
    assert (plan.download_bytes.tolist(), plan.upload_bytes.tolist()) == ([60e6], [60e6 / 32])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return read_run(write_run(tmp_path_factory.mktemp("runs") / "a", femnist(), rise(40), clients=60))


def plain_means(run: FinishedRun, column: str) -> list[float]:
    """Return each client's mean in the log, and the mean of all client-rounds for the others."""
    by_client: dict[int, list[float]] = {}
    for client, value in zip(run.clients["client"], run.clients[column], strict=True):
        by_client.setdefault(int(client), []).append(float(value))
    everybody = [value for values in by_client.values() for value in values]
    return [float(np.mean(by_client.get(client, everybody))) for client in range(60)]


def assert_is_of(plan: FleetPlan, run: FinishedRun) -> None:
    for column in ("batches", "download_bytes", "upload_bytes"):
        np.testing.assert_allclose(getattr(plan, column), plain_means(run, column), rtol=1e-12)
    assert (plan.cohort, plan.clients, plan.batch_size) == (4, 60, 5)
    assert (plan.method.name, plan.model, plan.dataset) == ("qfedupdate", "lenet5", "femnist")


def test_a_runs_clients_have_what_they_had_in_its_log(run: FinishedRun) -> None:
    plan = run_plan(run)
    assert_is_of(plan, run)
    assert set(plan.download_bytes) == set(plan.upload_bytes) == {INT8_BYTES}
    assert plan.rounds == converged(curve(run), Rule()).round
    assert plan.notes[0].startswith(f"{plan.rounds} rounds to converge, of the run ")
    assert Rule().words in plan.notes[0]
    loaded = plan.load(map_devices(
        uniform_fleet("one", 1, model="", soc="", tier="low", bit_per_s=1e6).hardware, paper_costs(), plan.method,
        model=plan.model, dataset=plan.dataset, batch_size=plan.batch_size,
    ), PhasePower(1.0, 2.0, 3.0))  # fmt: skip
    assert loaded.batch_time_ms.tolist() == [23]
    assert loaded.power == PhasePower(1.0, 2.0, 3.0)
    np.testing.assert_array_equal(loaded.batches, plan.batches)


def test_clients_that_were_never_drawn_are_counted(run: FinishedRun) -> None:
    never = 60 - run.clients["client"].nunique()
    plan = run_plan(run)
    assert never > 0
    assert plan.notes[1] == f"{never} of 60 clients were never drawn in it: they have the mean of the others"


def test_nobody_is_counted_where_all_were_drawn(tmp_path: Path) -> None:
    full = read_run(write_run(tmp_path / "all", femnist(cohort=6), rise(40), clients=6))
    assert len(run_plan(full).notes) == 1
    assert len(run_plan(full).batches) == 6


def test_each_direction_has_its_own_bytes(tmp_path: Path) -> None:
    made = read_run(write_run(tmp_path / "sign", femnist("floatfl"), rise(40), clients=60))
    assert set(run_plan(made).upload_bytes) == {FP32_BYTES}
    rows = made.clients.copy()
    rows["upload_bytes"] = 1000 + rows["client"]
    plan = run_plan(FinishedRun(made.config, made.rounds, rows, made.manifest, made.path))
    drawn = rows["client"].unique()
    np.testing.assert_allclose(plan.upload_bytes[drawn], 1000 + drawn)
    assert set(plan.download_bytes) == {FP32_BYTES}


def test_rounds_and_rule_may_be_given(run: FinishedRun) -> None:
    given = run_plan(run, rounds=5)
    assert_is_of(given, run)
    assert given.rounds == 5
    assert given.notes[0].startswith("5 rounds, given; batches and bytes of the run ")
    strict = run_plan(run, rule=Rule(window=1, margin_points=0))
    assert strict.rounds == 40
    assert "it was still rising, so they are the least" in strict.notes[0]


def test_the_rule_says_which_model_is_judged(run: FinishedRun) -> None:
    rounds = run.rounds.copy()
    rounds["fp32_accuracy"] = np.where(rounds["round"] < 9, 0.1, 0.8)
    judged = FinishedRun(run.config, rounds, run.clients, run.manifest, run.path)
    assert run_plan(judged, rule=Rule(1, 0, "fp32")).rounds == 9
    assert run_plan(judged, rule=Rule(1, 0, "int8")).rounds == 40


def test_a_run_that_was_judged_too_seldom_needs_rounds(tmp_path: Path) -> None:
    accuracies = [NAN, 0.5, NAN, 0.6]
    made = read_run(write_run(tmp_path / "seldom", femnist(rounds=4), accuracies))
    with pytest.raises(ValueError, match=r"seldom: was judged 2 times, .*which takes 5; give --rounds"):
        run_plan(made)
    assert run_plan(made, rounds=9).rounds == 9
