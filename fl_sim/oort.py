"""Oort (Lai et al., OSDI 2021): asks phones that teach much and are fast, and tries others."""

import numpy as np
import numpy.typing as npt

from fl_sim.load import Load
from fl_sim.participation import DONE, FleetRound
from fl_sim.rules import Buffered, Rules
from fl_sim.selection import NOBODY, Phones, drawn
from traces.fleet import Fleet, ready

Floats = npt.NDArray[np.float64]

# Settings of Oort's published code.
_EXPLORE, _EXPLORE_FACTOR, _EXPLORE_LEAST = 0.9, 0.95, 0.2
_CLIP_PERCENTILE, _CUT_OFF, _UNCERTAINTY = 98, 0.7, 0.1
_PERCENTILE, _PERCENTILE_STEP, _PACE_ROUNDS = 10.0, 5.0, 20
_STALLS, _JUMPS = 0.1, 5.0


class Oort:
    """Exploits phones that were asked before by their score, explores others; ready phones only.

        utility = samples * sqrt(mean loss^2)
        score   = (utility - least) / range + sqrt(0.1 ln t / t_last),   times (T / time)^2 if time is above T

    T is a percentile of the known times of client-rounds: the 10th, moved by 5 every 20 rounds, up when the utility of
    those exploited stalls, down when it leaps. Nobody trains here, so the loss is 1 for all: a phone's utility is the
    number of its batches. That makes scores depend on data, time and age only.
    """

    looks = True

    def __init__(self, fleet: Fleet, load: Load, rules: Rules | Buffered) -> None:
        del rules
        self._fleet = fleet
        self._utility = load.batches[np.arange(fleet.phones) % len(load.batches)]
        self._time_s = np.full(fleet.phones, np.nan)  # of a phone's last client-round; NaN: never asked
        self._last = np.zeros(fleet.phones, dtype=np.int64)
        self._known: Phones = NOBODY
        self._round, self._explore, self._percentile = 1, _EXPLORE, _PERCENTILE
        self._exploited: list[float] = []  # utility of those exploited, by select

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        """See ``Selector.select``."""
        known = self._known[ready(self._fleet, self._known, clock_s)]
        known = np.setdiff1d(known, busy, assume_unique=False)
        self._explore = max(_EXPLORE_LEAST, self._explore * _EXPLORE_FACTOR)
        explored = min(count, round(self._explore * count)) if len(self._known) < self._fleet.phones else 0
        exploited = self._exploit(known, count - explored, random)
        fresh = drawn(
            self._fleet.phones, count - len(exploited), random, np.union1d(self._known, busy),
            lambda phones: ready(self._fleet, phones, clock_s),
        )  # fmt: skip
        short = count - len(exploited) - len(fresh)
        rest = self._exploit(np.setdiff1d(known, exploited), short, random) if short else NOBODY
        self._exploited.append(float(self._utility[exploited].sum()))
        return np.concatenate([exploited, fresh, rest])

    def _exploit(self, phones: Phones, count: int, random: np.random.Generator) -> Phones:
        """Return ``count`` of these phones, drawn by score among those near the best."""
        if count <= 0 or not len(phones):
            return NOBODY
        scores = self.scores(phones)
        count = min(count, len(phones))
        cut = _CUT_OFF * np.partition(scores, len(scores) - count)[len(scores) - count]
        able = np.flatnonzero(scores >= cut)
        weights = np.maximum(scores[able], 1e-12)
        chosen: Phones = phones[random.choice(able, count, replace=False, p=weights / weights.sum())]
        return chosen

    def scores(self, phones: Phones) -> Floats:
        """Return the scores of phones that were asked before, float64 [phones]."""
        utility = np.minimum(self._utility[phones], np.percentile(self._utility[phones], _CLIP_PERCENTILE))
        spread = np.ptp(utility)
        relative = (utility - utility.min()) / spread if spread else np.ones(len(phones))
        age = np.sqrt(_UNCERTAINTY * np.log(self._round) / self._last[phones])
        wanted_s = np.percentile(self._time_s[self._known], self._percentile)
        time_s = self._time_s[phones]
        slow = np.divide(wanted_s, time_s, out=np.ones(len(phones)), where=time_s > wanted_s) ** 2
        found: Floats = (relative + age) * slow
        return found

    def learn(self, number: int, played: FleetRound) -> None:
        """Remember how long each phone took, and pace: every 20 rounds the wanted time may move."""
        clients = played.clients
        self._known = np.union1d(self._known, clients.phone)
        self._last[clients.phone] = number
        # Who did not deliver took at least as long as it was at work.
        taken_s = clients.end_s - clients.begin_s
        known_s = self._time_s[clients.phone]
        longer = (clients.outcome == DONE) | ~(known_s > taken_s)
        self._time_s[clients.phone] = np.where(longer, taken_s, known_s)
        self._round = number + 1
        if number % _PACE_ROUNDS == 0 and len(self._exploited) >= 2 * _PACE_ROUNDS:
            before, now = (
                sum(self._exploited[-2 * _PACE_ROUNDS : -_PACE_ROUNDS]),
                sum(self._exploited[-_PACE_ROUNDS:]),
            )
            if abs(now - before) <= _STALLS * before:
                self._percentile = min(100.0, self._percentile + _PERCENTILE_STEP)
            elif abs(now - before) >= _JUMPS * before:
                self._percentile = max(_PERCENTILE_STEP, self._percentile - _PERCENTILE_STEP)
