"""The clock of a round as events: a SimPy process for each phone that takes part, and one for the server.

The independent twin of `fl_sim.clock`, and what `fl_sim.buffered` is made of. There is never a process for a phone of
the fleet that takes no part: that would be hundreds of times slower.
"""

import math
from collections.abc import Callable, Generator, Sequence

import numpy as np
import numpy.typing as npt
import simpy

from fl_sim.draws import Draws
from fl_sim.job import Job, jobs, participation
from fl_sim.load import Load
from fl_sim.participation import CANCELLED, DONE, DROPPED, LATE, FleetRound
from fl_sim.rules import Interruption, Rules
from fl_sim.walk import finish_s, next_ready_s, ready_between_s, ready_until_s, ready_up_to, transfer_s
from traces.fleet import Fleet

Steps = Generator[simpy.Event, object, None]
_TRAIN = 1
_PHASES = range(3)


def at_work(
    environment: simpy.Environment, job: Job, interrupted: Interruption, ended: Callable[[Job], object]
) -> Steps:
    """Do a job as a process: attempt after attempt, a timeout for each phase; call ``ended`` when it is over.

    A process that is interrupted stops where it is: the job is then over without a call, its outcome is for the
    interrupter to say.
    """
    intervals = job.intervals
    suspends = interrupted == "suspend" and intervals is not None
    began_s, doing, whole_s = 0.0, -1, 0.0  # the phase in progress
    now_s = environment.now
    try:
        while True:
            fails_at = job.fails_at[job.attempts]
            job.attempts += 1
            stop_s, left_s = math.inf, math.inf
            if intervals is not None:
                if suspends and intervals.never:
                    break
                if interrupted == "abort":
                    stop_s = ready_until_s(intervals, now_s)
            fails = not math.isnan(fails_at)
            if fails:
                left_s = fails_at * _attempt_s(job, now_s, suspends)
            lost = stop_s <= now_s
            for phase in _PHASES:
                if lost:
                    break
                whole_s = _phase_s(job, phase, now_s)
                work_s = min(whole_s, left_s)
                end_s = finish_s(intervals, now_s, work_s) if suspends and intervals else now_s + work_s
                if end_s > stop_s:
                    lost, work_s, end_s = True, stop_s - now_s, stop_s
                elif fails:
                    lost = left_s <= whole_s or phase == 2
                    left_s -= work_s
                if end_s > now_s:
                    began_s, doing = now_s, phase
                    # The sum is exact, or one rounding off if less than half the clock's time has passed.
                    yield environment.timeout(end_s - now_s)
                    now_s, doing = end_s, -1
                _add(job, phase, work_s, whole_s)
            if not lost and interrupted == "check_end" and intervals is not None:
                lost = not ready_up_to(intervals, now_s)
            if not lost:
                job.outcome = DONE
                break
            job.lost_s = (job.done_s[0], job.done_s[1], job.done_s[2])
            if job.attempts == len(job.fails_at):
                break
            again_s = now_s if intervals is None else next_ready_s(intervals, now_s)
            if again_s == math.inf:
                break
            if again_s > now_s:
                yield environment.timeout(again_s - now_s)
                now_s = again_s
    except simpy.Interrupt:
        now_s = job.end_s = environment.now
        if doing >= 0:
            passed_s = ready_between_s(intervals, began_s, now_s) if suspends and intervals else now_s - began_s
            _add(job, doing, min(passed_s, whole_s), whole_s)
        return
    if job.outcome != DONE:
        job.outcome = DROPPED
    job.end_s = now_s
    ended(job)


def _add(job: Job, phase: int, work_s: float, whole_s: float) -> None:
    job.done_s[phase] += work_s
    if whole_s > 0:
        job.moved[phase] += work_s / whole_s


def _phase_s(job: Job, phase: int, clock_s: float) -> float:
    """Return the seconds of work of a phase of the present attempt that begins at this time."""
    attempt = job.attempts - 1
    if job.rates is None or phase == _TRAIN:
        return job.work_s[attempt][phase]
    way = phase // 2
    return transfer_s(job.rates[way], clock_s, job.size_bytes[way], job.multiplier[attempt][way])


def _attempt_s(job: Job, clock_s: float, suspends: bool) -> float:
    """Return the seconds of work of all phases of the present attempt, if nothing but suspension befell it."""
    total_s = 0.0
    for phase in _PHASES:
        work_s = _phase_s(job, phase, clock_s)
        total_s += work_s
        clock_s = finish_s(job.intervals, clock_s, work_s) if suspends and job.intervals else clock_s + work_s
    return total_s


class _Server:
    """Counts who delivered and who is still at work, and ends the round."""

    def __init__(self, environment: simpy.Environment, asked: int, awaited: int) -> None:
        self._environment = environment
        self._at_work, self._awaited, self._delivered = asked, awaited, 0
        self._enough = environment.event()

    def ended(self, job: Job) -> None:
        self._at_work -= 1
        self._delivered += job.outcome == DONE
        if (self._delivered >= self._awaited or not self._at_work) and not self._enough.triggered:
            self._enough.succeed()

    def waits(self, asked: Sequence[Job], processes: Sequence[simpy.Process], deadline_s: float | None) -> Steps:
        environment = self._environment
        # What the server waits for enters the queue after all that happens at the same time: those who deliver or are
        # lost at the very end of the round have had their turn.
        if deadline_s is None:
            yield self._enough
        else:
            yield simpy.AnyOf(environment, (self._enough, environment.timeout(deadline_s)))
        outcome = CANCELLED if self._delivered >= self._awaited else LATE
        for job, process in zip(asked, processes, strict=True):
            if process.is_alive:
                job.outcome = outcome
                process.interrupt()


def play_events(
    fleet: Fleet, load: Load, rules: Rules, phones: npt.NDArray[np.int64], begin_s: float, draws: Draws
) -> FleetRound:
    """Return a synchronous round of the phones, int64 [phones], that begins at ``begin_s``.

    What happens at the very end of the round still counts. Fast twin: `fl_sim.clock.play`, equal client by client.
    """
    asked = jobs(fleet, load, phones, begin_s, draws)
    end_s = begin_s
    if asked:
        environment = simpy.Environment(begin_s)
        server = _Server(environment, len(asked), rules.awaited(len(asked)))
        processes = [environment.process(at_work(environment, job, rules.interrupted, server.ended)) for job in asked]
        environment.run(environment.process(server.waits(asked, processes, rules.deadline_s)))
        end_s = environment.now
    return FleetRound(float(begin_s), float(end_s), participation(asked, fleet, load, end_s))
