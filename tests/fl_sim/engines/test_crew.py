"""The crew: results as they end, each thread at its own bench, and an end to all work from anywhere."""

import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from fl_sim.engines.crew import Crew

Job = Callable[["Bench"], int]


class Bench:
    made: list["Bench"] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.thread, self.closed = threading.get_ident(), False
        Bench.made.append(self)

    def close(self) -> None:
        assert threading.get_ident() == self.thread
        self.closed = True


@pytest.fixture(autouse=True)
def no_benches() -> None:
    Bench.made.clear()


def nothing() -> None:
    pass


def each(crew: Crew[Bench], jobs: Sequence[Job], end: Callable[[], None] = nothing) -> Iterator[tuple[int, int]]:
    return crew.do("any", lambda bench, places: [jobs[place](bench) for place in places], [1] * len(jobs), end)


def busy(seconds: float) -> None:
    """Keep a core busy: a thread that waits takes none."""
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once(workers: int) -> None:
    def job(bench: Bench, number: int) -> int:
        assert bench.thread == threading.get_ident()
        return number * number

    with closing(Crew(workers, Bench)) as crew:
        for count in (0, 1, 7, 50):
            jobs: list[Job] = [lambda bench, number=number: job(bench, number) for number in range(count)]  # type: ignore[misc]
            assert sorted(each(crew, jobs)) == [(number, number * number) for number in range(count)]
        assert len(Bench.made) <= workers
    assert all(bench.closed for bench in Bench.made)
    with pytest.raises(ValueError, match="the engine is closed"):
        next(each(crew, [lambda _: 1]))
    crew.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_short_jobs_are_done_together_and_long_ones_alone(workers: int) -> None:
    def shares(pause_s: float) -> list[int]:
        taken: list[int] = []

        def job(_: Bench, places: range) -> list[int]:
            taken.append(len(places))
            busy(pause_s)
            return [*places]

        assert sorted(crew.do(str(pause_s), job, [1] * 30, nothing)) == [(place, place) for place in range(30)]
        assert sum(taken) == 30
        assert max(taken) <= -(-29 // workers), "no thread takes more than its share of what is left"
        return taken

    with closing(Crew(workers, Bench)) as crew:
        assert set(shares(0.002)) == {1}
        assert len(shares(0.0)) < 30


def test_little_work_wakes_few_threads() -> None:
    def threads(size: int, pause_s: float = 0.00001) -> int:
        seen = set[int]()

        def job(bench: Bench, places: range) -> list[int]:
            seen.add(bench.thread)
            busy(pause_s * size * len(places))
            return [*places]

        assert sorted(crew.do("train", job, [size] * 12, nothing)) == [(place, place) for place in range(12)]
        return len(seen)

    with closing(Crew(3, Bench)) as crew:
        threads(1)  # what it takes is not known before
        assert threads(1) == 1
        assert threads(1000) == 3
        assert threads(1) == 1
        assert threads(1, 0.01) == 1, "it was expected to be little"
        assert threads(1, 0.01) == 3


def test_small_places_are_done_together_and_large_ones_alone() -> None:
    taken: list[range] = []

    def job(_: Bench, places: range) -> list[int]:
        taken.append(places)
        busy(0.0001 * sum(sizes[place] for place in places))
        return [*places]

    with closing(Crew(1, Bench)) as crew:
        for sizes in ([1] * 40, [100, 50, *[1] * 40]):
            taken.clear()
            list(crew.do("train", job, sizes, nothing))
    assert taken[:2] == [range(1), range(1, 2)]
    assert all(len(places) > 5 for places in taken[2:-1])
    assert max(map(len, taken)) <= 40


def test_nothing_of_a_call_is_kept_when_it_is_over() -> None:
    class Whole:
        pass

    with closing(Crew(3, Bench)) as crew:
        held = Whole()

        def job(_: Bench, held: Whole = held) -> int:
            return id(held) % 2

        gone = weakref.ref(held)
        list(each(crew, [job] * 9))
        del held, job
        until_s = time.monotonic() + 10
        while gone() is not None and time.monotonic() < until_s:
            time.sleep(0.001)
        assert gone() is None


def test_a_lone_result_does_not_wait_for_others() -> None:
    stop = threading.Event()
    with closing(Crew(2, Bench)) as crew:
        results = each(crew, [lambda _: 0, *[lambda _: int(stop.wait(60))] * 9], stop.set)
        assert next(results) == (0, 0)
        assert not stop.is_set()
        stop.set()
        assert sorted(results) == [(place, 1) for place in range(1, 10)]


def test_too_few_results_are_an_error() -> None:
    with closing(Crew(1, Bench)) as crew, pytest.raises(ValueError, match="zip"):
        list(crew.do("any", lambda _bench, _places: list[int](), [1] * 3, nothing))


def test_an_error_ends_the_call_and_nothing_else() -> None:
    ended: list[int] = []

    def fails(_: Bench) -> int:
        message = "no memory"
        raise MemoryError(message)

    with closing(Crew(2, Bench)) as crew:
        jobs: list[Job] = [lambda _: 1, fails, *[lambda _: 2] * 50]
        with pytest.raises(MemoryError, match="no memory"):
            list(each(crew, jobs, lambda: ended.append(1)))
        assert ended == [1]
        assert [result for _, result in each(crew, [lambda _: 3] * 4)] == [3] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_closed_while_results_are_awaited(workers: int) -> None:
    stop = threading.Event()

    def job(_: Bench) -> int:
        stop.wait(60)
        return 1

    crew = Crew(workers, Bench)
    results = each(crew, [lambda _: 0, *[job] * 30], stop.set)
    assert next(results) == (0, 0)
    crew.close()
    with pytest.raises(ValueError, match="the engine is closed"):
        list(results)
    assert all(bench.closed for bench in Bench.made)


def test_a_crew_that_was_never_closed_ends_with_the_program() -> None:
    program = """
import time
from fl_sim.engines.crew import Crew
class Bench:
    def close(self): print("closed")
stopped = []
def job(bench, places):
    while places[0] and not stopped: time.sleep(0.001)
    return [*places]
results = Crew(2, Bench).do("any", job, [1] * 10, lambda: stopped.append(1))
print(next(results))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout.count("(0, 0)"), done.stdout.count("closed"), done.stderr) == (1, 2, "")
