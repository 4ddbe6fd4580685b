"""How evenly the native sampler and the shell's sample every 100 ms, and what they take of a core; ratios in one run.

Run from the repository root, on a machine that has little else to do: python benchmarks/sampler.py [seconds]. Each
shell that is there (dash, and mksh as on a phone) is compared, first on an idle machine, then with every core busy.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from profiler.campaign.job import script
from profiler.native.build import built
from profiler.native.target import host_target
from profiler.power.samples import read_samples

PERIOD_MS = 100
VALUES = {"current": "-312000", "voltage": "3987000", "charge": "2500000", "temperature": "301", "level": "72"}


def sampled(name: str, words: list[str], folder: Path) -> tuple[np.ndarray, float]:
    """Run a sampler to its end; return the steps between its rows in ms, and the CPU time it took for one in us."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    times_s = read_samples((folder / name).read_bytes()).time_s
    return 1e3 * np.diff(times_s), 1e6 * cpu_s / len(times_s)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    program = built("sampler", host_target(), tell=print)
    for load in (0, os.cpu_count() or 1):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
        try:
            compare(program, seconds, f"{load} busy processes")
        finally:
            for process in busy:
                process.kill()
                process.wait()


def compare(program: Path, seconds: float, title: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sampler.sh").write_bytes(script("sampler.sh"))
        for column, value in VALUES.items():
            (folder / column).write_text(f"{value}\n")
        header, files = ",".join(VALUES), list(VALUES)
        print(f"{title}, {seconds:g} s each\n  sampler    sd ms   longest ms   CPU us a row   ratio")
        own_us = 0.0
        for shell in ("native", "dash", "mksh"):
            if shell != "native" and shutil.which(shell) is None:
                continue
            until_ms = round(1e3 * (time.clock_gettime(time.CLOCK_BOOTTIME) + seconds))
            words = [str(program), "--period-ms", str(PERIOD_MS), "--deadline-ms", str(until_ms), shell, header, *files]
            if shell != "native":
                words = [shell, "sampler.sh", shell, str(PERIOD_MS // 10), str(until_ms // 10), "/proc/uptime"]
                words += [header, *files]
            steps_ms, cpu_us = sampled(shell, words, folder)
            own_us = own_us or cpu_us
            spread = f"{steps_ms.std(ddof=1):7.2f} {steps_ms.max():12.1f}"
            print(f"  {shell:8} {spread} {cpu_us:14.0f} {cpu_us / own_us:7.1f}")


if __name__ == "__main__":
    main()
