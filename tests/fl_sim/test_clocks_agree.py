"""Both clocks of a synchronous round, client by client: arrays (`fl_sim.clock`) and events (`fl_sim.events`)."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from costmodel.round import PhasePower
from fl_sim.clock import play
from fl_sim.draws import Draws, draw
from fl_sim.events import play_events
from fl_sim.load import Load
from fl_sim.participation import FleetRound, Participation
from fl_sim.rules import INTERRUPTIONS, ROUND_ENDS, Interruption, Rules
from tests.fl_sim.small_fleet import BYTE_PER_S, Intervals, small_fleet
from traces.fleet import Fleet
from traces.rates import Network, RateSeries

PERIOD_S = 16.0
TICKS = st.integers(0, 16).map(float)  # few, so that many things happen at the same time


def assert_agree(arrays: FleetRound, events: FleetRound) -> None:
    assert arrays.begin_s == events.begin_s
    np.testing.assert_allclose(arrays.end_s, events.end_s, rtol=1e-9, atol=1e-6)
    for field in fields(Participation):
        of_arrays, of_events = getattr(arrays.clients, field.name), getattr(events.clients, field.name)
        assert of_arrays.dtype == of_events.dtype, field.name
        np.testing.assert_allclose(of_arrays, of_events, rtol=1e-9, atol=1e-6, err_msg=field.name)


@st.composite
def intervals(draw_from: st.DrawFn) -> Intervals:
    """Draw ready intervals of whole seconds, often up to an end of the trace, sometimes none or all of it."""
    edges = sorted(draw_from(st.sets(TICKS, max_size=6)))
    return list(zip(edges[::2], edges[1::2], strict=False))


@st.composite
def networks(draw_from: st.DrawFn) -> Network:
    """Draw a network whose transfers take times without rounding."""
    if draw_from(st.booleans()):
        return BYTE_PER_S
    begins = [0.0, *sorted(draw_from(st.sets(st.sampled_from([4.0, 6.0, 9.5]), max_size=3)))]
    rates = st.lists(st.sampled_from([0.0, 4.0, 8.0, 32.0]), min_size=len(begins), max_size=len(begins)).filter(any)
    down, up = np.array(draw_from(rates)), np.array(draw_from(rates))
    lasts_s = np.diff([*begins, 12.0])
    series = RateSeries(np.array([0, len(begins)]), np.array(begins), down, up, np.array([12.0]))
    means = np.array([(down * lasts_s).sum() / 12]), np.array([(up * lasts_s).sum() / 12])
    return Network("trace", *means, np.ones(1), np.ones(1), series)


@st.composite
def scenarios(draw_from: st.DrawFn) -> tuple[Fleet, Load, Rules, float, Draws]:
    """Draw a round all of whose times are without rounding, so that what happens at the same time really does."""
    phones = draw_from(st.integers(1, 5))
    traces = draw_from(st.none() | st.lists(intervals(), min_size=1, max_size=phones))
    fleet = small_fleet(
        traces,
        phones=phones,
        period_s=PERIOD_S,
        origin_s=draw_from(TICKS),
        shift_s=[draw_from(TICKS) for _ in range(phones)],
        network=draw_from(networks()),
        hardware_of=[draw_from(st.integers(0, 1)) for _ in range(phones)],
    )
    clients = draw_from(st.integers(1, phones))
    work = st.lists(st.sampled_from([0.0, 1.0, 2.0, 4.0, 6.0, 20.0]), min_size=clients, max_size=clients)
    load = Load(
        batches=np.array(draw_from(work)),
        download_bytes=np.array(draw_from(work)),
        upload_bytes=np.array(draw_from(work)),
        batch_time_ms=np.array([1000.0, 500.0]),
        batch_energy_mj=np.array([2000.0, draw_from(st.sampled_from([np.nan, 1500.0]))]),
        power=draw_from(st.sampled_from([PhasePower(), PhasePower(1.0, 0.5, 0.25), PhasePower(upload_w=2.0)])),
    )
    rules = Rules(
        cohort=draw_from(st.integers(1, phones)),
        over_commit=float(phones),
        interrupted=draw_from(st.sampled_from(INTERRUPTIONS)),
        round_end=draw_from(st.sampled_from(ROUND_ENDS)),
        fraction=draw_from(st.sampled_from([0.3, 0.5, 1.0])),
        deadline_s=draw_from(st.none() | TICKS.filter(bool)),
        retries=draw_from(st.integers(0, 2)),
    )
    shape = phones, 1 + rules.retries

    def filled(values: st.SearchStrategy[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array([[draw_from(values) for _ in range(shape[1])] for _ in range(shape[0])])

    luck = st.sampled_from([1.0, 0.5, 2.0])
    shares = st.sampled_from([np.nan, np.nan, 0.25, 0.5, 0.0, 1.0])
    return fleet, load, rules, draw_from(TICKS), Draws(filled(luck), filled(luck), filled(shares))


@settings(max_examples=300)
@given(scenarios())
def test_both_clocks_agree_to_the_tie(scenario: tuple[Fleet, Load, Rules, float, Draws]) -> None:
    fleet, load, rules, begin_s, draws = scenario
    phones = np.arange(fleet.phones)[::-1].copy()
    assert_agree(
        play(fleet, load, rules, phones, begin_s, draws), play_events(fleet, load, rules, phones, begin_s, draws)
    )


def crowd(random: np.random.Generator, phones: int = 40) -> Fleet:
    """Return a fleet of traces, origins, periods, shifts and hardware by chance."""
    traces = []
    for _ in range(10):
        edges = np.sort(random.uniform(0, 1000, 2 * int(random.integers(0, 12)))).tolist()
        traces.append(list(zip(edges[::2], edges[1::2], strict=True)))
    return small_fleet(
        traces,
        phones=phones,
        period_s=random.uniform(1000, 1500, 10).tolist(),
        origin_s=random.uniform(-2000, 2000, 10).tolist(),
        shift_s=random.uniform(-2000, 2000, phones).tolist(),
        hardware_of=random.integers(0, 2, phones).tolist(),
    )


def network_of(kind: str, random: np.random.Generator) -> Network:
    down, up = random.uniform(50, 500, (2, 3))
    cv = random.uniform(0.1, 1.5, (2, 3))
    if kind == "trace":
        begins = np.concatenate([[0.0], np.sort(random.uniform(0, 300, 7))])
        rates = random.uniform(10, 900, (2, 24)) * (random.random((2, 24)) < 0.8) + np.array([[1.0], [2.0]])
        series = RateSeries(np.array([0, 8, 16, 24]), np.tile(begins, 3), *rates, np.array([300.0, 317.3, 444.0]))
        return Network("trace", down, up, *cv, series)
    return Network("lognormal" if kind == "lognormal" else "constant", down, up, *cv)


@pytest.mark.parametrize("kind", ["constant", "lognormal", "trace"])
@pytest.mark.parametrize("interrupted", INTERRUPTIONS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
@example(seed=0)
def test_both_clocks_agree_on_crowds(kind: str, interrupted: Interruption, seed: int) -> None:
    random = np.random.default_rng(seed)
    fleet = replace(crowd(random), network=network_of(kind, random))
    fleet = replace(fleet, network_of=random.integers(0, 3, fleet.phones).astype(np.int32))
    load = Load(
        *random.uniform(1, [[90.0], [2000.0], [2000.0]], (3, 7)),
        batch_time_ms=random.uniform(100, 3000, 2),
        batch_energy_mj=random.uniform(100, 3000, 2),
        power=PhasePower(*random.uniform(0, 2, 3)),
    )
    rules = Rules(
        cohort=int(random.integers(1, 30)),
        over_commit=1.3,
        interrupted=interrupted,
        round_end=ROUND_ENDS[random.integers(3)],
        fraction=float(random.uniform(0.1, 1)),
        deadline_s=None if random.random() < 0.4 else float(random.uniform(1, 2000)),
        dropout=float(random.choice([0.0, 0.3])),
        retries=int(random.integers(4)),
    )
    phones = random.permutation(fleet.phones)[: rules.selected]
    begin_s = float(random.uniform(0, 1e5))
    draws = draw(fleet, phones, rules, random)
    assert_agree(
        play(fleet, load, rules, phones, begin_s, draws), play_events(fleet, load, rules, phones, begin_s, draws)
    )


@pytest.mark.parametrize("interrupted", INTERRUPTIONS)
def test_a_trace_that_is_always_ready_changes_nothing(interrupted: Interruption) -> None:
    rules, ones = Rules(3, interrupted=interrupted), np.ones((3, 1))
    draws = Draws(ones, ones, np.full((3, 1), np.nan))
    load = Load(*np.full((3, 1), 777.0), batch_time_ms=np.array([1000.0]), batch_energy_mj=np.array([1.0]))
    free = small_fleet(None, phones=3)
    traced = small_fleet([[(0.0, 100.0)]] * 3, period_s=100.0, origin_s=0.3, shift_s=[0.0, 50.0, 99.9])
    for clock in (play, play_events):
        expected = clock(free, load, rules, np.arange(3), 0.7, draws)
        assert_agree(expected, clock(traced, load, rules, np.arange(3), 0.7, draws))
        assert expected.end_s == pytest.approx(3 * 777.0 + 0.7)
