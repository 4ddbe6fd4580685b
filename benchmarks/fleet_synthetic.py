"""How long synthetic fleets take to make, and how much memory: a process of its own for each size.

Run from the repository root: python benchmarks/fleet_synthetic.py [fleet]. The goal is the project's own: ten million
phones in seconds and under 1 GB, with all that was imported.
"""

import resource
import subprocess
import sys
import time

import numpy as np

from traces.fleet import ready
from traces.synthetic import find_statistics, synthetic_fleet

SIZES = (1_000, 1_000_000, 10_000_000)


def measure(name: str, phones: int) -> None:
    statistics = find_statistics(name)
    begun_s = time.perf_counter()
    fleet = synthetic_fleet(statistics, phones, seed=1)
    made_s = time.perf_counter() - begun_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    asked = np.arange(min(phones, 1_000_000))
    begun_s = time.perf_counter()
    share = np.mean(ready(fleet, asked, 4 * 3600.0))
    asked_s = time.perf_counter() - begun_s
    print(
        f"{name:>9} {phones:>11,} phones: made in {made_s:5.2f} s, peak {peak_mb:4.0f} MB;"
        f" {len(asked):>9,} asked in {asked_s:5.3f} s, {share:.1%} ready at 4:00"
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        for fleet in sys.argv[1:] or ("flash", "fedscale", "paper"):
            for size in SIZES:
                subprocess.run([sys.executable, __file__, fleet, str(size)], check=True)
