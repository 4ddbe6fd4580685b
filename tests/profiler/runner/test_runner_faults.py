"""The runner when things go wrong: signals, a full disk, bad files, no memory; its log can always be read."""

import json
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.workload.reading import read_output
from profiler.workload.workload import Workload
from tests.profiler.runner.runner_process import (
    LONGEST_S,
    TINY,
    Done,
    flags,
    image_file,
    ran,
    refused,
    runner,
    sanitized_runner,
)

pytest.importorskip("ziglang", reason="needs ziglang to build it: pip install 'fedjoule[profile]'")

LONG: dict[str, Any] = {"batches": None, "seconds": 1000}
SLOW: dict[str, Any] = {
    "model": "128x128x16:conv64k9,conv64k9,fc2",
    "precision": "fp32",
    "path": "scalar",
    "batch_size": 16,
}


@contextmanager
def running(words: Sequence[str | Path], out: Path, **how: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the program until the end of the block, its lines in a file."""
    with open(out, "wb") as file:
        process = subprocess.Popen([runner(), *words], stdout=file, stderr=subprocess.PIPE, **how)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end_s = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def is_in(out: Path, word: str) -> Callable[[], bool]:
    return lambda: word.encode() in out.read_bytes()


def whole(out: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; none may be torn."""
    content = out.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("changes", [{}, {"overlap": "on"}, {"stage": "sample"}, {"stage": "empty"}])
def test_a_signal_ends_a_run_with_its_last_line(tmp_path: Path, end: signal.Signals, changes: dict[str, Any]) -> None:
    out = tmp_path / "out"
    with running(flags(**LONG | changes), out) as process:
        until(is_in(out, '"run"'))
        time.sleep(random.Random(f"{end}{changes}").uniform(0, 0.4))
        process.send_signal(end)
        assert process.wait(LONGEST_S) == 128 + end
    lines = whole(out)
    last, batches = lines[-1], [line for line in lines if line["kind"] == "batch"]
    assert (last["kind"], last["rc"]) == ("end", 128 + end)
    assert last["batches"] == sum(batch.get("count", 1) for batch in batches) > 0
    assert ("checksum" in last) == ("stage" not in changes or changes["stage"] == "sample")


def test_what_a_signal_left_reads_as_a_run_that_failed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(flags(**LONG), out) as process:
        until(is_in(out, '"batch"'))
        process.terminate()
        process.wait(LONGEST_S)
    workload = Workload("run", "json_lines", "./runner", "int8", "cpu", TINY, batch_size=5)
    reading = read_output(workload, out.read_bytes(), {})
    assert reading.problems == ("the program ended with rc = 143",)
    assert reading.batches


@pytest.mark.parametrize("overlap", ["off", "on"])
def test_a_signal_at_any_moment_leaves_whole_lines(tmp_path: Path, overlap: str) -> None:
    moments = random.Random(overlap)
    for number in range(15):
        out = tmp_path / f"out{number}"
        with running(flags(**LONG, overlap=overlap), out) as process:
            time.sleep(moments.uniform(0, 0.03))
            process.terminate()
            code = process.wait(LONGEST_S)
        lines = whole(out)
        assert code in (143, -signal.SIGTERM)  # by itself, or before it had begun
        assert not lines or (lines[0]["kind"], lines[-1]["kind"], lines[-1]["rc"]) == ("hello", "end", 143)


def test_a_kill_leaves_lines_that_can_be_read(tmp_path: Path) -> None:
    for number in range(8):
        out = tmp_path / f"out{number}"
        with running(flags(**LONG, overlap="on"), out) as process:
            until(is_in(out, '"batch"'))
            time.sleep(0.02 * number)
            process.kill()
            process.wait(LONGEST_S)
        assert [json.loads(line)["kind"] for line in out.read_bytes().splitlines()[:-1]]
        reading = read_output(
            Workload("run", "json_lines", "./r", "int8", "cpu", TINY, batch_size=5), out.read_bytes(), {}
        )
        assert "no line of kind end: the run was cut short" in reading.problems


def test_a_hang_up_that_the_parent_ignores_ends_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    detached = ["sh", "-c", 'trap "" HUP INT; exec "$0" "$@"', runner(), *flags(**LONG)]
    with open(out, "wb") as file, subprocess.Popen(detached, stdout=file) as process:
        until(is_in(out, '"run"'))
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        size = out.stat().st_size
        until(lambda: out.stat().st_size > size)
        process.terminate()
        assert process.wait(LONGEST_S) == 143


def test_the_deadline_ends_a_run(tmp_path: Path) -> None:
    done = ran(flags(**LONG, deadline_s="0.4", warmup=2))
    assert (done.rc, done.end["rc"], done.said) == (124, 124, "")
    assert done.end["boottime_ns"] - done.of("hello")[0]["boottime_ns"] >= 400_000_000
    assert done.end["batches"] == len(done.of("batch")) - 2


def test_a_deadline_in_the_warm_up_runs_nothing_more() -> None:
    done = ran(flags(warmup=1_000_000, deadline_s="0.2"))
    assert (done.rc, [phase["name"] for phase in done.of("phase")]) == (124, ["warmup"])


def test_a_batch_that_takes_too_long_is_not_waited_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(flags(**SLOW), out) as process:
        until(is_in(out, '"run"'))
        process.terminate()
        assert process.wait(LONGEST_S) == 143
    last = whole(out)[-1]
    assert (last["kind"], last["rc"], last["batches"]) == ("end", 143, 0)
    assert "checksum" not in last


def test_a_second_signal_does_not_wait_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(flags(**SLOW), out) as process:
        until(is_in(out, '"run"'))
        process.terminate()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST_S) == 143
    assert whole(out)[-1]["rc"] == 143


def test_a_reader_that_does_not_read_holds_no_end_up() -> None:
    with subprocess.Popen([runner(), *flags(**LONG, stage="sample")], stdout=subprocess.PIPE) as process:
        time.sleep(0.5)  # the pipe is full by then
        process.terminate()
        assert process.wait(LONGEST_S) == 143
        assert process.stdout is not None
        assert process.stdout.read().startswith(b'{"kind":"hello"')


def test_a_closed_pipe_ends_the_run() -> None:
    words = [runner(), *flags(**LONG)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(LONGEST_S) == 3
        assert process.stderr.read() == b"fedjoule-runner: the output cannot be written: Broken pipe\n"


@pytest.mark.parametrize("overlap", ["off", "on"])
def test_a_full_disk_ends_the_run_at_once(overlap: str) -> None:
    with open("/dev/full", "wb") as full:
        words = [runner(), *flags(**LONG, overlap=overlap)]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, timeout=LONGEST_S, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (3, 1)
    assert b"No space left on device" in done.stderr
    for action in ("--help", "--version"):
        with open("/dev/full", "wb") as full:
            assert subprocess.run([runner(), action], stdout=full, stderr=subprocess.PIPE, check=False).returncode == 3


@pytest.mark.parametrize("kib", [0, 1, 2, 5, 50])
def test_a_file_at_its_limit_ends_with_a_whole_line(tmp_path: Path, kib: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * kib, 1024 * kib))

    out = tmp_path / "out"
    with running(flags(**LONG), out, preexec_fn=limited) as process:
        assert process.wait(LONGEST_S) == 3
        assert process.stderr is not None
        assert b"File too large" in process.stderr.read()
    assert [line["kind"] for line in whole(out)][:2] == ["hello", "phase"][: 2 * kib]
    assert all(line["kind"] == "batch" for line in whole(out)[2:])


def test_a_full_file_system_ends_with_a_whole_line() -> None:
    script = 'mount -t tmpfs -o size=16k none /mnt && "$@" >/mnt/out; code=$?; cat /mnt/out; exit $code'
    words: list[str | Path] = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", runner()]
    done = subprocess.run([*words, *flags(**LONG)], capture_output=True, timeout=LONGEST_S, check=False)
    if done.returncode != 3:
        pytest.skip(f"needs user namespaces: {done.stderr.decode(errors='replace')[:200]}")
    assert b"No space left on device" in done.stderr
    assert 0 < len(done.stdout) <= 16384
    assert done.stdout.endswith(b"\n")
    assert all(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("mib", [1, 8, 16, 24, 32, 48])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_without_memory_it_says_so(precision: str, mib: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))

    model = "32x32x3:conv64k3p1,conv64k3p1,pool,fc200,fc10"
    words = flags(model, precision, batch_size=64, batches=1)
    enough, done = ran(words), ran(words, preexec_fn=limited)
    assert enough.rc == 0
    if done.rc == 0:
        assert done.end["checksum"] == enough.end["checksum"]
    else:
        assert refused(done, 4).startswith("fedjoule-runner: memory")


def test_threads_that_cannot_be_made_are_said() -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (40 << 20, 40 << 20))

    assert refused(ran(flags(threads=1024), preexec_fn=limited), 4)


def test_a_run_never_takes_more_memory_than_the_device_has_left(tmp_path: Path) -> None:
    """Where the system says that 20 MB are left, a network of more is refused, and nothing is killed for it."""
    said = tmp_path / "meminfo"
    said.write_text("MemTotal:       8000000 kB\nMemFree:            100 kB\nMemAvailable:     20000 kB\n")
    script = 'mount --bind "$0" /proc/meminfo && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, said]
    tried = subprocess.run([*inside, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"needs user namespaces: {tried.stderr.decode(errors='replace')[:200]}")
    words = [*inside, runner()]
    small = subprocess.run([*words, *flags()], capture_output=True, timeout=LONGEST_S, check=False)
    assert small.returncode == 0
    large = subprocess.run(
        [*words, *flags("vgg16", batch_size=64)], capture_output=True, timeout=LONGEST_S, check=False
    )
    assert refused(Done(large.returncode, large.stdout, large.stderr.decode()), 4).startswith("fedjoule-runner: memory")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "must be a regular file"),
        (lambda path: os.mkfifo(path), "must be a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "must be a regular file"),
        (lambda path: path.write_bytes(b""), "must begin with a line 'fedjoule-images 1 HEIGHT WIDTH"),
        (lambda path: path.write_bytes(b"\0" * 5000), "must begin with a line"),
        (lambda path: path.write_bytes(b"fedjoule-images 2 8 8 1 1 10\n" + bytes(66)), "must begin with a line"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 1 10"), "must begin with a line"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 -1 10\n"), "must begin with a line"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 1 10 \n" + bytes(66)), "must begin with a line"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 3 1 10\n" + bytes(194)), "must be 8x8x1 as the model"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 1 9\n" + bytes(66)), "classes must be 10 as"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 0 10\n"), "images must be from 1 to 16777216 (got 0"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 9999999999 10\n"), "images must be from 1 to"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 16777216 10\n"), "must have 1107296292 bytes (got 36"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 2 10\n" + bytes(66)), "must have 161 bytes (got 95"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 1 10\n" + bytes(67)), "must have 95 bytes (got 96"),
        (lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 1 10\n" + bytes(65) + b"\1"), "(got 256 of image 0"),
        (
            lambda path: path.write_bytes(b"fedjoule-images 1 8 8 1 1 10\n" + bytes(64) + b"\n\0"),
            "labels must be from 0 to 9",
        ),
    ],
)
def test_a_file_of_images_that_is_not_one_is_refused(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "images\x1b[1m\n"
    make(path)
    said = refused(ran(flags(data=path)))
    assert said.startswith("fedjoule-runner: --data: ")
    assert words in said
    assert str(path)[-20:-6] in said


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = image_file(tmp_path / "images", (8, 8, 1), 3, 10)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert "Permission denied" in refused(ran(flags(data=path)))


CHANGE = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 400), st.binary(max_size=0)),
    st.tuples(st.just("set"), st.integers(0, 400), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("insert"), st.integers(0, 40), st.binary(min_size=1, max_size=40)),
)


@settings(max_examples=50)
@given(changes=st.lists(CHANGE, max_size=3))
def test_any_file_of_images_trains_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, bytes]]
) -> None:
    path = image_file(tmp_path_factory.getbasetemp() / "fuzzed", (8, 8, 1), 5, 10)
    content = path.read_bytes()
    for kind, at, text in changes:
        if kind == "cut":
            content = content[:at]
        else:
            content = content[:at] + text + content[at + (len(text) if kind == "set" else 0) :]
    path.write_bytes(content)
    done = ran(flags(data=path, batches=1), sanitized_runner())
    if done.rc == 0:
        assert done.of("hello")[0]["samples"] == 5
    else:
        refused(done)


@pytest.mark.parametrize("changes", [{}, {"overlap": "on", "threads": 3}, {"stage": "empty"}, {"stage": "quantize"}])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_no_run_touches_memory_that_is_not_its_own(precision: str, changes: dict[str, Any]) -> None:
    if (precision, changes.get("stage")) == ("fp32", "quantize"):
        changes = {"stage": "sample"}
    words = flags(precision=precision, batches=20, warmup=3, **changes)
    done, plain = ran(words, sanitized_runner()), ran(words)
    assert (done.rc, done.said) == (0, "")
    if precision == "int8":  # other compilers may fuse other products of floats
        assert done.end.get("checksum") == plain.end.get("checksum")
