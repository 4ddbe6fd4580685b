"""Runs the experiments of a folder: every configuration with every seed, resumable, several at a time.

    python experiments/run.py femnist --data-dir DATA [--seeds 0 1 2] [--jobs 2] [--only e1_ k20_] [--out runs]

A run that has ended is not run again, one that was stopped goes on.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent


def command(config: Path, seed: int, run: Path, data_dir: str) -> list[str]:
    """Return the command that begins a run or goes on with it."""
    fedjoule = str(Path(sys.executable).with_name("fedjoule"))
    words = [fedjoule, "train", "--workers", "1", "--data-dir", data_dir, "--out", str(run)]
    if (run / "config.toml").exists():
        return [*words, "--resume"]
    return [*words, "--config", str(config), "--seed", str(seed)]


def run_one(config: Path, seed: int, run: Path, data_dir: str) -> str:
    """Run one configuration with one seed; return a line about it."""
    if (run / "manifest.json").exists():
        return f"{run}: done before"
    done = subprocess.run(command(config, seed, run, data_dir), capture_output=True, text=True, check=False)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return f"{run}: {said[-1] if said else f'exit code {done.returncode}'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=sorted(path.name for path in HERE.iterdir() if path.is_dir()))
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", default=[""], help="configurations whose names begin so")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    configs = sorted(
        path for path in (HERE / asked.experiment).glob("*.toml") if path.stem.startswith(tuple(asked.only))
    )
    pairs = [(config, seed) for seed in asked.seeds for config in configs]
    with ThreadPoolExecutor(asked.jobs) as pool:
        jobs = [
            pool.submit(run_one, config, seed, asked.out / asked.experiment / f"{config.stem}-{seed}", asked.data_dir)
            for config, seed in pairs
        ]
        for number, job in enumerate(jobs, start=1):
            print(f"[{number}/{len(jobs)}] {job.result()}", flush=True)


if __name__ == "__main__":
    main()
