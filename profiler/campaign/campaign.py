"""A campaign: all measurements of a plan on one device, each finished one safe on disk before the next begins."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from profiler.campaign import restore
from profiler.campaign.change import Change, not_restored, rooted
from profiler.campaign.course import Course, Event, Tell, finished, running
from profiler.campaign.journal import Entry, Journal
from profiler.campaign.plan import Plan, expected_s
from profiler.campaign.record import Record, read_record
from profiler.campaign.session import Session, device_clock_rate
from profiler.campaign.source import Source, source_of
from profiler.campaign.workspace import Workspace, release, stop_jobs
from profiler.device.condition import Condition, conditions_of, refused
from profiler.device.device import Device
from profiler.power.gauge import Override
from profiler.transport.link import LinkLost

VERSION = 1
_MOVING_S = 3.0
# Changes that a person asks for -> the condition they are to end; what the battery then does is judged by its current.
_MENDS = {"system/screen_off_timeout": "asleep", "power.battery_input.suspended": "charging"}


@dataclass(frozen=True)
class Choices:
    """What a person chose beside the plan: conditions to allow, power source, changes, what is known of the gauge."""

    allowed: frozenset[str] = frozenset()
    source: str | None = None
    supply: str | None = None
    changes: tuple[Change, ...] = ()
    override: Override = field(default_factory=Override)


@dataclass(frozen=True)
class Preview:
    """What a campaign will do, before it does anything: the device, its power source, what speaks against measuring.

    ``expected_s`` counts on our clock, ``rate`` is how fast the device's runs; ``finished`` measurements are skipped.
    """

    device: Device
    source: Source
    conditions: tuple[Condition, ...]
    refusal: str
    rate: float
    expected_s: float
    measurements: int
    finished: int


class AnotherCampaign(ValueError):
    """A campaign is resumed with another plan or on another device."""


def preview(session: Session, plan: Plan, choices: Choices, journal: Journal) -> Preview:
    """Look at the device and return what the campaign will do. Changes nothing.

    Raises AnotherCampaign if the journal is of another plan or device, ValueError for a source that cannot be read.
    """
    first = session.probe()
    # Only an emulated phone's clock is compared with ours; it also gives a gauge the time to move.
    rate = device_clock_rate(session, first.root) if first.emulated else 1.0
    device = session.probe()
    begun = journal.last("campaign")
    if begun is not None:
        _refuse_another(begun, plan, device)
    if begun is None:
        if len(device.supplies) > 2 and not first.emulated:
            session.clock.sleep(_MOVING_S)  # so that a gauge that moves can be told from one that does not
            device = session.probe()
        source = source_of(device, choices.source, choices.supply, earlier=first)
    else:  # what a campaign began with: its gauge was calibrated, and one row must not mix two sources
        kind, supply = begun.get("source"), begun.get("supply")
        source = source_of(device, kind if isinstance(kind, str) else None, supply if isinstance(supply, str) else None)
    campaign = str(begun["campaign"]) if begun is not None else ""
    conditions = conditions_of(device, campaign)
    total, done = len(plan.measurements()), len(finished(journal))
    left_s = expected_s(plan, 0.0 if source.kind == "none" else 1.0) * (total - done) / total
    mended = {_MENDS[change.name] for change in choices.changes if change.name in _MENDS}
    refusal = refused(conditions, choices.allowed | mended)
    return Preview(device, source, conditions, refusal, rate, left_s / rate, total, done)


def run(
    session: Session,
    plan: Plan,
    choices: Choices,
    folder: Path,
    journal: Journal,
    seen: Preview,
    tell: Tell = lambda _: None,
    campaign: str | None = None,
) -> list[Record]:
    """Run what is left of a plan and return the records of all its measurements, in their order.

    Whatever ends it, finished measurements stay, the device's settings are put back, and the next run goes on.
    Raises OSError and ValueError for what the device or the plan does not allow, LinkLost if the device stays away.
    """
    begun = journal.last("campaign")
    name = str(begun["campaign"]) if begun is not None else campaign or secrets.token_hex(6)
    if begun is None:
        device = seen.device
        supply = seen.source.name if seen.source.kind == "sysfs" else None
        journal.append(
            "campaign", campaign=name, plan=plan.hash, version=VERSION, title=device.title, identity=device.identity,
            source=seen.source.kind, supply=supply,
        )  # fmt: skip
    workspace = Workspace(session, seen.device, name, force="locked" in choices.allowed)
    try:
        changes = tuple(rooted(change, seen.device.root) for change in choices.changes)
        restore.apply(session, workspace, journal, changes, seen.device.uptime_s)
        if any(_MENDS.get(change.name) == "asleep" for change in changes):
            session.run("input keyevent KEYCODE_WAKEUP")
        allowed = tuple(each.code for each in seen.conditions if each.code in choices.allowed)
        course = Course(session, workspace, plan, folder, journal, seen.device, seen.source, seen.rate, tell, allowed)
        course.run(choices.override, changes)
    finally:
        _leave(session, workspace, journal, tell)
    journal.append("complete")
    return records(folder, journal)


def records(folder: Path, journal: Journal) -> list[Record]:
    """Return the finished records in the order of the plan."""
    return [read_record(folder / "records" / f"{name}.json") for name in sorted(finished(journal), key=_number)]


def _number(measurement: str) -> tuple[int, str]:
    """Return a measurement's place in its plan: beyond 999 names are longer."""
    number = measurement.partition("-")[0]
    return int(number) if number.isdecimal() else 0, measurement


def undo(session: Session, journal: Journal, say: Callable[[str], None]) -> list[str]:
    """Put back what a campaign left changed on a device and remove its folder; return what could not be put back.

    Raises AnotherCampaign for another device than the campaign's.
    """
    device = session.probe()
    begun = journal.last("campaign")
    if begun is not None and begun.get("identity") != device.identity:
        message = f"the campaign ran on {begun.get('title')}, this is {device.title}; connect the right device"
        raise AnotherCampaign(message)
    failed = restore.put_back(session, journal, say)
    if begun is not None and not failed:
        if running(journal) is not None:
            stop_jobs(session, device, str(begun["campaign"]))
        release(session, device, str(begun["campaign"]))
        say("removed the campaign's folder and lock from the device")
    return failed


def _leave(session: Session, workspace: Workspace, journal: Journal, tell: Tell) -> None:
    """Leave the device as it was. What still runs keeps its folder: the next run collects it."""
    try:
        _put_back(session, workspace, journal, tell)
    except LinkLost as error:
        tell(Event("warn", f"{error}; when the device is back: fedjoule profile resume, or restore"))


def _put_back(session: Session, workspace: Workspace, journal: Journal, tell: Tell) -> None:
    if not_restored(journal.entries):
        left = running(journal)
        if left is not None:  # it would go on under other settings than it began with
            workspace.stop_jobs()
            journal.append("lost", measurement=left["measurement"], why="the device's settings were put back under it")
        for failed in restore.put_back(session, journal, lambda what: tell(Event("say", what))):
            tell(Event("warn", f"could not put back: {failed}; run 'fedjoule profile restore'"))
    if running(journal) is None and not not_restored(journal.entries):
        workspace.close()


def _refuse_another(begun: Entry, plan: Plan, device: Device) -> None:
    if begun.get("plan") != plan.hash:
        message = (
            f"the campaign there was begun with plan {begun.get('plan')}, this is {plan.hash}; choose another output"
        )
        raise AnotherCampaign(message)
    if begun.get("identity") != device.identity:
        message = f"the campaign there was begun on {begun.get('title')}, this is {device.title}; choose another output"
        raise AnotherCampaign(message)
