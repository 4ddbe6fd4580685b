"""What a process and all below it take: CPU seconds, memory and their number, from Linux's /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def below(root: int) -> list[int]:
    """Return the processes below ``root``, itself not among them."""
    parents = {
        int(entry.name): parent for entry in _PROC.iterdir() if entry.name.isdigit() for parent in _parent(entry)
    }
    found, seen = [root], {root}
    for pid in found:
        children = [child for child, parent in parents.items() if parent == pid and child not in seen]
        seen.update(children)
        found += children
    return found[1:]


def cpu_s(root: int) -> float:
    """Return the CPU seconds of all processes below ``root``, ended ones included; only differences mean something."""
    ticks = sum(sum(_times(pid)) for pid in below(root))
    return (ticks + sum(_times(root)[2:])) / _TICKS


def pss_bytes(root: int) -> int:
    """Return the memory of all processes below ``root``, what several share counted once."""
    total = 0
    for pid in below(root):
        for line in _lines(pid, "smaps_rollup"):
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _parent(entry: Path) -> Iterator[int]:
    for line in _lines(int(entry.name), "status"):
        if line.startswith("PPid:"):
            yield int(line.split()[1])


def _times(pid: int) -> tuple[int, ...]:
    """Return user and system ticks of a process, then those of its children that it has waited for; zeros if gone."""
    for line in _lines(pid, "stat"):
        fields = line.rpartition(")")[2].split()  # the name before may hold anything
        return tuple(int(field) for field in fields[11:15])
    return 0, 0, 0, 0


def _lines(pid: int, name: str) -> list[str]:
    try:
        return (_PROC / str(pid) / name).read_text(errors="replace").splitlines()
    except OSError:  # it has ended, or is not ours
        return []
