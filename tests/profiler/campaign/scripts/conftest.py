"""Scripts for real: the shells of a computer and of a phone, on this machine's clock or a fast phone's."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from profiler.campaign.job import SCRIPTS, script
from profiler.emulator.battery import Battery
from profiler.emulator.phone import Phone
from profiler.emulator.processes import end_all


@dataclass
class Shell:
    """A shell with its programs; ``start`` runs a script in a folder that holds all of ours."""

    name: str
    path: str
    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def program(self) -> str:
        found = shutil.which("sh", path=self.path)
        assert found is not None
        return found

    def start(self, *words: object, phone: Phone | None = None, path: Path | None = None) -> "subprocess.Popen[bytes]":
        env = phone.environment() if phone is not None else {"HOME": "/", "LANG": "C.UTF-8"}
        own = [str(path)] if path is not None else []
        env["PATH"] = ":".join([*own, *([str(phone.path("system/bin"))] if phone is not None else []), self.path])
        process = subprocess.Popen(
            [self.program, *map(str, words)],
            env=env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *words: object, phone: Phone | None = None, path: Path | None = None) -> str:
        process = self.start(*words, phone=phone, path=path)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 0, output
        return output.decode("utf-8", "replace")


@pytest.fixture(scope="session")
def toybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but mksh and toybox's programs, as on a phone."""
    box, mksh = shutil.which("toybox"), shutil.which("mksh")
    if box is None or mksh is None:
        pytest.skip("needs mksh and toybox on the PATH")
    folder = tmp_path_factory.mktemp("toybox")
    for name in subprocess.run([box], capture_output=True, text=True, check=True).stdout.split():
        (folder / name).symlink_to(box)
    (folder / "sh").unlink(missing_ok=True)
    (folder / "sh").symlink_to(mksh)
    return folder


@pytest.fixture(params=["sh", "mksh"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    path = str(request.getfixturevalue("toybox")) if request.param == "mksh" else "/usr/bin:/bin"
    folder = tmp_path / "job"
    folder.mkdir()
    for name in (*SCRIPTS, "watchdog.sh"):
        (folder / name).write_bytes(script(name))
    made = Shell(request.param, path, folder)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def phone() -> Iterator[Phone]:
    """A phone whose clock runs forty times as fast, with a battery."""
    with Phone(speed=40.0) as one, Battery(one):
        yield one
        end_all(one.mark)


@pytest.fixture
def becomes() -> Callable[[Callable[[], bool]], bool]:
    """Wait until something is so, for ten seconds at most."""

    def wait(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
        until_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < until_s:
            time.sleep(0.01)
        return condition()

    return wait


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process lives, and is not just waiting to be buried."""

    def lives(pid: int) -> bool:
        try:
            os.kill(pid, 0)
            return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (ProcessLookupError, FileNotFoundError):
            return False

    return lives
