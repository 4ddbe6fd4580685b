"""Laws that every pipeline keeps (costmodel's recurrence; contended first-come order may break monotonicity)."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel import period, recurrence, simulate
from costmodel.stages import STAGES, Pipeline, work_of
from costmodel.timeline import critical_path, path_shares, use_of
from tests.costmodel.pipelines import free_pipelines, runs

Run = tuple[Pipeline, dict[Any, np.ndarray]]


def makespan(pipeline: Pipeline, times: dict[Any, np.ndarray]) -> float:
    return float(recurrence.spans(pipeline, times).makespan_ms)


@given(runs(), st.sampled_from(STAGES), st.integers(0, 24), st.floats(0.0, 30.0))
def test_the_makespan_never_falls_when_a_stage_grows(run: Run, stage: Any, where: int, more: float) -> None:
    pipeline, times = run
    grown = {name: array.copy() for name, array in times.items()}
    grown[stage][where % len(grown[stage])] += more
    assert makespan(pipeline, grown) >= makespan(pipeline, times) * (1 - 1e-12)


@given(runs(), st.sampled_from(["device_slots", "host_slots", "staging_slots"]))
def test_the_makespan_never_rises_when_a_slot_is_added(run: Run, slots: str) -> None:
    pipeline, times = run
    roomier = replace(pipeline, **{slots: getattr(pipeline, slots) + 1})
    assert makespan(roomier, times) <= makespan(pipeline, times) * (1 + 1e-12)


@given(free_pipelines(), st.integers(1, 30))
def test_the_makespan_lies_between_floor_and_ceiling(pipeline: Pipeline, batches: int) -> None:
    found = makespan(pipeline, recurrence.constant_times(pipeline, batches))
    each = [getattr(pipeline, f"{stage}_ms") for stage in STAGES]
    assert sum(each) + (batches - 1) * max(each) <= found * (1 + 1e-12)
    assert found <= batches * sum(each) * (1 + 1e-12)


@given(runs(contended=True))
def test_one_resource_does_one_thing_at_a_time(run: Run) -> None:
    pipeline, times = run
    spans = simulate.spans(pipeline, times)
    for resource, stages in work_of(pipeline).items():
        starts = np.concatenate([spans.start_ms[stage] for stage in stages])
        ends = np.concatenate([spans.end_ms[stage] for stage in stages])
        turn = np.lexsort((ends, starts))
        assert (ends[turn][:-1] <= starts[turn][1:] + 1e-9).all(), resource


@given(runs(contended=True))
def test_busy_time_is_the_sum_of_the_stages_and_the_uses_add_up(run: Run) -> None:
    pipeline, times = run
    spans = simulate.spans(pipeline, times)
    whole = float(spans.makespan_ms)
    for use in use_of(pipeline, spans):
        expected = sum(float(times[stage].sum()) for stage in work_of(pipeline)[use.resource])
        assert use.busy_ms == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert use.makespan_ms == pytest.approx(whole, rel=1e-9, abs=1e-9)
        assert min(use.blocked_ms, use.starved_ms, use.finished_ms) >= -1e-9


@given(runs(contended=True))
def test_the_critical_path_adds_up_to_the_makespan(run: Run) -> None:
    pipeline, times = run
    spans = simulate.spans(pipeline, times)
    path = critical_path(pipeline, spans)
    assert sum(path_shares(path).values()) == pytest.approx(float(spans.makespan_ms), rel=1e-9, abs=1e-9)
    for earlier, later in itertools.pairwise(path):
        assert spans.start_ms[later.stage][later.batch] >= spans.end_ms[earlier.stage][earlier.batch]


@given(runs())
def test_nothing_on_the_critical_path_waits_in_an_undisturbed_pipeline(run: Run) -> None:
    pipeline, times = run
    if pipeline.host_slot_freed == "transfer_end":  # else a slot may be freed in the middle of a stage's chain
        assert "waiting" not in path_shares(critical_path(pipeline, recurrence.spans(pipeline, times)))


@given(free_pipelines())
def test_gain_is_at_most_two_thirds_with_one_thread_and_three_quarters_with_two(pipeline: Pipeline) -> None:
    plain = replace(pipeline, return_ms=0.0, quantize_on="cpu")
    if plain.contended:
        return
    gain = 1 - period.overlapped(plain).period_ms / plain.sequential_ms
    assert gain <= (2 / 3 if plain.cpu_threads == 1 else 3 / 4) + 1e-12


@given(free_pipelines())
def test_two_slots_are_enough_for_constant_times(pipeline: Pipeline) -> None:
    plain = replace(pipeline, host_slots=2, device_slots=2, return_ms=0.0, quantize_on="cpu", cpu_threads=1)
    deeper = replace(plain, host_slots=64, device_slots=64)
    assert period.overlapped(plain).period_ms == period.overlapped(deeper).period_ms


@given(free_pipelines(), st.integers(1, 30))
def test_a_blocking_transfer_is_one_device_slot(pipeline: Pipeline, batches: int) -> None:
    free = replace(pipeline, link_holds="nothing", cpu_threads=1, half_duplex=False)
    times = recurrence.constant_times(free, batches)
    blocking = makespan(replace(free, link_holds="dsp"), times)
    assert blocking == pytest.approx(makespan(replace(free, device_slots=1), times), rel=1e-12)


@given(free_pipelines(), st.floats(0.5, 4.0))
def test_all_times_longer_by_a_factor_make_everything_longer_by_it(pipeline: Pipeline, factor: float) -> None:
    longer = replace(pipeline, **{f"{stage}_ms": factor * getattr(pipeline, f"{stage}_ms") for stage in STAGES})
    assert period.makespan_ms(longer, 9) == pytest.approx(factor * period.makespan_ms(pipeline, 9), rel=1e-12)


def test_a_small_pipeline_by_hand() -> None:
    """Two batches of 1, 2, 3, 4 ms: quantize waits for sample, transfer for quantize, train for transfer and train."""
    pipeline = Pipeline(1, 2, 3, 4)
    spans = recurrence.spans(pipeline, recurrence.constant_times(pipeline, 2))
    assert spans.start_ms["quantize"].tolist() == [1, 4]
    assert spans.start_ms["transfer"].tolist() == [3, 6]
    assert spans.start_ms["train"].tolist() == [6, 10]
    assert float(spans.makespan_ms) == 14
    assert [
        (use.resource, use.busy_ms, use.blocked_ms, use.starved_ms, use.finished_ms) for use in use_of(pipeline, spans)
    ] == [
        ("cpu", 6, 0, 0, 8),
        ("link", 6, 0, 3, 5),
        ("dsp", 8, 0, 6, 0),
    ]
    assert path_shares(critical_path(pipeline, spans)) == {"train": 8, "transfer": 3, "quantize": 2, "sample": 1}
    assert spans.period_ms() == 4
