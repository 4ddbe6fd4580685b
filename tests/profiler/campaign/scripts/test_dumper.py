"""The sampler of phones whose battery files are denied, for real."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from profiler.emulator.phone import Phone
from profiler.power.dumpsys_battery import read_dumps

Becomes = Callable[[Callable[[], bool]], bool]


def words(shell: Any, phone: Phone, for_s: float, period_s: float = 2.0) -> list[object]:
    deadline_cs = round(100 * (phone.clock.boottime_s() + for_s))
    return ["./dumper.sh", shell.folder / "dumps", round(100 * period_s), deadline_cs, phone.path("proc/uptime")]


def test_dumps_follow_an_absolute_schedule_until_the_deadline(shell: Any, phone: Phone) -> None:
    shell.run(*words(shell, phone, 40.0), phone=phone)
    samples = read_dumps((shell.folder / "dumps").read_bytes())
    assert 10 <= len(samples.time_s) <= 21
    assert np.median(np.diff(samples.time_s)) == pytest.approx(2.0, abs=0.5)
    assert set(samples.column("level")) == {72.0}
    assert np.isfinite(samples.column("charge")).all()
    cost = (shell.folder / "dumps.cost").read_text()
    assert cost.startswith(f"rows {len(samples.time_s)} late 0 elapsed_cs ")


def test_it_ends_on_the_stop_file(shell: Any, phone: Phone, becomes: Becomes) -> None:
    process = shell.start(*words(shell, phone, 100_000.0), phone=phone)
    assert becomes(lambda: (shell.folder / "dumps").exists())
    (shell.folder / "dumps.stop").touch()
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert (shell.folder / "dumps.cost").exists()


def test_a_dump_that_hangs_or_floods_makes_no_dumps_of_one_moment(shell: Any, phone: Phone) -> None:
    phone.program("dumpsys", "#!/bin/sh\nsleep 5\necho '  level: 50'\n")
    begin_s = time.monotonic()
    shell.run(*words(shell, phone, 20.0, 0.5), phone=phone)
    assert time.monotonic() - begin_s < 15
    samples = read_dumps((shell.folder / "dumps").read_bytes())
    assert 2 <= len(samples.time_s) <= 5
    assert (np.diff(samples.time_s) > 4).all()
