"""A job that goes on when the link is gone."""

import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

import pytest

from profiler.transport.detach import launch_command, start_detached
from profiler.transport.link import Finished, Transport
from profiler.transport.local import LocalTransport


class Link(Protocol):
    kind: str
    transport: Transport
    folder: str


def until(there: Callable[[], bool]) -> bool:
    for _ in range(100):
        if there():
            return True
        time.sleep(0.05)
    return False


def state(pid: int) -> str:
    """Return the state of a process, ``gone`` if there is none, as the kernel tells it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


def test_a_detached_script_outlives_its_link_and_says_its_number(link: Link) -> None:
    script, pid_file, done = (f"{link.folder}/job.{name}" for name in ("sh", "pid", "done"))
    Path(done).unlink(missing_ok=True)
    # it writes to its output, which would end it if the link held the other end
    body = f"echo begin; sleep 0.8; echo end; echo $$ >{done}.new; mv {done}.new {done}\n"
    link.transport.push(io.BytesIO(body.encode()), script)
    pid = start_detached(link.transport, script, pid_file)
    assert not Path(done).exists()
    assert Path(pid_file).read_text() == f"{pid}\n"
    assert os.getsid(pid) == pid
    link.transport.close()
    assert until(Path(done).exists)
    assert Path(done).read_text() == f"{pid}\n"
    assert until(lambda: state(pid) in ("gone", "Z"))
    assert not [name for name in os.listdir(link.folder) if name.endswith(".new")]


class Bare:
    """This machine with nothing on its PATH but the named programs."""

    def __init__(self, folder: Path, *programs: str) -> None:
        folder.mkdir()
        for program in programs:
            (folder / program).symlink_to(f"/bin/{program}")
        self._folder, self._inner = folder, LocalTransport()

    name = "bare"

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        return self._inner.run(f"PATH={self._folder}\n{command}", timeout_s, limit_bytes)

    def push(self, content: BinaryIO, path: str, mode: int = 0o644) -> None:
        self._inner.push(content, path, mode)

    def pull(self, path: str, limit_bytes: int = 64 << 20) -> bytes:
        return self._inner.pull(path, limit_bytes)

    def reconnect(self) -> None:
        self._inner.reconnect()

    def close(self) -> None:
        self._inner.close()


def test_an_older_device_without_setsid_detaches_too(tmp_path: Path) -> None:
    bare = Bare(tmp_path / "bin", "sh", "sleep", "mv", "rm", "cat")
    assert bare.run("command -v setsid").code != 0
    script, done = tmp_path / "job.sh", tmp_path / "done"
    script.write_text(f"sleep 0.3; echo >{done}\n")
    pid = start_detached(bare, str(script), str(tmp_path / "pid"))
    assert os.getsid(pid) != pid
    # the hang-up that ends what has no session of its own
    os.kill(pid, 1)
    bare.close()
    assert until(done.exists)


def test_a_script_that_is_not_there_is_an_error_and_an_old_number_is_not_taken_for_its_own(link: Link) -> None:
    pid_file = f"{link.folder}/stale.pid"
    link.transport.push(io.BytesIO(b"1\n"), pid_file)
    with pytest.raises(OSError, match=r"nosuch\.sh did not start on .* \(no such script\)"):
        start_detached(link.transport, f"{link.folder}/nosuch.sh", pid_file)


def test_a_folder_that_takes_no_number_is_an_error_within_the_time_allowed(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("true\n")
    start = time.monotonic()
    with pytest.raises(OSError, match="did not start"):
        start_detached(LocalTransport(), str(script), str(tmp_path / "missing" / "pid"), timeout_s=0.3)
    assert time.monotonic() - start < 3


def test_a_number_left_by_an_earlier_job_is_replaced(tmp_path: Path) -> None:
    script, pid_file = tmp_path / "job.sh", tmp_path / "pid"
    script.write_text("sleep 0.2\n")
    pid_file.write_text("1\n")
    pid = start_detached(LocalTransport(), str(script), str(pid_file))
    assert pid > 1
    assert pid_file.read_text() == f"{pid}\n"


class Says:
    """A device that answers one thing to everything."""

    name = "liar"

    def __init__(self, finished: Finished) -> None:
        self._finished = finished

    def run(self, command: str, timeout_s: float = 30.0, limit_bytes: int = 1 << 20) -> Finished:
        return self._finished


@pytest.mark.parametrize("output", [b"", b"-1\n", b"12 13\n", b"12345678901\n", b"x\x1b[2J\n", "５\n".encode()])
def test_a_number_that_is_none_is_not_believed(output: bytes) -> None:
    with pytest.raises(OSError, match=r"^[^\n\x1b]*did not start on liar[^\n\x1b]*$"):
        start_detached(Says(Finished(0, output)), "/a.sh", "/a.pid")  # type: ignore[arg-type]


@pytest.mark.parametrize(("script", "pid"), [("a.sh", "/pid"), ("/a.sh", "/a b"), ("/a.sh", "/x;y"), ("/../a", "/pid")])
def test_paths_that_are_not_plain_are_refused(script: str, pid: str) -> None:
    with pytest.raises(ValueError, match="device path"):
        launch_command(script, pid, 1.0)
