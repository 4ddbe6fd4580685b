from collections.abc import Sequence

import numpy as np
import pytest

from fl_sim.draws import Draws
from fl_sim.events import play_events
from fl_sim.load import Load
from fl_sim.participation import CANCELLED, DONE, DROPPED, LATE, FleetRound
from fl_sim.rules import Rules
from tests.fl_sim.small_fleet import no_luck, small_fleet, small_load
from traces.fleet import Fleet
from traces.rates import Network, RateSeries

NAN = float("nan")
SEVENTH = [(0.0, 15.0), (100.0, 200.0)]  # ready for too short a time at first


def play(
    fleet: Fleet, rules: Rules, *, load: Load | None = None, begin_s: float = 0.0, draws: Draws | None = None
) -> FleetRound:
    phones = np.arange(fleet.phones)
    luck = no_luck(fleet.phones, 1 + rules.retries) if draws is None else draws
    return play_events(fleet, small_load() if load is None else load, rules, phones, begin_s, luck)


def work(played: FleetRound, place: int = 0) -> list[float]:
    clients = played.clients
    return [float(column[place]) for column in (clients.download_s, clients.train_s, clients.upload_s)]


def test_a_phone_that_is_always_ready_works_without_pause() -> None:
    played = play(small_fleet(None, phones=1), Rules(1), begin_s=50.0)
    assert (played.begin_s, played.end_s, played.updates) == (50.0, 85.0, 1)
    assert work(played) == [10.0, 20.0, 5.0]
    clients = played.clients
    assert (clients.begin_s[0], clients.end_s[0], clients.suspended_s[0], clients.wait_s[0]) == (50.0, 85.0, 0.0, 0.0)
    assert (clients.download_bytes[0], clients.upload_bytes[0]) == (10.0, 5.0)
    assert (clients.attempts[0], clients.wasted_s[0], clients.staleness[0]) == (1, 0.0, 0)


def test_suspended_work_goes_on_in_the_next_interval() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1))
    assert played.end_s == 120.0
    assert work(played) == [10.0, 20.0, 5.0]
    assert played.clients.suspended_s[0] == 85.0


def test_a_phone_that_is_not_ready_waits() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1), begin_s=40.0)
    assert (played.end_s, played.clients.suspended_s[0]) == (135.0, 60.0)


def test_work_goes_on_over_the_end_of_the_trace() -> None:
    played = play(small_fleet([[(0.0, 10.0), (980.0, 1000.0)]]), Rules(1), begin_s=990.0)
    assert played.end_s == 1995.0  # 20 s over midnight, then 15 s at the end of the next day


@pytest.mark.parametrize(("origin_s", "shift_s"), [(30.0, 0.0), (0.0, -30.0), (1030.0, 0.0), (-30.0, -60.0)])
def test_traces_are_read_from_their_origin_and_with_the_shift_of_the_phone(origin_s: float, shift_s: float) -> None:
    fleet = small_fleet([SEVENTH], origin_s=origin_s, shift_s=shift_s)
    assert play(fleet, Rules(1), begin_s=30.0).end_s == 150.0


def test_abort_loses_the_attempt_when_the_phone_stops_being_ready() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1, interrupted="abort"))
    assert (played.end_s, played.updates, played.clients.outcome[0]) == (15.0, 0, DROPPED)
    assert work(played) == [10.0, 5.0, 0.0]
    assert played.clients.wasted_s[0] == 15.0


def test_abort_begins_anew_when_the_phone_is_ready_again() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1, interrupted="abort", retries=1))
    clients = played.clients
    assert (played.end_s, clients.outcome[0], clients.attempts[0]) == (135.0, DONE, 2)
    assert work(played) == [20.0, 25.0, 5.0]
    assert (clients.wasted_s[0], clients.suspended_s[0]) == (15.0, 85.0)
    assert clients.download_bytes[0] == 20.0


def test_abort_loses_an_attempt_that_finds_the_phone_not_ready() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1, interrupted="abort"), begin_s=15.0)
    assert (played.end_s, played.clients.outcome[0], played.clients.attempts[0]) == (15.0, DROPPED, 1)
    assert work(played) == [0.0, 0.0, 0.0]


def test_abort_loses_even_an_attempt_without_work_if_the_phone_is_not_ready() -> None:
    nothing = small_load(0.0, 0.0, 0.0)
    played = play(small_fleet([SEVENTH] * 2), Rules(1, interrupted="abort"), load=nothing, begin_s=15.0)
    assert played.clients.outcome.tolist() == [DROPPED, DROPPED]
    assert play(small_fleet([SEVENTH]), Rules(1, interrupted="abort"), load=nothing, begin_s=100.0).updates == 1


def test_abort_delivers_at_the_very_end_of_an_interval() -> None:
    assert play(small_fleet([[(0.0, 35.0)]]), Rules(1, interrupted="abort")).updates == 1


@pytest.mark.parametrize(
    ("ready", "outcome"), [([(0.0, 35.0)], DONE), ([(0.0, 34.0)], DROPPED), ([(35.0, 36.0)], DONE)]
)
def test_check_end_asks_only_whether_the_phone_is_ready_at_the_end(
    ready: list[tuple[float, float]], outcome: int
) -> None:
    played = play(small_fleet([ready]), Rules(1, interrupted="check_end"))
    assert (played.end_s, played.clients.outcome[0]) == (35.0, outcome)
    assert work(played) == [10.0, 20.0, 5.0]


def test_check_end_tries_again_from_the_next_interval_on() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1, interrupted="check_end", retries=3))
    assert (played.end_s, played.clients.attempts[0], played.clients.wasted_s[0]) == (135.0, 2, 35.0)


@pytest.mark.parametrize(
    ("interrupted", "share", "lost_s", "done_s"),
    [
        ("suspend", 0.5, 102.5, [10.0, 7.5, 0.0]),
        ("suspend", 0.0, 0.0, [0.0, 0.0, 0.0]),
        ("suspend", 1.0, 120.0, [10.0, 20.0, 5.0]),
        ("check_end", 0.2, 7.0, [7.0, 0.0, 0.0]),
        ("abort", 0.2, 7.0, [7.0, 0.0, 0.0]),
        ("abort", 0.6, 15.0, [10.0, 5.0, 0.0]),
    ],
)
def test_an_attempt_fails_after_a_share_of_its_work(
    interrupted: str, share: float, lost_s: float, done_s: list[float]
) -> None:
    rules = Rules(1, interrupted=interrupted)  # type: ignore[arg-type]
    played = play(small_fleet([SEVENTH]), rules, draws=no_luck(1, 1, [[share]]))
    assert played.clients.outcome[0] == DROPPED
    assert played.end_s == lost_s
    assert work(played) == done_s


def test_a_failed_attempt_is_followed_by_another_at_once_if_the_phone_is_ready() -> None:
    played = play(small_fleet(None, phones=1), Rules(1, retries=1), draws=no_luck(1, 2, [[0.4, NAN]]))
    assert (played.end_s, played.clients.attempts[0], played.clients.wasted_s[0]) == (49.0, 2, 14.0)


def test_a_phone_that_is_never_ready_is_dropped_when_it_would_wait() -> None:
    fleet = small_fleet([[]])
    assert play(fleet, Rules(1, retries=2), begin_s=7.0).end_s == 7.0
    assert play(fleet, Rules(1, interrupted="abort", retries=2), begin_s=7.0).end_s == 7.0
    checked = play(fleet, Rules(1, interrupted="check_end", retries=2), begin_s=7.0)
    assert (checked.end_s, checked.clients.attempts[0], checked.clients.outcome[0]) == (42.0, 1, DROPPED)


def test_a_round_without_phones_ends_when_it_begins() -> None:
    played = play_events(small_fleet(None, phones=1), small_load(), Rules(1), np.zeros(0, np.int64), 9.0, no_luck(0))
    assert (played.begin_s, played.end_s, len(played.clients.phone)) == (9.0, 9.0, 0)


@pytest.mark.parametrize(
    ("deadline_s", "outcomes", "upload_s"),
    [(35.0, [DONE, DONE], 5.0), (34.0, [LATE, DONE], 4.0), (25.0, [LATE, DONE], 0.0), (24.5, [LATE, LATE], 0.0)],
)
def test_who_is_at_work_at_the_deadline_is_late(deadline_s: float, outcomes: Sequence[int], upload_s: float) -> None:
    played = play(small_fleet(None, phones=2, hardware_of=[0, 1]), Rules(2, deadline_s=deadline_s))
    assert (played.end_s, played.clients.outcome.tolist()) == (deadline_s, list(outcomes))
    assert work(played)[2] == upload_s
    assert played.clients.upload_bytes[0] == upload_s
    late = played.clients.outcome == LATE
    assert (played.clients.wasted_s[late] == (deadline_s if late.any() else 0)).all()


def test_a_suspended_phone_has_done_only_what_it_did_while_ready() -> None:
    played = play(small_fleet([SEVENTH]), Rules(1, deadline_s=105.0))
    assert work(played) == [10.0, 10.0, 0.0]
    assert played.clients.suspended_s[0] == 85.0


def test_enough_deliveries_end_the_round_and_cancel_the_rest() -> None:
    fleet = small_fleet(None, phones=4, hardware_of=[1, 0, 1, 0])
    rules = Rules(2, over_commit=2, round_end="kth", deadline_s=25.0)  # the second delivery is at the deadline
    played = play(fleet, rules)
    assert (played.end_s, played.clients.outcome.tolist()) == (25.0, [DONE, CANCELLED, DONE, CANCELLED])


def test_all_that_deliver_at_the_end_of_the_round_count() -> None:
    played = play(small_fleet(None, phones=4, hardware_of=[1, 0, 1, 1]), Rules(4, round_end="fraction", fraction=0.25))
    assert (played.end_s, played.clients.outcome.tolist()) == (25.0, [DONE, CANCELLED, DONE, DONE])


def test_who_is_lost_at_the_end_of_the_round_is_dropped() -> None:
    fleet = small_fleet([[(0.0, 25.0)], [(0.0, 1000.0)], [(0.0, 25.0)]], hardware_of=[0, 1, 0])
    played = play(fleet, Rules(1, over_commit=3, round_end="kth", interrupted="abort"))
    assert (played.end_s, played.clients.outcome.tolist()) == (25.0, [DROPPED, DONE, DROPPED])


def test_an_attempt_that_has_not_begun_by_the_end_of_the_round_does_not_count() -> None:
    fleet = small_fleet([SEVENTH, [(0.0, 1000.0)]])
    played = play(fleet, Rules(1, over_commit=2, round_end="kth", interrupted="abort", retries=1))
    clients = played.clients
    assert (clients.outcome.tolist(), clients.attempts.tolist()) == ([CANCELLED, DONE], [1, 1])
    assert (work(played), clients.suspended_s[0], clients.end_s[0]) == ([10.0, 5.0, 0.0], 20.0, 35.0)
    begun = play(fleet, Rules(2, interrupted="abort", retries=1, deadline_s=100.0))
    assert begun.clients.attempts.tolist() == [2, 1]  # at this very time it has begun
    assert work(begun) == [10.0, 5.0, 0.0]


def test_joules_follow_the_work() -> None:
    fleet = small_fleet([SEVENTH, [(0.0, 1000.0)], [(0.0, 1.0)]], hardware_of=[0, 1, 0])
    played = play(fleet, Rules(3, interrupted="abort", retries=1, deadline_s=700.0), load=small_load(counted=True))
    clients = played.clients
    assert clients.outcome.tolist() == [DONE, DONE, LATE]
    assert clients.end_s.tolist() == [135.0, 25.0, 700.0]
    assert clients.download_j.tolist() == [20.0, 10.0, 1.0]
    assert clients.train_j.tolist() == [50.0, 30.0, 0.0]
    assert clients.upload_j.tolist() == [2.5, 2.5, 0.0]
    assert clients.wasted_j.tolist() == [20.0, 0.0, 1.0]  # 10 s of download and 5 s of training; 1 s of download


def test_waiting_counts_for_those_that_are_done() -> None:
    fleet = small_fleet([[(0.0, 1000.0)], [(0.0, 1000.0)], [(0.0, 1.0)]], hardware_of=[0, 1, 0])
    clients = play(fleet, Rules(3, interrupted="abort"), load=small_load(counted=True)).clients
    assert clients.wait_s.tolist() == [0.0, 10.0, 34.0]
    assert clients.wait_j.tolist() == [0.0, 2.5, 0.0]


def test_what_is_not_counted_is_missing_and_not_zero() -> None:
    clients = play(small_fleet(None, phones=1), Rules(1, dropout=0.5), draws=no_luck(1, 1, [[0.5]])).clients
    assert np.isnan([clients.download_j[0], clients.upload_j[0], clients.wait_j[0]]).all()
    assert clients.wasted_j[0] == clients.train_j[0] == 15.0


def test_transfers_follow_a_trace_of_rates_from_when_they_begin() -> None:
    series = RateSeries(
        np.array([0, 2]), np.array([0.0, 32.0]), np.array([8.0, 80.0]), np.array([16.0, 4.0]), np.array([40.0])
    )
    mean = np.array([22.4]), np.array([13.6])
    network = Network("trace", *mean, np.zeros(1), np.zeros(1), series)
    played = play(small_fleet(None, phones=1, network=network), Rules(1), begin_s=26.0)
    # 6 s at a byte a second, 4 bytes in 0.4 s; training until 52.4 s, 12.4 s into the repeat; 5 bytes at 2 bytes/s.
    assert work(played) == pytest.approx([6.4, 20.0, 2.5], abs=1e-12)
    assert played.end_s == pytest.approx(54.9, abs=1e-12)


def test_luck_multiplies_the_rates_of_each_attempt() -> None:
    draws = Draws(np.array([[0.5, 2.0]]), np.array([[1.0, 0.25]]), np.array([[0.5, NAN]]))
    played = play(small_fleet(None, phones=1), Rules(1, retries=1), draws=draws)
    assert work(played) == [20.0 + 5.0, 2.5 + 20.0, 20.0]
    assert played.clients.download_bytes[0] == 20.0


def test_an_attempt_that_fails_at_its_very_end_is_lost_whatever_the_rounding() -> None:
    load = small_load(0.1, 0.2, 0.3)  # whose sum less the first two is more than the third
    played = play(small_fleet(None, phones=1), Rules(1), load=load, draws=no_luck(1, 1, [[1.0]]))
    assert (played.updates, played.end_s) == (0, pytest.approx(0.6))
