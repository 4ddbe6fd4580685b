"""A crew: threads that do jobs, each at a bench of its own."""

import atexit
import bisect
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

Result = TypeVar("Result")
Worker = TypeVar("Worker", contravariant=True)
Made = TypeVar("Made", covariant=True)

_PATIENCE_S = 0.02  # so long results may gather before whoever takes them is woken: every waking is time lost
_LITTLE_S = 0.003  # less is not worth the waking of another thread: one does it, in one go


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
    """The places of a job, each of a size: threads help themselves.

    Places that take long are taken one by one, others by some at a time, fewer towards the end. What nobody has begun
    is left out once the call is over; ``end`` is then called once. ``unit_s`` is what a unit of size took in the last
    call like this one, in seconds of a core, or 0 if there was none; in the end it is what it took in this one.
    """

    def __init__(
        self, job: Job[BenchKind, Result], sizes: Sequence[int], workers: int, unit_s: float, end: Callable[[], None]
    ) -> None:
        self._job, self._count, self._end = job, len(sizes), end
        self._before = [0, *itertools.accumulate(sizes)]  # all sizes before each place
        self.workers = min(len(sizes), workers, math.ceil(self._before[-1] * unit_s / _LITTLE_S) or workers)
        self._expected_s, self._cpu_s = unit_s, 0.0
        self._lock, self._over = threading.Lock(), False
        self._begun = 0
        self._done: deque[tuple[int, Result | BaseException]] = deque()
        self._awaited = 0  # results that wake whoever takes them; 0 where nobody waits
        self._woken: SimpleQueue[None] = SimpleQueue()

    def work(self, bench: BenchKind) -> None:
        """Do some places after the others, until none is left."""
        unit_s = self._expected_s
        while places := self._begin(unit_s):
            begun_s, made = time.thread_time(), list[tuple[int, Result | BaseException]]()
            try:
                made.extend(zip(places, self._job(bench, places), strict=True))
            except BaseException as error:
                made = [(places[0], error)]
            taken_s = time.thread_time() - begun_s
            unit_s = taken_s / (self._before[places.stop] - self._before[places.start])
            self._hand_in(made, taken_s)

    @property
    def unit_s(self) -> float:
        """What a unit of size took, in seconds of a core; once all is done."""
        return self._cpu_s / self._before[-1] if self._count else 0.0

    def results(self) -> Iterator[tuple[int, Result]]:
        """Give (place, result) as they are done."""
        for left in range(self._count, 0, -1):
            if not self._done:
                self._wait(left)
            place, result = self._done.popleft()
            if isinstance(result, BaseException):
                raise result
            yield place, result

    def close(self, error: BaseException | None = None) -> None:
        """Want no more results; whoever still waits for one gets ``error``."""
        if self._over:
            return
        self._over = True
        self._end()
        if error is not None:
            self._hand_in([(-1, error)], 0.0)

    def _begin(self, unit_s: float) -> range:
        with self._lock:
            first = self._begun
            left = 0 if self._over else self._count - first
            if left:
                most = self._before[first] + (_LITTLE_S / unit_s if unit_s > 0 else 0)
                together = bisect.bisect_right(self._before, most) - 1 - first
                self._begun += max(1, min(together, -(-left // self.workers)))
            return range(first, self._begun)

    def _hand_in(self, results: Sequence[tuple[int, Result | BaseException]], taken_s: float) -> None:
        with self._lock:
            self._cpu_s += taken_s
            self._done.extend(results)
            failed = isinstance(results[0][1], BaseException)
            wakes = self._awaited > 0 and (failed or len(self._done) >= self._awaited)
            if wakes:
                self._awaited = 0
        if wakes:
            self._woken.put(None)

    def _wait(self, left: int) -> None:
        """Return when there is a result: all that are left, or after a moment those that have come."""
        with self._lock:
            if self._done:
                return
            self._awaited = left
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
    """``workers`` threads; benches are made by them, the first time that they have work. Must be closed."""

    def __init__(self, workers: int, make_bench: Callable[[], BenchKind]) -> None:
        self.workers = workers
        self._make_bench = make_bench
        self._waiting: SimpleQueue[Callable[[BenchKind], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._calls: list[Call[BenchKind, Any]] = []
        self._unit_s: dict[str, float] = {}
        self._closed = False

    def do(
        self, kind: str, job: Job[BenchKind, Result], sizes: Sequence[int], end: Callable[[], None]
    ) -> Generator[tuple[int, Result]]:
        """Give (place, result) for places of these sizes, each 1 or more, as they are done.

        Calls of one ``kind`` are expected to take what the last one took for their sizes, such as numbers of images:
        few threads are woken for little work. Raises what a job raises. ``end`` is called when no more results are
        wanted: all are done, one has failed, or whoever took them has left; jobs at work then should end soon.
        """
        if self._closed:
            raise _closed()
        self._begin()
        call = Call(job, sizes, self.workers, self._unit_s.get(kind, 0.0), end)
        self._calls.append(call)
        try:
            for _ in range(call.workers):
                self._waiting.put(call.work)
            yield from call.results()
            self._unit_s[kind] = call.unit_s
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
                del work  # it holds what the call was about, and the next may be long in coming
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
