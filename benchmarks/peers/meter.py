"""The clock of one engine: it is told where rounds end, and prints what they took as JSON lines.

A run is a round of the four judged clients, after which the weights are compared, one full round, one to warm up, the
timed rounds, and one more in which the memory is looked at: looking costs time.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import process_tree

Arrays = Sequence[npt.NDArray[np.float32]]
_BEFORE, _BEHIND = 3, 1  # untimed rounds


class Meter:
    """Made by an engine's process at its start; ``begin`` before the first round, ``tick`` behind each.

    run.py says how many rounds are timed ($PEERS_ROUNDS), when it started the process (of the monotonic clock,
    $PEERS_STARTED), below which process the whole engine is ($PEERS_ROOT), and where the lines go ($PEERS_EVENTS).
    """

    def __init__(self, start: Arrays, **about: object) -> None:
        self.timed = int(os.environ.get("PEERS_ROUNDS", "3"))
        self.rounds = _BEFORE + self.timed + _BEHIND
        self._started = float(os.environ.get("PEERS_STARTED", time.monotonic()))
        self._root = int(os.environ.get("PEERS_ROOT", os.getppid()))
        self._start, self._about = start, about
        self._ended, self._took_s = 0, list[float]()
        self._cpu_s = self._begun = 0.0

    def begin(self) -> None:
        """Say that the first round begins."""
        self._print("started", start_s=time.monotonic() - self._started)
        self._begun = time.perf_counter()

    def tick(self, weights: Callable[[], Arrays]) -> bool:
        """Say that a round has ended, all its work done; return whether another is wanted."""
        now, number = time.perf_counter(), self._ended
        self._ended += 1
        if _BEFORE <= number < _BEFORE + self.timed:
            self._took_s.append(now - self._begun)
        if number == 0:
            self._print("judged", **self._fingerprint(weights()), **self._about)
        if number == 1:
            first_s = time.monotonic() - self._started
            self._print("first", first_s=first_s, **self._fingerprint(weights()))
        if self._ended == _BEFORE:
            self._print("timing")
            self._cpu_s = process_tree.cpu_s(self._root)
        if self._ended == _BEFORE + self.timed:
            cpu_s = (process_tree.cpu_s(self._root) - self._cpu_s) / self.timed
            processes = len(process_tree.below(self._root))
            self._print("timed", rounds_s=self._took_s, cpu_s=cpu_s, processes=processes)
            time.sleep(0.3)  # run.py looks at the memory again
        if self._ended == self.rounds:
            self._print("ended", torch="torch" in sys.modules)
        self._begun = time.perf_counter()
        return self._ended < self.rounds

    def _fingerprint(self, weights: Arrays) -> dict[str, float]:
        """Return two sums that do not depend on the order in which an engine keeps its weights."""
        moved = sum(float(((a.astype(np.float64) - b) ** 2).sum()) for a, b in zip(weights, self._start, strict=True))
        return {"abs_sum": sum(float(np.abs(a.astype(np.float64)).sum()) for a in weights), "moved_l2": moved**0.5}

    def _print(self, event: str, **figures: object) -> None:
        line = json.dumps({"event": event, **figures})
        events = os.environ.get("PEERS_EVENTS")
        if not events:
            print(line, flush=True)
            return
        with open(events, "a") as file:
            file.write(line + "\n")
