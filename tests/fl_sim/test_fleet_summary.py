from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.round import PhasePower
from fl_sim.clock import play
from fl_sim.draws import draw
from fl_sim.fleet_log import to_frames
from fl_sim.fleet_summary import Group, Outcome, Phase, Summary, jain, summarize
from fl_sim.load import Load
from fl_sim.participation import OUTCOMES, FleetRound
from fl_sim.rules import Rules
from tests.fl_sim.fleets import loads, rules_of, small_fleets
from tests.fl_sim.small_fleet import no_luck, small_fleet, small_load
from traces.fleet import Fleet

FOUR = small_fleet(None, phones=4, hardware_of=[0, 1, 0, 0])


def three_rounds(load: Load) -> list[FleetRound]:
    """Return rounds of phone 0, which takes 35 s, and 1, which takes 25 s.

    All deliver; phone 0 has not sent its update at the deadline; after a gap, nobody has received the model by then.
    """
    phones = np.arange(2)

    def round_at(begin_s: float, deadline_s: float | None) -> FleetRound:
        return play(FOUR, load, Rules(2, deadline_s=deadline_s), phones, begin_s, no_luck(2))

    return [round_at(0.0, None), round_at(35.0, 30.0), round_at(100.0, 5.0)]


def summed(fleet: Fleet, rounds: list[FleetRound], **counts: Any) -> Summary:
    return summarize(fleet, *to_frames(rounds, 1), **({"wanted": 3, "cohort": 2, "registered": 10} | counts))


def test_a_run_by_hand() -> None:
    found = summed(FOUR, three_rounds(small_load(counted=True)))
    assert (found.hours, found.idle_s) == (105 / 3600, 35.0)
    assert (found.rounds, found.void, found.counted, found.wanted, found.ended) == (3, 1, 2, 3, False)
    assert (found.updates, found.updates_wanted, found.updates_share) == (3, 6, 0.5)
    assert (found.participations, found.completion) == (6, 0.5)
    assert found.phases == (
        Phase("download", 50.0, 50.0), Phase("train", 60.0, 140.0), Phase("upload", 15.0, 7.5),
        Phase("wait", 15.0, 3.75),
    )  # fmt: skip
    # Phone 0: 52.5 + 50 + 5 J, phone 1: 45 + 43.75 + 5 J.
    assert (found.energy_j, found.participation_j, found.phone_j, found.registered_j) == (
        201.25, 201.25 / 6, 201.25 / 4, 20.125,
    )  # fmt: skip
    assert found.active_median_j == 100.625
    assert found.active_95_j == pytest.approx(93.75 + 0.95 * 13.75)
    assert (found.wasted_s, found.wasted_j) == (40.0, 60.0)
    assert (found.wasted_s_share, found.wasted_j_share) == (40 / 125, 60 / 201.25)
    assert found.outcomes[:2] == (Outcome("done", 3, 0.0, 0.0), Outcome("late", 3, 40.0, 60.0))
    assert [outcome.participations for outcome in found.outcomes[2:]] == [0] * 4
    assert (found.suspended_s, found.suspended_share, found.wait_share) == (0.0, 0.0, 15 / 140)
    assert (found.phones, found.took_part, found.took_part_share, found.delivered) == (4, 2, 0.5, 2)
    assert (found.never_ready, found.jain_participations, found.jain_updates) == (0, 0.5, 0.45)
    assert found.tiers == (Group("low", 3, 0.75, 0.5, 1 / 3), Group("high", 1, 0.25, 0.5, 2 / 3))
    assert [group.name for group in found.models] == ["slow", "fast"]


def test_a_run_that_ends_says_so() -> None:
    rounds = three_rounds(small_load())
    assert summed(FOUR, rounds[:2], wanted=2).ended
    assert not summed(FOUR, rounds[:2], wanted=3).ended


def test_the_clock_may_begin_later() -> None:
    found = summed(FOUR, three_rounds(small_load())[2:], begin_s=90.0)
    assert (found.hours, found.idle_s) == (15 / 3600, 10.0)


def test_what_nobody_measured_is_not_zero() -> None:
    found = summed(FOUR, three_rounds(small_load()))
    energies = [phase.energy_j for phase in found.phases]
    np.testing.assert_array_equal(energies, [np.nan, 140.0, np.nan, np.nan])
    assert (found.energy_j, found.participation_j, found.wasted_j) == (140.0, 140.0 / 6, 40.0)


def test_a_radio_of_which_one_way_was_measured_is_counted_that_way() -> None:
    load = replace(small_load(), power=PhasePower(upload_w=0.5))
    assert summed(FOUR, three_rounds(load)).energy_j == 147.5


def test_training_that_was_not_measured_leaves_no_energy() -> None:
    load = replace(small_load(counted=True), batch_energy_mj=np.array([2000.0, np.nan]))
    found = summed(FOUR, three_rounds(load))
    for name in ("energy_j", "participation_j", "phone_j", "registered_j", "active_median_j", "active_95_j"):
        assert np.isnan(getattr(found, name)), name
    assert np.isnan(found.wasted_j_share)
    assert found.phases[0].energy_j == 50.0
    assert found.wasted_s_share == 40 / 125


def test_lost_attempts_of_who_delivers_are_waste_of_their_own() -> None:
    fleet = small_fleet(None, phones=2)
    fails_at = [[0.5, np.nan], [0.5, 0.5]]  # of 35 s, thus 10 s of the download and 7.5 s of training
    played = play(fleet, small_load(), Rules(2, retries=1), np.arange(2), 0.0, no_luck(2, 2, fails_at))
    done, late, dropped, cancelled, stale, unused = summed(fleet, [played]).outcomes
    assert (done, dropped) == (Outcome("done", 1, 17.5, 15.0), Outcome("dropped", 1, 35.0, 30.0))
    assert {each.wasted_s for each in (late, cancelled, stale, unused)} == {0.0}


def test_suspended_time_is_told() -> None:
    fleet = small_fleet([[(0.0, 15.0), (65.0, 1000.0)]])
    played = play(fleet, small_load(), Rules(1), np.arange(1), 0.0, no_luck(1))
    found = summed(fleet, [played])
    assert (found.suspended_s, found.suspended_share) == (50.0, 50 / 85)


def test_phones_that_are_never_ready_are_counted() -> None:
    fleet = small_fleet([[(0.0, 1000.0)], [], []], shift_s=[0.0, 7.0, 0.0])
    played = play(fleet, small_load(), Rules(2), np.arange(2), 0.0, no_luck(2))
    found = summed(fleet, [played])
    assert (found.never_ready, found.took_part, found.delivered) == (2, 2, 1)


def test_hardware_that_nobody_named_is_unknown() -> None:
    hardware = replace(FOUR.hardware, models=("", "b\x1b"), tiers=("", ""))
    found = summed(replace(FOUR, hardware=hardware), three_rounds(small_load()))
    assert [(group.name, group.phones) for group in found.tiers] == [("unknown", 4)]
    assert [(group.name, group.phones) for group in found.models] == [("unknown", 3), ("b\x1b", 1)]


def test_kinds_of_one_model_are_one_group_and_those_without_phones_are_none() -> None:
    fleet = small_fleet(None, phones=4, hardware_of=[0, 0, 0, 0])
    found = summed(fleet, three_rounds(small_load()))
    assert [group.name for group in found.tiers] == ["low"]
    both = replace(FOUR, hardware=replace(FOUR.hardware, models=("x", "x")))
    assert summed(both, three_rounds(small_load())).models == (Group("x", 4, 1.0, 1.0, 1.0),)


def test_a_run_in_which_nobody_was_asked_has_no_shares() -> None:
    empty = play(FOUR, small_load(), Rules(2), np.zeros(0, np.int64), 0.0, no_luck(0))
    found = summed(FOUR, [empty])
    assert (found.energy_j, found.phone_j, found.participations, found.took_part) == (0.0, 0.0, 0, 0)
    for name in ("completion", "participation_j", "active_median_j", "wasted_s_share", "jain_updates", "wait_share"):
        assert np.isnan(getattr(found, name)), name
    assert np.isnan(found.tiers[0].updates_share)


@pytest.mark.parametrize("name", ["wanted", "cohort", "registered"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be at least 1 \(got 0\)"):
        summed(FOUR, three_rounds(small_load()), **{name: 0})


def test_a_log_without_rounds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rounds must be at least 1 \(got 0\)"):
        summed(FOUR, [])


def test_the_log_of_another_fleet_is_refused() -> None:
    fleet = small_fleet(None, phones=1)
    with pytest.raises(ValueError, match=r"phone must be from 0 to 0 \(got 0 to 1\); give the fleet of the log"):
        summed(fleet, three_rounds(small_load()))


def test_jain_by_hand() -> None:
    assert jain(np.array([5, 5, 5])) == 1
    assert jain(np.array([7, 0, 0, 0])) == 0.25
    assert jain(np.array([1, 3])) == 0.8
    assert np.isnan(jain(np.zeros(3, np.int64)))
    assert jain(np.full(2, 3 * 10**9)) == 1  # its square is beyond int64


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any), st.integers(1, 9))
def test_jain_is_between_one_nth_and_one_and_knows_no_scale(counts: list[int], factor: int) -> None:
    found = jain(np.array(counts))
    assert 1 / len(counts) - 1e-12 <= found <= 1 + 1e-12
    assert jain(np.array(counts) * factor) == pytest.approx(found)


@st.composite
def played(draw_: st.DrawFn) -> tuple[Fleet, list[FleetRound]]:
    fleet, load = draw_(small_fleets()), draw_(loads())
    rules = draw_(rules_of(fleet.phones))
    random = np.random.default_rng(draw_(st.integers(0, 99)))
    found, clock_s = [], 0.0
    for _ in range(draw_(st.integers(1, 4))):
        clock_s += draw_(st.sampled_from((0.0, 60.0)))
        phones = random.permutation(fleet.phones)[: draw_(st.integers(0, fleet.phones))]
        found.append(play(fleet, load, rules, phones, clock_s, draw(fleet, phones, rules, random)))
        clock_s = found[-1].end_s
    return fleet, found


@settings(max_examples=60)
@given(played())
def test_a_summary_equals_a_walk_over_the_clients(scene: tuple[Fleet, list[FleetRound]]) -> None:
    fleet, rounds = scene
    found = summed(fleet, rounds)
    # One dict for each client-round, as a person would go through them.
    walked = [
        {name: values[place] for name, values in vars(each.clients).items()}
        for each in rounds
        for place in range(len(each.clients.phone))
    ]
    phases = ("download", "train", "upload", "wait")
    counted = [name for name in phases if not all(np.isnan(row[f"{name}_j"]) for row in walked) or name == "train"]
    phone_j: dict[int, float] = defaultdict(float)
    for row in walked:
        phone_j[row["phone"]] += sum(row[f"{name}_j"] for name in counted)
    total_j, count = sum(phone_j.values()), len(walked)
    nan = float("nan")
    time_s = {name: sum(row[f"{name}_s"] for row in walked) for name in (*phases, "suspended", "wasted")}
    work_s = time_s["download"] + time_s["train"] + time_s["upload"]
    all_s = work_s + time_s["wait"] + time_s["suspended"]
    wasted_j = sum(row["wasted_j"] for row in walked)
    done = [row for row in walked if OUTCOMES[row["outcome"]] == "done"]
    expected = {
        "hours": rounds[-1].end_s / 3600,
        "idle_s": rounds[-1].end_s - sum(each.end_s - each.begin_s for each in rounds),
        "void": sum(not each.updates for each in rounds),
        "updates": len(done),
        "participations": count,
        "energy_j": total_j,
        "participation_j": total_j / count if count else nan,
        "phone_j": total_j / fleet.phones,
        "registered_j": total_j / 10,
        "active_median_j": np.median(list(phone_j.values())) if phone_j else nan,
        "active_95_j": np.percentile(list(phone_j.values()), 95) if phone_j else nan,
        "wasted_s": time_s["wasted"],
        "wasted_j": wasted_j,
        "wasted_s_share": time_s["wasted"] / work_s if work_s else nan,
        "wasted_j_share": wasted_j / total_j if total_j else nan,
        "suspended_s": time_s["suspended"],
        "suspended_share": time_s["suspended"] / all_s if all_s else nan,
        "wait_share": time_s["wait"] / all_s if all_s else nan,
        "took_part": len(phone_j),
        "delivered": len({row["phone"] for row in done}),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), name
    assert [phase.time_s for phase in found.phases] == pytest.approx([time_s[name] for name in phases])
    assert sum(each.participations for each in found.outcomes) == count
    assert sum(each.wasted_s for each in found.outcomes) == pytest.approx(found.wasted_s)
    assert sum(each.wasted_j for each in found.outcomes) == pytest.approx(found.wasted_j, nan_ok=True)
    for groups, names in ((found.tiers, fleet.hardware.tiers), (found.models, fleet.hardware.models)):
        assert sum(group.phones for group in groups) == fleet.phones
        for group in groups:
            here = [row for row in walked if names[fleet.hardware_of[row["phone"]]] == group.name]
            ours = [row for row in done if names[fleet.hardware_of[row["phone"]]] == group.name]
            shares = [len(here) / count if count else nan, len(ours) / len(done) if done else nan]
            assert [group.participations_share, group.updates_share] == pytest.approx(shares, nan_ok=True)
    assert asdict(found)  # plain numbers all the way down
