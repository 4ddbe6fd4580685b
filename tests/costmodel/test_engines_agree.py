"""The three engines are proved equal where all are exact, and bounds hold where one is not."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel import period, recurrence, simulate
from costmodel.stages import STAGES, Pipeline
from tests.costmodel.pipelines import free_pipelines, pipelines, runs


@settings(max_examples=1200)
@given(runs())
def test_simpy_equals_the_recurrence_bit_for_bit(run: tuple[Pipeline, dict[str, np.ndarray]]) -> None:
    pipeline, times = run
    for overlap in (True, False):
        fast = recurrence.spans(pipeline, times, overlap=overlap)
        slow = simulate.spans(pipeline, times, overlap=overlap)
        for stage in STAGES:
            assert np.array_equal(fast.start_ms[stage], slow.start_ms[stage]), (stage, "start")
            assert np.array_equal(fast.end_ms[stage], slow.end_ms[stage]), (stage, "end")


@settings(max_examples=1000)
@given(free_pipelines(), st.integers(1, 60))
def test_the_formula_equals_the_recurrence(pipeline: Pipeline, batches: int) -> None:
    times = recurrence.constant_times(pipeline, batches)
    for overlap in (True, False):
        closed = period.makespan_ms(pipeline, batches, overlap=overlap)
        assert float(recurrence.spans(pipeline, times, overlap=overlap).makespan_ms) == pytest.approx(closed, rel=1e-12)


def test_every_topology_was_among_them() -> None:
    """All 96 combinations of the switches, each with its own times, so that none is left to chance."""
    random = np.random.default_rng(5)
    seen = 0
    for on, threads, freed, holds, half, staging in itertools.product(
        ("cpu", "dsp"), (1, 2), ("transfer_start", "transfer_end"), ("nothing", "cpu", "dsp"), (False, True), (1, 3)
    ):
        times = {f"{stage}_ms": float(random.uniform(1, 20)) for stage in STAGES}
        pipeline = Pipeline(
            **times,
            quantize_on=on,
            cpu_threads=threads,
            host_slot_freed=freed,
            link_holds=holds,
            half_duplex=half,
            staging_slots=staging,
            host_slots=int(random.integers(1, 4)),
            device_slots=int(random.integers(1, 4)),
        )
        simulated = simulate.spans(pipeline, recurrence.constant_times(pipeline, 40))
        bound = period.makespan_ms(pipeline, 40)
        if pipeline.contended:
            assert float(simulated.makespan_ms) >= bound * (1 - 1e-12)
        else:
            assert float(simulated.makespan_ms) == pytest.approx(bound, rel=1e-12)
        seen += 1
    assert seen == 96


@settings(max_examples=600)
@given(pipelines(), st.integers(1, 40))
def test_under_contention_the_formula_is_a_lower_bound(pipeline: Pipeline, batches: int) -> None:
    simulated = float(simulate.spans(pipeline, recurrence.constant_times(pipeline, batches)).makespan_ms)
    assert simulated >= period.makespan_ms(pipeline, batches) * (1 - 1e-12)
    assert simulated <= period.makespan_ms(pipeline, batches, overlap=False) * (1 + 1e-12)


@settings(max_examples=150)
@given(pipelines())
def test_the_period_is_the_simulated_one_or_below_it(pipeline: Pipeline) -> None:
    long_run = simulate.spans(pipeline, recurrence.constant_times(pipeline, 300))
    cycle = long_run.cycle_ms()
    bound = period.overlapped(pipeline)
    assert bound.exact is not pipeline.contended
    if bound.exact:
        assert cycle == pytest.approx(bound.period_ms, rel=1e-9)
    elif cycle is not None:
        assert cycle >= bound.period_ms * (1 - 1e-9)


def test_contention_can_cost_half_as_much_again() -> None:
    """The bound is no answer: two threads and a copying link wait for each other."""
    pipeline = Pipeline(5, 9, 5, 2, cpu_threads=2, link_holds="cpu", host_slots=1, device_slots=1)
    cycle = simulate.spans(pipeline, recurrence.constant_times(pipeline, 200)).cycle_ms()
    assert (cycle, period.overlapped(pipeline).period_ms) == (14.0, 9.5)


def test_many_pipelines_at_once_are_each_by_itself() -> None:
    random = np.random.default_rng(2)
    pipeline = Pipeline(3, 5, 4, 6, device_slots=3, host_slot_freed="transfer_end")
    times = {stage: random.exponential(5.0, (30, 7)) for stage in STAGES}
    together = recurrence.spans(pipeline, times)
    ends = recurrence.makespan_ms(pipeline, times)
    for place in range(7):
        alone = recurrence.spans(pipeline, {stage: array[:, place] for stage, array in times.items()})
        assert np.array_equal(together.end_ms["train"][:, place], alone.end_ms["train"])
        assert ends[place] == float(alone.makespan_ms)


def test_blocks_of_pipelines_and_marked_batches_are_those_of_the_spans() -> None:
    random = np.random.default_rng(3)
    pipeline = Pipeline(1, 2, 3, 4, return_ms=1.0)
    times = {stage: random.exponential(5.0, (6, 9001)) for stage in STAGES}
    found = recurrence.finish_ms(pipeline, times, (2, 5, -1))
    ends = recurrence.spans(pipeline, times).end_ms["return"]
    assert np.array_equal(found, ends[[2, 5, 5]])


def test_the_recurrence_refuses_what_it_cannot_order() -> None:
    pipeline = Pipeline(1, 1, 1, 1, return_ms=1, half_duplex=True)
    with pytest.raises(ValueError, match="contended: its claimants have no fixed order; use the engine simpy"):
        recurrence.spans(pipeline, recurrence.constant_times(pipeline, 3))
    assert recurrence.spans(pipeline, recurrence.constant_times(pipeline, 3), overlap=False).batches == 3


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_times_that_are_no_times_are_refused(bad: float) -> None:
    times = recurrence.constant_times(Pipeline(1, 1, 1, 1), 3) | {"train": np.array([1.0, bad, 1.0])}
    with pytest.raises(ValueError, match="times of train must be finite and 0 or more"):
        recurrence.spans(Pipeline(1, 1, 1, 1), times)
    with pytest.raises(ValueError, match="at least 1 batch"):
        recurrence.spans(Pipeline(1, 1, 1, 1), {stage: np.zeros(0) for stage in STAGES})
    with pytest.raises(ValueError, match="one pipeline at a time"):
        simulate.spans(Pipeline(1, 1, 1, 1), {stage: np.zeros((2, 2)) for stage in STAGES})


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("train_ms", -1.0, "train_ms must be finite and 0 or more"),
        ("train_ms", float("nan"), "train_ms must be finite"),
        ("device_slots", 0, "device_slots must be a whole number of at least 1 .* no overlap of transfer and training"),
        ("host_slots", 1.5, "host_slots must be a whole number"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused(field: str, value: float, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Pipeline(**{"sample_ms": 1, "quantize_ms": 1, "transfer_ms": 1, "train_ms": 1} | {field: value})


def test_a_round_has_a_batch() -> None:
    with pytest.raises(ValueError, match="batches must be at least 1"):
        period.makespan_ms(Pipeline(1, 1, 1, 1), 0)
