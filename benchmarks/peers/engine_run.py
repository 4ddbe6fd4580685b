"""One run of one engine in a process of its own, watched from outside: its figures, its memory, or why it failed."""

import ctypes
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import environment
import process_tree
import workload
from entries import Entry

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.25  # between two looks at the memory
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Outcome:
    """``figures`` are what the engine's meter said, by event, and ``pss_bytes`` and ``load``; or ``reason`` is set."""

    name: str
    figures: dict[str, Any]
    reason: str = ""


def adopt_orphans() -> None:
    """Become the parent of processes whose own has ended (Ray's), so that they are counted and ended as ours."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(entry: Entry, rounds: int, limit_s: float) -> Outcome:
    """Run an engine once. Nothing it started is left behind."""
    try:
        python = environment.python(entry.environment)
    except RuntimeError as error:
        return Outcome(entry.name, {}, f"cannot be installed: {error}")
    log = environment.BUILD / f"{entry.name}.log"
    events = environment.BUILD / f"{entry.name}.events"
    events.write_text("")
    command = [str(python), *(str(environment.HERE / part) if part.endswith(".py") else part for part in entry.command)]
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    # Ray's sockets lie in the folder: its path must be short.
    with log.open("w") as output, TemporaryDirectory(prefix="fj", ignore_cleanup_errors=True) as folder:
        settings = {
            "PEERS_ROUNDS": str(rounds), "PEERS_STARTED": str(time.monotonic()), "PEERS_ROOT": str(os.getpid()),
            "PEERS_EVENTS": str(events), "PEERS_WORKLOAD": str(workload.path()), "PEERS_FOLDER": folder,
        }  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **_ONE_THREAD, **settings},
        )  # fmt: skip
        try:
            late = not _watch(process, events, figures, limit_s)
        finally:
            _end_all(process)
    if late:
        return Outcome(entry.name, figures, f"took more than {limit_s:.0f} s; see {log}")
    if process.returncode or "ended" not in figures:
        return Outcome(entry.name, figures, _last_line(log))
    return Outcome(entry.name, figures)


def _watch(process: subprocess.Popen[bytes], events: Path, figures: dict[str, Any], limit_s: float) -> bool:
    """Collect events and memory until the process ends; nothing but waiting is done while rounds are timed."""
    begun, looked, figures["pss_bytes"] = time.monotonic(), 0.0, 0
    while process.poll() is None:
        if time.monotonic() - begun > limit_s:
            return False
        time.sleep(0.05)
        _read(events, figures)
        timing = "timing" in figures and "timed" not in figures
        if not timing and time.monotonic() - looked > _LOOK_S:
            figures["pss_bytes"] = max(figures["pss_bytes"], process_tree.pss_bytes(os.getpid()))
            looked = time.monotonic()
    _read(events, figures)
    return True


def _read(events: Path, figures: dict[str, Any]) -> None:
    for line in events.read_text().splitlines():
        try:
            found = json.loads(line)
        except ValueError:  # half a line; the other half comes
            continue
        figures[found.pop("event")] = found


def _end_all(process: subprocess.Popen[bytes]) -> None:
    patience = time.monotonic() + 5
    while process_tree.below(os.getpid()) and time.monotonic() < patience and process.poll() is not None:
        _reap(process)
        time.sleep(0.05)
    for pid in process_tree.below(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    while process_tree.below(os.getpid()):
        _reap(process)
        time.sleep(0.01)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for adopted processes that have ended; the engine's own is Popen's."""
    for pid in process_tree.below(os.getpid()):
        if pid != process.pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # a grandchild
                continue


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["it said nothing"]
    errors = [line for line in lines if "Error" in line] or lines
    text = "".join(character if character.isprintable() else " " for character in errors[-1].strip())
    return f"{text[:200]} (all of it: {log})"
