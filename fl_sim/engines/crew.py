"""A crew: threads that do jobs, each at a bench of its own."""

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

Result = TypeVar("Result")
Worker = TypeVar("Worker", contravariant=True)
Made = TypeVar("Made", covariant=True)

# So long results may gather before whoever takes them is woken: a waking can take longer than adding a client up.
_PATIENCE_S = 0.001
_TOGETHER_S = 0.0002  # what takes less is done with others of its kind, in one go; more would fall out of the cache


class Bench(Protocol):
    """What a thread works with; used by that thread alone, and closed by it."""

    def close(self) -> None:
        """Give back what the bench holds."""
        ...


BenchKind = TypeVar("BenchKind", bound=Bench)


class Job(Protocol[Worker, Made]):
    """What a thread does at its bench with some places of a call: one result for each."""

    def __call__(self, bench: Worker, places: range, /) -> Sequence[Made]:
        """Return the results, in the order of ``places``."""
        ...


class Call(Generic[BenchKind, Result]):
    """Places 0 to ``count`` - 1 of a job: threads help themselves, and rest while ``ahead`` results wait to be taken.

    Places that take long are taken one by one, others by some at a time, fewer towards the end. What nobody has begun
    is left out once the call is over; ``end`` is then called once.
    """

    def __init__(
        self, job: Job[BenchKind, Result], count: int, workers: int, ahead: int, end: Callable[[], None]
    ) -> None:
        self._job, self._count, self._workers, self._ahead, self._end = job, count, workers, ahead, end
        self._lock, self._over = threading.Lock(), False
        self._begun = self._taken = self._resting = 0
        self._done: deque[tuple[int, Result | BaseException]] = deque()
        self._awaited = 0  # results that wake whoever takes them; 0 where nobody waits
        self._woken: SimpleQueue[None] = SimpleQueue()

    def work(self, bench: BenchKind) -> None:
        """Do some places after the others, until none is left or enough results wait."""
        together = 1
        while places := self._begin(together):
            begun_s = time.perf_counter()
            try:
                self._hand_in(list(zip(places, self._job(bench, places), strict=True)))
            except BaseException as error:
                self._hand_in([(places[0], error)])
            taken_s = max(time.perf_counter() - begun_s, 1e-6)
            together = max(1, int(len(places) * _TOGETHER_S / taken_s))

    def results(self, go_on: Callable[[], None]) -> Iterator[tuple[int, Result]]:
        """Give (place, result) as they are done; ``go_on`` is called when a thread that rests can work again."""
        for _ in range(self._count):
            if not self._done:
                self._wait()
            place, result = self._done.popleft()
            if isinstance(result, BaseException):
                raise result
            with self._lock:
                self._taken += 1
                rests = self._resting > 0
                self._resting -= rests
            if rests:
                go_on()
            yield place, result

    def close(self, error: BaseException | None = None) -> None:
        """Want no more results; whoever still waits for one gets ``error``."""
        if self._over:
            return
        self._over = True
        self._end()
        if error is not None:
            self._hand_in([(-1, error)])

    def _begin(self, together: int) -> range:
        with self._lock:
            left = 0 if self._over else self._count - self._begun
            room = self._taken + self._ahead - self._begun
            self._resting += left > 0 and room == 0
            first = self._begun
            self._begun += min(together, room, -(-left // self._workers))
            return range(first, self._begun)

    def _hand_in(self, results: Sequence[tuple[int, Result | BaseException]]) -> None:
        with self._lock:
            self._done.extend(results)
            failed = isinstance(results[0][1], BaseException)
            wakes = self._awaited > 0 and (failed or len(self._done) >= self._awaited)
            if wakes:
                self._awaited = 0
        if wakes:
            self._woken.put(None)

    def _wait(self) -> None:
        """Return when there is a result: all that can come by themselves, or after a moment those that have."""
        with self._lock:
            if self._done:
                return
            self._awaited = min(self._count - self._taken, self._ahead)
        try:
            self._woken.get(timeout=_PATIENCE_S)
        except Empty:
            with self._lock:
                woken = not self._awaited  # just now
                if not woken:
                    self._awaited = 0 if self._done else 1
            if woken or self._awaited:
                self._woken.get()


class Crew(Generic[BenchKind]):
    """``workers`` threads; benches are made by them, the first time that they have work. Must be closed.

    At most ``ahead`` results wait for whoever takes them, or two for each thread: they take memory.
    """

    def __init__(self, workers: int, make_bench: Callable[[], BenchKind], ahead: int = 0) -> None:
        self.workers, self.ahead = workers, max(ahead, 2 * workers)
        self._make_bench = make_bench
        self._waiting: SimpleQueue[Callable[[BenchKind], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._calls: list[Call[BenchKind, Any]] = []
        self._closed = False

    def do(self, job: Job[BenchKind, Result], count: int, end: Callable[[], None]) -> Generator[tuple[int, Result]]:
        """Give (place, result) for the places 0 to ``count`` - 1 as they are done.

        Raises what a job raises. ``end`` is called when no more results are wanted: all are done, one has failed, or
        whoever took them has left; jobs at work then should end soon.
        """
        if self._closed:
            raise _closed()
        self._begin()
        call = Call(job, count, self.workers, self.ahead, end)
        self._calls.append(call)
        try:
            for _ in range(min(count, self.workers)):
                self._waiting.put(call.work)
            yield from call.results(lambda: self._waiting.put(call.work))
        finally:
            call.close()
            self._calls.remove(call)

    def _begin(self) -> None:
        if not self._threads:
            atexit.register(self.close)  # before the interpreter takes away what the threads work with
        for number in range(len(self._threads), self.workers):
            thread = threading.Thread(target=self._work, name=f"fedjoule-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        bench = self._make_bench()
        try:
            while (work := self._waiting.get()) is not None:
                work(bench)
        finally:
            bench.close()

    def close(self) -> None:
        """End all work and the threads; a second time does nothing. Whoever still takes results gets a ValueError."""
        self._closed = True
        for call in self._calls:
            call.close(_closed())
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        atexit.unregister(self.close)


def _closed() -> ValueError:
    return ValueError("the engine is closed; open a new one")
