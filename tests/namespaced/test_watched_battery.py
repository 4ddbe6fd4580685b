"""The battery of the namespaced phone: it draws by what the phone's processes use, and shows it as its gauge does."""

import re
import time
from typing import Any

import pytest
from watched_battery import WatchedBattery, boottime_s

from profiler.emulator.gauge import Gauge

_LOOP = "i=0; while [ $i -lt 600000 ]; do i=$((i+1)); done; times"
_SUPPLY = "/sys/class/power_supply/battery"


def shown_w(link: Any, gauge: Gauge) -> float:
    """Return the power that the phone's files say, out of the battery."""
    current, voltage = (int(word) for word in link.run(f"cat {_SUPPLY}/current_now {_SUPPLY}/voltage_now").text.split())
    return gauge.sign * current * {"uA": 1e-6, "mA": 1e-3}[gauge.current_unit] * voltage * 1e-6


def used_s(times: str) -> float:
    """Return the CPU time that a shell says it used itself."""
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in re.findall(r"(\d+)m([\d.]+)s", times)[:2])


@pytest.mark.parametrize(
    "gauge", [Gauge(period_s=0.1), Gauge(period_s=0.2, current_unit="mA", sign=1)], ids=["uA, -", "mA, +"]
)
def test_it_draws_by_what_runs_and_shows_it(open_phone: Any, link_to: Any, gauge: Gauge) -> None:
    phone = open_phone()
    link = link_to(phone)
    with WatchedBattery(phone.phone, phone.proc, gauge, idle_w=1.0, core_w=10.0) as battery:
        time.sleep(3 * gauge.period_s)
        idle_w = shown_w(link, gauge)
        begin_s = boottime_s()
        times = link.run(_LOOP).text
        end_s = boottime_s()
        time.sleep(3 * gauge.period_s)
        energy_j, cpu_s = battery.energy_between(begin_s, end_s), battery.cpu_between(begin_s - 0.05, end_s + 0.05)
    assert idle_w == pytest.approx(1.0, abs=1.0)  # reading it takes something, too
    assert used_s(times) > 0.2
    # The shell's own clock ticks in hundredths; starting it, and adbd, come on top.
    assert cpu_s == pytest.approx(used_s(times), abs=0.1 + 0.1 * used_s(times))
    assert energy_j == pytest.approx(1.0 * (end_s - begin_s) + 10.0 * cpu_s, rel=0.1)


def test_its_charge_falls_by_what_was_drawn(open_phone: Any, link_to: Any) -> None:
    phone = open_phone()
    link = link_to(phone)
    with WatchedBattery(phone.phone, phone.proc, Gauge(period_s=0.05), idle_w=20.0) as battery:

        def charge() -> tuple[float, float, float]:
            """Return the charge in coulombs, the voltage, and when that was."""
            said = link.run(f"cat {_SUPPLY}/charge_counter {_SUPPLY}/voltage_now /proc/uptime").text.split()
            return int(said[0]) * 3600e-6, int(said[1]) * 1e-6, float(said[2])

        time.sleep(0.2)
        first_c, first_v, first_s = charge()
        time.sleep(2.0)
        last_c, last_v, last_s = charge()
        true_j = battery.energy_between(first_s, last_s)
    assert true_j > 20
    assert (first_c - last_c) * (first_v + last_v) / 2 == pytest.approx(true_j, rel=0.1)
