"""The live battery of an emulated phone: a thread that knows the true power and shows what a gauge makes of it."""

import contextlib
import os
import threading
from types import TracebackType

import numpy as np
from numpy.random import Generator

from profiler.emulator.gauge import Cell, Gauge
from profiler.emulator.phone import FREQUENCIES_KHZ, Phone
from profiler.emulator.power import TruePower

# How often the thread looks, in our time: often enough for /proc/uptime, and cheap.
_FASTEST_S, _SLOWEST_S = 0.004, 0.01


class Battery:
    """Runs while it is open: advances /proc/uptime, follows what programs draw, and updates the gauge's files.

    A program draws power by a file ``run/load/<its pid>`` of lines ``<CLOCK_BOOTTIME> <watts>``, renewed as a whole.
    The times in it count, not when it was found; what a dead process drew ends when its death is noticed.
    While the phone charges, ``charger_w`` comes in, and the gauge shows the difference; the truth stays what is drawn.
    """

    def __init__(
        self,
        phone: Phone,
        gauge: Gauge | None = None,
        *,
        cell: Cell | None = None,
        idle_w: float = 0.9,
        drift_w_per_s: float = 0.0,
        charger_w: float = 7.0,
        generator: Generator | None = None,
    ) -> None:
        self.phone, self.gauge, self.cell = phone, gauge or Gauge(), cell or Cell()
        self._idle_w, self._drift, self._charger_w = idle_w, drift_w_per_s, charger_w
        self._generator = generator or np.random.default_rng(0)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._begin()

    def __enter__(self) -> "Battery":
        self._thread = threading.Thread(target=self._run, name="emulated battery")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop; closing twice is no error. Raises what went wrong in the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def energy_between(self, from_s: float, to_s: float) -> float:
        """Return the true energy in joules between two times of the phone's CLOCK_BOOTTIME since it started."""
        with self._lock:
            self._catch_up()
            return self._truth.energy_j(from_s, to_s)

    def power_at(self, at_s: float) -> float:
        """Return the true power in watts at a time of the phone's CLOCK_BOOTTIME."""
        with self._lock:
            self._catch_up()
            return self._truth.power_w(at_s)

    def draw(self, power_w: float) -> None:
        """Let something draw ``power_w`` more from now on, until it is taken away again with a negative power."""
        with self._lock:
            self._catch_up()
            self._truth.step(self.phone.clock.boottime_s(), power_w)

    def _begin(self) -> None:
        """Begin with the phone's present life: nothing is drawn but what it takes idle."""
        now_s = self.phone.clock.boottime_s()
        self._life = self.phone.life
        self._truth = TruePower(now_s, self._idle_w, self._drift)
        self._loads: dict[str, tuple[tuple[int, int, int], list[tuple[float, float]]]] = {}
        self._told_s, self._told_j = now_s, 0.0
        self._next_s = now_s
        self._level = self.phone.condition.level
        self._charge_ah = self.cell.capacity_ah * self._level / 100
        self._busy = False

    def _run(self) -> None:
        pause_s = min(max(0.01 / self.phone.clock.speed, _FASTEST_S), _SLOWEST_S)
        try:
            while not self._stop.wait(pause_s):
                self._look()
        except Exception as failure:  # shown by close: a thread has nobody to raise to
            self._failure = failure

    def _look(self) -> None:
        with self._lock:
            self._catch_up()
            self.phone.show_uptime()
            now_s = self.phone.clock.boottime_s()
            if now_s >= self._next_s:
                grid = (now_s - self.gauge.phase_s) // self.gauge.period_s
                self._update(grid * self.gauge.period_s + self.gauge.phase_s)
                self._next_s = (grid + 1) * self.gauge.period_s + self.gauge.phase_s

    def _catch_up(self) -> None:
        """Take in what has happened until now."""
        if self.phone.life != self._life:
            self._begin()
        self._follow_loads()

    def _follow_loads(self) -> None:
        folder = self.phone.path("run/load")
        present = set()
        try:
            with os.scandir(folder) as entries:
                present = {entry.name for entry in entries if entry.name.isdigit()}
        except FileNotFoundError:  # the phone is just restarting
            return
        for name in present:
            with contextlib.suppress(FileNotFoundError):
                self._follow(folder / name, name)
        for name in [name for name in self._loads if name not in present or not _alive(int(name))]:
            history = self._loads.pop(name)[1]
            if history and history[-1][1]:
                self._truth.step(self.phone.clock.boottime_s(), -history[-1][1])
            (folder / name).unlink(missing_ok=True)
        if self._busy != any(history and history[-1][1] for _, history in self._loads.values()):
            self._busy = not self._busy
            for number, frequencies in enumerate(FREQUENCIES_KHZ):
                file = f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq"
                self.phone.write(file, f"{frequencies[self._busy]}\n")

    def _follow(self, path: "os.PathLike[str]", name: str) -> None:
        found = os.stat(path)
        state = (found.st_ino, found.st_size, found.st_mtime_ns)
        seen, history = self._loads.get(name, ((0, 0, 0), []))
        if state == seen:
            return
        with open(path) as file:
            lines = [line.split() for line in file.read(1 << 20).splitlines()]
        changes = [(float(line[0]), float(line[1])) for line in lines if len(line) == 2]
        for at_s, power_w in changes[len(history) :]:
            before_w = history[-1][1] if history else 0.0
            self._truth.step(at_s, power_w - before_w)
            history.append((at_s, power_w))
        self._loads[name] = (state, history)

    def _update(self, at_s: float) -> None:
        """Show what the gauge tells at ``at_s``: the mean power since it last told, or the power at that moment."""
        seen_s = at_s - self.gauge.lag_s
        if seen_s <= self._told_s:
            return
        total_j = self._truth.energy_j(self._truth.start_s, seen_s)
        mean_w = (total_j - self._told_j) / (seen_s - self._told_s)
        power_w = mean_w if self.gauge.kind == "average" else self._truth.power_w(seen_s)
        incoming_w = self._charger_w if self.phone.charges() else 0.0
        if self.phone.condition.level != self._level:  # somebody has set it
            self._level = self.phone.condition.level
            self._charge_ah = self.cell.capacity_ah * self._level / 100
        mean_a = self.cell.current_a(mean_w - incoming_w, self._charge_ah)
        self._charge_ah -= mean_a * (seen_s - self._told_s) / 3600
        self._charge_ah = min(max(self._charge_ah, 0.0), self.cell.capacity_ah)
        self._told_s, self._told_j = seen_s, total_j
        self._show(self.cell.current_a(power_w - incoming_w, self._charge_ah))

    def _show(self, current_a: float) -> None:
        supply = self.phone.supplies[-1]
        folder = f"sys/class/power_supply/{supply}"
        voltage_v = self.cell.voltage_v(current_a, self._charge_ah)
        self.phone.write(f"{folder}/current_now", self.gauge.current(current_a, self._generator) + "\n")
        self.phone.write(f"{folder}/voltage_now", self.gauge.voltage(voltage_v) + "\n")
        self.phone.write(f"{folder}/charge_counter", f"{round(self._charge_ah * 1e6)}\n")
        self.phone.write("run/voltage_uv", f"{round(voltage_v * 1e6)}\n")
        level = round(100 * self._charge_ah / self.cell.capacity_ah)
        if level != self._level:
            self._level = level
            self.phone.change(level=level)
        else:
            self.phone.show_supply(supply)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
