"""How long the command takes to start, beside what it cannot do without: Python itself and its libraries' imports.

Run with `make bench`. Wall-clock of the best of several runs, and ratios measured in the same run.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

FEDJOULE = str(Path(sys.executable).parent / "fedjoule")


def best(command: list[str], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        python = best([sys.executable, "-c", "pass"])
        libraries = best([sys.executable, "-c", "import click, pandas, rich.table"])
        rows = [
            ("python -c pass", python, python),
            ("fedjoule --help", best([FEDJOULE, "--help"]), python),
            ("import click, pandas, rich", libraries, libraries),
            ("fedjoule tables", best([FEDJOULE, "tables"]), libraries),
            ("fedjoule tables --out (all files)", best([FEDJOULE, "tables", "--out", folder], 3), libraries),
        ]
    for name, seconds, peer in rows:
        print(f"{name:36s} {seconds:6.3f} s   {seconds / peer:5.2f} x its floor")


if __name__ == "__main__":
    main()
