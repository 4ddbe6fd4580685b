"""A whole emulated phone in one call: folder, battery and ADB device, opened together and gone together."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from profiler.emulator.adbd import EmulatedDevice
from profiler.emulator.battery import Battery
from profiler.emulator.connection import Options
from profiler.emulator.faults import FaultPlan
from profiler.emulator.gauge import Gauge
from profiler.emulator.phone import Condition, Phone
from profiler.emulator.shell import Intercept

# Outside 5555-5585, where adb looks for emulators of its own accord.
PORT = 15555


@dataclass(frozen=True)
class Demo:
    """The parts of a running emulated phone."""

    phone: Phone
    battery: Battery
    device: EmulatedDevice

    @property
    def address(self) -> str:
        """Where to connect: ``127.0.0.1:15555``."""
        return self.device.address


@contextlib.contextmanager
def demo_phone(
    port: int = 0,
    *,
    folder: Path | None = None,
    speed: float = 1.0,
    condition: Condition | None = None,
    supplies: tuple[str, ...] = ("battery",),
    gauge: Gauge | None = None,
    idle_w: float = 0.9,
    drift_w_per_s: float = 0.0,
    seed: int = 0,
    options: Options | None = None,
    plan: FaultPlan | None = None,
    intercept: Intercept | None = None,
) -> Iterator[Demo]:
    """Open an emulated phone; at the end nothing of it is left, but for the content of a ``folder`` that was given."""
    with (
        Phone(folder, speed=speed, condition=condition, supplies=supplies) as phone,
        Battery(
            phone, gauge, idle_w=idle_w, drift_w_per_s=drift_w_per_s, generator=np.random.default_rng(seed)
        ) as battery,
        EmulatedDevice(phone, port, options, plan, intercept) as device,
    ):
        yield Demo(phone, battery, device)


def serve(port: int = PORT, *, speed: float = 1.0, announce: Callable[[str], None], stop: threading.Event) -> None:
    """Run an emulated phone until ``stop`` is set or a signal ends the process; ``announce`` is told its address.

    Signals are only caught in the main thread, and given back at the end. Raises OSError if the port is taken.
    """

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with demo_phone(port, speed=speed, gauge=Gauge(noise=0.02)) as demo:
            announce(demo.address)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
