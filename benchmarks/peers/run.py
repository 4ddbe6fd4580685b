"""Our training engine next to pfl, Flower, FedJAX and plain torch loops: one command, one table.

Run from the repository root: python benchmarks/peers/run.py [--rounds 5] [--repeats 2] [--only native,pfl]

Every engine runs in a process of its own, one after another, and in every repeat again; a peer in its own environment,
which the first run installs. README.md beside this file says what is measured and how.
"""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime

import engine_run
import environment
import table
import workload
from engine_run import Outcome
from entries import Entry, chosen

_MOST = 1000
_BUSY = 1.5  # an engine's own load lingers in the average when the next begins


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="timed rounds of every engine in every repeat; native ones have 8 times as many",
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", default="", help="engines whose names begin so, comma-separated")
    parser.add_argument("--limit-s", type=float, default=300, help="an engine that takes longer is ended")
    parser.add_argument("--install", action="store_true", help="make the peers' environments and end")
    options = parser.parse_args()
    if not 1 <= options.rounds <= _MOST or not 1 <= options.repeats <= _MOST:
        parser.error(f"--rounds and --repeats must be from 1 to {_MOST}")
    try:
        entries = chosen(options.only)
    except ValueError as error:
        parser.error(str(error))
    environment.BUILD.mkdir(parents=True, exist_ok=True)
    install(entries)
    if options.install:
        return
    workload.generate(workload.path())
    outcomes = measure(entries, options.rounds, options.repeats, options.limit_s)
    print(f"\n{about(options.rounds, options.repeats, outcomes)}\n\n{table.text(entries, outcomes)}")


def install(entries: list[Entry]) -> None:
    """Make the environments before anything is measured; what cannot be installed is said again in the table."""
    for name in sorted({entry.environment for entry in entries}):
        try:
            environment.python(name)
        except RuntimeError as error:
            print(f"{name}: {error}", file=sys.stderr)


def measure(entries: list[Entry], rounds: int, repeats: int, limit_s: float) -> list[list[Outcome]]:
    """Return the outcomes of every repeat; each second one goes through the engines backwards.

    An engine that failed is not tried again. All figures go to build/peers/outcomes.jsonl, too.
    """
    engine_run.adopt_orphans()
    kept = environment.BUILD / "outcomes.jsonl"
    kept.write_text("")
    failed: dict[str, Outcome] = {}
    outcomes = []
    for repeat in range(repeats):
        found = []
        for entry in entries if repeat % 2 == 0 else entries[::-1]:
            outcome = failed.get(entry.name) or engine_run.run(entry, rounds * entry.more_rounds, limit_s)
            if outcome.reason:
                failed[entry.name] = outcome
            line = {"repeat": repeat, "engine": entry.name, **outcome.figures, "reason": outcome.reason}
            with kept.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{repeat + 1}/{repeats} {entry.name:15s} {table.brief(outcome)}", file=sys.stderr, flush=True)
            found.append(outcome)
        outcomes.append(found)
    return outcomes


def about(rounds: int, repeats: int, outcomes: list[list[Outcome]]) -> str:
    """Return what the table's figures depend on."""
    loads = [outcome.figures["load"] for found in outcomes for outcome in found if "load" in outcome.figures]
    load = f"{min(loads):.1f} to {max(loads):.1f}" if loads else "unknown"
    load += " (too much for wall-clock figures)" if loads and max(loads) > _BUSY else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}; {repeats} x {rounds} timed rounds; load before the runs {load}"
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
