"""The check program: the kernels without Python, for processors of others under qemu and for sanitizers."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from profiler.native.build import Recipe, compiled
from profiler.native.compiler import find_compiler, sanitizing_compiler
from profiler.native.target import TARGETS, host_target

ROOT = Path(__file__).parents[3]
PARTS = ("profiler/runner/kernels", "tests/profiler/runner/check.c")
FLAGS = (
    "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-Wall", "-Wextra", "-pthread", "-D_GNU_SOURCE=",
    "-Iprofiler/runner/kernels",
)  # fmt: skip
SANITIZERS = ("address", "undefined")


@cache
def check_program(target: str = "") -> Path:
    """Return the program for a target by name, or for this machine; built now unless it lies in the cache."""
    chosen = TARGETS[target] if target else host_target()
    compiler = find_compiler()
    flags = (*compiler.flags(chosen), *FLAGS, "-O3", "-s")
    return compiled(Recipe("check", ROOT, PARTS, flags, f"the check program for {chosen.name}"), compiler)


@cache
def sanitized_check_program() -> Path:
    """Return the program for this machine with the sanitizers. Raises CompilerMissing without a compiler that can."""
    compiler = sanitizing_compiler(SANITIZERS)
    flags = (
        *FLAGS,
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fno-sanitize-recover=all",
        "-fsanitize=address,undefined",
    )
    return compiled(Recipe("check", ROOT, PARTS, flags, "the check program with sanitizers"), compiler)


def answers(command: Sequence[str | Path], cases: Sequence[str]) -> list[str]:
    """Return the lines that the program prints for the cases. A program that fails fails the test."""
    done = subprocess.run(
        [str(word) for word in command],
        input="".join(f"{case}\n" for case in cases),
        env=os.environ | {"UBSAN_OPTIONS": "print_stacktrace=1", "ASAN_OPTIONS": "detect_leaks=1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout.splitlines()
