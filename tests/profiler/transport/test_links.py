"""What every way to a device must do in the same way."""

import io
import os
import shlex
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiler.names import has_control_characters
from profiler.transport.link import Finished, LinkLost, OutputTooLong, Transport

same_link = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Link(Protocol):
    kind: str
    transport: Transport
    folder: str


COMMANDS = [
    ("true", 0, b""),
    ("false", 1, b""),
    ("exit 7", 7, b""),
    ("exit 255", 255, b""),
    ("echo out; echo err >&2", 0, b"out\nerr\n"),
    ("printf 'no line end'", 0, b"no line end"),
    ("printf 'a\\r\\nb\\n\\n'", 0, b"a\r\nb\n\n"),
    ("printf '\\001\\377\\000x'", 0, b"\x01\xff\x00x"),
    ("echo shown # and not ; exit 3", 0, b"shown\n"),
    ("echo first\nexit 4", 4, b"first\n"),
    ("kill -9 $$", 137, b""),
    ("exec sh -c 'exit 5'", 5, b""),
    ("cat", 0, b""),
    ("cat <<END\n$((1+1))\nEND", 0, b"2\n"),
    ("echo ende\\", 0, b"ende\\\n"),
    ("nosuchcommand_ 2>/dev/null", 127, b""),
    ("", 0, b""),
    (
        "echo 'x:0'; echo 0123456789abcdef0123456789abcdef:9; exit 2",
        2,
        b"x:0\n0123456789abcdef0123456789abcdef:9\n",
    ),
]
BROKEN = ["echo 'open", 'echo "open', "echo `open", "echo )", "( echo", "if", "done", "echo $(("]


def test_a_command_returns_its_exit_code_and_its_very_output(link: Link) -> None:
    for command, code, output in COMMANDS:
        assert link.transport.run(command) == Finished(code, output), command


def test_what_is_no_command_has_an_exit_code_other_than_zero_and_harms_nothing(link: Link) -> None:
    for command in BROKEN:
        assert link.transport.run(command, timeout_s=10).code != 0, command
        assert link.transport.run("echo fine") == Finished(0, b"fine\n")


@same_link
@given(words=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
def test_quoted_words_reach_the_device_as_they_are(link: Link, words: list[str]) -> None:
    finished = link.transport.run(shlex.join(["printf", "%s\\n", "", *words]))
    assert finished == Finished(0, "".join(f"{word}\n" for word in ["", *words]).encode())


@same_link
@given(content=st.binary(max_size=9000))
def test_any_bytes_come_back_as_output_and_as_a_file(link: Link, content: bytes) -> None:
    path = f"{link.folder}/bytes"
    link.transport.push(io.BytesIO(content), path)
    assert link.transport.pull(path, limit_bytes=len(content)) == content
    assert link.transport.run(f"cat {path}; exit 3", limit_bytes=len(content)) == Finished(3, content)


def test_a_long_output_comes_whole_and_one_byte_more_than_allowed_does_not(link: Link) -> None:
    command = "head -c 299999 /dev/zero | tr '\\0' 'x'; echo"
    assert link.transport.run(command, limit_bytes=300_000).output == b"x" * 299_999 + b"\n"
    with pytest.raises(OutputTooLong, match="more than 299,999 bytes"):
        link.transport.run(command, limit_bytes=299_999)
    assert link.transport.run("exit 6", limit_bytes=0) == Finished(6, b"")


def test_an_output_without_end_is_cut_off_in_little_memory_and_the_link_serves_on(link: Link) -> None:
    tracemalloc.start()
    tracemalloc.reset_peak()
    try:
        for command in ("yes", "yes ''"):
            with pytest.raises(OutputTooLong):
                link.transport.run(command, limit_bytes=100_000)
            time.sleep(0.1)  # the device ends the command
            assert link.transport.run("echo on") == Finished(0, b"on\n")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_what_stays_in_the_background_does_not_hold_up_the_command(link: Link) -> None:
    start = time.monotonic()
    assert link.transport.run("sleep 20 & echo on") == Finished(0, b"on\n")
    assert time.monotonic() - start < 10


def test_a_command_that_takes_too_long_loses_the_link_at_its_deadline_even_if_it_talks(link: Link) -> None:
    for command in ("sleep 60", "while :; do echo .; sleep 0.05; done", "exec >&- 2>&-; sleep 60"):
        start = time.monotonic()
        with pytest.raises(LinkLost, match="reconnect"):
            link.transport.run(command, timeout_s=0.25)
        assert 0.2 < time.monotonic() - start < 5, command
        for use in (
            lambda: link.transport.run("true"),
            lambda: link.transport.pull("/etc/hostname"),
            lambda: link.transport.push(io.BytesIO(), f"{link.folder}/never"),
        ):
            with pytest.raises(LinkLost, match="reconnect"):
                use()
        link.transport.reconnect()
        assert link.transport.run("echo back", timeout_s=20) == Finished(0, b"back\n")


def test_a_closed_link_is_used_no_more_and_closing_it_twice_is_no_error(link: Link) -> None:
    link.transport.close()
    link.transport.close()
    with pytest.raises(LinkLost, match="reconnect"):
        link.transport.run("true")
    link.transport.reconnect()
    assert link.transport.run("true").code == 0


def test_a_command_may_be_silent_and_does_not_hold_up_a_second_link(link: Link, opened: Callable[[str], Link]) -> None:
    other = opened(link.kind)
    replies: list[Finished] = []
    slow = threading.Thread(target=lambda: replies.append(link.transport.run("sleep 0.8; echo late", timeout_s=20)))
    slow.start()
    start = time.monotonic()
    assert other.transport.run("true").code == 0
    assert time.monotonic() - start < 0.6
    other.transport.close()
    slow.join()
    assert replies == [Finished(0, b"late\n")]


@pytest.mark.parametrize("command", ["echo a\0b", "echo " + "x" * 70_000, "'" * 20_000])
def test_a_command_no_shell_could_take_is_refused_and_the_link_stays(link: Link, command: str) -> None:
    with pytest.raises(ValueError, match="push"):
        link.transport.run(command)
    assert link.transport.run("true").code == 0


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_pushed_file_has_the_content_and_the_mode_and_leaves_nothing_beside_it(link: Link, mode: int) -> None:
    folder = f"{link.folder}/pushed{mode:o}"
    assert link.transport.run(f"mkdir -p {folder}").code == 0
    content = os.urandom(300_001)
    for body in (b"old", content):
        link.transport.push(io.BytesIO(body), f"{folder}/name+x,1@2=3", mode)
    assert link.transport.pull(f"{folder}/name+x,1@2=3") == content
    assert os.listdir(folder) == ["name+x,1@2=3"]
    assert os.stat(f"{folder}/name+x,1@2=3").st_mode & 0o7777 == mode


def test_an_empty_file_is_a_file(link: Link) -> None:
    link.transport.push(io.BytesIO(b""), f"{link.folder}/empty")
    assert link.transport.pull(f"{link.folder}/empty", limit_bytes=0) == b""


class Broken(io.BytesIO):
    """Half of a file, and then no more."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(5, "the disk of this computer")
        return super().read(size)


def test_a_push_that_breaks_off_leaves_the_old_content_and_nothing_beside_it(link: Link) -> None:
    folder = f"{link.folder}/broken"
    assert link.transport.run(f"mkdir -p {folder}").code == 0
    link.transport.push(io.BytesIO(b"old"), f"{folder}/file")
    with pytest.raises(OSError, match="the disk of this computer"):
        link.transport.push(Broken(b"x" * 200_000), f"{folder}/file")
    assert link.transport.pull(f"{folder}/file") == b"old"
    assert os.listdir(folder) == ["file"]


def test_a_folder_is_not_overwritten_and_nothing_is_put_into_it(link: Link) -> None:
    folder = f"{link.folder}/kept"
    assert link.transport.run(f"mkdir -p {folder}").code == 0
    with pytest.raises(IsADirectoryError):
        link.transport.push(io.BytesIO(b"x"), folder)
    assert os.listdir(folder) == []
    assert not [name for name in os.listdir(link.folder) if ".part-" in name]


def test_a_missing_file_a_folder_and_one_too_large_are_told_apart(link: Link) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        link.transport.pull(f"{link.folder}/missing")
    with pytest.raises(OSError, match="directory"):
        link.transport.pull(link.folder)
    link.transport.push(io.BytesIO(b"x" * 70_000), f"{link.folder}/large")
    assert len(link.transport.pull(f"{link.folder}/large", limit_bytes=70_000)) == 70_000
    with pytest.raises(OutputTooLong, match="69,999"):
        link.transport.pull(f"{link.folder}/large", limit_bytes=69_999)
    assert link.transport.run("true").code == 0


def test_a_path_that_is_not_plain_never_leaves_this_computer(link: Link) -> None:
    for path in ("relative", "/a/../b", "/a b", "/a;touch x", "/a'", "/", "/a\n", "/$(id)", "/a//b", "/" + "x" * 1000):
        with pytest.raises(ValueError, match="device path"):
            link.transport.push(io.BytesIO(), path)
        with pytest.raises(ValueError, match="device path"):
            link.transport.pull(path)


def test_the_name_is_safe_to_print_and_says_how_the_device_is_reached(link: Link) -> None:
    name = link.transport.name
    assert not has_control_characters(name)
    assert {"direct": "(adb-shell)", "server": "(adb server)", "local": "this machine"}[link.kind.split()[0]] in name


def test_a_foreground_command_dies_with_its_link(link: Link, tmp_path: Path) -> None:
    mark = tmp_path / "survived"
    with pytest.raises(LinkLost):
        link.transport.run(f"sleep 0.4; : >{mark}", timeout_s=0.1)
    time.sleep(0.5)
    assert not mark.exists()
