"""The sampler for real: its schedule, its rows, what harms it and what ends it."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from profiler.power.samples import read_samples

Becomes = Callable[[Callable[[], bool]], bool]


def uptime_cs() -> int:
    return round(100 * float(Path("/proc/uptime").read_text().split()[0]))


def sample(shell: Any, files: list[Path], *, for_s: float, period_cs: int = 5, header: str = "", **more: Any) -> bytes:
    """Run the sampler on this machine's clock until its deadline and return what it wrote."""
    target = shell.folder / "samples"
    names = header or ",".join(f"c{number}" for number in range(len(files)))
    words = ["./sampler.sh", target, period_cs, uptime_cs() + round(100 * for_s), "/proc/uptime", names, *files]
    shell.run(*words, **more)
    return bytes(target.read_bytes())


def test_rows_follow_an_absolute_schedule(shell: Any, tmp_path: Path) -> None:
    value = tmp_path / "value"
    value.write_text("12\n")
    samples = read_samples(sample(shell, [value], for_s=1.5))
    assert samples.torn == 0
    assert 20 <= len(samples.time_s) <= 31  # 1.5 s / 0.05 s, and not more
    steps = np.diff(samples.time_s)
    assert steps.min() > 0
    assert np.median(steps) == pytest.approx(0.05, abs=0.011)
    assert set(samples.column("c0")) == {12.0}


def test_a_sleep_that_takes_too_long_makes_no_later_row_late(shell: Any, tmp_path: Path) -> None:
    """A row's time is that of its number. (A shell that waits by itself never sleeps here, and passes.)"""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sleep").write_text('#!/bin/sh\n/bin/sleep "$1"\nexec /bin/sleep 0.03\n')
    (programs / "sleep").chmod(0o755)
    samples = read_samples(sample(shell, [Path("/proc/loadavg")], for_s=1.5, period_cs=10, path=programs))
    late = samples.time_s - samples.time_s[0] - 0.1 * np.arange(len(samples.time_s))
    assert len(samples.time_s) >= 13
    assert np.median(late[-5:]) < 0.08


def test_a_slow_file_makes_rows_late_and_no_bunch_of_them_after(shell: Any, tmp_path: Path) -> None:
    value, pipe = tmp_path / "value", tmp_path / "pipe"
    value.write_text("1\n")
    os.mkfifo(pipe)
    target = shell.folder / "samples"
    process = shell.start("./sampler.sh", target, 5, uptime_cs() + 120, "/proc/uptime", "a,b", value, pipe)
    time.sleep(0.4)
    with open(pipe, "w") as opened:
        opened.write("7\n")
    pipe.unlink()  # from here on it is missing
    process.communicate(timeout=10)
    samples = read_samples(target.read_bytes())
    steps = np.diff(samples.time_s)
    assert steps[0] > 0.3
    assert (steps[1:] > 0.02).all()
    assert re.search(r"rows \d+ late [1-9]", (shell.folder / "samples.cost").read_text())


def test_missing_and_unreadable_files_give_empty_cells(shell: Any, tmp_path: Path) -> None:
    there, folder = tmp_path / "there", tmp_path / "folder"
    there.write_text("5\n")
    folder.mkdir()
    samples = read_samples(sample(shell, [tmp_path / "missing", there, folder], for_s=0.3))
    assert samples.torn == 0
    assert len(samples.time_s) >= 4
    assert np.isnan(samples.column("c0")).all()
    assert np.isnan(samples.column("c2")).all()
    assert set(samples.column("c1")) == {5.0}


STRANGE: list[tuple[bytes, float | None]] = [
    (b"77", 77.0),  # no line end
    (b"  77  \n", 77.0),
    (b"77\n88\n99\n", 77.0),
    (b"", None),
    (b"\n", None),
    (b"a b c\n", None),
    (b"$(touch owned) `touch owned`; touch owned\n", None),
    (b"' \" \\ * ? ~ %s\n", None),
    (b"-n\n", None),
    (b"\xff\xfe\x80\n", None),
    (b"5\n", 5.0),
]


def test_a_strange_value_is_an_unreadable_cell_and_runs_nothing(shell: Any, tmp_path: Path) -> None:
    files = [tmp_path / f"file {number}; touch owned" for number in range(len(STRANGE))]
    for file, (content, _) in zip(files, STRANGE, strict=True):
        file.write_bytes(content)
    samples = read_samples(sample(shell, files, for_s=0.2))
    assert samples.torn == 0
    assert len(samples.time_s) >= 3
    for number, (content, value) in enumerate(STRANGE):
        cells = samples.column(f"c{number}")
        assert set(cells) == {value} if value is not None else np.isnan(cells).all(), content
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("content", [b"1,2\n", b"1\\n2\n", b"9\\c\n"])
def test_a_value_that_breaks_a_row_costs_that_row_alone(shell: Any, tmp_path: Path, content: bytes) -> None:
    strange, sound = tmp_path / "strange", tmp_path / "sound"
    sound.write_text("5\n")
    strange.write_text("3\n")
    target = shell.folder / "samples"
    process = shell.start("./sampler.sh", target, 3, uptime_cs() + 50, "/proc/uptime", "a,b", sound, strange)
    time.sleep(0.17)
    aside = tmp_path / "aside"
    aside.write_bytes(content)
    os.replace(aside, strange)
    time.sleep(0.1)
    aside.write_text("4\n")
    os.replace(aside, strange)
    process.communicate(timeout=10)
    samples = read_samples(target.read_bytes())
    assert 1 <= samples.torn < 12
    values = samples.column("b")
    assert 3.0 in values
    assert values[-1] == 4.0  # it went on
    assert set(samples.column("a")) == {5.0}


def test_it_ends_on_the_stop_file_and_says_what_it_cost(shell: Any, becomes: Becomes) -> None:
    target = shell.folder / "samples"
    process = shell.start("./sampler.sh", target, 5, uptime_cs() + 100_000, "/proc/uptime", "a", "/proc/uptime")
    assert becomes(lambda: target.exists() and target.read_bytes().count(b"\n") > 3)
    (shell.folder / "samples.stop").touch()
    process.communicate(timeout=5)
    assert process.returncode == 0
    cost = (shell.folder / "samples.cost").read_text()
    rows = target.read_bytes().count(b"\n") - 2
    found = re.match(r"rows (\d+) late \d+ elapsed_cs (\d+)\n", cost)
    assert found is not None
    assert int(found[1]) == rows
    assert int(found[2]) >= 5 * (rows - 1)
    assert len(re.findall(r"\d+m\d+\.\d+s", cost)) == 4


def test_it_ends_on_a_signal_with_whole_rows(shell: Any, becomes: Becomes) -> None:
    target = shell.folder / "samples"
    process = shell.start("./sampler.sh", target, 5, uptime_cs() + 100_000, "/proc/uptime", "a", "/proc/uptime")
    assert becomes(lambda: target.exists() and target.read_bytes().count(b"\n") > 3)
    process.send_signal(signal.SIGHUP)  # the host went away: nothing ends
    time.sleep(0.15)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 0
    assert target.read_bytes().endswith(b"\n")
    assert (shell.folder / "samples.cost").exists()


def test_it_ends_at_its_deadline(shell: Any) -> None:
    begin_s = time.monotonic()
    sample(shell, [Path("/proc/uptime")], for_s=0.3)
    assert 0.25 < time.monotonic() - begin_s < 8.0


def test_a_shell_that_can_waits_without_a_fork(shell: Any, tmp_path: Path) -> None:
    """A phone's shell reads with a time-out: no ``sleep`` is started."""
    programs = tmp_path / "programs"
    programs.mkdir()
    slept = tmp_path / "slept"
    stub = programs / "sleep"
    stub.write_text(f'#!/bin/sh\necho "$1" >>{slept}\nexec /bin/sleep "$1"\n')
    stub.chmod(0o755)
    sample(shell, [Path("/proc/uptime")], for_s=0.3, path=programs)
    assert slept.exists() == (shell.name == "sh")


def test_on_an_emulated_phone_it_waits_by_the_phones_own_sleep(shell: Any, phone: Any) -> None:
    target = shell.folder / "samples"
    uptime = phone.path("proc/uptime")
    deadline_cs = round(100 * phone.clock.boottime_s()) + 2000
    current = phone.path("sys/class/power_supply/battery/current_now")
    shell.run("./sampler.sh", target, 100, deadline_cs, uptime, "current", current, phone=phone)
    samples = read_samples(target.read_bytes())
    assert np.median(np.diff(samples.time_s)) == pytest.approx(1.0, abs=0.3)
    assert 8 <= len(samples.time_s) <= 21
