"""Small fleets, loads and rules drawn by Hypothesis: every kind of network, trace and rule that a clock has to know."""

import numpy as np
from hypothesis import strategies as st

from costmodel.round import PhasePower
from fl_sim.load import Load
from fl_sim.rules import INTERRUPTIONS, ROUND_ENDS, Rules
from traces.availability import Availability, make_availability
from traces.fleet import Fleet
from traces.hardware import Hardware
from traces.rates import Network, RateSeries, constant_network, series_network

HARDWARE = Hardware(("slow", "fast"), ("", ""), ("low", "high"), np.array([np.nan, 2.0]))


@st.composite
def availabilities(draw: st.DrawFn, whole: bool) -> Availability:
    """Draw one to three traces; ``whole`` seconds meet each other's edges exactly."""
    periods, traces = [], []
    for _ in range(draw(st.integers(1, 3))):
        period_s = draw(st.integers(20, 300))
        edges = sorted(draw(st.sets(st.integers(0, period_s), max_size=8)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        moved = 0.0 if whole else draw(st.floats(0, 0.4))
        traces.append([(float(a) + moved * (a > 0), float(b) - moved * (b < period_s)) for a, b in pairs])
        periods.append(float(period_s))
    return make_availability(traces, np.array(periods), np.full(len(periods), float(draw(st.integers(-50, 50)))))


@st.composite
def networks(draw: st.DrawFn, whole: bool) -> Network:
    kind = draw(st.sampled_from(("constant", "lognormal", "trace")))
    profiles = draw(st.integers(1, 2))
    rates = np.array([8.0, 16.0]) if whole else np.array([7.3, 21.9])
    if kind == "constant":
        return constant_network(rates[:profiles], rates[:profiles] / 2)
    if kind == "lognormal":
        cv = np.array([0.4, 1.5])[:profiles]
        return Network("lognormal", rates[:profiles], rates[:profiles] / 2, cv, cv / 2)
    begins = np.array([0.0, 10.0, 25.0, 0.0, 7.0])[: 3 if profiles == 1 else 5]
    offsets = np.array([0, 3, 5][: profiles + 1], dtype=np.int64)
    down = np.array([8.0, 0.0, 16.0, 4.0, 8.0])[: len(begins)]
    up = np.array([4.0, 8.0, 0.0, 8.0, 2.0])[: len(begins)]
    return series_network(RateSeries(offsets, begins, down, up, np.array([40.0, 20.0])[:profiles]))


@st.composite
def small_fleets(draw: st.DrawFn, whole: bool = False, most: int = 8) -> Fleet:
    phones = draw(st.integers(1, most))
    availability = draw(st.none() | availabilities(whole))
    network = draw(networks(whole))

    def index(kinds: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return np.array(draw(st.lists(st.integers(0, kinds - 1), min_size=phones, max_size=phones)), dtype=np.int32)

    shifts = st.integers(-400, 400).map(float) if whole else st.floats(-400, 400)
    return Fleet(
        name="drawn",
        hardware=HARDWARE,
        hardware_of=index(2),
        network=network,
        network_of=index(network.profiles),
        availability=availability,
        trace_of=index(availability.traces if availability else 1),
        shift_s=np.array(draw(st.lists(shifts, min_size=phones, max_size=phones))),
        source="drawn",
    )


@st.composite
def loads(draw: st.DrawFn, whole: bool = False) -> Load:
    clients = draw(st.integers(1, 3))

    def column(most: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        numbers = st.integers(0, most).map(float) if whole else st.just(0.0) | st.floats(0.01, most)
        return np.array(draw(st.lists(numbers, min_size=clients, max_size=clients)))

    power = PhasePower(*(draw(st.none() | st.floats(0, 5)) for _ in range(3)))
    energy_mj = np.array([draw(st.just(np.nan) | st.floats(0, 1e4)), 30.0])
    return Load(column(30), column(60), column(40), np.array([3000.0, 1000.0]), energy_mj, power)


@st.composite
def rules_of(draw: st.DrawFn, phones: int, whole: bool = False, chance: bool = True) -> Rules:
    deadlines = st.integers(1, 400).map(float) if whole else st.floats(0.5, 400)
    return Rules(
        cohort=draw(st.integers(1, phones)),
        interrupted=draw(st.sampled_from(INTERRUPTIONS)),
        round_end=draw(st.sampled_from(ROUND_ENDS)),
        fraction=draw(st.floats(0.05, 1.0)),
        deadline_s=draw(st.none() | deadlines),
        dropout=draw(st.sampled_from((0.0, 0.3, 1.0))) if chance else 0.0,
        retries=draw(st.integers(0, 3)) if chance else 0,
        least=0,
    )
