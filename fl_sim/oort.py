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
    """Asks ready phones: a share ``explore`` of them new ones, evenly drawn, the others by the score they have earned.

        utility = samples * sqrt(mean loss^2), clipped at the 98th percentile; 0 for one that delivered nothing last
        score   = (utility - least) / range + sqrt(0.1 ln t / t_last),   times (T / time)^2 if time is above T
        explore = max(0.2, 0.9 * 0.95^t)

    in round t. They are drawn by score among those with 0.7 of the least score that would be asked by rank. T is a
    percentile of the times of those who have delivered: the 10th, moved every 20 rounds by 5, up when the utility of
    those who were asked by score changed by a tenth at most, down when it changed fivefold.

    Nobody trains here, so the loss is 1 for all: a phone's utility is the number of its batches. That makes scores
    depend on data, time and age only. To ask more phones than are wanted, by a tenth in the publication, is a matter of
    ``Rules.over_commit``.
    """

    def __init__(self, fleet: Fleet, load: Load, rules: Rules | Buffered) -> None:
        del rules
        self._fleet = fleet
        self._teaches = load.batches[np.arange(fleet.phones) % len(load.batches)]
        self._utility = np.zeros(fleet.phones)
        self._time_s = np.full(fleet.phones, np.nan)  # of a phone's last client-round; NaN: never asked
        self._last = np.zeros(fleet.phones, dtype=np.int64)
        self._delivered = np.zeros(fleet.phones, dtype=np.bool_)  # at any time
        self._by_score = np.zeros(fleet.phones, dtype=np.bool_)  # whether each was ever asked so
        self._known: Phones = NOBODY
        self._round = 1
        self._percentile = _PERCENTILE
        self._learnt: list[float] = []  # mean utility of those who were asked by score and delivered, by round

    @property
    def explore(self) -> float:
        """The share of phones that are asked for the first time, where there are such."""
        return max(_EXPLORE_LEAST, _EXPLORE * _EXPLORE_FACTOR**self._round)

    @property
    def percentile(self) -> float:
        """The percentile of times above which phones count as slow."""
        return self._percentile

    def select(self, count: int, clock_s: float, random: np.random.Generator, busy: Phones = NOBODY) -> Phones:
        """See ``Selector.select``."""
        known = self._known[ready(self._fleet, self._known, clock_s)]
        known = known[~np.isin(known, busy)] if len(busy) else known
        # Rounded by chance: a server that fills one place at a time must explore as well.
        explored = int(self.explore * count + random.random()) if len(self._known) < self._fleet.phones else 0
        exploited = self._exploit(known, count - explored, random)
        fresh = drawn(
            self._fleet.phones, count - len(exploited), random, np.concatenate([self._known, busy]),
            lambda phones: ready(self._fleet, phones, clock_s),
        )  # fmt: skip
        # Too few new ones are ready: others that are known take their places.
        short = count - len(exploited) - len(fresh)
        rest = self._exploit(np.setdiff1d(known, exploited), short, random) if short else NOBODY
        self._by_score[exploited] = self._by_score[rest] = True
        return np.concatenate([exploited, fresh, rest])

    def _exploit(self, phones: Phones, count: int, random: np.random.Generator) -> Phones:
        """Return ``count`` of these phones, drawn by score among those near the best."""
        count = min(count, len(phones))
        if count <= 0:
            return NOBODY
        scores = self.scores(phones)
        cut = _CUT_OFF * np.partition(scores, len(scores) - count)[len(scores) - count]
        able = np.flatnonzero(scores >= cut)
        weights = np.maximum(scores[able], 1e-12)
        chosen: Phones = phones[random.choice(able, count, replace=False, p=weights / weights.sum())]
        return chosen

    def scores(self, phones: Phones) -> Floats:
        """Return the scores of phones that were asked before, float64 [phones], at least one."""
        utility = np.minimum(self._utility[phones], np.percentile(self._utility[phones], _CLIP_PERCENTILE))
        spread = np.ptp(utility)
        relative = (utility - utility.min()) / spread if spread else np.ones(len(phones))
        age = np.sqrt(_UNCERTAINTY * np.log(self._round) / self._last[phones])
        times_s = self._time_s[self._known[self._delivered[self._known]]]
        wanted_s = np.percentile(times_s, self._percentile) if len(times_s) else np.inf
        time_s = self._time_s[phones]
        slow = np.divide(wanted_s, time_s, out=np.ones(len(phones)), where=time_s > wanted_s) ** 2
        found: Floats = (relative + age) * slow
        return found

    def learn(self, number: int, played: FleetRound) -> None:
        """Remember what each phone taught and how long it took, and pace: every 20 rounds T may move."""
        clients = played.clients
        phones, delivered = clients.phone, clients.outcome == DONE
        self._known = np.concatenate([self._known, np.unique(phones[self._last[phones] == 0])])
        self._last[phones] = number
        self._delivered[phones[delivered]] = True
        self._utility[phones] = np.where(delivered, self._teaches[phones], 0.0)
        # Who did not deliver takes at least as long as it was at work.
        taken_s, known_s = clients.end_s - clients.begin_s, self._time_s[phones]
        self._time_s[phones] = np.where(delivered, taken_s, np.fmax(taken_s, known_s))
        taught = self._teaches[phones[delivered & self._by_score[phones]]]
        self._learnt.append(float(taught.mean()) if len(taught) else 0.0)
        self._round = number + 1
        if number % _PACE_ROUNDS == 0 and len(self._learnt) >= 2 * _PACE_ROUNDS:
            before = sum(self._learnt[-2 * _PACE_ROUNDS : -_PACE_ROUNDS])
            changed = abs(sum(self._learnt[-_PACE_ROUNDS:]) - before)
            if changed <= _STALLS * before:
                self._percentile = min(100.0, self._percentile + _PERCENTILE_STEP)
            elif changed >= _JUMPS * before:
                self._percentile = max(_PERCENTILE_STEP, self._percentile - _PERCENTILE_STEP)
