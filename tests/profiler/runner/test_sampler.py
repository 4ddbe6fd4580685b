"""The native sampler for real: equal to the shell's, on an absolute schedule, and readable whatever ends it."""

import ctypes
import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.campaign.job import script
from profiler.native.build import built
from profiler.native.compiler import CompilerMissing
from profiler.native.target import host_target, target_named
from profiler.power.samples import Samples, read_samples

pytest.importorskip("ziglang", reason="needs ziglang to build it: pip install 'fedjoule[profile]'")

NEVER_MS = 10**11


@pytest.fixture(scope="session", params=["x86_64", "aarch64", "sanitized"])
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command words that start the sampler: natively, as a phone's program under emulation, and with sanitizers."""
    if request.param == "sanitized":
        return sanitized()
    words: list[str] = []
    if request.param != os.uname().machine:
        emulator = shutil.which(f"qemu-{request.param}-static") or shutil.which(f"qemu-{request.param}")
        if emulator is None:
            pytest.skip(f"needs qemu-{request.param} on the PATH")
        words = [emulator]
    return [*words, str(built("sampler", target_named(f"{request.param}-linux")))]


def sanitized() -> list[str]:
    try:
        return [str(built("sampler", host_target(), sanitize=("address", "undefined")))]
    except CompilerMissing as error:
        pytest.skip(str(error))


@dataclass
class Sampler:
    """The program in a folder of its own."""

    program: list[str]
    folder: Path
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def cost(self) -> str:
        return (self.folder / "samples.cost").read_text()

    def read(self) -> Samples:
        return read_samples(self.samples.read_bytes())

    def start(self, *words: object, before: Callable[[], None] | None = None) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [*self.program, *map(str, words)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=before,
        )
        self.started.append(process)
        return process

    def run(self, *words: object, before: Callable[[], None] | None = None) -> tuple[int, str]:
        """Return its exit code and what it printed."""
        process = self.start(*words, before=before)
        output, errors = process.communicate(timeout=30)
        return process.returncode, (output + errors).decode()

    def sample(self, files: list[Path], *, for_s: float, period_ms: int = 20) -> Samples:
        """Sample files until the deadline and return what was written."""
        header = ",".join(f"c{number}" for number in range(len(files)))
        options = ["--period-ms", period_ms, "--deadline-ms", now_ms() + round(1000 * for_s)]
        assert self.run(*options, "samples", header, *files) == (0, "")
        return self.read()

    def begin(self, *files: Path, period_ms: int = 10) -> "subprocess.Popen[bytes]":
        """Start sampling without an end, and return when some rows are there."""
        header = ",".join(f"c{number}" for number in range(len(files)))
        process = self.start("--period-ms", period_ms, "--deadline-ms", NEVER_MS, "samples", header, *files)
        assert becomes(lambda: self.samples.exists() and self.samples.read_bytes().count(b"\n") > 4)
        return process


@pytest.fixture
def sampler(program: list[str], tmp_path: Path) -> Iterator[Sampler]:
    folder = tmp_path / "job"
    folder.mkdir()
    made = Sampler(program, folder)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10**6


def becomes(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    until_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.005)
    return condition()


def replace(path: Path, content: bytes) -> None:
    """Change a file as whoever wants no reader to see half of it."""
    aside = path.with_name(f"{path.name}.aside")
    aside.write_bytes(content)
    os.replace(aside, path)


PLAIN = [b"12\n", b"-345678\n", b"77", b"  77  \n", b"\t8 \n", b"77\n88\n", b"", b"\n", b"3.25\n"]


def test_it_reads_what_the_shells_sampler_reads(sampler: Sampler, tmp_path: Path) -> None:
    files = [tmp_path / f"value {number}" for number in range(len(PLAIN))]
    for file, content in zip(files, PLAIN, strict=True):
        file.write_bytes(content)
    status, missing = tmp_path / "status", tmp_path / "missing"
    status.write_text("Not charging\n")
    files += [status, missing, tmp_path]
    header = ",".join([*(f"c{number}" for number in range(len(PLAIN))), "status", "missing", "folder"])
    (sampler.folder / "sampler.sh").write_bytes(script("sampler.sh"))
    until_ms = now_ms() + 400
    shell = ["sh", "sampler.sh", "shells", "5", str(until_ms // 10), "/proc/uptime", header, *map(str, files)]
    subprocess.run(shell, cwd=sampler.folder, check=True, timeout=30)
    options = ["--period-ms", 50, "--deadline-ms", now_ms() + 400]
    assert sampler.run(*options, "samples", header, *files) == (0, "")
    theirs, ours = read_samples((sampler.folder / "shells").read_bytes()), sampler.read()
    assert ours.torn == theirs.torn == 0
    assert list(ours.columns) == list(theirs.columns)
    for name, cells in theirs.columns.items():
        assert np.array_equal(ours.columns[name][:1], cells[:1], equal_nan=True), name
        assert len(set(ours.columns[name])) == 1 or np.isnan(ours.columns[name]).all(), name
    assert set(ours.words["status"]) == set(theirs.words["status"]) == {"Not charging"}
    first = [text.split(b"\n")[2].partition(b",")[2] for text in (sampler.samples.read_bytes(), shells(sampler))]
    assert first[0] == first[1]
    assert first_lines(sampler.cost) == first_lines((sampler.folder / "shells.cost").read_text())


def shells(sampler: Sampler) -> bytes:
    return (sampler.folder / "shells").read_bytes()


def first_lines(cost: str) -> str:
    """Return the three lines of a cost that both write, with their numbers left out."""
    return re.sub(r"\d+(\.\d+)?", "N", "\n".join(cost.split("\n")[:3]))


def test_rows_lie_on_an_absolute_schedule(sampler: Sampler) -> None:
    """A row has the moment of its number, however long the reading takes: here, some milliseconds."""
    samples = sampler.sample([Path("/proc/stat")] * 99, for_s=1.2)
    step = (samples.time_s - samples.time_s[0]) / 0.02
    assert np.median(np.abs(step - np.round(step))) < 0.15
    assert samples.torn == 0
    said = re.search(r"^rows (\d+) late \d+ elapsed_cs (\d+)\n(?:.*\n)+?missed (\d+)$", sampler.cost, re.MULTILINE)
    assert said is not None
    rows, elapsed_cs, missed = (int(number) for number in said.groups())
    assert rows == len(samples.time_s)
    assert rows + missed == pytest.approx(elapsed_cs / 2, abs=1.5)


def test_moments_that_passed_are_missed_and_not_made_up_for(sampler: Sampler) -> None:
    process = sampler.begin(Path("/proc/uptime"))
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.4)
    process.send_signal(signal.SIGCONT)
    rows = sampler.samples.read_bytes().count(b"\n")
    assert becomes(lambda: sampler.samples.read_bytes().count(b"\n") > rows + 10)
    process.terminate()
    assert process.wait(10) == 0
    steps = np.diff(sampler.read().time_s)
    longest = int(steps.argmax())
    assert steps[longest] > 0.3
    assert np.median(steps[longest + 1 :]) > 0.005  # no bunch of rows
    said = re.search(r"late (\d+) (?:.*\n)+missed (\d+)\n(?:.*) max (\d+)\.", sampler.cost)
    assert said is not None
    late, missed, most_us = (int(number) for number in said.groups())
    assert late >= 1
    assert missed >= 29
    assert most_us > 300_000 - 10_000


def test_the_jitter_it_reports_is_that_of_its_rows(sampler: Sampler, tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_text("5\n")
    samples = sampler.sample([value], for_s=0.8, period_ms=100)
    said = re.search(r"^jitter_us mean ([\d.]+) sd ([\d.]+) max ([\d.]+)$", sampler.cost, re.MULTILINE)
    assert said is not None
    mean_us, sd_us, most_us = (float(number) for number in said.groups())
    since_us = 1e6 * (samples.time_s - samples.time_s[0])
    off_us = since_us - 1e5 * np.floor(since_us / 1e5 + 1e-4)  # the first row is some microseconds after its moment
    assert sd_us == pytest.approx(off_us.std(ddof=1), abs=1.5)
    assert most_us - mean_us == pytest.approx(off_us.max() - off_us.mean(), abs=1.5)
    assert mean_us <= most_us


def test_its_times_are_those_of_the_devices_clock(sampler: Sampler, tmp_path: Path) -> None:
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    samples = sampler.sample([Path("/proc/uptime")], for_s=0.3)
    assert before_s - 1e-5 <= samples.time_s[0] <= samples.time_s[-1] <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_kept_file_shows_its_new_value_however_it_is_changed(sampler: Sampler, tmp_path: Path) -> None:
    written, replaced = tmp_path / "written", tmp_path / "replaced"
    written.write_text("1\n")
    replaced.write_text("1\n")
    process = sampler.begin(written, replaced)
    with open(written, "r+") as file:
        file.write("2\n")
    replace(replaced, b"2\n")
    assert becomes(lambda: sampler.samples.read_bytes().count(b",2,2\n") > 3)
    for _ in range(10):
        replace(replaced, b"2\n")
        time.sleep(0.02)
    assert b",2,\n" not in sampler.samples.read_bytes()
    replaced.unlink()
    assert becomes(lambda: sampler.samples.read_bytes().count(b",2,\n") > 3)
    replaced.write_text("3\n")
    assert becomes(lambda: sampler.samples.read_bytes().count(b",2,3\n") > 3)
    process.terminate()
    assert process.wait(10) == 0
    assert sampler.read().torn == 0


@pytest.mark.parametrize("reopen", [0, 1])
def test_living_files_of_the_kernel_are_read_anew(sampler: Sampler, reopen: int) -> None:
    options = ["--reopen", reopen, "--period-ms", 50, "--deadline-ms", now_ms() + 400]
    assert sampler.run(*options, "samples", "a,b", "/proc/sys/kernel/random/uuid", "/proc/uptime")[0] == 0
    ids = [line.split(b",")[1] for line in sampler.samples.read_bytes().split(b"\n")[2:-1]]
    assert len(set(ids)) == len(ids) > 3


def test_a_file_that_would_block_or_fails_costs_its_own_cell_alone(sampler: Sampler, tmp_path: Path) -> None:
    pipe, sound = tmp_path / "pipe", tmp_path / "sound"
    os.mkfifo(pipe)
    sound.write_text("5\n")
    files = [pipe, Path("/proc/self/mem"), Path("/dev/zero"), tmp_path, sound]
    samples = sampler.sample(files, for_s=0.4)
    assert len(samples.time_s) >= 5
    assert set(row.partition(b",")[2] for row in sampler.samples.read_bytes().split(b"\n")[2:-1]) == {b",,,,5"}


def test_a_file_that_another_holds_back_is_not_waited_for(sampler: Sampler, tmp_path: Path) -> None:
    leased = tmp_path / "leased"
    leased.write_text("1\n")
    with open(leased, "r+") as held:
        handler = signal.signal(signal.SIGIO, signal.SIG_IGN)  # by this the holder of a lease is asked for it
        try:
            try:
                fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)  # whoever else opens it waits for 45 s
            except OSError as error:
                pytest.skip(f"needs a file system with leases ({error.strerror})")
            samples = sampler.sample([leased], for_s=0.4)
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        finally:
            signal.signal(signal.SIGIO, handler)
    assert len(samples.time_s) >= 5
    assert np.isnan(samples.column("c0")).all()


HARMFUL = [
    b"1,2\n", b"1\x002\n", b"1\x1b[2J\n", b"1\r2\n", b"4\xc2\xb5\n", b"\xff\xfe\n", b"a b c\n", b"$(x) `x`; x\n",
    b"%s%n\n", b"7" * 64 + b"\n", b"8" * 1000, b"\x00" * 4096,
]  # fmt: skip


def test_no_harmful_value_breaks_a_row_or_becomes_a_number(sampler: Sampler, tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(len(HARMFUL))]
    for file, content in zip(files, HARMFUL, strict=True):
        file.write_bytes(content)
    huge = tmp_path / "huge"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    samples = sampler.sample([*files, huge], for_s=0.2)
    assert samples.torn == 0
    assert len(samples.time_s) >= 3
    for number in range(len(files) + 1):
        assert np.isnan(samples.column(f"c{number}")).all(), number
    content = sampler.samples.read_bytes()
    assert all(byte == 10 or 32 <= byte < 127 for byte in content)
    assert max(len(cell) for cell in re.split(rb"[,\n]", content)) <= 64


def test_the_most_files_there_may_be(sampler: Sampler, tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_bytes(b"x" * 500)
    samples = sampler.sample([value] * 99, for_s=0.2)
    assert samples.torn == 0
    assert len(samples.columns) == 99
    assert len(samples.time_s) >= 3
    assert sampler.cost.count("read_us c") == 99


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_whole_rows_and_its_cost(sampler: Sampler, number: signal.Signals) -> None:
    process = sampler.begin(Path("/proc/uptime"))
    process.send_signal(signal.SIGHUP)  # the host went away: nothing ends
    rows = sampler.samples.read_bytes().count(b"\n")
    assert becomes(lambda: sampler.samples.read_bytes().count(b"\n") > rows + 2)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert sampler.samples.read_bytes().endswith(b"\n")
    assert "\nended signal\n" in sampler.cost
    assert f"rows {len(sampler.read().time_s)} " in sampler.cost


def test_a_signal_ends_a_long_sleep(sampler: Sampler, tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_text("5\n")
    process = sampler.start("--period-ms", 60000, "samples", "a", value)
    assert becomes(lambda: sampler.samples.exists() and sampler.samples.read_bytes().count(b"\n") == 3)
    time.sleep(0.1)  # until it sleeps
    process.terminate()
    assert process.wait(10) == 0


def test_killed_at_any_moment_it_leaves_a_record_that_can_be_read(sampler: Sampler, tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_text("5\n")
    rng = np.random.default_rng(5)
    for number in range(12):
        sampler.samples.unlink(missing_ok=True)
        process = sampler.start("--period-ms", 1, "samples", "a,b", value, "/proc/uptime")
        assert becomes(lambda: sampler.samples.exists() and sampler.samples.stat().st_size > 30)
        time.sleep(rng.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
        process.wait(10)
        assert sampler.samples.read_bytes().endswith(b"\n")
        samples = sampler.read()
        assert samples.torn == 0
        assert set(samples.column("a")) <= {5.0}


def test_the_stop_file_ends_it(sampler: Sampler) -> None:
    process = sampler.begin(Path("/proc/uptime"))
    (sampler.folder / "samples.stop").touch()
    assert process.wait(10) == 0
    assert "\nended stop file\n" in sampler.cost
    assert not (sampler.folder / "samples.cost.new").exists()


def test_the_deadline_ends_it_also_within_a_long_period(sampler: Sampler, tmp_path: Path) -> None:
    until_ms = now_ms() + 300
    assert sampler.run("--period-ms", 60000, "--deadline-ms", until_ms, "samples", "a", "/proc/uptime") == (0, "")
    assert now_ms() >= until_ms
    assert "\nended deadline\n" in sampler.cost
    assert len(sampler.read().time_s) == 1


def test_it_ends_when_its_file_is_removed(sampler: Sampler) -> None:
    """The campaign is over and its folder gone: nothing stays behind on the phone."""
    process = sampler.begin(Path("/proc/uptime"))
    shutil.rmtree(sampler.folder)
    process.wait(10)
    assert not sampler.folder.exists()


def limited(most_bytes: int) -> Callable[[], None]:
    """Return what keeps files small: no larger, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


@pytest.mark.parametrize("most_bytes", [20_000, 20_007])
def test_no_more_room_ends_it_and_half_a_row_is_cut_off(sampler: Sampler, tmp_path: Path, most_bytes: int) -> None:
    value = tmp_path / "value"
    value.write_bytes(b"9" * 61 + b"\n")
    words = ["--period-ms", 1, "samples", "a,b,c,d,e", *[value] * 5]
    code, said = sampler.run(*words, before=limited(most_bytes))
    assert code == 1
    assert f"write error {errno.EFBIG}" in said
    assert f"\nended write error {errno.EFBIG}\n" in sampler.cost
    content = sampler.samples.read_bytes()
    assert most_bytes - 400 < len(content) <= most_bytes
    assert content.endswith(b"\n")
    assert sampler.read().torn == 0
    assert len(sampler.read().time_s) == int(sampler.cost.split()[1]) > 20


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip(f"needs to be allowed to mount ({os.strerror(ctypes.get_errno())})")
    yield folder
    assert libc.umount2(str(folder).encode(), 2) == 0


def test_a_full_disk_leaves_whole_rows_and_room_for_the_reason(sampler: Sampler, tiny_disk: Path) -> None:
    value = sampler.folder / "value"
    value.write_bytes(b"9" * 61 + b"\n")
    sampler.folder = tiny_disk
    code, said = sampler.run("--period-ms", 1, "samples", "a,b,c,d,e", *[value] * 5)
    assert code == 1
    assert "disk full" in said
    assert "\nended write error 28 disk full\n" in sampler.cost
    assert sampler.samples.read_bytes().endswith(b"\n")
    assert sampler.read().torn == 0


def test_a_disk_that_is_full_already_lets_nothing_begin(sampler: Sampler) -> None:
    sampler.samples.symlink_to("/dev/full")
    code, said = sampler.run("samples", "a", "/proc/uptime")
    assert code == 1
    assert "SAMPLES cannot be begun" in said
    assert os.listdir(sampler.folder) == ["samples"]


def test_its_file_is_bounded(sampler: Sampler) -> None:
    code, _ = sampler.run("--period-ms", 1, "--most-bytes", 1000, "samples", "a", "/proc/uptime")
    assert code == 1
    assert 900 < sampler.samples.stat().st_size <= 1000
    assert "\nended samples at --most-bytes\n" in sampler.cost
    assert sampler.read().torn == 0


def test_it_runs_on_the_cores_it_is_told_to_and_elsewhere_where_it_may_not(program: list[str], tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    for name, mask, found in [("a", 1 << core, f"{1 << core:x}"), ("b", 1 << 63, "0")]:
        folder = tmp_path / name
        folder.mkdir()
        made = Sampler(program, folder)
        words = ["--cpus", f"{mask:x}", "--deadline-ms", now_ms() + 300, "samples", "a", "/proc/uptime"]
        assert made.run(*words) == (0, "")
        assert f"\ncpus {found}\n" in made.cost


def test_what_was_measured_is_not_written_over(sampler: Sampler) -> None:
    sampler.samples.write_text("precious\n")
    code, said = sampler.run("samples", "a", "/proc/uptime")
    assert (code, sampler.samples.read_text()) == (2, "precious\n")
    assert "SAMPLES must be empty" in said
    assert os.listdir(sampler.folder) == ["samples"]


def test_it_says_its_version(sampler: Sampler) -> None:
    code, said = sampler.run("--version")
    assert code == 0
    assert re.fullmatch(r"fedjoule-sampler 1 \S+\n", said)


BAD = [
    ([], "must be given"),
    (["samples", "a"], "must be given"),
    (["--period-ms"], "must have a value"),
    (["--period-ms", "0", "samples", "a", "x"], "--period-ms must be a whole number from 1 to 60000 (got '0')"),
    (["--period-ms", "1e3", "samples", "a", "x"], "(got '1e3')"),
    (["--period-ms", "", "samples", "a", "x"], "--period-ms"),
    (["--deadline-ms", "-1", "samples", "a", "x"], "--deadline-ms"),
    (["--deadline-ms", "9" * 30, "samples", "a", "x"], "--deadline-ms"),
    (["--most-bytes", "10", "samples", "a", "x"], "--most-bytes"),
    (["--cpus", "0", "samples", "a", "x"], "--cpus"),
    (["--cpus", "1" * 17, "samples", "a", "x"], "--cpus"),
    (["--reopen", "2", "samples", "a", "x"], "--reopen must be 0 or 1"),
    (["--faster", "2", "samples", "a", "x"], "must be one that there is (got '--faster')"),
    (["samples", "a,b", "x"], "as many names"),
    (["samples", "a", "x", "y"], "as many names"),
    (["samples", "a,a", "x", "y"], "once"),
    (["samples", "a,", "x", "y"], "HEADER"),
    (["samples", "", "x"], "HEADER"),
    (["samples", "A", "x"], "HEADER"),
    (["samples", "time_s", "x"], "time_s"),
    (["samples", "a" * 65, "x"], "HEADER"),
    (["samples", "a\x1b[2J\nb", "x"], "(got 'a?[2J?b')"),
    (["", "a", "x"], "SAMPLES"),
    (["s" * 4001, "a", "x"], "SAMPLES"),
    (["samples", "a", ""], "FILE"),
    (["samples", ",".join(f"c{n}" for n in range(100)), *["x"] * 100], "at most 99"),
]


@pytest.mark.parametrize(("words", "rule"), BAD)
def test_bad_arguments_are_named_and_nothing_is_written(sampler: Sampler, words: list[str], rule: str) -> None:
    code, said = sampler.run(*words)
    assert code == 2
    assert rule in said
    assert said.count("\n") == 1
    assert os.listdir(sampler.folder) == []


def test_a_folder_that_is_not_there_is_said(sampler: Sampler) -> None:
    code, said = sampler.run("missing/samples", "a", "/proc/uptime")
    assert code == 1
    assert "SAMPLES cannot be written" in said


OPTIONS = ["--period-ms", "--deadline-ms", "--most-bytes", "--cpus", "--reopen", "--", "-h", "s", "a,b", "a", "x", "1"]
WORDS = st.sampled_from(OPTIONS) | st.text(st.characters(exclude_characters="\0/", codec="utf-8"), max_size=5)


@settings(max_examples=150, deadline=None)
@given(words=st.lists(WORDS, max_size=8))
def test_any_arguments_end_in_a_run_or_one_line(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    code, said = Sampler(sanitized(), tmp_path_factory.mktemp("fuzz")).run("--deadline-ms", "1", *words)
    assert code in (0, 1, 2)
    assert said.count("\n") == (code != 0)
    assert not re.search(r"[^\n -~]", said)
