from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.batch import BatchCost
from costmodel.round import PhasePower
from costmodel.workload import workloads
from fl_sim.converge import converge
from fl_sim.method import REGISTRY
from fl_sim.plan import read_plan
from fl_sim.reading import readings
from fl_sim.recost import ClientRounds, client_rounds, fitting, kernel_of, recost, recost_by_loop, run_cost

BATCH = BatchCost("Phone", "cpu", "int8", "LeNet-5", "FEMNIST", 5, 20.0, 90.0, "", "measured", "here", "", "t.csv")


@st.composite
def works(draw: st.DrawFn) -> ClientRounds:
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    total = sum(counts)
    columns = [
        np.array(draw(st.lists(st.integers(least, 5000), min_size=total, max_size=total)), dtype=np.float64)
        for least in (1, 0, 0)
    ]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return ClientRounds(starts, columns[0], columns[1] * 1e3, columns[2] * 1e3, draw(st.integers(6, 500)))


@st.composite
def powers(draw: st.DrawFn) -> PhasePower:
    return PhasePower(*(draw(st.none() | st.floats(0, 5)) for _ in range(3)))


batches = st.builds(
    lambda time_ms, energy_mj: replace(BATCH, time_ms=time_ms, energy_mj=energy_mj),
    st.floats(0.1, 5000),
    st.none() | st.floats(0, 5000),
)
rates = st.floats(1e4, 1e9)


@given(work=works(), batch=batches, rate=rates, power=st.none() | powers())
def test_the_fast_path_equals_a_loop_over_clients(
    work: ClientRounds, batch: BatchCost, rate: float, power: PhasePower | None
) -> None:
    fast, slow = recost(work, batch, rate, power), recost_by_loop(work, batch, rate, power)
    np.testing.assert_allclose(fast.slowest_s, slow.slowest_s, rtol=1e-12)
    np.testing.assert_allclose(fast.mean_s, slow.mean_s, rtol=1e-12)
    assert (fast.energy_j is None) == (slow.energy_j is None) == (batch.energy_mj is None)
    if fast.energy_j is not None and slow.energy_j is not None:
        np.testing.assert_allclose(fast.energy_j, slow.energy_j, rtol=1e-9, atol=1e-9)


@given(work=works(), batch=batches, rate=rates, factor=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_time_is_linear_in_seconds_per_bit_and_in_batch_time(
    work: ClientRounds, batch: BatchCost, rate: float, factor: float
) -> None:
    base = recost(work, batch, rate)
    faster = recost(work, replace(batch, time_ms=batch.time_ms / factor), rate * factor)
    np.testing.assert_allclose(faster.slowest_s * factor, base.slowest_s, rtol=1e-12)
    no_link = replace(work, download_bytes=work.download_bytes * 0, upload_bytes=work.upload_bytes * 0)
    link_s = base.mean_s - recost(no_link, batch, rate).mean_s
    slower = recost(work, batch, rate / factor).mean_s - recost(no_link, batch, rate).mean_s
    np.testing.assert_allclose(slower, link_s * factor, rtol=1e-6, atol=1e-9)


@given(work=works(), batch=batches, rate=rates)
def test_the_slowest_client_takes_no_less_than_the_mean_and_energy_does_not_depend_on_the_link(
    work: ClientRounds, batch: BatchCost, rate: float
) -> None:
    course, other = recost(work, batch, rate), recost(work, batch, 2 * rate)
    assert (course.slowest_s >= course.mean_s * (1 - 1e-12)).all()
    if course.energy_j is not None and other.energy_j is not None:
        np.testing.assert_array_equal(course.energy_j, other.energy_j)


@given(work=works(), rate=rates, power=powers())
def test_costs_of_rounds_add_up(work: ClientRounds, rate: float, power: PhasePower) -> None:
    course = recost(work, BATCH, rate, power)
    whole = run_cost(course)
    steps = [run_cost(course, rounds) for rounds in range(1, whole.rounds + 1)]
    assert steps[-1] == whole
    hours = [step.time_h for step in steps]
    assert hours == sorted(hours)
    assert whole.total_kj is not None
    assert whole.client_kj == pytest.approx(whole.total_kj / work.registered)
    for rounds in (0, whole.rounds + 1):
        with pytest.raises(ValueError, match=f"from 1 to {whole.rounds}"):
            run_cost(course, rounds)


@pytest.mark.parametrize("method", ["floatfl", "quanfl", "qfedupdate"])
@pytest.mark.parametrize("workload", ["femnist", "cifar10", "cifar100"])
@pytest.mark.parametrize("reading", readings().values(), ids=lambda reading: reading.name)
def test_clients_that_are_all_alike_cost_what_the_closed_form_of_table_4_says(
    reading: object, workload: str, method: str
) -> None:
    plan = read_plan(reading, workloads()[workload], REGISTRY[method])  # type: ignore[arg-type]
    assert plan.rounds is not None
    count = plan.rounds * plan.clients_per_round
    work = ClientRounds(
        starts=np.arange(0, count, plan.clients_per_round),
        batches=np.full(count, plan.epochs * plan.samples_per_client / plan.batch_size),
        download_bytes=np.full(count, float(plan.download_bytes)),
        upload_bytes=np.full(count, float(plan.upload_bytes)),
        registered=plan.clients,
    )
    found, expected = run_cost(recost(work, BATCH, plan.bandwidth_bit_per_s)), converge(plan, BATCH)
    assert found.time_h == pytest.approx(expected.time_h, rel=1e-12)
    assert found.mean_h == pytest.approx(expected.time_h, rel=1e-12)
    assert found.client_kj == pytest.approx(expected.client_kj, rel=1e-12)


def test_waiting_for_the_slowest_costs_its_power() -> None:
    work = ClientRounds(np.array([0]), np.array([100.0, 50.0]), np.zeros(2), np.zeros(2), 2)
    without, with_it = (recost(work, BATCH, 1e6, PhasePower(wait_w=power)).energy_j for power in (None, 0.5))
    assert without is not None
    assert with_it is not None
    assert (with_it - without).tolist() == [0.5]  # 50 batches of 20 ms are 1 s


def test_an_impossible_bandwidth_is_refused() -> None:
    work = ClientRounds(np.array([0]), np.array([1.0]), np.zeros(1), np.zeros(1), 1)
    with pytest.raises(ValueError, match="bandwidth_bit_per_s must be finite and above 0"):
        recost(work, BATCH, 0.0)


def test_a_log_is_read_as_work(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from fl_sim.finished import read_run
    from tests.fl_sim.written_run import INT8_BYTES, femnist, rise, write_run

    run = read_run(write_run(tmp_path / "x", femnist(rounds=3, epochs=2), rise(3)))
    work = client_rounds(run)
    assert work.starts.tolist() == [0, 4, 8]
    assert work.registered == 192
    assert work.batches.tolist() == (2 * np.ceil(run.clients["samples"] / 5)).tolist()
    assert set(work.download_bytes) == {INT8_BYTES}
    shares = client_rounds(run, "fractional").batches
    assert shares.tolist() == pytest.approx((2 * run.clients["samples"] / 5).tolist())
    with pytest.raises(ValueError, match="trained or fractional"):
        client_rounds(run, "floor")  # type: ignore[arg-type]
    run.clients.loc[3, "outcome"] = "late"
    with pytest.raises(ValueError, match="'late', not done"):
        client_rounds(run)
    with pytest.raises(ValueError, match="how many clients are registered"):
        client_rounds(replace(run, manifest={}, clients=run.clients.assign(outcome="done")))


def test_rows_fit_by_model_batch_size_and_arithmetic_and_other_data_is_the_second_choice(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from fl_sim.finished import read_run
    from tests.fl_sim.written_run import femnist, rise, write_run

    costs = [
        BATCH,
        replace(BATCH, dataset="MNIST"),
        replace(BATCH, device="Other", dataset="MNIST"),
        replace(BATCH, processor="dsp", model="lenet5"),
        replace(BATCH, precision="fp32"),
        replace(BATCH, batch_size=10),
        replace(BATCH, model="VGG-16"),
    ]
    run = read_run(write_run(tmp_path / "x", femnist(rounds=3), rise(3)))
    found = fitting(run, costs)
    assert [costs.index(fit.batch) for fit in found] == [0, 2, 3]
    assert [fit.same_data for fit in found] == [True, False, True]
    assert all(fit.measured for fit in found)
    assert fitting(replace(run, manifest={"clients": 192}), costs) == ()  # a model without a name fits nothing


@pytest.mark.parametrize(
    ("precision", "kernel"), [("fp32", ("fp32", True)), ("int8", ("int8", True)), ("int4", ("int8", False)),
                              ("bf16", ("fp32", False)), ("fp8", ("fp32", False)), ("sparse", ("fp32", False))],
)  # fmt: skip
def test_arithmetic_without_a_measured_kernel_keeps_the_cost_of_what_runs_today(
    precision: str, kernel: tuple[str, bool]
) -> None:
    assert kernel_of(replace(REGISTRY["qfedupdate"], precision=precision)) == kernel  # type: ignore[arg-type]


def test_a_row_in_the_methods_own_arithmetic_makes_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    import fl_sim.config
    from fl_sim.finished import read_run
    from tests.fl_sim.written_run import femnist, rise, write_run

    run = read_run(write_run(tmp_path / "x", femnist(rounds=3), rise(3)))
    in_int4 = replace(REGISTRY["qfedupdate"], precision="int4")  # type: ignore[arg-type]
    monkeypatch.setattr(fl_sim.config, "REGISTRY", dict(REGISTRY) | {"qfedupdate": in_int4})
    found = fitting(run, [BATCH])
    assert [(fit.batch.precision, fit.measured) for fit in found] == [("int8", False)]
    found = fitting(run, [BATCH, replace(BATCH, precision="int4")])
    assert [(fit.batch.precision, fit.measured) for fit in found] == [("int4", True)]
