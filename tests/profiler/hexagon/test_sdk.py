"""The glue for users of the Hexagon SDK, compiled against headers written by hand and run without a second processor.

Client and skel are one program here: what they say to each other, what they refuse and what they print is checked;
FastRPC itself, the vendor's tools and a phone are not.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.native.build import Recipe, compiled
from profiler.native.compiler import find_compiler
from profiler.native.hexagon import emulator
from profiler.workload.reading import Reading, read_output
from profiler.workload.workload import Workload
from profiler.workload.workload_file import read_workloads
from tests.profiler.hexagon.cases import program

ROOT = Path(__file__).parents[3]
KERNELS = Path("profiler/runner/hexagon")
FLAGS = (
    *("-std=gnu11", "-O3", "-s", "-static", "-Wall", "-Wextra", "-Werror"),
    *("-target", "hexagon-linux-musl", "-mcpu=hexagonv66+hvxv66+hvx_length128b"),
    *("-Itests/profiler/hexagon/sdk", "-Iprofiler/runner/kernels"),
)


@pytest.fixture(scope="module")
def client() -> Path:
    program("v66")  # skips where there is no compiler or emulator
    here = sorted(str(path.relative_to(ROOT)) for path in (ROOT / KERNELS).glob("*.[ch]") if path.name != "check.c")
    shared = [f"profiler/runner/kernels/{name}" for name in ("model.c", "model.h", "fedjoule.h", "rounding.h")]
    glue = [str(KERNELS / "sdk" / name) for name in ("client.c", "skel.c")]
    parts = (*here, *shared, *glue, "tests/profiler/hexagon/sdk")
    return compiled(Recipe("client", ROOT, parts, FLAGS, "the DSP's client and skel in one"), find_compiler())


@pytest.fixture(scope="module")
def workloads() -> dict[str, Workload]:
    return {workload.name: workload for workload in read_workloads(ROOT / KERNELS / "sdk" / "workload.toml")}


def run(client: Path, *words: object) -> "subprocess.CompletedProcess[bytes]":
    command = [emulator(), "-cpu", "v67", str(client), *map(str, words)]
    return subprocess.run(command, capture_output=True, check=False)


def reading(client: Path, workload: Workload, batches: int) -> Reading:
    words = workload.command.format(
        model=workload.model, batch_size=workload.batch_size, batches=batches, warmup=workload.warmup
    ).split()
    done = run(client, *words[1:])
    assert (done.returncode, done.stderr) == (0, b"")
    return read_output(workload, done.stdout, {})


def test_a_run_is_read_as_the_workload_file_has_it(client: Path, workloads: dict[str, Workload]) -> None:
    first, second = (reading(client, workloads["dsp_train"], 3) for _ in range(2))
    assert (first.batches, first.warmup_batches, first.problems) == (3, 5, ())
    assert first.checksum == second.checksum
    assert reading(client, workloads["dsp_train"], 4).checksum != first.checksum
    assert set(first.parts_ms) == {"transfer", "train"}


def test_an_empty_call_trains_nothing(client: Path, workloads: dict[str, Workload]) -> None:
    few, more = (reading(client, workloads["dsp_empty_call"], count) for count in (2, 6))
    assert (few.batches, few.problems) == (2, ())
    assert few.checksum == more.checksum


def test_another_model_than_the_file_says_is_invalid(client: Path, workloads: dict[str, Workload]) -> None:
    done = run(client, "train", "4x4x1:fc2", 0, 5, 1, 0)
    assert read_output(replace(workloads["dsp_train"], warmup=0), done.stdout, {}).problems


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ((), "train|empty MODEL"),
        (("train", "lenet6", 0, 5, 1, 0), "no height of the input"),
        (("train", "lenet5", 0, 0, 1, 0), "BATCH_SIZE must be a whole number from 1 to 4096 (got 0)"),
        (("train", "lenet5", "x", 1, 1, 0), "CLASSES must be a whole number"),
        (("train", "lenet5", 10, 1, "", 0), "BATCHES must be a whole number"),
    ],
)
def test_arguments_that_will_not_do_are_refused(client: Path, words: tuple[object, ...], rule: str) -> None:
    done = run(client, *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert rule in done.stderr.decode()
