import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel import recurrence
from costmodel.disturbance import Disturbances, Failure, Foreground, Thermal
from costmodel.simulate import simulate
from costmodel.stages import STAGES, Pipeline
from tests.costmodel.pipelines import pipelines

PLAIN = Pipeline(2, 3, 4, 10)


def run(pipeline: Pipeline, batches: int, disturbances: Disturbances, *, overlap: bool = True, seed: int = 0):
    times = recurrence.constant_times(pipeline, batches)
    random = np.random.default_rng(seed)
    return simulate(pipeline, times, overlap=overlap, disturbances=disturbances, random=random)


def test_an_app_that_takes_the_cpu_stops_sampling_and_it_goes_on_where_it_stopped() -> None:
    # One batch of 2 + 3 ms on the CPU; the app takes the CPU at 4 ms for 6 ms, in the middle of quantizing.
    found = run(PLAIN, 1, Disturbances(foreground=Foreground(every_ms=10, for_ms=6)))
    assert found.spans.start_ms["quantize"][0] == 2
    assert found.spans.end_ms["quantize"][0] == 2 + 2 + 6 + 1
    assert float(found.spans.makespan_ms) == 11 + 4 + 10
    assert [(change.at_ms, change.speed) for change in found.speeds][:2] == [(4, 0.0), (10, 1.0)]


def test_half_the_cpu_makes_a_stage_twice_as_long_while_it_lasts() -> None:
    found = run(PLAIN, 1, Disturbances(foreground=Foreground(every_ms=10, for_ms=9, share=0.5)))
    # From 1 ms on at half speed: 1 ms of sampling is left and takes 2, then 3 of quantizing take 6; at 10 ms it ends.
    assert found.spans.end_ms["sample"][0] == pytest.approx(3)
    assert found.spans.end_ms["quantize"][0] == pytest.approx(9)


def test_the_dsp_and_the_link_do_not_mind_the_app() -> None:
    pipeline = Pipeline(0, 0.001, 4, 10)
    app = Disturbances(foreground=Foreground(every_ms=5, for_ms=4))
    assert float(run(pipeline, 20, app).spans.makespan_ms) == pytest.approx(
        float(recurrence.spans(pipeline, recurrence.constant_times(pipeline, 20)).makespan_ms), rel=1e-3
    )


def test_a_copy_by_the_cpu_minds_the_app() -> None:
    copying = Pipeline(0, 1, 4, 1, link_holds="cpu")
    found = run(copying, 1, Disturbances(foreground=Foreground(every_ms=5, for_ms=3)))
    assert found.spans.end_ms["transfer"][0] == 11  # 1 to 2, 5 to 7, 10 to 11


def test_a_clock_curve_stretches_what_is_under_way() -> None:
    # Training begins at 9 ms and has done 1 ms of 10 when the DSP slows to half: the rest takes 18 ms.
    found = run(PLAIN, 1, Disturbances(dsp_speed_curve=((10.0, 0.5),)))
    assert found.spans.end_ms["train"][0] == pytest.approx(9 + 1 + 18)
    assert float(found.spans.work_ms["train"][0]) == pytest.approx(10)


def test_a_failed_try_costs_what_it_did_and_the_pause() -> None:
    failing = Disturbances(failure=Failure("transfer", 0.5, retry_ms=7))
    found = run(PLAIN, 200, failing, overlap=False)
    undisturbed = 200 * PLAIN.sequential_ms
    wasted = float(found.spans.work_ms["transfer"].sum()) - 200 * 4
    assert found.retries == pytest.approx(200, rel=0.25)  # one failure for each success at one half
    assert wasted == pytest.approx(found.retries * 4 / 2, rel=0.2)  # half a try on average
    assert float(found.spans.makespan_ms) == pytest.approx(undisturbed + wasted + 7 * found.retries)


def test_a_stage_that_nearly_always_fails_is_given_up_in_words() -> None:
    failing = Disturbances(failure=Failure("train", 1.0))
    with pytest.raises(ValueError, match=r"train of batch 0 failed 10,000 times in a row; lower failure\.probability"):
        run(PLAIN, 1, failing)


def test_random_disturbances_need_a_generator_and_repeat_with_its_seed() -> None:
    failing = Disturbances(failure=Failure("train", 0.3))
    with pytest.raises(ValueError, match="need a random generator"):
        simulate(PLAIN, recurrence.constant_times(PLAIN, 3), disturbances=failing)
    once, again, other = (run(PLAIN, 50, failing, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(once.spans.end_ms["train"], again.spans.end_ms["train"])
    assert not np.array_equal(once.spans.end_ms["train"], other.spans.end_ms["train"])


THERMAL = Thermal(
    ambient_c=20,
    c_per_w=10,
    time_constant_s=10,
    limit_c=40,
    resume_c=38,
    speed=0.5,
    period_ms=50,
    base_w=1.0,
    active_w=(("cpu", 0.0), ("link", 0.0), ("dsp", 3.0)),
)


def test_the_temperature_follows_the_exponential_and_the_governor_throttles_at_the_limit() -> None:
    pipeline = Pipeline(0, 0, 0, 100)
    found = run(pipeline, 400, Disturbances(thermal=THERMAL))
    # Always busy: from 30 degrees towards 60 with 10 s. 40 degrees are reached after 10 ln(30 / 20) s.
    expected_ms = 1e3 * 10 * math.log(30 / 20)
    assert found.speeds[0].speed == 0.5
    assert expected_ms <= found.speeds[0].at_ms <= expected_ms + 50
    # At half speed the DSP draws half: towards 45 degrees, which is above resuming; so it stays throttled.
    assert len(found.speeds) == 1
    assert found.peak_c == pytest.approx(45, abs=0.6)
    done_ms = found.speeds[0].at_ms
    assert float(found.spans.makespan_ms) == pytest.approx(done_ms + 2 * (400 * 100 - done_ms))


def test_a_phone_that_cools_enough_is_let_go_again() -> None:
    cooler = Thermal(**(vars(THERMAL) | {"speed": 0.2}))
    found = run(Pipeline(0, 0, 0, 100), 600, Disturbances(thermal=cooler))
    speeds = [change.speed for change in found.speeds]
    assert len(speeds) > 4
    assert speeds[:4] == [0.2, 1.0, 0.2, 1.0]
    assert found.peak_c is not None
    assert 40 <= found.peak_c < 40.5


def test_a_cold_phone_is_not_throttled() -> None:
    cold = Thermal(**(vars(THERMAL) | {"limit_c": 90.0, "resume_c": 80.0}))
    found = run(PLAIN, 50, Disturbances(thermal=cold))
    assert found.speeds == ()
    assert float(found.spans.makespan_ms) == pytest.approx(PLAIN.sequential_ms + 49 * 10)


@settings(max_examples=150)
@given(pipelines(), st.integers(1, 15), st.integers(0, 999), st.sampled_from(["app", "curve", "failure"]))
def test_a_disturbance_never_makes_work_vanish(pipeline: Pipeline, batches: int, seed: int, kind: str) -> None:
    disturbances = {
        "app": Disturbances(foreground=Foreground(20, 7, share=0.8, random=True)),
        "curve": Disturbances(dsp_speed_curve=((5.0, 0.5), (30.0, 0.9))),
        "failure": Disturbances(failure=Failure("train", 0.3, 1.0)),
    }[kind]
    times = recurrence.constant_times(pipeline, batches)
    for overlap in (True, False):
        found = run(pipeline, batches, disturbances, overlap=overlap, seed=seed).spans
        for stage in STAGES:
            lasted = found.end_ms[stage] - found.start_ms[stage]
            if not (stage == "return" and pipeline.return_ms == 0):
                assert (lasted >= times[stage] - 1e-9).all(), stage
                assert (found.work_ms[stage] >= times[stage] - 1e-9).all(), stage


def test_no_disturbance_at_all_is_the_undisturbed_run() -> None:
    never = Disturbances(dsp_speed_curve=((1e12, 0.5),))
    times = recurrence.constant_times(PLAIN, 30)
    assert float(simulate(PLAIN, times, disturbances=never).spans.makespan_ms) == pytest.approx(
        float(recurrence.spans(PLAIN, times).makespan_ms)
    )
