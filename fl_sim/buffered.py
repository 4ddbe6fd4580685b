"""An asynchronous server: phones at work all the time, a new version of the model whenever enough have delivered."""

import math
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import simpy

from fl_sim.draws import draw
from fl_sim.events import at_work
from fl_sim.job import Job, jobs, participation
from fl_sim.load import Load
from fl_sim.participation import CANCELLED, DONE, LATE, STALE, FleetRound
from fl_sim.rules import Buffered
from fl_sim.selection import Selector
from traces.fleet import Fleet, next_ready

Steps = Generator[simpy.Event, object, None]
# Client-rounds one after another without an update, and of each place, after which none is waited for any more.
_VAIN, _VAIN_OF_EACH = 10_000, 100


def simulate_buffered(
    fleet: Fleet, load: Load, buffered: Buffered, selector: Selector, updates: int, random: np.random.Generator
) -> Iterator[FleetRound]:
    """Yield the versions of the model, as rounds, until at least ``updates`` updates have gone into it.

    The clock begins at 0. A round is from one version to the next; its clients are those that ended in between, in that
    order, whenever they began. Nobody waits for a round's end, so ``wait_s`` is 0. ``staleness`` of a client that
    delivered is how many versions were made since it was asked. Clients still at work at the end are cancelled, in the
    last round.

    Who ends at the same moment is handled in the order of asking; then phones are asked for the free places, all at
    once. A phone that was asked and lost in no time is not asked again at that moment. If there are too few phones to
    ask, the next ask is when a phone at work ends or another becomes ready.
    Raises ValueError if ``updates`` is below 1, if nobody is at work and nobody will be ready any more, and if no
    update comes from ten thousand client-rounds, and a hundred for each place, one after another: then none ever may.
    """
    if updates < 1:
        message = f"updates must be at least 1 (got {updates}): how many updates are to go into the model"
        raise ValueError(message)
    versions = -(-updates // buffered.buffer)
    server = _Server(fleet, load, buffered, selector, random)
    server.environment.process(server.serves(versions))
    for _ in range(versions):
        while not server.made:
            server.environment.step()
        yield server.made.popleft()


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A phone at work: which one it is in order of asking, on which version it works, and its process."""

    number: int
    version: int
    job: Job
    process: simpy.Process

    @property
    def is_over(self) -> bool:
        return not math.isnan(self.job.end_s)


class _Server:
    """Asks phones, takes what they deliver, makes versions."""

    def __init__(
        self, fleet: Fleet, load: Load, buffered: Buffered, selector: Selector, random: np.random.Generator
    ) -> None:
        self.environment = simpy.Environment()
        self.made: deque[FleetRound] = deque()
        self._fleet, self._load, self._buffered = fleet, load, buffered
        self._selector, self._random = selector, random
        self._at_work: dict[int, _Asked] = {}  # by phone, in the order of asking
        self._over: list[_Asked] = []  # since the server last looked
        self._due: list[_Asked] = []
        self._lost_at_once: list[int] = []  # asked and over at this very moment
        self._asked, self._versions, self._fresh, self._version_s = 0, 0, 0, 0.0
        self._vain = 0  # client-rounds since the last update
        self._clients: list[Job] = []  # since the last version
        self._news = self.environment.event()

    def serves(self, versions: int) -> Steps:
        """Serve until so many versions were made."""
        environment = self.environment
        looked_s = -1.0
        while True:
            if environment.now > looked_s:
                self._lost_at_once, looked_s = [], environment.now
            self._ask()
            yield self._news  # which enters the queue after all that happens at the same time
            self._news = environment.event()
            late = [asked for asked in self._due if not asked.is_over]
            yield from self._stop(late, LATE)
            over = sorted([*self._over, *late], key=lambda asked: asked.number)
            self._over, self._due = [], []
            for asked in over:
                del self._at_work[asked.job.phone]
                if asked.job.begin_s == environment.now:
                    self._lost_at_once.append(asked.job.phone)
            for place, asked in enumerate(over):
                self._take(asked)
                if self._fresh == self._buffered.buffer and self._versions + 1 == versions:
                    yield from self._close(over[place + 1 :])
                    self._make_version()
                    return
                if self._fresh == self._buffered.buffer:
                    self._make_version()

    def _tell(self, *_: object) -> None:
        if not self._news.triggered:
            self._news.succeed()

    def _ask(self) -> None:
        """Ask phones for the free places; if there are too few, see to it that the server looks again."""
        free, now_s = self._buffered.concurrency - len(self._at_work), float(self.environment.now)
        if not free:
            return
        busy = np.array([*self._at_work, *self._lost_at_once], dtype=np.int64)
        phones = self._selector.select(free, now_s, self._random, busy)
        if len(phones):
            draws = draw(self._fleet, phones, self._buffered, self._random)
            for job in jobs(self._fleet, self._load, phones, now_s, draws):
                self._begin(job)
        if len(phones) < free:
            self._look_again(now_s)

    def _begin(self, job: Job) -> None:
        environment, timeout_s = self.environment, self._buffered.timeout_s

        def over(_: Job) -> None:
            self._over.append(asked)
            self._tell()

        def due(_: simpy.Event) -> None:
            if not asked.is_over:
                self._due.append(asked)
                self._tell()

        process = environment.process(at_work(environment, job, self._buffered.interrupted, over))
        asked = _Asked(self._asked, self._versions, job, process)
        self._at_work[job.phone] = asked
        self._asked += 1
        if timeout_s is not None:
            environment.timeout(timeout_s).callbacks.append(due)

    def _look_again(self, now_s: float) -> None:
        idle = np.setdiff1d(np.arange(self._fleet.phones), np.fromiter(self._at_work, np.int64))
        ready_s = next_ready(self._fleet, idle, now_s)
        chance_s = float(np.min(ready_s[ready_s > now_s], initial=math.inf))
        if chance_s < math.inf:
            self.environment.timeout(chance_s - now_s).callbacks.append(self._tell)
        elif not self._at_work:
            message = (
                f"nobody is left to ask at {now_s:g} s of the clock: no phone of the fleet {self._fleet.name!r} that "
                "could be asked will be ready; see `fedjoule fleet describe` for when its phones are"
            )
            raise ValueError(message)

    def _take(self, asked: _Asked) -> None:
        """Put what a phone delivered into the buffer, unless it is too old."""
        job, most_stale = asked.job, self._buffered.most_stale
        self._clients.append(job)
        if job.outcome == DONE:
            job.staleness = self._versions - asked.version
            if most_stale is not None and job.staleness > most_stale:
                job.outcome = STALE
            else:
                self._fresh += 1
        # Who is lost in no time is not asked again until time has passed, so that this ends by itself.
        self._vain = 0 if job.outcome == DONE else self._vain + (job.end_s > job.begin_s)
        if self._vain > max(_VAIN, _VAIN_OF_EACH * self._buffered.concurrency):
            message = (
                f"no update came from {self._vain:,} client-rounds, up to {self.environment.now:g} s of the clock; "
                "give a later deadline (timeout_s), fewer drop-outs, or staler updates"
            )
            raise ValueError(message)

    def _stop(self, stopped: list[_Asked], outcome: int) -> Steps:
        """Make phones stop; they have when this is over."""
        for asked in stopped:
            asked.job.outcome = outcome
            asked.process.interrupt()
        if stopped:
            yield self.environment.timeout(0)

    def _close(self, over: list[_Asked]) -> Steps:
        """End everything: who delivered at the last moment, but after the last version was full, came too late, too."""
        for asked in over:
            if asked.job.outcome == DONE:
                asked.job.outcome = CANCELLED
            self._clients.append(asked.job)
        left = list(self._at_work.values())
        yield from self._stop(left, CANCELLED)
        self._clients += [asked.job for asked in left]

    def _make_version(self) -> None:
        now_s = float(self.environment.now)
        clients = participation(self._clients, self._fleet, self._load, round_end_s=None)
        made = FleetRound(self._version_s, now_s, clients)
        self._versions, self._fresh, self._version_s, self._clients = self._versions + 1, 0, now_s, []
        self.made.append(made)
        self._selector.learn(self._versions, made)
