"""The check program: the kernels without Python, for processors of others under qemu and for sanitizers."""

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


@cache
def check_program(target: str = "") -> Path:
    """Return the program for a target by name, or for this machine; built now unless it lies in the cache."""
    chosen = TARGETS[target] if target else host_target()
    compiler = find_compiler()
    flags = (*compiler.flags(chosen), *FLAGS, "-O3", "-s")
    return compiled(Recipe("check", ROOT, PARTS, flags, f"the check program for {chosen.name}"), compiler)


@cache
def sanitized_check_program(*sanitizers: str) -> Path:
    """Return the program for this machine with sanitizers. Raises CompilerMissing without a compiler that has them."""
    compiler = sanitizing_compiler(sanitizers)
    # Not optimised: the fast paths are large, and optimising them with sanitizers takes minutes.
    flags = (*FLAGS, "-O0", "-g", "-fno-sanitize-recover=all", f"-fsanitize={','.join(sanitizers)}")
    return compiled(Recipe("check", ROOT, PARTS, flags, "the check program with sanitizers"), compiler)


def answers(command: Sequence[str | Path], cases: Sequence[str]) -> list[str]:
    """Return the lines that the program prints for the cases. A program that fails fails the test."""
    done = subprocess.run(
        [str(word) for word in command],
        input="".join(f"{case}\n" for case in cases),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stderr[-4000:]}"
    return done.stdout.splitlines()
