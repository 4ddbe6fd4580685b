"""How fast fleets are simulated: a million phones, a thousand rounds, and why no phone has a process of its own.

Run from the repository root: python benchmarks/fleet.py [rounds]. First synchronous rounds of 100 phones out of a
million, drawn among those that are ready; then the whole fleet asked every ten minutes; then SimPy over those who take
part, twice as many rounds and twice as many phones beside it; last SimPy with a process for each phone of a small
fleet, beside the sweep. Each line has the time on the clock, the processor's time per round, and the memory at its peak
so far. The goals are the project's own, for two free cores; fewer rounds than 1,000 are scaled up to them.
"""

import os
import resource
import sys
import time
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import simpy

from fl_sim.draws import draw
from fl_sim.events import play_events
from fl_sim.fleet_run import fleet_rounds
from fl_sim.load import Load, demand
from fl_sim.rules import Rules
from fl_sim.selection import open_selector
from fl_sim.whole_fleet import sweep
from traces.fleet import Fleet, transfer
from traces.synthetic import find_statistics, synthetic_fleet

PHONES, ROUNDS, COHORT = 1_000_000, 1_000, 100
SMALL, SMALL_ROUNDS = 2_000, 20
EVERY_S = 600.0
# A client-round of VGG-16 on CIFAR-10 in INT8: 7.8 batches of 397 ms, 3.75 MB each way.
BATCHES, BATCH_MS, BATCH_MJ, SIZE_BYTES = 7.8125, 397.0, 1000.0, 3.75e6
BUSY = Rules(COHORT, 1.3, "abort", "kth", deadline_s=270.0, dropout=0.05, retries=1)


def load_of(fleet: Fleet) -> Load:
    kinds, size = np.ones(len(fleet.hardware)), np.array([SIZE_BYTES])
    return Load(np.array([BATCHES]), size, size, BATCH_MS * kinds, BATCH_MJ * kinds)


def cohorts(fleet: Fleet, rounds: int) -> None:
    print(f"\n{COHORT} ready phones of {fleet.phones:,} asked in each of {rounds:,} synchronous rounds")
    load = load_of(fleet)
    for rules in (Rules(COHORT), BUSY):
        selector = open_selector("available", fleet, load, rules)
        watch = Watch()
        asked = sum(len(played.clients.phone) for played in fleet_rounds(fleet, load, rules, selector, rounds, 1))
        watch.stop(f"{rules.interrupted}, {rules.round_end}, {asked / rounds:.0f} a round", rounds)
        judge(watch.taken_s * ROUNDS / rounds < 10, "1,000 rounds under 10 s")


def whole_fleet(fleet: Fleet, rounds: int) -> float:
    """Return the processor's seconds for a phone and round of the fleet that is always ready."""
    print(f"\nall ready phones of {fleet.phones:,} asked in each of {rounds:,} rounds, log-normal rates drawn anew")
    load, clock_s = load_of(fleet), np.arange(rounds) * EVERY_S
    always = replace(fleet, availability=None)
    each_s = 0.0
    for name, phones, rules in (
        ("suspend, all", fleet, Rules(COHORT)),
        ("abort, fraction 0.8", fleet, Rules(COHORT, interrupted="abort", round_end="fraction", fraction=0.8)),
        ("always ready, all", always, Rules(COHORT)),
    ):
        watch = Watch()
        swept = sweep(phones, load, rules, clock_s, seed=1)
        watch.stop(f"{name}, {swept.ready.mean() / fleet.phones:.1%} ready", rounds)
        judge(watch.taken_s * ROUNDS / rounds < 60, "1,000 rounds under 60 s")
        each_s = watch.cpu_s / rounds / fleet.phones
    return each_s


def events(fleet: Fleet, rounds: int) -> None:
    print("\nSimPy over those who take part, all always ready")
    load = load_of(fleet)
    watches = []
    for cohort, count in ((COHORT, rounds), (COHORT, 2 * rounds), (2 * COHORT, rounds)):
        rules, random = Rules(cohort), np.random.default_rng(1)
        watch, clock_s = Watch(), 0.0
        for _ in range(count):
            phones = random.choice(fleet.phones, cohort, replace=False, shuffle=False)
            clock_s = play_events(fleet, load, rules, phones, clock_s, draw(fleet, phones, rules, random)).end_s
        each_us = watch.so_far_s() / count / cohort * 1e6
        watch.stop(f"{cohort} a round, {count:,} rounds, {each_us:.1f} us each", count)
        watches.append(watch)
    once, *twice = watches
    judge(once.taken_s * ROUNDS / rounds < 3, "1,000 rounds of 100 under 3 s")
    ratios = [watch.cpu_s / once.cpu_s for watch in twice]
    judge(max(ratios) < 2.4, f"linear: twice the rounds take {ratios[0]:.2f}, twice the phones {ratios[1]:.2f}")


def process_for_each(fleet: Fleet, sweep_s: float) -> None:
    print(f"\nSimPy with a process for each phone: {SMALL:,} phones, all asked in {SMALL_ROUNDS} rounds")
    asked = demand(load_of(fleet), fleet, np.arange(SMALL))
    phones = np.arange(SMALL)
    download_s = transfer(fleet, phones, 0.0, asked.download_bytes, "download", 1.0).tolist()
    upload_s = transfer(fleet, phones, 0.0, asked.upload_bytes, "upload", 1.0).tolist()
    environment = simpy.Environment()
    begins = [environment.event() for _ in range(SMALL_ROUNDS)]
    left = [SMALL] * SMALL_ROUNDS

    def phone(*works_s: float) -> Generator[simpy.Event, object, None]:
        for number in range(SMALL_ROUNDS):
            yield begins[number]
            for work_s in works_s:
                yield environment.timeout(work_s)
            left[number] -= 1
            if not left[number] and number + 1 < SMALL_ROUNDS:
                begins[number + 1].succeed()

    for works_s in zip(download_s, asked.train_s.tolist(), upload_s, strict=True):
        environment.process(phone(*works_s))
    begins[0].succeed()
    watch = Watch()
    environment.run()
    each_s = watch.so_far_s() / SMALL / SMALL_ROUNDS
    watch.stop(f"{each_s * 1e6:.1f} us for each phone and round", SMALL_ROUNDS)
    hours = each_s * PHONES * ROUNDS / 3600
    print(
        f"  {each_s / sweep_s:,.0f} times the sweep's {sweep_s * 1e9:.0f} ns; a million phones would take {hours:.1f} h"
    )


class Watch:
    """Measures from when it is made until it is stopped, on the clock and on the processor."""

    def __init__(self) -> None:
        self._begun_s, self._begun_cpu_s = time.perf_counter(), time.process_time()
        self.taken_s = self.cpu_s = 0.0

    def so_far_s(self) -> float:
        return time.process_time() - self._begun_cpu_s

    def stop(self, what: str, rounds: int) -> None:
        self.taken_s, self.cpu_s = time.perf_counter() - self._begun_s, self.so_far_s()
        each_ms = self.cpu_s / rounds * 1e3
        print(f"  {what:42}{self.taken_s:8.2f} s, processor {each_ms:6.2f} ms a round,{peak_mb():5.0f} MB")


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def judge(met: bool, goal: str) -> None:
    print(f"  {'met' if met else 'MISSED'}: {goal}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"cores {len(os.sched_getaffinity(0))}, load {os.getloadavg()[0]:.1f}")
    begun_s = time.perf_counter()
    fleet = synthetic_fleet(find_statistics("flash"), PHONES, seed=1)
    print(f"the fleet of {PHONES:,} phones, like FLASH's, made in {time.perf_counter() - begun_s:.2f} s")
    cohorts(fleet, rounds)
    sweep_s = whole_fleet(fleet, rounds)
    judge(peak_mb() < 1000, "below 1 GB")
    always = replace(fleet, availability=None)
    events(always, rounds)
    process_for_each(always, sweep_s)


if __name__ == "__main__":
    main()
