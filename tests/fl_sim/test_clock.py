from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.round import PhasePower
from fl_sim.clock import play
from fl_sim.converge import Convergence
from fl_sim.draws import Draws, draw
from fl_sim.events import play_events
from fl_sim.load import Load
from fl_sim.participation import DONE, OUTCOMES, FleetRound
from fl_sim.reading import readings
from fl_sim.rules import INTERRUPTIONS, Interruption, Rules
from reports.table4 import paper_rows
from tests.fl_sim.fleets import loads, rules_of, small_fleets
from tests.fl_sim.slow_clock import slow_play
from traces.availability import make_availability
from traces.fleet import Fleet, uniform_fleet

COLUMNS = ("download_s", "train_s", "upload_s", "suspended_s", "wait_s", "end_s", "train_j", "download_j", "upload_j")
COLUMNS += ("wait_j", "wasted_s", "wasted_j", "download_bytes", "upload_bytes")


@st.composite
def scenes(draw_from: st.DrawFn, whole: bool) -> tuple[Fleet, Load, Rules, float, Draws]:
    fleet = draw_from(small_fleets(whole))
    rules = draw_from(rules_of(fleet.phones, whole))
    begin_s = draw_from(st.integers(-500, 2000).map(float) if whole else st.floats(-500, 2000))
    random = np.random.default_rng(draw_from(st.integers(0, 1000)))
    return fleet, draw_from(loads(whole)), rules, begin_s, draw(fleet, np.arange(fleet.phones), rules, random)


def assert_equal(played: FleetRound, slow: tuple[float, list[dict[str, float | str]]]) -> None:
    end_s, rows = slow
    assert played.end_s == pytest.approx(end_s, rel=1e-12, abs=1e-6)
    clients = played.clients
    assert [OUTCOMES[outcome] for outcome in clients.outcome] == [row["outcome"] for row in rows]
    assert clients.attempts.tolist() == [row["attempts"] for row in rows]
    for name in COLUMNS:
        expected = np.array([row[name] for row in rows], dtype=np.float64)
        np.testing.assert_allclose(getattr(clients, name), expected, rtol=1e-9, atol=1e-6, err_msg=name)


@given(scenes(whole=False))
def test_the_clock_equals_a_walk_client_by_client(scene: tuple[Fleet, Load, Rules, float, Draws]) -> None:
    fleet, load, rules, begin_s, draws = scene
    played = play(fleet, load, rules, np.arange(fleet.phones), begin_s, draws)
    assert_equal(played, slow_play(fleet, load, rules, list(range(fleet.phones)), begin_s, draws))


@given(scenes(whole=True))
def test_it_does_where_everything_meets_to_the_second(scene: tuple[Fleet, Load, Rules, float, Draws]) -> None:
    fleet, load, rules, begin_s, draws = scene
    played = play(fleet, load, rules, np.arange(fleet.phones), begin_s, draws)
    assert_equal(played, slow_play(fleet, load, rules, list(range(fleet.phones)), begin_s, draws))


def paper_scene(result: Convergence, availability: bool, interrupted: Interruption) -> tuple[Fleet, Load, Rules]:
    """Return Table 4's phones as a fleet: N of one model, one rate, always ready, all K are waited for."""
    plan, batch = result.plan, result.batch
    fleet = uniform_fleet(
        "paper", plan.clients, model=batch.device, soc="", tier="", bit_per_s=plan.bandwidth_bit_per_s
    )
    if availability:
        always = make_availability([[(0.0, 86_400.0)]] * 2, 86_400.0)
        shift_s = np.linspace(0, 86_399, fleet.phones)
        fleet = replace(fleet, availability=always, trace_of=(np.arange(fleet.phones) % 2).astype(np.int32))
        fleet = replace(fleet, shift_s=shift_s)
    batches = result.round.train_s / (batch.time_ms / 1e3)
    load = Load(
        batches=np.full(plan.clients, float(batches)),
        download_bytes=np.full(plan.clients, float(plan.download_bytes)),
        upload_bytes=np.full(plan.clients, float(plan.upload_bytes)),
        batch_time_ms=np.array([batch.time_ms]),
        batch_energy_mj=np.array([batch.energy_mj], dtype=np.float64),
    )
    return fleet, load, Rules(plan.clients_per_round, interrupted=interrupted)


@pytest.mark.parametrize("clock", [play, play_events], ids=["arrays", "events"])
@pytest.mark.parametrize("interrupted", [None, *INTERRUPTIONS])
@pytest.mark.parametrize("reading", readings())
def test_equal_phones_that_are_always_ready_are_table_4(
    reading: str, interrupted: Interruption | None, clock: Callable[..., FleetRound]
) -> None:
    cells = 0
    for row in paper_rows(readings()[reading]):
        fleet, load, rules = paper_scene(row.result, interrupted is not None, interrupted or "suspend")
        random = np.random.default_rng(1)
        begin_s, spent_j = 0.0, np.zeros(fleet.phones)
        rounds = row.result.plan.rounds
        assert rounds is not None
        # All rounds once; elsewhere a twentieth does, for each is the same.
        played = rounds if clock is play and interrupted is None else rounds // 20
        for _ in range(played):
            phones = random.choice(fleet.phones, rules.selected, replace=False)
            result = clock(fleet, load, rules, phones, begin_s, draw(fleet, phones, rules, random))
            assert (result.clients.outcome == DONE).all()
            spent_j[phones] += result.clients.train_j
            begin_s = result.end_s
        assert row.result.time_h is not None
        assert row.result.client_kj is not None
        assert begin_s / 3600 * rounds / played == pytest.approx(row.result.time_h, rel=1e-9)
        assert spent_j.mean() / 1e3 * rounds / played == pytest.approx(row.result.client_kj, rel=1e-9)
        cells += 2
    assert cells == 36


NIGHT = make_availability([[(0.0, 100.0), (200.0, 300.0)]], 1000.0)
HAND = replace(
    uniform_fleet("hand", 2, model="m", soc="", tier="", bit_per_s=8.0),
    availability=NIGHT,
    trace_of=np.zeros(2, dtype=np.int32),
)
# 10 s down, 60 s of training for 6 J, 20 s up.
WORK = Load(
    np.ones(1), np.array([10.0]), np.array([20.0]), np.array([60e3]), np.array([6e3]), PhasePower(1.0, 2.0, 0.5)
)


def drawn(fails_at: list[list[float]]) -> Draws:
    rates = np.ones((len(fails_at), len(fails_at[0])))
    return Draws(rates, rates, np.array(fails_at))


def hand(rules: Rules, begin_s: float, fails_at: list[list[float]], phones: int = 2) -> FleetRound:
    return play(HAND, WORK, rules, np.arange(phones), begin_s, drawn(fails_at))


NEVER = np.nan


@pytest.mark.parametrize(
    ("interrupted", "begin_s", "end_s", "outcome", "worked_s"),
    [
        ("suspend", 0.0, 90.0, "done", (10, 60, 20)),
        ("suspend", 10.0, 100.0, "done", (10, 60, 20)),
        ("suspend", 50.0, 240.0, "done", (10, 60, 20)),
        ("suspend", 150.0, 290.0, "done", (10, 60, 20)),
        ("abort", 10.0, 100.0, "done", (10, 60, 20)),
        ("abort", 50.0, 100.0, "dropped", (10, 40, 0)),
        ("abort", 150.0, 150.0, "dropped", (0, 0, 0)),
        ("check_end", 10.0, 100.0, "done", (10, 60, 20)),
        ("check_end", 11.0, 101.0, "dropped", (10, 60, 20)),
        ("check_end", 150.0, 240.0, "done", (10, 60, 20)),
    ],
)
def test_an_attempt_worked_out_by_hand(
    interrupted: Interruption, begin_s: float, end_s: float, outcome: str, worked_s: tuple[float, ...]
) -> None:
    clients = hand(Rules(1, interrupted=interrupted), begin_s, [[NEVER]], phones=1).clients
    assert OUTCOMES[clients.outcome[0]] == outcome
    assert clients.end_s[0] == end_s
    assert (clients.download_s[0], clients.train_s[0], clients.upload_s[0]) == worked_s
    assert clients.suspended_s[0] == end_s - begin_s - sum(worked_s)
    assert clients.train_j[0] == pytest.approx(worked_s[1] / 10)
    assert clients.download_j[0] + clients.upload_j[0] == worked_s[0] + 2 * worked_s[2]
    assert clients.wasted_s[0] == (0 if outcome == "done" else sum(worked_s))


def test_a_failed_attempt_is_paid_for_and_tried_again() -> None:
    # Half of 90 s at 45; anew at once, and 35 of the 90 s after the night's first stretch ends at 100.
    clients = hand(Rules(2, retries=1), 0.0, [[0.5, NEVER], [NEVER, NEVER]]).clients
    assert clients.outcome.tolist() == [DONE, DONE]
    assert clients.attempts.tolist() == [2, 1]
    assert clients.end_s.tolist() == [235.0, 90.0]
    assert clients.wasted_s.tolist() == [45.0, 0.0]
    assert clients.wasted_j.tolist() == [10 * 1.0 + 3.5, 0.0]
    assert clients.train_j.tolist() == [9.5, 6.0]
    assert clients.download_bytes.tolist() == [20.0, 10.0]
    assert clients.wait_s.tolist() == [0.0, 145.0]
    assert clients.wait_j.tolist() == [0.0, 72.5]


def test_who_is_late_and_who_is_cancelled() -> None:
    failing = [[0.5, NEVER], [NEVER, NEVER]]
    late = hand(Rules(2, retries=1, deadline_s=150.0), 0.0, failing)
    assert (late.end_s, late.updates) == (150.0, 1)
    assert [OUTCOMES[outcome] for outcome in late.clients.outcome] == ["late", "done"]
    assert late.clients.wasted_s.tolist() == [100.0, 0.0]
    cancelled = hand(Rules(1, over_commit=2, retries=1, round_end="kth", deadline_s=150.0), 0.0, failing)
    assert (cancelled.end_s, cancelled.updates) == (90.0, 1)
    assert [OUTCOMES[outcome] for outcome in cancelled.clients.outcome] == ["cancelled", "done"]
    # A delivery at the very deadline counts, and ends the round.
    tie = hand(Rules(1, over_commit=2, retries=1, round_end="kth", deadline_s=90.0), 0.0, failing)
    assert [OUTCOMES[outcome] for outcome in tie.clients.outcome] == ["cancelled", "done"]


def test_a_round_of_nobody_ends_at_once() -> None:
    played = play(HAND, WORK, Rules(1), np.empty(0, dtype=np.int64), 7.0, Draws(*(np.empty((0, 1)) for _ in range(3))))
    assert (played.begin_s, played.end_s, played.updates, len(played.clients.phone)) == (7.0, 7.0, 0, 0)


def test_a_phone_that_is_never_ready_is_dropped_without_work() -> None:
    fleet = replace(HAND, availability=make_availability([[]], 10.0))
    for interrupted in INTERRUPTIONS:
        clients = play(
            fleet, WORK, Rules(1, interrupted=interrupted, retries=2), np.zeros(1, dtype=np.int64), 5.0,
            drawn([[NEVER] * 3]),
        ).clients  # fmt: skip
        assert OUTCOMES[clients.outcome[0]] == "dropped"
        assert clients.attempts[0] == 1
        assert clients.end_s[0] == (95.0 if interrupted == "check_end" else 5.0)


def test_hardware_that_nobody_measured_is_refused() -> None:
    load = replace(WORK, batch_time_ms=np.array([np.nan]))
    with pytest.raises(ValueError, match="batch_time_ms is not known for hardware 'm'"):
        play(HAND, load, Rules(1), np.zeros(1, dtype=np.int64), 0.0, drawn([[NEVER]]))
