"""A crew: threads that do jobs, each at a bench of its own."""

import atexit
import threading
from collections.abc import Callable, Generator, Sequence
from itertools import count
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

Result = TypeVar("Result")


class Bench(Protocol):
    """What a thread works with; used by that thread alone, and closed by it."""

    def close(self) -> None:
        """Give back what the bench holds."""
        ...


BenchKind = TypeVar("BenchKind", bound=Bench)


class Call(Generic[Result]):
    """Jobs that were asked for together; those that wait are left out once it is over. ``end`` is then called once."""

    def __init__(self, end: Callable[[], None]) -> None:
        self.done: SimpleQueue[tuple[int, Result | BaseException]] = SimpleQueue()
        self.over = False
        self._end = end

    def close(self, error: BaseException | None = None) -> None:
        """Want no more results; whoever still waits for one gets ``error``."""
        if self.over:
            return
        self.over = True
        self._end()
        if error is not None:
            self.done.put((-1, error))


class Crew(Generic[BenchKind]):
    """``workers`` threads; benches are made by them, the first time that they have work. Must be closed.

    At most ``ahead`` results wait for whoever takes them, or two for each thread: they take memory.
    """

    def __init__(self, workers: int, make_bench: Callable[[], BenchKind], ahead: int = 0) -> None:
        self.workers, self.ahead = workers, max(ahead, 2 * workers)
        self._make_bench = make_bench
        self._waiting: SimpleQueue[Callable[[BenchKind], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._calls: list[Call[Any]] = []
        self._closed = False

    def do(
        self, jobs: Sequence[Callable[[BenchKind], Result]], end: Callable[[], None]
    ) -> Generator[tuple[int, Result]]:
        """Give (place in ``jobs``, result) as jobs end.

        Raises what a job raises. ``end`` is called when no more results are wanted: all are done, one has failed, or
        whoever took them has left; jobs at work then should end soon.
        """
        if self._closed:
            raise _closed()
        self._begin()
        call, places = Call[Result](end), count()
        self._calls.append(call)
        try:
            for _ in jobs[: self.ahead]:
                self._hand_out(call, jobs, next(places))
            for _ in jobs:
                place, result = call.done.get()
                if isinstance(result, BaseException):
                    raise result
                if (following := next(places)) < len(jobs):
                    self._hand_out(call, jobs, following)
                yield place, result
        finally:
            call.close()
            self._calls.remove(call)

    def _hand_out(self, call: Call[Result], jobs: Sequence[Callable[[BenchKind], Result]], place: int) -> None:
        if place >= len(jobs):
            return
        job = jobs[place]

        def do(bench: BenchKind) -> None:
            if call.over:
                return
            try:
                call.done.put((place, job(bench)))
            except BaseException as error:
                call.done.put((place, error))

        self._waiting.put(do)

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
            while (job := self._waiting.get()) is not None:
                job(bench)
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
