"""Any program's output, read with a regular expression or by the keys of JSON lines that the workload file gives."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from profiler.workload.lines import Lines, nothing_read, number
from profiler.workload.pattern_groups import PARTS, TIMES_MS
from profiler.workload.reading import Array, Counts, Reading, discarded, of_blocks
from profiler.workload.workload import Workload

# Some regular expressions take exponential time on some lines, and the lines are not ours: the search runs in a
# process of its own that is ended after this time.
LONGEST_S = 20.0
_MATCHER = Path(__file__).with_name("line_matcher.py")
_DEEPEST_KEY = 8
_MOST_BATCHES = 10**9


def read_regex(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of the lines in which the workload's pattern is found. Raises ValueError."""
    return _reading(workload, lines, _search(workload.pattern or "", lines.rows, LONGEST_S), "a line with the pattern")


def read_keys(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of the JSON lines that have the workload's keys (``stats.time`` for a nested one)."""
    found = []
    for row in lines.rows:
        if row.startswith("{"):
            try:
                entry = json.loads(row)
            except (ValueError, RecursionError):
                continue
            found.append({name: _inner(entry, key) for name, key in workload.keys.items()})
    return _reading(workload, lines, found, f"a JSON line with {', '.join(workload.keys.values())[:80]}")


def _inner(entry: object, key: str) -> str | None:
    for name in key.split(".", _DEEPEST_KEY):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return repr(entry) if type(entry) in (int, float) else None


def _search(pattern: str, rows: Sequence[str], longest_s: float) -> list[dict[str, str | None]]:
    """Return the named groups of the first match in each line that has one. Raises ValueError if it takes too long."""
    task = json.dumps({"pattern": pattern, "rows": rows})
    words = [sys.executable, "-I", "-S", str(_MATCHER)]
    try:
        done = subprocess.run(words, input=task.encode(), capture_output=True, check=True, timeout=longest_s)
    except subprocess.TimeoutExpired as error:
        message = (
            f"the pattern took longer than {longest_s:g} s on this output; make it simpler, without nested repeats"
        )
        raise ValueError(message) from error
    except subprocess.CalledProcessError as error:
        message = "the pattern could not be searched for; make it simpler"
        raise ValueError(message) from error
    found: list[dict[str, str | None]] = json.loads(done.stdout)
    return found


def _reading(workload: Workload, lines: Lines, found: Sequence[Mapping[str, str | None]], expected: str) -> Reading:
    """Return the reading of lines that each tell the time of one batch, or of as many as they or the workload say."""
    rows = [{name: number(text) for name, text in groups.items()} for groups in found]
    time = next((name for row in rows[:1] for name in row if name in TIMES_MS), "time_ms")
    times_ms, counts, kept = [], [], []
    for row in rows:
        time_ms, count = row.get(time), row.get("batches", workload.batches_per_line)
        if time_ms is not None and count is not None and 1 <= count <= _MOST_BATCHES and count == int(count):
            times_ms.append(time_ms * TIMES_MS[time])
            counts.append(int(count))
            kept.append(row)
    left_out = discarded(workload, np.array(counts, dtype=np.int64)) if counts else 0
    if len(times_ms) <= left_out:
        after = f", after {workload.warmup} batches of warm-up" if left_out else ""
        raise nothing_read(lines, expected + after)
    blocks = np.array(counts[left_out:], dtype=np.int64)
    reading = of_blocks(np.array(times_ms[left_out:]), blocks)
    done = sum(counts[:left_out])
    skipped = len(rows) - len(kept)
    return replace(
        reading,
        warmup_batches=done,
        warmup_ms=sum(times_ms[:left_out]) / done if done else None,
        parts_ms=_parts(kept[left_out:], TIMES_MS[time], blocks),
        accuracy=_last(kept, "accuracy"),
        loss=_last(kept, "loss"),
        notes=(f"{skipped} matching lines have no usable time or number of batches",) if skipped else (),
    )


def _parts(rows: Sequence[Mapping[str, float | None]], ms: float, blocks: Counts) -> dict[str, Array | float]:
    """Return the times of the parts that every line has, per batch; a mean where lines are of several batches."""
    parts: dict[str, Array | float] = {}
    for name in PARTS:
        values = [value for row in rows if (value := row.get(name)) is not None]
        if len(values) == len(rows):
            times_ms = np.array(values) * ms
            parts[name] = times_ms if (blocks == 1).all() else float(times_ms.sum() / blocks.sum())
    return parts


def _last(rows: Sequence[Mapping[str, float | None]], name: str) -> float | None:
    return next((value for row in reversed(rows) if (value := row.get(name)) is not None), None)
