"""The live battery: what its gauge shows adds up to the energy it says is true."""

import itertools
import subprocess
import time
from collections.abc import Callable

import numpy as np
import pytest

from profiler.emulator.battery import Battery
from profiler.emulator.clock import started
from profiler.emulator.gauge import Gauge
from profiler.emulator.phone import SUSPEND_INPUT, Phone

Becomes = Callable[[Callable[[], bool]], bool]
SUPPLY = "sys/class/power_supply/battery"


def shown(phone: Phone) -> tuple[int, int]:
    return int(phone.read(f"{SUPPLY}/current_now")), int(phone.read(f"{SUPPLY}/voltage_now"))


class Stepped:
    """A phone whose clock only moves when we say so, and a battery that is looked at by hand."""

    def __init__(self, phone: Phone, gauge: Gauge, **options: float) -> None:
        self.phone = phone
        self._to(100.0)
        self.battery = Battery(phone, gauge, **options)  # type: ignore[arg-type]
        self.now_s = 100.0

    def _to(self, at_s: float) -> None:
        # At the least speed the real time of a test does not count.
        self.phone._set_clock(started(0.1, at_s))

    def forward(self, by_s: float, look_s: float = 0.05) -> list[tuple[float, int, int]]:
        """Let time pass and return what was shown, as a sampler sees it."""
        seen = []
        for _ in range(round(by_s / look_s)):
            self.now_s += look_s
            self._to(self.now_s)
            self.battery._look()
            seen.append((self.now_s, *shown(self.phone)))
        return seen


@pytest.mark.parametrize("period_s", [0.25, 1.0])
def test_an_averaging_gauge_polled_to_the_end_gives_the_true_energy(period_s: float, phone: Phone) -> None:
    stepped = Stepped(phone, Gauge(period_s=period_s))
    before = stepped.forward(5.0)
    phone.write("run/load/1", f"{stepped.now_s + 0.3:.6f} 4.0\n")
    busy = stepped.forward(6.0)
    phone.write("run/load/1", f"{105.3:.6f} 4.0\n{stepped.now_s:.6f} 0.0\n")
    after = stepped.forward(5.0)
    seen = np.array(before[-20:] + busy + after)
    power_w = -seen[:, 1] * seen[:, 2] * 1e-12
    estimate_j = power_w.sum() * 0.05
    truth_j = stepped.battery.energy_between(seen[0, 0] - period_s - 0.05, seen[-1, 0] - period_s)
    assert estimate_j == pytest.approx(truth_j, rel=0.02)
    net_j = stepped.battery.energy_between(100, stepped.now_s) - 0.9 * (stepped.now_s - 100)
    assert net_j == pytest.approx(4.0 * 5.7, abs=1e-6)


def test_a_value_stands_for_a_period_on_the_grid(phone: Phone) -> None:
    stepped = Stepped(phone, Gauge(period_s=1.0, phase_s=0.5, noise=0.1))
    seen = stepped.forward(6.0)
    changes = [now[0] for before, now in itertools.pairwise(seen) if before[1] != now[1]]
    assert np.diff(changes) == pytest.approx(np.ones(len(changes) - 1), abs=0.051)
    assert all(0.44 < at_s % 1 < 0.61 for at_s in changes)


def test_kind_and_lag_say_what_moment_a_value_is_of(phone: Phone) -> None:
    def at_105(gauge: Gauge) -> float:
        stepped = Stepped(phone, gauge, idle_w=1.0)
        stepped.forward(4.2, look_s=0.1)
        stepped.battery.draw(3.0)
        seen = stepped.forward(0.8 + 0.05, look_s=0.05)[-1]
        return -seen[1] * seen[2] * 1e-12

    assert at_105(Gauge(period_s=1.0, kind="instant")) == pytest.approx(4.0, abs=0.01)
    assert at_105(Gauge(period_s=1.0, kind="average")) == pytest.approx(1.0 + 3.0 * 0.8, abs=0.05)
    assert at_105(Gauge(period_s=1.0, kind="instant", lag_s=0.9)) == pytest.approx(1.0, abs=0.01)


def test_the_charge_counter_falls_by_what_is_drawn_and_the_level_with_it(phone: Phone) -> None:
    stepped = Stepped(phone, Gauge(period_s=1.0), idle_w=15.0)
    stepped.forward(1.0)
    before_uah = int(phone.read(f"{SUPPLY}/charge_counter"))
    assert phone.read(f"{SUPPLY}/capacity") == "72"
    seen = stepped.forward(60.0, look_s=0.5)
    drawn_uah = np.mean([current for _, current, _ in seen]) * 60 / 3600
    assert int(phone.read(f"{SUPPLY}/charge_counter")) - before_uah == pytest.approx(drawn_uah, rel=0.03)
    phone.change(level=40)
    stepped.forward(2.0)
    assert int(phone.read(f"{SUPPLY}/charge_counter")) == pytest.approx(1_600_000, rel=0.01)
    assert "POWER_SUPPLY_CAPACITY=40" in phone.read(f"{SUPPLY}/uevent")


def test_charging_turns_the_current_and_suspending_the_input_turns_it_back(phone: Phone) -> None:
    stepped = Stepped(phone, Gauge(period_s=0.5))
    phone.change(charging=True)
    assert (stepped.forward(2.0)[-1][1] > 0, phone.read(f"{SUPPLY}/status")) == (True, "Charging")
    phone.set_property(SUSPEND_INPUT, "true")
    assert (stepped.forward(2.0)[-1][1] < 0, phone.read(f"{SUPPLY}/status")) == (True, "Discharging")
    assert phone.read("sys/class/power_supply/usb/online") == "0"


def test_only_the_last_of_several_supplies_is_alive(tmp_path) -> None:
    with Phone(tmp_path / "phone", supplies=("battery", "bms")) as phone:
        stepped = Stepped(phone, Gauge(period_s=0.5))
        before = shown(phone)
        stepped.forward(2.0)
        assert shown(phone) == before
        assert phone.read("sys/class/power_supply/bms/current_now") != str(before[0])


def test_a_value_that_drops_out_is_an_empty_file(phone: Phone) -> None:
    stepped = Stepped(phone, Gauge(period_s=0.5, dropout=1.0))
    with pytest.raises(ValueError, match="invalid literal"):
        stepped.forward(1.0)
    assert phone.read(f"{SUPPLY}/current_now") == ""


def test_idle_power_drifts_as_asked(phone: Phone) -> None:
    battery = Stepped(phone, Gauge(), drift_w_per_s=0.01).battery
    assert battery.power_at(150.0) - battery.power_at(100.0) == pytest.approx(0.5, abs=1e-3)


def test_a_killed_program_stops_drawing_and_its_entry_goes(tmp_path, becomes: Becomes) -> None:
    with Phone(tmp_path / "phone", speed=10) as phone, Battery(phone) as battery:
        program = subprocess.Popen(["sleep", "100"])
        try:
            entry = phone.path(f"run/load/{program.pid}")
            phone.write(f"run/load/{program.pid}", f"{phone.clock.boottime_s():.6f} 5.0\n")
            assert becomes(lambda: battery.power_at(phone.clock.boottime_s()) == pytest.approx(5.9))
            assert becomes(lambda: phone.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq") == "1800000")
        finally:
            program.kill()
            program.wait()
        assert becomes(lambda: not entry.exists())
        assert battery.power_at(phone.clock.boottime_s()) == pytest.approx(0.9)
        assert becomes(lambda: phone.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq") == "300000")


def test_the_clock_runs_at_its_speed_and_never_back(tmp_path) -> None:
    with Phone(tmp_path / "phone", speed=20) as phone, Battery(phone):
        times = []
        begin_s = time.monotonic()
        while time.monotonic() < begin_s + 0.5:
            first, second = phone.read("proc/uptime").split()
            times.append(float(first))
            assert second
        assert times == sorted(times)
        assert times[-1] - times[0] == pytest.approx(10, rel=0.2)
        assert len(set(times)) > 30


def test_a_reboot_begins_the_battery_anew_and_keeps_its_charge_level(tmp_path, becomes: Becomes) -> None:
    with Phone(tmp_path / "phone", speed=10) as phone, Battery(phone) as battery:
        battery.draw(5.0)
        phone.reboot()
        assert becomes(lambda: battery.power_at(phone.clock.boottime_s()) == pytest.approx(0.9))
        assert becomes(lambda: float(phone.read("proc/uptime").split()[0]) > 21)


def test_what_goes_wrong_in_the_thread_is_told(phone: Phone, becomes: Becomes) -> None:
    battery = Battery(phone)
    phone.write("run/load/1", "soon much\n")
    battery.__enter__()
    assert becomes(lambda: battery._failure is not None)
    with pytest.raises(ValueError, match="could not convert"):
        battery.close()
    battery.close()
