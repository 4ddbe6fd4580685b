"""Federated training on a fleet: from a request to the rounds that were played, with what was assumed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from costmodel.batch import BatchCost, batch_costs
from costmodel.workload import workloads
from fl_sim.buffered import simulate_buffered
from fl_sim.clock import play
from fl_sim.device_map import Mapped, map_devices, read_device_map
from fl_sim.events import play_events
from fl_sim.finished import digests, read_run
from fl_sim.fleet_plan import FleetPlan, paper_plan, run_plan
from fl_sim.fleet_run import TRIES, fleet_rounds
from fl_sim.fleet_summary import Summary, summarize
from fl_sim.load import Load, check_load
from fl_sim.method import find_method
from fl_sim.participation import FleetRound
from fl_sim.reading import find_reading
from fl_sim.selection import open_selector
from fl_sim.streams import Purpose, stream
from profiler.names import did_you_mean, fold
from reports.fleet.course import Course
from reports.fleet.request import Request
from reports.table4 import paper_costs

File = tuple[str, str, int]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Simulated:
    """A run on a fleet, as it was asked for and as it went. ``plan`` has what the request changed about it."""

    request: Request
    plan: FleetPlan
    mapped: Mapped
    load: Load
    course: Course
    files: tuple[File, ...]

    @cached_property
    def summary(self) -> Summary:
        """What the run comes to."""
        updates = self.request.end.buffer if self.buffered else self.plan.cohort
        wanted = len(self.course.rounds) if self.buffered else self.plan.rounds
        return summarize(
            self.course.fleet, *self.course.frames, wanted=wanted, cohort=updates, registered=self.plan.clients,
            begin_s=self.request.begin_s,
        )  # fmt: skip

    @property
    def buffered(self) -> bool:
        """Whether the server was asynchronous."""
        return self.request.end.kind == "buffer"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before believing the figures."""
        lines, phones = [], self.course.fleet.phones
        if not self.buffered and self.plan.cohort > phones:
            lines.append(
                f"cohort {self.plan.cohort:,} is above the fleet's {phones:,} phones: no round has all its updates;"
                f" give --cohort {phones} or less, or --phones"
            )
        if not self.summary.ended:
            counted = f"{self.summary.counted:,} of {self.plan.rounds:,} rounds"
            lines.append(
                f"only {counted} counted, {TRIES} times as many were tried; the figures are of these: {self._hints}"
            )
        elif self.summary.updates_share < 0.5:
            lines.append(
                f"only {100 * self.summary.updates_share:.1f} % of the updates wanted came, so time and energy are less"
                f" than training takes: {self._hints}"
            )
        return tuple(lines)

    @property
    def _hints(self) -> str:
        """What may bring more updates, of what this run has."""
        request = self.request
        hints = [
            "a later deadline" if request.deadline_s is not None else "",
            "a smaller --cohort" if not self.buffered else "",
            "more phones",
            "--select available" if request.select != "available" else "",
            "a smaller --dropout or more --retries" if request.dropout else "",
            "--interrupted suspend" if request.interrupted != "suspend" else "",
        ]
        *some, last = [hint for hint in hints if hint]
        return f"{', '.join(some)} or {last} may help" if some else f"{last} may help"


def simulated(request: Request, tell: Tell = lambda _done, _all: None) -> Simulated:
    """Play what a request asks for. ``tell`` is told (done, all) rounds, or versions of an asynchronous server.

    Raises ValueError for what cannot be, such as hardware that no measured device stands for.
    """
    plan, files = _plan(request)
    fleet = request.opened.fleet
    given = None if request.device_map is None else read_device_map(request.device_map)
    mapped = map_devices(
        fleet.hardware, _costs(request), plan.method, model=plan.model, dataset=plan.dataset,
        batch_size=plan.batch_size, given=given,
    )  # fmt: skip
    load = plan.load(mapped, request.power)
    check_load(load, fleet)
    least = request.least if request.end.kind != "buffer" else 1
    rounds = (
        _versions(request, plan, load, tell) if request.end.kind == "buffer" else _rounds(request, plan, load, tell)
    )
    return Simulated(request, plan, mapped, load, Course(fleet, tuple(rounds), least), files)


def _rounds(request: Request, plan: FleetPlan, load: Load, tell: Tell) -> Sequence[FleetRound]:
    fleet, rules = request.opened.fleet, request.rules(plan.cohort)
    selector = open_selector(request.select, fleet, load, rules)
    clock = play_events if request.clock == "events" else play
    played, counted = [], 0
    played_on = fleet_rounds(
        fleet, load, rules, selector, plan.rounds, request.seed, begin_s=request.begin_s, clock=clock
    )
    for each in played_on:
        played.append(each)
        counted += each.updates >= max(rules.least, 1)
        tell(counted, plan.rounds)
    return played


def _versions(request: Request, plan: FleetPlan, load: Load, tell: Tell) -> Sequence[FleetRound]:
    """Return the versions that take as many updates as the plan's rounds have."""
    fleet, rules = request.opened.fleet, request.buffered(plan.cohort)
    selector = open_selector(request.select, fleet, load, rules)
    updates = plan.rounds * plan.cohort
    if rules.buffer > updates:
        message = (
            f"round-end buffer:{rules.buffer} must be at most the {updates:,} updates of {plan.rounds:,} rounds of "
            f"{plan.cohort:,}, or there is not one version; give a smaller buffer, or more rounds"
        )
        raise ValueError(message)
    random = stream(request.seed, Purpose.FLEET, 0)
    played = []
    for each in simulate_buffered(fleet, load, rules, selector, updates, random):
        played.append(each)
        tell(len(played), -(-updates // rules.buffer))
    return played


def _plan(request: Request) -> tuple[FleetPlan, tuple[File, ...]]:
    for name in ("rounds", "clients", "cohort"):
        value = getattr(request, name)
        if value is not None and not 1 <= value <= 10**9:
            message = f"{name} must be from 1 to 1e9 (got {value})"
            raise ValueError(message)
    files: tuple[File, ...] = ()
    if request.run is not None:
        run = read_run(request.run)
        plan = run_plan(run, request.rounds)
        files = tuple(digests(run))
    else:
        if request.workload not in workloads():
            message = f"workload {request.workload[:40]!r} is unknown; {did_you_mean(request.workload, workloads())}"
            raise ValueError(message)
        reading, method = find_reading(request.reading), find_method(request.method)
        plan = paper_plan(reading, workloads()[request.workload], method, request.rounds)
    clients = plan.clients if request.clients is None else request.clients
    cohort = plan.cohort if request.cohort is None else request.cohort
    if cohort > clients:
        message = f"cohort must not be above the {clients:,} registered clients (got {cohort:,}); give --clients, too"
        raise ValueError(message)
    return replace(plan, clients=clients, cohort=cohort), files


def _costs(request: Request) -> tuple[BatchCost, ...]:
    """Return the measured batch costs; own ones hide published ones of the same configuration."""
    own = batch_costs(request.own)

    def alike(cost: BatchCost) -> tuple[object, ...]:
        names = (cost.device, cost.processor, cost.precision, cost.model, cost.dataset)
        return (*(fold(name) for name in names), cost.batch_size)

    hidden = {alike(cost) for cost in own}
    return (*own, *(cost for cost in paper_costs() if alike(cost) not in hidden))
