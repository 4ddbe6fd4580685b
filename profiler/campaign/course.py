"""The course of a campaign: the gauge is calibrated, then one measurement after the other is run until it is kept."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from profiler.campaign import measure, restore
from profiler.campaign.analysis import Situation, analyse
from profiler.campaign.calibration import calibrated, gauge_data, gauge_of_data
from profiler.campaign.change import Change
from profiler.campaign.journal import Entry, Journal
from profiler.campaign.plan import Measurement, Plan
from profiler.campaign.record import write_raw, write_record
from profiler.campaign.sampler import SHELL, Sampler, bring_sampler
from profiler.campaign.session import Session
from profiler.campaign.source import Source
from profiler.campaign.workspace import Workspace
from profiler.device.device import Device
from profiler.device.state import State, state_of, state_of_data
from profiler.power.gauge import Gauge, Override
from profiler.workload.reading import read_output
from profiler.workload.workload import OUTPUT_NAME, Workload

_ATTEMPTS = 3
_PILOT_BATCHES, _PILOT_S = 10, 5.0
_COOL_PAUSE_S = 10.0
_ENDS = ("finished", "gauge", "pilot", "lost")  # entries after which a started measurement runs no more


@dataclass(frozen=True)
class Event:
    """Something that a person watching wants to know; ``done`` of ``total`` measurements are finished."""

    kind: Literal["say", "warn", "begin", "wait", "finish"]
    what: str
    done: int = 0
    total: int = 0
    seconds: float = 0.0


Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Run:
    """What a run left on the device, and the state before it; ``cooled`` is whether it began as cool as the first.

    ``host_core_percent`` is what we took of one of this machine's cores meanwhile.
    """

    raw: Mapping[str, bytes]
    before: State
    cooled: bool
    lengths: measure.Lengths
    host_core_percent: float


class Course:
    """A campaign under way on a device; ``run`` may be called again after whatever ended it."""

    def __init__(
        self,
        session: Session,
        workspace: Workspace,
        plan: Plan,
        folder: Path,
        journal: Journal,
        device: Device,
        source: Source,
        rate: float,
        tell: Tell,
        allowed: tuple[str, ...] = (),
    ) -> None:
        """Prepare; nothing is sent to the device yet."""
        self._session, self._workspace, self._plan, self._folder = session, workspace, plan, folder
        self._journal, self._device, self._source, self._rate, self._tell = journal, device, source, rate, tell
        self._changes: Sequence[Change] = ()
        self._gauge: Gauge | None = None
        self._sampler = SHELL
        self._done = 0
        self._total = len(plan.measurements())
        self._allowed = allowed

    def run(self, override: Override, changes: Sequence[Change] = ()) -> None:
        """Run everything that the journal does not hold yet."""
        self._changes = changes
        self._sampler = self._bring_sampler()
        self._gauge = self._calibrate(override)
        for measurement in self._plan.measurements():
            idle_for_nothing = measurement.workload is None and self._source.kind == "none"
            if measurement.name not in finished(self._journal) and not idle_for_nothing:
                self._measure(measurement)
            self._done += 1

    def _bring_sampler(self) -> Sampler:
        """Return the sampler that the device runs; a person hears of one that could have been better."""
        if not self._source.columns or len(finished(self._journal)) == self._total:
            return SHELL
        said: list[str] = []

        def tell(what: str) -> None:  # a build says the same again, with another time
            self._tell(Event("wait" if said else "say", what, self._done, self._total))
            said.append(what)

        sampler = bring_sampler(self._session, self._workspace, self._device, self._plan.cpus, tell)
        if not sampler.command and not self._device.root:
            self._tell(Event("say", f"power is sampled by the {sampler.words}", self._done, self._total))
        return sampler

    def _calibrate(self, override: Override) -> Gauge | None:
        """Return the gauge, calibrated now or before an interruption; None where the source needs none."""
        if self._source.kind not in ("sysfs", "perfetto"):
            return None
        known = self._journal.last("gauge")
        if known is not None:
            return gauge_of_data(known)
        loads = sorted(self._plan.workloads, key=lambda workload: workload.processor != "cpu")
        if not loads:
            message = "a gauge is calibrated under load; give the plan a workload"
            raise ValueError(message)
        timing = self._plan.timing
        measurement = Measurement("000-calibration", loads[0], 0)
        done = self._until_kept(measurement, timing.calibration_s)
        write_raw(self._folder, measurement.name, done.raw)
        try:
            gauge = calibrated(done.raw, self._source, self._device, override)
        except ValueError as error:
            # Or every resume would read the same record again.
            self._journal.append("lost", measurement=measurement.name, why=str(error))
            raise
        self._journal.append("gauge", measurement=measurement.name, gauge=gauge_data(gauge))
        self._workspace.remove(f"{self._workspace.folder}/{measurement.name}")
        for doubt in gauge.doubts:
            self._tell(Event("warn", f"gauge: {doubt}"))
        return gauge

    def _measure(self, measurement: Measurement) -> None:
        """Run a measurement, judge it, and keep it."""
        busy_s = self._plan.timing.busy_for(self._period_s)
        done = self._until_kept(measurement, busy_s)
        campaign = str((self._journal.last("campaign") or {}).get("campaign", ""))
        after = state_of(self._session.probe())
        situation = Situation(
            campaign, self._plan, measurement, self._device, self._source, self._gauge, done.before, after,
            done.cooled, done.lengths, self._rate, self._allowed, done.host_core_percent,
        )  # fmt: skip
        record = analyse(situation, done.raw)
        sha256 = write_record(self._folder, record, done.raw)
        self._journal.append("finished", measurement=measurement.name, sha256=sha256, verdict=record["verdict"])
        self._workspace.remove(f"{self._workspace.folder}/{measurement.name}")
        self._tell(Event("finish", f"{measurement.name}: {record['summary']}", self._done + 1, self._total))

    @property
    def _period_s(self) -> float:
        """The period of the power source in seconds: 1 where it was not calibrated, 0 where there is no power."""
        if self._gauge is not None:
            return self._gauge.period_s
        return 0.0 if self._source.kind == "none" else 1.0

    def _until_kept(self, measurement: Measurement, seconds: float) -> Run:
        """Run a measurement until it is whole; a lost one, as by a restart of the device, is run again."""
        for _ in range(_ATTEMPTS):
            begun_s, cpu_s = time.monotonic(), time.process_time()
            started, lengths, before, cooled = self._begin(measurement, seconds)
            expected_s = started.expected_s / self._rate
            self._tell(Event("begin", measurement.name, self._done, self._total, expected_s))
            try:
                measure.wait(self._session, self._workspace, started, self._rate, self._waited(measurement))
                raw = measure.collect(self._session, self._workspace, started, measurement.workload)
                if self._changes and restore.was_put_back(self._session, self._workspace):
                    message = "the device put its settings back meanwhile, because this machine was away"
                    raise measure.Lost(message)
            except measure.Lost as error:
                self._journal.append("lost", measurement=measurement.name, why=str(error))
                self._tell(Event("warn", f"{measurement.name} is lost: {error}; it is measured again"))
                self._device = self._session.probe()
                self._workspace.open(self._device)
                restore.apply(self._session, self._workspace, self._journal, self._changes, self._device.uptime_s)
                continue
            percent = 100 * (time.process_time() - cpu_s) / max(time.monotonic() - begun_s, 1e-3)
            return Run(raw, before, cooled, lengths, percent)
        message = f"{measurement.name} was lost {_ATTEMPTS} times; look at the device, then resume"
        raise OSError(message)

    def _begin(self, measurement: Measurement, seconds: float) -> tuple[measure.Started, measure.Lengths, State, bool]:
        """Start a measurement, or take up the one that an interrupted run left on the device."""
        left = running(self._journal)
        if left is not None and left["measurement"] == measurement.name:
            try:
                job, lengths = measure.Started(**left["job"]), measure.Lengths(**left["lengths"])
                return job, lengths, state_of_data(left["before"]), bool(left["cooled"])
            except (TypeError, KeyError) as error:
                message = "the journal's entry of a measurement is damaged; start a new campaign"
                raise ValueError(message) from error
        workload = measurement.workload
        batches = self._batches(workload, seconds) if workload is not None and measurement.repetition >= 0 else None
        idle_s = self._plan.timing.idle_s
        if measurement.repetition < 0:
            batches, idle_s = _pilot_batches(workload), min(idle_s, 1.0)
        elif self._source.kind == "none":
            idle_s = min(idle_s, 1.0)  # without power there is no baseline to measure
        lengths = measure.Lengths(idle_s, seconds, batches)
        self._keep_changes(self._plan.timing.cool_down_most_s)
        device, cooled = self._cool()
        self._keep_changes(2 * (2 * idle_s + seconds))
        self._workspace.hold()
        started = measure.start(
            self._session, self._workspace, device, self._source, measurement.name, workload, lengths,
            self._plan.timing.sample_period_s, self._plan.cpus, self._sampler,
        )  # fmt: skip
        before = state_of(device)
        self._journal.append(
            "started", measurement=measurement.name, job=asdict(started), lengths=asdict(lengths),
            before=asdict(before), cooled=cooled,
        )  # fmt: skip
        return started, lengths, before, cooled

    def _keep_changes(self, seconds: float) -> None:
        """Let the device wait ``seconds`` more for us before it puts its settings back; make them anew if it did."""
        if not self._changes:
            return
        uptime_s = self._session.probe().uptime_s
        restore.renew(self._workspace, uptime_s, seconds + restore.LEASE_MARGIN_S)
        if restore.was_put_back(self._session, self._workspace):
            restore.apply(self._session, self._workspace, self._journal, self._changes, uptime_s)
            restore.renew(self._workspace, uptime_s, seconds + restore.LEASE_MARGIN_S)

    def _batches(self, workload: Workload, seconds: float) -> int | None:
        """Return how many batches fill ``seconds``, from a short run of the workload; None if it counts seconds."""
        if "batches" not in workload.placeholders:
            return None
        name = f"000-pilot-{workload.name}"
        known = self._journal.last("pilot", measurement=name)
        if known is None:
            done = self._until_kept(Measurement(name, workload, -1), seconds=_PILOT_S)
            files = {file: done.raw[file] for file in workload.result_files if file in done.raw}
            try:
                mean_ms = read_output(workload, done.raw.get(OUTPUT_NAME, b""), files).mean_ms
            except ValueError as error:  # its measurement will fail in the same way, and say so; then it is tried again
                self._tell(Event("warn", f"{name}: {error}"))
                self._journal.append("lost", measurement=name, why=str(error))
                return _PILOT_BATCHES
            self._journal.append("pilot", measurement=name, mean_ms=mean_ms)
            self._workspace.remove(f"{self._workspace.folder}/{name}")
            known = {"mean_ms": mean_ms}
        return max(2, round(1e3 * seconds / float(known["mean_ms"]) + 0.5))

    def _cool(self) -> tuple[Device, bool]:
        """Wait until the device is as cool as at the first measurement; return it and whether it is."""
        timing = self._plan.timing
        begun = self._journal.last("cool")
        device = self._session.probe()
        state = state_of(device)
        if begun is None:
            self._journal.append("cool", battery_c=state.battery_c)
            return device, True
        target_c = begun.get("battery_c")
        until = self._session.clock.now() + timing.cool_down_most_s / self._rate
        while True:
            warm = (
                isinstance(target_c, int | float)
                and state.battery_c is not None
                and state.battery_c > target_c + timing.cool_down_c
            )
            if not warm and not state.thermal_status:
                return device, True
            if self._session.clock.now() >= until:
                return device, False
            words = f"battery {state.battery_c} C" if warm else f"thermal status {state.thermal_status}"
            self._tell(Event("wait", f"cooling down: {words}", self._done, self._total))
            self._session.clock.sleep(_COOL_PAUSE_S / self._rate)
            device = self._session.probe()
            state = state_of(device)

    def _waited(self, measurement: Measurement) -> Callable[[float], None]:
        return lambda seconds: self._tell(Event("wait", measurement.name, self._done, self._total, seconds))


def _pilot_batches(workload: Workload | None) -> int:
    """Return how many batches a pilot runs: some beyond those that are left out of what it prints."""
    own = workload is not None and "warmup" not in workload.placeholders
    return _PILOT_BATCHES + (workload.warmup if workload is not None and own else 0)


def finished(journal: Journal) -> set[str]:
    """Return the names of the measurements whose records are on disk."""
    return {str(entry["measurement"]) for entry in journal.entries if entry["kind"] == "finished"}


def running(journal: Journal) -> Entry | None:
    """Return the entry of the measurement that was started and not kept, None if there is none."""
    ended: set[object] = set()
    for entry in reversed(journal.entries):
        if entry["kind"] in _ENDS:
            ended.add(entry.get("measurement"))
        elif entry["kind"] == "started":
            return None if entry.get("measurement") in ended else entry
    return None
