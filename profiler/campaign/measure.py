"""One measurement on the device: prepared, started, left alone, collected."""

import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from profiler.campaign.job import Job, job_files
from profiler.campaign.sampler import SHELL, Sampler
from profiler.campaign.session import Session
from profiler.campaign.source import Source
from profiler.campaign.workspace import TRACES, Workspace, hash_here
from profiler.device.device import Device
from profiler.names import printable
from profiler.transport.detach import start_detached
from profiler.workload.workload import OUTPUT_NAME, Workload, command_line

# What a job leaves, and what of it is pulled at most.
_SAMPLED = ("samples", "samples.cost", "samples.program", "dumps", "dumps.cost")
RESULTS = ("state", "phases", *_SAMPLED, "workload.rc", OUTPUT_NAME)
_LIMIT_BYTES = 64 << 20
_GRACE_S = 60.0
_LATE = 2.0  # a job may take this many times what was expected


class Lost(RuntimeError):
    """A measurement that will never end: the device was restarted, or its folder is gone."""


@dataclass(frozen=True)
class Started:
    """A job that runs on the device; ``expected_s`` and ``deadline_s`` count on the device's clock."""

    folder: str
    boot_id: str
    expected_s: float
    deadline_s: float
    trace: str = ""


@dataclass(frozen=True)
class Lengths:
    """What a run gets: idle time on both sides, and the batches and seconds of its workload."""

    idle_s: float
    seconds: float
    batches: int | None = None


def start(
    session: Session,
    workspace: Workspace,
    device: Device,
    source: Source,
    name: str,
    workload: Workload | None,
    lengths: Lengths,
    sample_period_s: float,
    cpus: str = "",
    sampler: Sampler = SHELL,
) -> Started:
    """Bring a measurement's files to the device and start it there, detached from the link.

    Raises OSError where the device has no room or will not start it, ValueError for a value that fits no command.
    """
    busy_s = lengths.seconds if workload is not None else 0.0
    expected_s = 2 * lengths.idle_s + busy_s
    deadline_s = device.uptime_s + _LATE * expected_s + _GRACE_S
    folder = f"{workspace.folder}/{name}"
    trace = f"{TRACES}-{workspace.folder.rpartition('/')[2]}-{name}" if source.kind == "perfetto" else ""
    command = ""
    if workload is not None:
        values: dict[str, str | int | float] = {"dir": folder, "seconds": f"{lengths.seconds:g}"}
        if lengths.batches is not None:
            values["batches"] = lengths.batches
        if workload.empty_call:
            values["stage"] = "empty"
        command = command_line(workload, values)
    job = Job(
        command, lengths.idle_s, deadline_s, sample_period_s, cpus, trace, sampler.command, sampler.words
    )  # fmt: skip
    workspace.make(name, job_files(job, device, source))
    for file in workload.files if workload is not None else ():
        there = workspace.bring(file.path, file.sha256 or hash_here(file.path), file.executable)
        workspace.link(there, folder, file.name)
    session.step(lambda link: start_detached(link, f"{folder}/job.sh", f"{folder}/launch.pid"))
    return Started(folder, device.boot_id, expected_s, deadline_s, trace)


def wait(
    session: Session,
    workspace: Workspace,
    started: Started,
    rate: float,
    on_wait: Callable[[float], None] = lambda _: None,
) -> str:
    """Return the job's last state, ``done`` or ``aborted ...``, when it has one; the link is closed until then.

    ``rate`` is how many seconds the device counts in one of ours. Raises Lost if the job cannot end any more.
    """
    session.hang_up()
    clock = session.clock
    begin = clock.now()
    most_s = (_LATE * started.expected_s + 2 * _GRACE_S) / rate
    pause_s = started.expected_s / rate
    while True:
        until = clock.now() + max(pause_s, 0.05)
        while (left := until - clock.now()) > 0:
            on_wait(clock.now() - begin)
            clock.sleep(min(left, 0.5))
        state = state_of(session, workspace, started)
        if state.partition(" ")[0] in ("done", "aborted"):
            return state
        if clock.now() - begin > most_s:
            message = f"the job did not end in twice its time (its last state: {state or 'none'})"
            raise Lost(message)
        pause_s = max(2.0, 0.05 * started.expected_s) / rate


def state_of(session: Session, workspace: Workspace, started: Started) -> str:
    """Return the state that a job says, empty if it has not begun. Raises Lost after a restart of the device."""
    folder = shlex.quote(started.folder)
    boot = shlex.quote(f"{workspace.root}/proc/sys/kernel/random/boot_id")
    said = session.run(f"cat {boot}; echo; cat {folder}/state 2>/dev/null; [ -d {folder} ] || echo gone").text
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    state = printable(lines[-1], 120) if len(lines) > 1 else ""
    ended = state.partition(" ")[0] in ("done", "aborted")
    if state == "gone":
        message = "its folder is gone from the device"
        raise Lost(message)
    if not ended and lines and re.fullmatch(r"[0-9a-f-]{8,64}", lines[0]) and started.boot_id not in ("", lines[0]):
        message = "the device was restarted"
        raise Lost(message)
    return state


def collect(session: Session, workspace: Workspace, started: Started, workload: Workload | None) -> dict[str, bytes]:
    """Return the files that a job left, by name. Raises Lost if there are none."""
    extra = workload.result_files if workload is not None else ()
    raw = workspace.pull(started.folder, (*RESULTS, *extra), _LIMIT_BYTES)
    if started.trace:
        with suppress(FileNotFoundError):
            raw["perfetto"] = session.step(lambda link: link.pull(started.trace, _LIMIT_BYTES))
        session.run(f"rm -f {shlex.quote(started.trace)}")
    if "phases" not in raw or "state" not in raw:
        message = "it left no results"
        raise Lost(message)
    return raw
