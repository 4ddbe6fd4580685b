import io
import os
import time
from pathlib import Path

import pytest

from profiler.transport.link import LinkLost, OutputTooLong
from profiler.transport.local import LocalTransport


def alive(pid: int) -> bool:
    """Return whether a process still runs; one that ended and was not fetched does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("rest", "error"), [("wait", LinkLost), ("yes", OutputTooLong), ("exec >&- 2>&-; wait", LinkLost)]
)
def test_a_command_cut_off_is_killed_with_its_children(tmp_path: Path, rest: str, error: type[Exception]) -> None:
    pids = tmp_path / "pids"
    command = f"echo $$ >{pids}; trap '' HUP TERM INT; sleep 60 & echo $! >>{pids}; {rest}"
    with pytest.raises(error):
        LocalTransport().run(command, timeout_s=0.4, limit_bytes=1000)
    numbers = [int(word) for word in pids.read_text().split()]
    assert len(numbers) == 2
    for _ in range(40):
        if not any(map(alive, numbers)):
            break
        time.sleep(0.05)
    assert [number for number in numbers if alive(number)] == []


def test_a_command_cannot_reach_our_terminal_or_input() -> None:
    finished = LocalTransport().run("cat; ps -o tty= -p $$; echo x >/dev/tty")
    assert finished.code != 0


def test_a_named_pipe_without_a_writer_does_not_hold_up_a_pull(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    start = time.monotonic()
    assert LocalTransport().pull(str(tmp_path / "pipe")) == b""
    assert time.monotonic() - start < 1


def test_an_endless_file_is_cut_off_at_the_limit() -> None:
    with pytest.raises(OutputTooLong, match="more than 1,000,000 bytes"):
        LocalTransport().pull("/dev/zero", limit_bytes=1_000_000)


def test_a_reader_of_a_file_that_is_replaced_keeps_the_old_content(tmp_path: Path) -> None:
    transport, path = LocalTransport(), tmp_path / "file"
    transport.push(io.BytesIO(b"old"), str(path))
    with open(path, "rb") as reader:
        transport.push(io.BytesIO(b"new!"), str(path))
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new!"


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LocalTransport().push(io.BytesIO(b""), str(tmp_path / "missing" / "file"))
