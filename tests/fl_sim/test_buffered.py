"""The asynchronous server: its laws, cases worked by hand, and a loop over a heap that knows nothing of SimPy."""

import heapq
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.buffered import simulate_buffered
from fl_sim.clock import play
from fl_sim.draws import Draws, draw
from fl_sim.load import Load
from fl_sim.participation import CANCELLED, DONE, DROPPED, LATE, STALE, FleetRound, Participation
from fl_sim.rules import INTERRUPTIONS, Buffered, Rules
from fl_sim.selection import SELECTORS, open_selector
from tests.fl_sim.small_fleet import no_luck, small_fleet, small_load
from traces.fleet import Fleet, next_ready, ready

Phones = npt.NDArray[np.int64]
NONE: Phones = np.zeros(0, np.int64)


class Drawn:
    """Selects phones by chance, among those that are ready or among all; remembers what it saw."""

    def __init__(self, fleet: Fleet, *, looks: bool = True) -> None:
        self.fleet, self.looks = fleet, looks
        self.asked: list[int] = []
        self.learnt: list[tuple[int, FleetRound]] = []

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NONE) -> Phones:
        phones = np.setdiff1d(np.arange(self.fleet.phones), busy)
        if self.looks:
            phones = phones[ready(self.fleet, phones, clock_s)]
        chosen = random.permutation(phones)[:count]
        self.asked += chosen.tolist()
        return chosen

    def learn(self, number: int, played: FleetRound) -> None:
        self.learnt.append((number, played))


class InTurn(Drawn):
    """Selects the first phones that are not busy, ready or not."""

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NONE) -> Phones:
        return np.setdiff1d(np.arange(self.fleet.phones), busy)[:count]


def serve(fleet: Fleet, rules: Buffered, updates: int, load: Load | None = None) -> list[FleetRound]:
    random = np.random.default_rng(0)
    return list(simulate_buffered(fleet, load or small_load(), rules, InTurn(fleet), updates, random))


# --- by hand: the slow phone takes 35 s, the fast one 25 s -----------------------------------------------------------


def test_every_update_makes_a_version_of_a_plain_asynchronous_server() -> None:
    made = serve(small_fleet(None, phones=2, hardware_of=[0, 1]), Buffered(2, 1), 5)
    assert [(version.begin_s, version.end_s) for version in made] == [(0, 25), (25, 35), (35, 50), (50, 70), (70, 75)]
    assert [version.clients.phone.tolist() for version in made] == [[1], [0], [1], [0], [1, 0]]
    assert [version.clients.staleness.tolist() for version in made] == [[0], [1], [1], [1], [1, 0]]
    assert [version.clients.begin_s[0] for version in made] == [0, 0, 25, 35, 50]
    last = made[-1].clients
    assert (last.outcome.tolist(), last.end_s[1], last.wasted_s[1]) == ([DONE, CANCELLED], 75, 5)


def test_a_buffer_collects_updates_before_it_makes_a_version() -> None:
    made = serve(small_fleet(None, phones=2, hardware_of=[0, 1]), Buffered(2, 3), 4)
    assert [(version.begin_s, version.end_s, version.updates) for version in made] == [(0, 50, 3), (50, 100, 3)]
    assert made[0].clients.phone.tolist() == [1, 0, 1]
    assert made[1].clients.staleness.tolist()[:3] == [1, 0, 0]


def test_updates_that_are_too_old_are_thrown_away() -> None:
    made = serve(small_fleet(None, phones=2, hardware_of=[0, 1]), Buffered(2, 1, most_stale=0), 3)
    assert [version.clients.outcome.tolist() for version in made] == [[DONE], [STALE, DONE], [STALE, DONE, CANCELLED]]
    # The slow phone of 35 s began at version 0; at 70 s it delivers again, at 50 s and 75 s the fast one made versions.
    assert made[1].clients.wasted_s.tolist() == [35.0, 0.0]
    assert made[1].clients.wasted_j.tolist() == [40.0, 0.0]


def test_a_phone_that_takes_too_long_is_given_up() -> None:
    made = serve(small_fleet(None, phones=2, hardware_of=[0, 1]), Buffered(2, 2, timeout_s=30.0), 2)
    clients = made[0].clients
    assert (clients.phone.tolist(), clients.outcome.tolist()) == ([1, 0, 1, 0], [DONE, LATE, DONE, CANCELLED])
    assert (clients.end_s[1], clients.train_s[1], clients.upload_s[1]) == (30.0, 20.0, 0.0)
    on_time = serve(small_fleet(None, phones=1), Buffered(1, 1, timeout_s=35.0), 1)
    assert on_time[0].clients.outcome.tolist() == [DONE]


def test_all_that_ends_at_one_time_is_handled_before_anybody_is_asked() -> None:
    made = serve(small_fleet(None, phones=3), Buffered(3, 2), 4)
    assert [version.clients.phone.tolist() for version in made] == [[0, 1], [2, 0, 1, 2]]
    assert [version.end_s for version in made] == [35.0, 70.0]
    assert made[1].clients.outcome.tolist() == [DONE, DONE, CANCELLED, CANCELLED]
    assert made[1].clients.staleness.tolist() == [1, 0, 0, 0]
    assert made[1].clients.wasted_s.tolist() == [0, 0, 35, 35]


def test_a_phone_that_is_lost_makes_room_for_another() -> None:
    fleet = small_fleet([[(0.0, 12.0)], [(0.0, 1000.0)], [(500.0, 600.0)]])
    made = serve(fleet, Buffered(1, 1, interrupted="abort"), 2)
    # Phone 0 is lost at 12 s and asked again at once, as the first that is not at work, in vain; then phone 1 works.
    assert made[0].clients.phone.tolist() == [0, 0, 1]
    assert made[0].clients.end_s.tolist() == [12.0, 12.0, 47.0]
    assert made[1].clients.begin_s.tolist() == [47.0, 47.0]


def test_the_server_asks_again_when_somebody_becomes_ready() -> None:
    fleet = small_fleet([[(100.0, 200.0)], [(300.0, 400.0)]])
    made = list(simulate_buffered(fleet, small_load(), Buffered(2, 1), Drawn(fleet), 3, np.random.default_rng(0)))
    begins = [begin_s for version in made for begin_s in version.clients.begin_s.tolist()]
    assert begins == [100.0, 135.0, 300.0, 170.0]  # the last one is suspended at 200 s, and cancelled
    assert made[-1].end_s == 335.0


@pytest.mark.parametrize("looks", [True, False])
def test_a_fleet_that_is_never_ready_is_refused(looks: bool) -> None:
    fleet = small_fleet([[], []])
    selector = Drawn(fleet, looks=looks)
    with pytest.raises(ValueError, match=r"nobody is left to ask at 0 s of the clock: no phone of the fleet 'small'"):
        next(simulate_buffered(fleet, small_load(), Buffered(1, 1), selector, 1, np.random.default_rng(0)))


@pytest.mark.parametrize(
    "rules", [Buffered(2, 1, timeout_s=10.0), Buffered(3, 2, dropout=1.0), Buffered(2, 1, dropout=1.0, retries=3)]
)
def test_updates_that_never_come_are_not_waited_for(rules: Buffered) -> None:
    with pytest.raises(ValueError, match=r"no update came from 10,001 client-rounds, up to .* give a later deadline"):
        serve(small_fleet(None, phones=4), rules, 1)


def test_phones_that_are_lost_in_no_time_are_not_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_sim.buffered._VAIN", 3)
    monkeypatch.setattr("fl_sim.buffered._VAIN_OF_EACH", 0)
    fleet = small_fleet([*[[]] * 50, [(100.0, 200.0)]])
    (made,) = serve(fleet, Buffered(2, 1, interrupted="abort"), 1)
    assert made.end_s == 135.0
    assert (made.clients.outcome == DROPPED).sum() >= 50


def test_updates_must_be_wanted() -> None:
    with pytest.raises(ValueError, match=r"updates must be at least 1 \(got 0\)"):
        serve(small_fleet(None, phones=1), Buffered(1, 1), 0)


def test_versions_come_one_by_one_and_the_selector_learns_each() -> None:
    fleet = small_fleet(None, phones=4)
    selector = Drawn(fleet)
    versions = simulate_buffered(fleet, small_load(), Buffered(2, 2), selector, 10**9, np.random.default_rng(0))
    made = [next(versions) for _ in range(3)]
    assert [number for number, _ in selector.learnt] == [1, 2, 3]
    assert [learnt for _, learnt in selector.learnt] == made


@pytest.mark.parametrize("name", SELECTORS)
def test_every_selector_can_serve(name: str) -> None:
    fleet = small_fleet([[(0.0, 400.0)], [(100.0, 1000.0)], [(0.0, 50.0), (60.0, 800.0)]], hardware_of=[0, 1, 0])
    rules = Buffered(2, 2)
    selector = open_selector(name, fleet, small_load(), rules)
    made = list(simulate_buffered(fleet, small_load(), rules, selector, 10, np.random.default_rng(0)))
    assert [version.updates for version in made] == [2] * 5


# --- laws ------------------------------------------------------------------------------------------------------------


@st.composite
def scenarios(draw_from: st.DrawFn) -> tuple[Fleet, Load, Buffered, bool, int]:
    """Draw a server of a small fleet whose times are without rounding, except where attempts fail."""
    phones = draw_from(st.integers(2, 6))
    ticks = st.integers(0, 24).map(float)
    traces = None
    if draw_from(st.integers(0, 3)):
        edges = [sorted(draw_from(st.sets(ticks, max_size=6))) for _ in range(phones)]
        traces = [[(0.0, 24.0)], *(list(zip(each[::2], each[1::2], strict=False)) for each in edges[1:])]
    fleet = small_fleet(
        traces,
        phones=phones,
        period_s=24.0,
        shift_s=[draw_from(ticks) for _ in range(phones)],
        hardware_of=[draw_from(st.integers(0, 1)) for _ in range(phones)],
    )
    work = st.sampled_from([1.0, 2.0, 5.0, 11.0])
    rules = Buffered(
        concurrency=draw_from(st.integers(1, phones)),
        buffer=draw_from(st.integers(1, 4)),
        most_stale=draw_from(st.none() | st.integers(0, 3)),
        timeout_s=draw_from(st.none() | st.sampled_from([26.0, 30.0])),
        interrupted=draw_from(st.sampled_from(INTERRUPTIONS)),
        dropout=draw_from(st.sampled_from([0.0, 0.2])),
        retries=draw_from(st.integers(0, 1)),
    )
    load = small_load(draw_from(work), draw_from(work), draw_from(work), counted=draw_from(st.booleans()))
    return fleet, load, rules, draw_from(st.booleans()), draw_from(st.integers(1, 10))


@settings(max_examples=80)
@given(scenarios(), st.integers(0, 100))
def test_versions_equal_those_of_a_loop_over_a_heap(
    scenario: tuple[Fleet, Load, Buffered, bool, int], seed: int
) -> None:
    fleet, load, rules, looks, updates = scenario
    selector, other = Drawn(fleet, looks=looks), Drawn(fleet, looks=looks)
    made = list(simulate_buffered(fleet, load, rules, selector, updates, np.random.default_rng(seed)))
    expected = list(by_heap(fleet, load, rules, other, updates, np.random.default_rng(seed)))
    assert len(made) == len(expected) == -(-updates // rules.buffer)
    for version, slow in zip(made, expected, strict=True):
        assert (version.begin_s, version.end_s) == pytest.approx((slow.begin_s, slow.end_s), rel=1e-9)
        for field in fields(Participation):
            ours, theirs = getattr(version.clients, field.name), getattr(slow.clients, field.name)
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-6, err_msg=field.name)
    check_laws(made, rules, selector)


def check_laws(made: list[FleetRound], rules: Buffered, selector: Drawn) -> None:
    assert all(version.updates == rules.buffer for version in made)
    assert made[0].begin_s == 0
    assert all(before.end_s == after.begin_s for before, after in pairwise(made))
    clients = [version.clients for version in made]
    phone = np.concatenate([each.phone for each in clients])
    begin_s, end_s = (np.concatenate([getattr(each, name) for each in clients]) for name in ("begin_s", "end_s"))
    outcome = np.concatenate([each.outcome for each in clients])
    staleness = np.concatenate([each.staleness for each in clients])
    assert sorted(phone.tolist()) == sorted(selector.asked)  # everybody who was asked, once
    for at_s in begin_s:
        working = (begin_s <= at_s) & (at_s < end_s)
        assert working.sum() <= rules.concurrency
        assert len(set(phone[working])) == working.sum()
    if rules.concurrency == 1:
        assert not staleness.any()
    if rules.most_stale is not None:
        assert (staleness[outcome == DONE] <= rules.most_stale).all()
        assert (staleness[outcome == STALE] > rules.most_stale).all()
    assert (outcome != STALE).all() or rules.most_stale is not None
    assert rules.timeout_s is None or (end_s - begin_s <= rules.timeout_s + 1e-9).all()
    for each in clients:
        work_s = each.download_s + each.train_s + each.upload_s
        np.testing.assert_allclose(each.end_s - each.begin_s, work_s + each.suspended_s, atol=1e-6)
        lost = each.outcome != DONE
        np.testing.assert_allclose(each.wasted_s[lost], work_s[lost], atol=1e-6)
        assert not each.wait_s.any()


def by_heap(
    fleet: Fleet, load: Load, rules: Buffered, selector: Drawn, updates: int, random: np.random.Generator
) -> Iterator[FleetRound]:
    """Yield what `simulate_buffered` does: a heap of ends, each phone played alone on the vectorised clock."""
    heap: list[tuple[float, int]] = []  # when, and who was asked as which; -1: look again
    at_work: dict[int, tuple[int, int, FleetRound, Draws]] = {}
    versions = asked = fresh = 0
    version_s = now_s = 0.0
    clients: list[Participation] = []
    at_once: list[int] = []
    alone = Rules(1, interrupted=rules.interrupted, retries=rules.retries)

    while True:
        free = rules.concurrency - len(at_work)
        if free:
            busy = [phone for phone, *_ in at_work.values()]
            chosen = selector.select(free, now_s, random, np.array([*busy, *at_once], np.int64))
            luck = draw(fleet, chosen, rules, random) if len(chosen) else no_luck(0)
            for place, phone in enumerate(chosen):
                own = Draws(*(getattr(luck, field.name)[[place]] for field in fields(Draws)))
                ended = play(fleet, load, replace(alone, deadline_s=rules.timeout_s), chosen[[place]], now_s, own)
                at_work[asked] = int(phone), versions, ended, own
                heapq.heappush(heap, (ended.end_s, asked))
                asked += 1
            if len(chosen) < free:
                idle = np.setdiff1d(np.arange(fleet.phones), [phone for phone, *_ in at_work.values()])
                later = [at_s for at_s in next_ready(fleet, idle, now_s).tolist() if now_s < at_s < np.inf]
                if later:
                    heapq.heappush(heap, (min(later), -1))
        before_s, now_s = now_s, heap[0][0]
        at_once = at_once if now_s == before_s else []
        over = []
        while heap and heap[0][0] == now_s:
            over.append(heapq.heappop(heap)[1])
        full = False
        left = [at_work.pop(number) for number in sorted(set(over) - {-1})]
        at_once += [phone for phone, _, ended, _ in left if ended.begin_s == now_s]
        while left and not full:
            _, begun, ended, _ = left.pop(0)
            column = one(ended)
            if column.outcome[0] == DONE:
                column = replace(column, staleness=np.array([versions - begun]))
                if rules.most_stale is not None and versions - begun > rules.most_stale:
                    column = wasted(column, STALE)
            fresh += column.outcome[0] == DONE
            clients.append(column)
            if fresh == rules.buffer:
                full = (versions + 1) * rules.buffer >= updates
                if full:
                    for phone, _, ended, own in [*left, *at_work.values()]:
                        if ended.end_s > now_s:
                            cut = replace(alone, deadline_s=now_s - ended.begin_s)
                            ended = play(fleet, load, cut, np.array([phone]), ended.begin_s, own)
                        kept = (
                            ended.end_s == now_s
                            and ended.clients.outcome[0] in (DROPPED, LATE)
                            and ended in [each[2] for each in left]
                        )
                        clients.append(one(ended) if kept else wasted(one(ended), CANCELLED))
                columns = {
                    field.name: np.concatenate([getattr(each, field.name) for each in clients])
                    for field in fields(Participation)
                }
                yield FleetRound(version_s, now_s, Participation(**columns))
                versions, fresh, version_s, clients = versions + 1, 0, now_s, []
        if full:
            return


def one(ended: FleetRound) -> Participation:
    """Return the client of a round that was played alone: it waits for nobody."""
    return replace(ended.clients, wait_s=np.zeros(1), wait_j=ended.clients.wait_j * 0)


def wasted(clients: Participation, outcome: int) -> Participation:
    """Return a client all of whose work was for nothing."""
    joules = clients.train_j + np.nan_to_num(clients.download_j) + np.nan_to_num(clients.upload_j)
    seconds = clients.download_s + clients.train_s + clients.upload_s
    return replace(clients, outcome=np.array([outcome], np.int8), wasted_s=seconds, wasted_j=joules)


@pytest.mark.parametrize("interrupted", INTERRUPTIONS)
def test_one_phone_at_a_time_and_no_buffer_are_rounds_one_after_the_other(interrupted: str) -> None:
    fleet = small_fleet([[(0.0, 40.0), (50.0, 300.0)]] * 3, period_s=300.0, hardware_of=[0, 1, 0])
    rules = Buffered(1, 1, interrupted=interrupted, retries=3)  # type: ignore[arg-type]
    made = list(simulate_buffered(fleet, small_load(counted=True), rules, Drawn(fleet), 20, np.random.default_rng(3)))
    selector, random, begin_s = Drawn(fleet), np.random.default_rng(3), 0.0
    for version in made:
        if not ready(fleet, np.arange(3), begin_s).any():
            assert not len(selector.select(1, begin_s, random))
            begin_s = float(next_ready(fleet, np.arange(3), begin_s).min())
        phones = selector.select(1, begin_s, random)
        single = Rules(1, interrupted=interrupted, retries=3)  # type: ignore[arg-type]
        expected = play(fleet, small_load(counted=True), single, phones, begin_s, no_luck(1, 4))
        assert version.end_s == expected.end_s
        for field in fields(Participation):
            assert getattr(version.clients, field.name) == getattr(expected.clients, field.name), field.name
        begin_s = expected.end_s
