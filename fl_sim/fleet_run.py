"""Rounds on a fleet, one after the other on its clock."""

from collections.abc import Callable, Iterator

import numpy as np

from fl_sim.clock import play
from fl_sim.draws import Draws, draw
from fl_sim.load import Load, check_load
from fl_sim.participation import FleetRound, voided
from fl_sim.rules import Rules
from fl_sim.selection import Phones, Selector
from fl_sim.streams import Purpose, stream
from traces.fleet import Fleet, next_ready

Play = Callable[[Fleet, Load, Rules, Phones, float, Draws], FleetRound]
TRIES = 10  # rounds that are tried at most for each one that must count
_MOST_ROUNDS = 2**24 - 1  # those that streams of chance tell apart
_PAUSE_S = 60.0
LONGEST_S = 1e10  # three hundred years; later than that a clock of 64 bits no longer tells edges of traces apart


def fleet_rounds(
    fleet: Fleet, load: Load, rules: Rules, selector: Selector, rounds: int, seed: int,
    *, begin_s: float = 0.0, clock: Play = play,
) -> Iterator[FleetRound]:  # fmt: skip
    """Play rounds from ``begin_s`` on until ``rounds`` of them had ``rules.least`` updates, and give each as it ends.

    The next begins where one ends. Selectors that look at phones ask the ready ones, be they fewer than are wanted;
    where nobody is, the clock goes on to when somebody is. A void round counts for nothing but its cost; one that took
    no time is followed after a minute. It ends at TRIES times as many rounds, void ones included: count what counts.
    Chance is keyed by seed and round. ``clock``: ``fl_sim.clock.play``, or its twin ``fl_sim.events.play_events``.
    Raises ValueError for rounds below 1 or above 2^24 - 1, for hardware without a cost, if no phone will be ready
    any more, and at a round that ends after LONGEST_S.
    """
    if not 1 <= rounds <= _MOST_ROUNDS:
        message = f"rounds must be from 1 to {_MOST_ROUNDS:,} (got {rounds})"
        raise ValueError(message)
    if rules.least > fleet.phones:
        message = f"least must not be above the {fleet.phones:,} phones of the fleet (got {rules.least:,}); "
        message += "no round would count"
        raise ValueError(message)
    check_load(load, fleet)
    clock_s, counted = begin_s, 0
    for number in range(1, min(TRIES * rounds, _MOST_ROUNDS) + 1):
        random = stream(seed, Purpose.SELECTION, number)
        phones = selector.select(rules.selected, clock_s, random)
        if not len(phones):
            clock_s = next_of_all_s(fleet, clock_s)
            phones = selector.select(rules.selected, clock_s, random)
        played = clock(
            fleet, load, rules, phones, clock_s, draw(fleet, phones, rules, stream(seed, Purpose.FLEET, number))
        )
        if played.end_s - begin_s > LONGEST_S:
            message = (
                f"round {number:,} ends {played.end_s - begin_s:.3g} s after the begin, more than three hundred years: "
                "phones are too slow or too seldom ready to be waited for; give a deadline, or another fleet or network"
            )
            raise ValueError(message)
        selector.learn(number, played)
        void = played.updates < max(rules.least, 1)
        counted += not void
        yield voided(played) if void else played
        if counted == rounds:
            return
        clock_s = played.end_s
        if void and clock_s == played.begin_s:
            clock_s += _PAUSE_S


def next_of_all_s(fleet: Fleet, clock_s: float) -> float:
    """Return when the first phone is ready from the clock on. Raises ValueError if none ever is."""
    first_s = float(next_ready(fleet, np.arange(fleet.phones), clock_s).min(initial=np.inf))
    if not np.isfinite(first_s):
        message = f"no phone of the fleet {fleet.name[:60]!r} is ever ready; give another fleet, or another ready rule"
        raise ValueError(message)
    return first_s
