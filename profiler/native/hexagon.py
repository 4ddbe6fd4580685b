"""The Hexagon kernels on this machine: the program that checks them, built by zig, run by qemu's Hexagon emulator."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
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
_RUNS = re.compile(r"Trace \d+: 0x[0-9a-f]+ \[[0-9a-f]+/([0-9a-f]+)/")
_INSTRUCTION = re.compile(r"0x([0-9a-f]+):\s+0x[0-9a-f]+\s(.*)")
_HVX = re.compile(r"\b[VQ]\d")


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
    done = _run(command, words, content)
    return done.stdout, [json.loads(line) for line in done.stderr.decode().splitlines()]


def traced(program: str, words: tuple[object, ...], content: bytes) -> tuple[int, int]:
    """Return packets and packets with an HVX instruction, counted one by one from a trace of what the program runs.

    Slow and independent of the counters that ``emulated`` reports: only what lies between two readings of them counts.
    """
    with tempfile.TemporaryDirectory() as aside:
        log = Path(aside) / "log"
        command = [emulator(), "-cpu", _CORE, "-d", "in_asm,exec,nochain", "-D", str(log), program, *map(str, words)]
        _run(command, words, content)
        with log.open(encoding="utf-8", errors="replace") as lines:
            return _counted(lines)


def _counted(lines: Iterable[str]) -> tuple[int, int]:
    """Count a log of qemu: blocks of instructions when they are translated, and their addresses when they run."""
    blocks: dict[int, list[str]] = {}
    block: list[str] = []
    begins, inside, packets, hvx_packets = False, False, 0, 0
    for line in lines:
        if found := _RUNS.match(line):
            for packet in blocks[int(found[1], 16)]:
                inside = inside != ("pkt_cnt" in packet)
                packets += inside
                hvx_packets += inside and _HVX.search(packet) is not None
        elif line.startswith("IN:"):
            begins = True
        elif found := _INSTRUCTION.match(line):
            if begins:
                block = blocks[int(found[1], 16)] = []
                begins = False
            if "{" in found[2]:
                block.append("")
            block[-1] += found[2]
    return packets, hvx_packets


def _run(command: list[str], words: tuple[object, ...], content: bytes) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, input=content, capture_output=True, check=False)
    if done.returncode != 0:
        message = (
            f"check {words[0]}: exit code {done.returncode}, {printable(done.stderr.decode(errors='replace'), 300)}"
        )
        raise ValueError(message)
    return done
