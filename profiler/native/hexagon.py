"""The Hexagon kernels on this machine: the program that checks them, built by zig, run by qemu's Hexagon emulator."""

import json
import shutil
import subprocess
from typing import Any

from profiler.names import did_you_mean, printable
from profiler.native.build import SOURCES, Recipe, Tell, compiled
from profiler.native.compiler import CompilerMissing, find_compiler

# Those of the Xiaomi 10 (SM8250) and of the Xiaomi 11 Pro (SM8350).
ARCHITECTURES = ("v66", "v68")

_SHARED = ("kernels/model.c", "kernels/model.h", "kernels/fedjoule.h", "kernels/rounding.h")
_FLAGS = (
    "-std=c11",
    "-O3",
    "-s",
    "-static",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-DFJ_DSP_COUNTED",
    "-target",
    "hexagon-linux-musl",
)
_EMULATORS = ("qemu-hexagon-static", "qemu-hexagon")
# qemu 7.2 knows no later core; what v68 has beyond it the kernels do not use.
_CORE = "v67"


class EmulatorMissing(ValueError):
    """There is no qemu-hexagon; the message says what to install."""


def checker(architecture: str, tell: Tell | None = None) -> str:
    """Return the path of the program of hexagon/check.c for ``v66`` or ``v68``, built now unless it lies in the cache.

    Raises CompilerMissing without zig, and ValueError for another architecture or a failed build.
    """
    if architecture not in ARCHITECTURES:
        message = f"architecture {architecture[:40]!r} is unknown; {did_you_mean(architecture, ARCHITECTURES)}"
        raise ValueError(message)
    zig = find_compiler()
    if zig.kind != "zig":
        message = "only zig builds for Hexagon; pip install 'fedjoule[profile]'"
        raise CompilerMissing(message)
    folder = SOURCES / "hexagon"
    parts = tuple(f"hexagon/{path.name}" for path in sorted(folder.glob("*.[ch]")))
    core = f"-mcpu=hexagon{architecture}+hvx{architecture}+hvx_length128b"
    recipe = Recipe("check", SOURCES, (*parts, *_SHARED), (*_FLAGS, core), f"the Hexagon kernels for {architecture}")
    return str(compiled(recipe, zig, tell))


def emulator() -> str:
    """Return the path of qemu-hexagon. Raises EmulatorMissing if there is none."""
    for name in _EMULATORS:
        path = shutil.which(name)
        if path is not None:
            return path
    message = "qemu-hexagon is not installed; Debian has it in the package qemu-user-static"
    raise EmulatorMissing(message)


def emulated(program: str, words: tuple[object, ...], content: bytes) -> tuple[bytes, list[dict[str, Any]]]:
    """Return what the program writes for ``content`` on its input, and its JSON lines of counts.

    The counts are exact and the same in every run. How long the emulator takes says nothing about a DSP. Raises
    ValueError with what the program says if it refuses.
    """
    command = [emulator(), "-cpu", _CORE, program, *(str(word) for word in words)]
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode != 0:
        message = (
            f"check {words[0]}: exit code {done.returncode}, {printable(done.stderr.decode(errors='replace'), 300)}"
        )
        raise ValueError(message)
    return done.stdout, [json.loads(line) for line in done.stderr.decode().splitlines()]
