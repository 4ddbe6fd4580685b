"""Look-ups of readiness: ours against a scan interval by interval, and one global searchsorted, in the same run.

Run from the repository root: python benchmarks/fleet_lookup.py [look-ups in bulk]. Prints CPU time, the best
of several runs, and ratios. 1,000 traces of six days with 30 intervals each, shared by a million phones.
"""

import bisect
import sys
import time
from collections.abc import Callable

import numpy as np

from traces.availability import Availability, duty
from traces.fleet import Fleet, finish, next_ready, ready, ready_until, work_done
from traces.hardware import Hardware
from traces.rates import constant_network

TRACES, INTERVALS, PERIOD_S, PHONES, COHORT, SCANNED = 1_000, 30, 6 * 86_400.0, 1_000_000, 100, 2_000


def best(function: Callable[[], object], calls: int = 1, repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(calls):
            function()
        times.append((time.process_time() - start) / calls)
    return min(times)


def made_fleet(random: np.random.Generator) -> Fleet:
    edges = np.sort(random.uniform(0, PERIOD_S, (TRACES, 2 * INTERVALS)), axis=1)
    a = Availability(
        offsets=np.arange(TRACES + 1) * INTERVALS,
        start_s=edges[:, ::2].reshape(-1),
        end_s=edges[:, 1::2].reshape(-1),
        origin_s=np.zeros(TRACES),
        period_s=np.full(TRACES, PERIOD_S),
    )
    return Fleet(
        name="made",
        hardware=Hardware(("phone",), ("",), ("",), np.array([np.nan])),
        hardware_of=np.zeros(PHONES, np.int32),
        network=constant_network(10e6, 10e6),
        network_of=np.zeros(PHONES, np.int32),
        availability=a,
        trace_of=random.integers(0, TRACES, PHONES).astype(np.int32),
        shift_s=random.integers(0, 6, PHONES) * 86_400.0,
        source="random edges",
    )


def main() -> None:
    bulk = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    random = np.random.default_rng(0)
    fleet = made_fleet(random)
    a = fleet.availability
    assert a is not None
    phones, clock = random.integers(0, PHONES, bulk), random.uniform(0, 30 * 86_400, bulk)
    work = random.uniform(0, 7_200, bulk)
    few = slice(0, COHORT)
    print(f"{TRACES} traces x {INTERVALS} intervals, duty {duty(a).mean():.2f}")

    looks: dict[str, Callable[[slice], object]] = {
        "ready": lambda at: ready(fleet, phones[at], clock[at]),
        "next_ready": lambda at: next_ready(fleet, phones[at], clock[at]),
        "ready_until": lambda at: ready_until(fleet, phones[at], clock[at]),
        "finish": lambda at: finish(fleet, phones[at], clock[at], work[at]),
        "work_done": lambda at: work_done(fleet, phones[at], clock[at], clock[at] + work[at]),
    }
    for name, look in looks.items():
        small, large = (
            best(lambda look=look: look(few), calls=200),
            best(lambda look=look: look(slice(None)), repeats=2),
        )
        met = "met" if small < 1e-4 and large / bulk < 5e-7 else "MISSED"
        print(f"{name:12} {COHORT} phones {small * 1e6:6.1f} us, {bulk} {large / bulk * 1e9:5.0f} ns each  {met}")

    # The peers, for the question whether phones are ready.
    starts = [a.start_s[i:j].tolist() for i, j in zip(a.offsets[:-1], a.offsets[1:], strict=True)]
    ends = [a.end_s[i:j].tolist() for i, j in zip(a.offsets[:-1], a.offsets[1:], strict=True)]
    trace_of, shift_s = fleet.trace_of.tolist(), fleet.shift_s.tolist()
    asked = list(zip(phones.tolist(), clock.tolist(), strict=True))

    def scan() -> list[bool]:
        answers = []
        for phone, now in asked[:SCANNED]:
            trace, own = trace_of[phone], (now + shift_s[phone]) % PERIOD_S
            answers.append(any(s <= own < e for s, e in zip(starts[trace], ends[trace], strict=True)))
        return answers

    def bisected() -> list[bool]:
        answers = []
        for phone, now in asked:
            trace, own = trace_of[phone], (now + shift_s[phone]) % PERIOD_S
            place = bisect.bisect_right(starts[trace], own) - 1
            answers.append(place >= 0 and own < ends[trace][place])
        return answers

    keys = np.repeat(np.arange(TRACES), INTERVALS) * PERIOD_S + a.start_s

    def searched() -> np.ndarray:
        own = np.mod(clock + fleet.shift_s[phones], PERIOD_S)
        trace = fleet.trace_of[phones]
        place = keys.searchsorted(trace * PERIOD_S + own, side="right") - 1
        return (place >= trace * INTERVALS) & (own < a.end_s[place])

    answers = ready(fleet, phones, clock)
    assert answers[:SCANNED].tolist() == scan()
    assert answers.tolist() == bisected()
    assert (answers == searched()).all()
    ours = best(lambda: ready(fleet, phones, clock), repeats=2) / bulk
    for name, each in (
        ("scan", best(scan, repeats=3) / SCANNED),
        ("bisect, one by one", best(bisected, repeats=2) / bulk),
        ("global searchsorted", best(searched, repeats=2) / bulk),
    ):
        print(f"{name:20} {each * 1e9:6.0f} ns each, {each / ours:5.1f} x ours")


if __name__ == "__main__":
    main()
