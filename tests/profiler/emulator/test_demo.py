"""A served phone is whole while it runs and gone afterwards, however it was ended."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.emulator import demo
from profiler.emulator.demo import demo_phone, serve
from profiler.emulator.gauge import Gauge
from profiler.emulator.processes import MARK, marked

Becomes = Callable[[Callable[[], bool]], bool]


def test_a_demo_phone_answers_measures_and_leaves_nothing(connect, becomes: Becomes) -> None:
    with demo_phone(speed=20, gauge=Gauge(period_s=0.5)) as running:
        folder = running.phone.folder
        client = connect(running.device)
        client.greet()
        assert running.address == running.device.address
        trainer = "demo_trainer --model lenet5 --precision fp32 --processor cpu --seconds 6"
        assert b'"kind":"end","rc":0' in client.run(f"exec:{trainer} | tail -1")
        assert (
            running.battery.energy_between(running.phone.clock.boottime_s() - 5, running.phone.clock.boottime_s()) > 5
        )
        client.run("exec:trap '' HUP; setsid sleep 100 >/dev/null 2>&1 &")
    assert not folder.exists()


def test_serving_ends_when_it_is_told(becomes: Becomes) -> None:
    stop, told = threading.Event(), []
    thread = threading.Thread(target=lambda: serve(0, announce=told.append, stop=stop))
    thread.start()
    assert becomes(lambda: bool(told))
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert told[0].startswith("127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_phone_and_all_that_ran_on_it(number: signal.Signals, tmp_path: Path, connect) -> None:
    script = (
        "import threading\n"
        "from profiler.emulator.demo import serve\n"
        "serve(0, announce=lambda address: print(address, flush=True), stop=threading.Event())\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    program = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    address = program.stdout.readline().strip()
    client = connect(type("Device", (), {"address": address}))
    client.greet()
    client.run("exec:trap '' HUP; setsid sh -c 'echo $$ >data/local/tmp/pid; sleep 100' >/dev/null 2>&1 & sleep 0.2")
    folder = next(tmp_path.iterdir())
    pid = int((folder / "data/local/tmp/pid").read_text())
    environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
    mark = next(entry.removeprefix(f"{MARK}=") for entry in environ if entry.startswith(MARK))
    assert pid in marked(mark)
    program.send_signal(number)
    assert program.wait(10) == 0
    program.stdout.close()
    assert list(tmp_path.iterdir()) == []
    assert not marked(mark)


def test_the_port_is_none_that_adb_looks_at_by_itself() -> None:
    assert not 5555 <= demo.PORT <= 5585
