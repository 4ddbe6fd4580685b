"""The runner as a process: built for this machine, started with flags, and its lines read."""

import functools
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl_sim.int8 import oracle
from profiler.native.build import built
from profiler.native.compiler import CompilerMissing
from profiler.native.target import host_target

TINY = "8x8x1:conv4k3,pool,fc10"
LONGEST_S = 60.0


@functools.cache
def runner() -> Path:
    """Return the program for this machine."""
    return built("runner", host_target())


@functools.cache
def sanitized_runner() -> Path:
    """Return the program that ends at any access outside of memory, and at arithmetic that C does not define."""
    try:
        return built("runner", host_target(), sanitize=("address", "undefined"))
    except CompilerMissing as error:
        pytest.skip(str(error))


def flags(model: str = TINY, precision: str = "int8", **changes: Any) -> list[str]:
    """Return the flags of a short run, with changes; one that is None is left out."""
    said: dict[str, Any] = {"model": model, "precision": precision, "batch-size": 5, "batches": 4}
    said |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [word for name, value in said.items() if value is not None for word in (f"--{name}", str(value))]


@dataclass(frozen=True)
class Done:
    """A run that has ended."""

    rc: int
    out: bytes
    said: str

    @functools.cached_property
    def lines(self) -> list[dict[str, Any]]:
        """The lines; none may be torn."""
        return [json.loads(line) for line in self.out.decode("ascii").splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the lines of one kind."""
        return [line for line in self.lines if line["kind"] == kind]

    @property
    def end(self) -> dict[str, Any]:
        """The last line."""
        (end,) = self.of("end")
        assert self.lines[-1] == end
        return end


def ran(words: Sequence[str | Path], program: Path | None = None, **how: Any) -> Done:
    """Run the program to its end."""
    done = subprocess.run([program or runner(), *words], capture_output=True, timeout=LONGEST_S, check=False, **how)
    return Done(done.returncode, done.stdout, done.stderr.decode("ascii"))


def checksum(**changes: Any) -> str:
    """Return the checksum of a run that went well."""
    done = ran(flags(**changes))
    assert (done.rc, done.said) == (0, "")
    return str(done.end["checksum"])


def refused(done: Done, code: int = 2) -> str:
    """Return the one line, safe to print, with which the program refused to run."""
    assert (done.rc, done.out) == (code, b""), done.said
    assert done.said.startswith("fedjoule-runner: ")
    assert done.said.endswith("\n")
    assert done.said.count("\n") == 1
    assert done.said[:-1].isprintable()
    return done.said


def image_file(path: Path, shape: tuple[int, int, int], count: int, classes: int) -> Path:
    """Write random images and labels as --data takes them."""
    random = np.random.default_rng(count)
    images = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = random.integers(0, classes, count, dtype=np.uint16)
    head = f"fedjoule-images 1 {shape[0]} {shape[1]} {shape[2]} {count} {classes}\n".encode()
    path.write_bytes(head + images.tobytes() + labels.astype("<u2").tobytes())
    return path


def fnv(*parts: bytes) -> str:
    """Return FNV-1a of some bytes, as the program prints it."""
    total = 0xCBF29CE484222325
    for byte in b"".join(parts):
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return f"{total:016x}"


def drawn(seed: int, batch: int, batch_size: int, count: int) -> list[int]:
    """Return which images batch number ``batch`` is made of."""
    key = oracle.random_key(seed, batch, 0, 0)
    return [int(word) * count >> 32 for word in oracle.random_word(key, np.arange(batch_size))]
