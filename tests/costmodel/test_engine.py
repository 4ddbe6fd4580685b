from typing import Any

import numpy as np
import pytest

from costmodel.engine import ENGINES, answer, choose_engine
from costmodel.paper_scenario import paper_scenario
from costmodel.scenario import Scenario
from costmodel.scenario_file import with_settings

CIFAR = paper_scenario("xiaomi10_cifar10")
BALANCED = {
    "stage.quantize_ms": 10,
    "stage.train_ms": 10,
    "link.call_ms": 10,
    "noise.kind": "lognormal",
    "noise.cv": 0.3,
}
THERMAL = {"throttle.kind": "thermal", "power.base_w": 1, "power.dsp_active_w": 3}


def changed(**settings: object) -> Scenario:
    return with_settings(CIFAR, {name.replace("__", "."): value for name, value in settings.items()})


@pytest.mark.parametrize(
    ("settings", "engine", "why"),
    [
        ({}, "formula", "constant"),
        ({"noise.kind": "lognormal", "noise.cv": 0.1}, "recurrence", "random"),
        ({"link.duplex": "half", "link.return_ms": 1}, "simpy", "contention"),
        ({"link.duplex": "half"}, "formula", "constant"),
        ({"noise.kind": "lognormal"}, "formula", "constant"),
        ({"cpu_threads": 2, "link.holds": "cpu"}, "simpy", "contention"),
        ({"foreground.every_ms": 9, "foreground.for_ms": 1}, "simpy", "foreground app"),
        ({"throttle.kind": "curve", "throttle.curve": [[1, 0.5]]}, "simpy", "clock over time"),
        (THERMAL, "simpy", "thermal"),
        ({"failure.probability": 0.1}, "simpy", "failures"),
    ],
)
def test_the_cheapest_engine_that_is_exact_is_taken(settings: dict[str, object], engine: str, why: str) -> None:
    scenario = with_settings(CIFAR, settings)
    assert choose_engine(scenario)[0] == engine
    found = answer(scenario)
    assert found.engine == engine
    assert why in found.why


@pytest.mark.parametrize("batches", [1, 2, 8, 300])
def test_all_engines_give_the_same_answer_where_all_are_exact(batches: int) -> None:
    found = [answer(CIFAR, engine=engine, batches=batches) for engine in ENGINES]
    for each in found:
        assert each.overlapped.batch_ms.value == pytest.approx(397, rel=1e-12)
        assert each.sequential.batch_ms.value == pytest.approx(424.4, rel=1e-12)
        assert each.overlapped.round_ms.value == pytest.approx(424.4 + (batches - 1) * 397, rel=1e-12)
        assert each.sequential.round_ms.value == pytest.approx(424.4 * batches, rel=1e-12)
        assert each.exact
    assert {each.why for each in found} >= {"asked for", "asked for; formula would be cheapest and exact"}


def test_a_forced_formula_is_called_a_bound_where_it_is_one() -> None:
    scenario = with_settings(
        CIFAR,
        {"stage.sample_ms": 100, "stage.quantize_ms": 180, "link.call_ms": 100, "stage.train_ms": 40}
        | {"cpu_threads": 2, "link.holds": "cpu", "host_slots": 1, "device_slots": 1},
    )
    bound, simulated = answer(scenario, engine="formula"), answer(scenario)
    assert bound.overlapped.batch_ms.bound
    assert not bound.exact
    assert bound.overlapped.batch_ms.value == 190
    assert simulated.overlapped.batch_ms.value == 280
    assert not simulated.overlapped.batch_ms.bound


def test_a_forced_recurrence_refuses_what_needs_events() -> None:
    with pytest.raises(ValueError, match=r"engine recurrence cannot do this scenario: .*contention.*--engine simpy"):
        answer(changed(cpu_threads=2, link__holds="cpu"), engine="recurrence")
    with pytest.raises(ValueError, match="events are needed: failures"):
        answer(changed(failure__probability=0.1), engine="recurrence")


@pytest.mark.parametrize(("slots", "expected"), [(2, 11.73), (4, 10.42), (8, 10.25)])
def test_jitter_costs_what_the_slots_do_not_take_up(slots: int, expected: float) -> None:
    """Balanced 10/10/10 ms with CV 0.3: the published design figures, met within 1 %."""
    scenario = with_settings(CIFAR, BALANCED | {"device_slots": slots, "host_slots": slots})
    found = answer(scenario, replications=2000).overlapped.batch_ms
    assert found.value == pytest.approx(expected, rel=0.01)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high < found.low * 1.01


def test_jitter_does_not_matter_where_one_stage_dominates() -> None:
    found = answer(changed(noise__kind="lognormal", noise__cv=0.3), replications=3000).overlapped.batch_ms
    assert found.value == pytest.approx(397, rel=0.005)


def test_the_simulation_of_random_times_agrees_with_the_recurrence() -> None:
    scenario = with_settings(CIFAR, BALANCED)
    fast = answer(scenario, replications=400, engine="recurrence").overlapped
    slow = answer(scenario, replications=40, engine="simpy").overlapped
    assert slow.batch_ms.low is not None
    assert slow.batch_ms.high is not None
    width = slow.batch_ms.high - slow.batch_ms.low
    assert abs(fast.batch_ms.value - slow.batch_ms.value) < 1.5 * width
    assert fast.round_ms.value == pytest.approx(slow.round_ms.value, rel=0.05)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    scenario = with_settings(CIFAR, BALANCED)
    truth = answer(scenario, replications=20_000, random=np.random.default_rng(99)).overlapped.round_ms.value
    inside = 0
    for seed in range(200):
        found = answer(scenario, replications=60, random=np.random.default_rng(seed)).overlapped.round_ms
        inside += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert 0.88 <= inside / 200 <= 0.99


def test_the_same_seed_gives_the_same_answer_and_blocks_of_replications_add_up() -> None:
    scenario = with_settings(CIFAR, BALANCED)
    one, two = (answer(scenario, replications=6000, random=np.random.default_rng(4)) for _ in range(2))
    assert one.overlapped == two.overlapped
    assert one.replications == 6000
    seen: list[int] = []
    answer(scenario, replications=50_000, progress=seen.append)
    assert seen[-1] == 50_000
    assert len(seen) > 1


def test_measured_rows_keep_their_mean_and_their_correlation() -> None:
    rows = [[1, 1, 1, 0.5], [1, 1, 1, 1.5]] * 3
    scenario = changed(noise__kind="empirical", noise__rows=rows)
    found = answer(scenario, replications=4000).overlapped.batch_ms
    assert found.value == pytest.approx(397, rel=0.01)


@pytest.mark.parametrize(
    ("batches", "replications", "engine", "said"),
    [
        (0, 1, None, "batches must be from 1 to 1,000,000"),
        (8, 0, None, "replications must be from 1 to 100,000"),
        (8, 10**6, None, "replications must be from 1 to 100,000"),
        (2 * 10**9, 1, None, "batches must be from 1 to 1,000,000"),
        (10**5, 10**5, None, "times replications at most 200,000,000 for engine recurrence"),
        (10**5, 100, "simpy", "times replications at most 1,000,000 for engine simpy"),
    ],
)
def test_more_work_than_fits_is_refused(batches: int, replications: int, engine: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answer(
            changed(noise__kind="lognormal", noise__cv=0.3), batches=batches, replications=replications, engine=engine
        )


def test_an_app_that_comes_all_the_time_is_refused() -> None:
    scenario = changed(foreground__every_ms=2.0, foreground__for_ms=0.5, samples=60e6)
    with pytest.raises(ValueError, match=r"a run of [0-9,]+ s is too long for foreground\.every_ms or"):
        answer(scenario, replications=1)


def test_a_disturbed_round_never_beats_the_law() -> None:
    scenario = changed(
        link__duplex="half", link__return_ms=100, link__call_ms=100, stage__train_ms=20, failure__probability=1e-9
    )
    for batches in (1, 3, 8, 20):
        found = answer(scenario, batches=batches, replications=1)
        assert found.overlapped.batch_ms.value >= found.floor.period_ms
    never = changed(foreground__every_ms=30_000, foreground__for_ms=10_000)
    assert answer(never).overlapped.batch_ms.value == pytest.approx(397)
    assert answer(never).sequential.batch_ms.value == pytest.approx(424.4)


def test_a_cost_per_round_is_paid_once_in_the_batches_that_are_run() -> None:
    found = answer(paper_scenario("xiaomi10_cifar10_g"), batches=400)
    assert found.sequential.round_ms.value == pytest.approx(400 * 399.4 + 25)


def test_an_app_that_never_comes_does_not_move_the_mean_of_random_times() -> None:
    scenario = changed(noise__kind="lognormal", noise__cv=1.0, foreground__every_ms=1_000_000.0, foreground__for_ms=1.0)
    found = answer(scenario, batches=2, replications=400)
    assert found.sequential.batch_ms.low is not None
    assert found.sequential.batch_ms.high is not None
    assert found.sequential.batch_ms.low <= 424.4 <= found.sequential.batch_ms.high


def test_work_of_failed_tries_is_counted() -> None:
    found = answer(changed(failure__stage="train", failure__probability=0.5), batches=2000, replications=1)
    assert found.overlapped.work_ms["train"] == pytest.approx(397 * 1.5, rel=0.05)
    assert found.overlapped.work_ms["transfer"] == 25


def test_one_draw_is_not_called_exact_and_few_have_wide_intervals() -> None:
    scenario = with_settings(CIFAR, BALANCED)
    one = answer(scenario, replications=1)
    assert one.random
    assert not one.exact
    assert answer(scenario).replications == 200
    truth = answer(scenario, replications=20_000, random=np.random.default_rng(99)).overlapped.round_ms.value
    inside = 0
    for seed in range(300):
        found = answer(scenario, replications=3, random=np.random.default_rng(seed)).overlapped.round_ms
        inside += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert 0.9 <= inside / 300 <= 0.99


def test_deep_buffers_are_given_time_to_fill() -> None:
    scenario = with_settings(CIFAR, BALANCED | {"noise.cv": 1.0, "device_slots": 50, "host_slots": 50})
    short, long = (answer(scenario, replications=50, batches=n).overlapped.batch_ms.value for n in (10, 20_000))
    assert short == pytest.approx(long, rel=0.02)


def test_a_throttled_phone_is_slower_and_says_how_hot_it_was() -> None:
    scenario = with_settings(CIFAR, THERMAL | {"throttle.time_constant_s": 20})
    found = answer(scenario, batches=200)
    assert found.overlapped.batch_ms.value > 450
    assert found.peak_c is not None
    assert found.peak_c > 45


def test_the_long_run_of_a_contended_pipeline_is_its_cycle() -> None:
    found = answer(changed(link__duplex="half", link__return_ms=200.0))
    assert found.overlapped.batch_ms.value == pytest.approx(397, rel=1e-12)
