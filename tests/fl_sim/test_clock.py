import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.round import PhasePower
from fl_sim.clock import play
from fl_sim.converge import Convergence
from fl_sim.draws import Draws, draw
from fl_sim.load import Load
from fl_sim.participation import DONE, OUTCOMES, FleetRound
from fl_sim.reading import readings
from fl_sim.rules import INTERRUPTIONS, Interruption, Rules
from reports.table4 import paper_rows
from tests.fl_sim.fleets import loads, rules_of, small_fleets
from tests.fl_sim.slow_clock import slow_play
from traces.availability import make_availability
from traces.fleet import Fleet, uniform_fleet
from traces.rates import constant_network

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
