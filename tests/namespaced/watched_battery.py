"""The battery of a namespaced phone, outside of it: it sees how busy the phone's processes are and draws accordingly.

The power is ``idle_w + core_w x busy cores``: invented, but driven by what really runs, and the truth is kept.
"""

import contextlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from profiler.emulator.gauge import Cell, Gauge
from profiler.emulator.phone import FREQUENCIES_KHZ, Phone

_PERIOD_S = 0.02
_BUSY_CORES = 0.5  # from here on the CPUs show their highest frequency


class CpuTime:
    """The CPU time of a phone's processes but the first, which only serves it, read from the phone's own /proc."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._seen_ns: dict[tuple[str, str], int] = {}

    def more_s(self) -> float:
        """Return what they have used since the last call; what a thread used after its last look is not seen."""
        now_ns: dict[tuple[str, str], int] = {}
        for pid in os.listdir(self._proc):
            if pid.isdigit() and pid != "1":
                # A process may end at any moment.
                with contextlib.suppress(OSError, IndexError):
                    for thread in os.listdir(self._proc / pid / "task"):
                        text = (self._proc / pid / "task" / thread / "schedstat").read_bytes()
                        now_ns[pid, thread] = int(text.split()[0])
        more_ns = sum(max(used - self._seen_ns.get(thread, 0), 0) for thread, used in now_ns.items())
        self._seen_ns = now_ns
        return more_ns * 1e-9


class WatchedBattery:
    """Runs while it is open: looks at the processes, keeps the true energy, and updates the gauge's files."""

    def __init__(
        self,
        phone: Phone,
        proc: Path,
        gauge: Gauge | None = None,
        *,
        cell: Cell | None = None,
        idle_w: float = 0.9,
        core_w: float = 4.0,
        seed: int = 0,
    ) -> None:
        self.phone, self.gauge, self.cell = phone, gauge or Gauge(), cell or Cell()
        self._idle_w, self._core_w = idle_w, core_w
        self._generator = np.random.default_rng(seed)
        self._cpu = CpuTime(proc)
        self._cpu.more_s()
        now_s = boottime_s()
        # The phone's CLOCK_BOOTTIME, the energy drawn until then, and the CPU time used until then.
        self._curve: list[tuple[float, float, float]] = [(now_s, 0.0, 0.0)]
        self._told_s, self._next_s = now_s, now_s
        self._charge_ah = self.cell.capacity_ah * phone.condition.level / 100
        self._fast = False
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="watched battery")

    def __enter__(self) -> "WatchedBattery":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def energy_between(self, from_s: float, to_s: float) -> float:
        """Return the true energy in joules between two times of the phone's CLOCK_BOOTTIME."""
        return self._between(from_s, to_s, 1)

    def cpu_between(self, from_s: float, to_s: float) -> float:
        """Return the CPU time in seconds that the phone's processes used between two times of its CLOCK_BOOTTIME."""
        return self._between(from_s, to_s, 2)

    def _between(self, from_s: float, to_s: float, column: int) -> float:
        with self._lock:
            curve = np.asarray(self._curve)
        first, last = np.interp([from_s, to_s], curve[:, 0], curve[:, column])
        return float(last - first)

    def _run(self) -> None:
        try:
            while not self._stop.wait(_PERIOD_S):
                self._look()
        except Exception as failure:  # shown at the end: a thread has nobody to raise to
            self._failure = failure

    def _look(self) -> None:
        used_s, now_s = self._cpu.more_s(), boottime_s()
        before_s, before_j, before_cpu_s = self._curve[-1]
        drawn_j = self._idle_w * (now_s - before_s) + self._core_w * used_s
        with self._lock:
            self._curve.append((now_s, before_j + drawn_j, before_cpu_s + used_s))
        fast = used_s > _BUSY_CORES * (now_s - before_s)
        if fast != self._fast:
            self._fast = fast
            for number, frequencies in enumerate(FREQUENCIES_KHZ):
                file = f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq"
                self.phone.write(file, f"{frequencies[fast]}\n")
        if now_s >= self._next_s:
            grid = now_s // self.gauge.period_s
            self._next_s = (grid + 1) * self.gauge.period_s
            self._tell(grid * self.gauge.period_s - self.gauge.lag_s)

    def _tell(self, seen_s: float) -> None:
        """Show what the gauge tells of the time until ``seen_s``; it stands for a whole period."""
        if seen_s <= self._told_s:
            return
        mean_w = self.energy_between(self._told_s, seen_s) / (seen_s - self._told_s)
        shown_w = mean_w
        if self.gauge.kind == "instant":
            shown_w = self.energy_between(seen_s - _PERIOD_S, seen_s) / _PERIOD_S
        self._charge_ah -= self.cell.current_a(mean_w, self._charge_ah) * (seen_s - self._told_s) / 3600
        self._told_s = seen_s
        current_a = self.cell.current_a(shown_w, self._charge_ah)
        voltage_v = self.cell.voltage_v(current_a, self._charge_ah)
        supply = self.phone.supplies[-1]
        folder = f"sys/class/power_supply/{supply}"
        self.phone.write(f"{folder}/current_now", self.gauge.current(current_a, self._generator) + "\n")
        self.phone.write(f"{folder}/voltage_now", self.gauge.voltage(voltage_v) + "\n")
        self.phone.write(f"{folder}/charge_counter", f"{round(self._charge_ah * 1e6)}\n")
        self.phone.write("run/voltage_uv", f"{round(voltage_v * 1e6)}\n")
        level = round(100 * self._charge_ah / self.cell.capacity_ah)
        if level != self.phone.condition.level:
            self.phone.change(level=level)
        else:
            self.phone.show_supply(supply)


def boottime_s() -> float:
    """Return the phone's clock, which is this machine's: CLOCK_BOOTTIME in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
