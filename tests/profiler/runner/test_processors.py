"""The kernels on other processors, under qemu, and with sanitizers: the sums equal those of this machine."""

import itertools
import shutil
from functools import cache
from pathlib import Path

import pytest

from profiler.native.compiler import CompilerMissing
from tests.profiler.runner.check_program import answers, check_program, sanitized_check_program

# qemu's model of a processor, and what must be found on it.
PROCESSORS = [
    ("aarch64-linux", "qemu-aarch64-static", "cortex-a57", {"scalar", "neon"}),
    ("aarch64-linux", "qemu-aarch64-static", "cortex-a76", {"scalar", "neon", "dotprod"}),
    ("aarch64-linux", "qemu-aarch64-static", "max", {"scalar", "neon", "dotprod", "i8mm"}),
    ("armv7-android", "qemu-arm-static", "cortex-a15", {"scalar", "neon"}),
]
SHAPES = [
    "1x1x5:fc3,fc2",
    "5x5x1:conv1k1,fc2",
    "7x9x3:conv5k3p1,pool,fc4",
    "9x7x3:conv5k5p2,conv3k3,pool,fc7,fc5",
    "8x8x20:conv50k5,pool,fc62",
    "13x11x5:conv20k3p1,conv20k3p1,pool,conv50k3,pool,fc50,fc10",
    "5x33x2:conv33k3p2,pool,fc17",
    "6x6x64:conv65k3p1,pool,fc10",
    "10x10x3:conv8k2,pool,conv8k4,fc9",
    "5x41x1:conv5k3p2,pool,conv4k2,fc3",
    "8x10x1:conv16k4p1,pool,conv3k2,fc3",
    "9x11x2:conv16k3,conv5k5p1,pool,fc3",
    "8x8x1:conv32k3p1,pool,conv33k3,fc5",
]
LENET = "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62"
ROUNDINGS, INPUTS = (0, 1, 2), (0, 1, 2, 3)

# MODEL BATCH_SIZE BATCH STEPS MU ROUNDING INPUTS
INT8 = (
    *(f"int8 {model} 8 {batch} {steps} 3 0 0" for model in SHAPES for batch, steps in ((1, 2), (5, 1))),
    *(f"int8 {SHAPES[3]} 4 4 2 {mu} {rounding} 0" for mu in (-1, 6) for rounding in ROUNDINGS),
    *(f"int8 {SHAPES[4]} 4 4 2 3 0 {inputs}" for inputs in INPUTS),
    f"int8 {SHAPES[5]} 24 24 1 5 0 0",
    f"int8 {LENET} 5 5 1 3 0 0",
    "int8 1x2x3000:fc40,fc2 2 2 1 3 0 3",
)
# MODEL BATCH_SIZE BATCH STEPS BIAS
FP32 = (
    *(f"fp32 {model} 8 {5 - bias} {2 - bias} {bias}" for model in SHAPES for bias in (0, 1)),
    f"fp32 {LENET} 5 5 1 1",
)
QUANTIZE = tuple(f"quantize {size} {seed}" for size in (1, 7, 16, 33, 1000) for seed in (0, 3, 17, 31))
# Sanitizers slow the plain loops down a hundredfold: one step of few images.
SANITIZED = (
    *(f"int8 {model} 3 2 1 3 {rounding} 0" for model in SHAPES for rounding in (0, 2)),
    *(f"int8 {SHAPES[4]} 2 2 1 {mu} 0 {inputs}" for mu in (-31, 31) for inputs in INPUTS),
    *(f"fp32 {model} 3 2 1 {bias}" for model in SHAPES for bias in (0, 1)),
    *(f"{precision} {LENET} 1 1 1 0{rest}" for precision, rest in (("int8", " 0 0"), ("fp32", ""))),
    *QUANTIZE,
)

RACES = tuple(
    case for model in (SHAPES[3], SHAPES[5]) for case in (f"int8 {model} 3 3 2 3 2 0", f"fp32 {model} 5 5 2 1")
)


def by_case(lines: list[str], cases: int) -> list[list[list[str]]]:
    """Return the words of each line, by case. Each case begins with the scalar path and, if threads count, with one."""
    words = [line.split() for line in lines]
    starts = [i for i, line in enumerate(words) if line[0] == "scalar" and line[1] != "3"]
    found = [words[a:b] for a, b in itertools.pairwise([*starts, len(words)])]
    assert len(found) == cases
    return found


def result(case: str, line: list[str]) -> tuple[str, ...]:
    """Return what every path and number of threads must have in common; FP32 must be near the scalar path."""
    found = tuple(line[1:] if case.startswith("quantize") else line[2:])
    assert not case.startswith("fp32") or found == ("far", "0", "same"), f"{case}: {line}"
    return found


@cache
def here(cases: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return each case's result on this machine, on which all its paths agreed."""
    results = []
    for case, lines in zip(cases, by_case(answers([check_program()], cases), len(cases)), strict=True):
        found = {result(case, line) for line in lines}
        assert len(found) == 1, f"{case}: {lines}"
        results.extend(found)
    return results


def emulated(target: str, qemu: str, cpu: str) -> list[str]:
    if shutil.which(qemu) is None:
        pytest.skip(f"{qemu} is not installed (Debian: qemu-user-static)")
    return [qemu, "-cpu", cpu, str(check_program(target))]


@pytest.mark.parametrize("cases", [INT8, FP32, QUANTIZE], ids=["int8", "fp32", "quantize"])
@pytest.mark.parametrize(("target", "qemu", "cpu", "paths"), PROCESSORS)
def test_other_processors(target: str, qemu: str, cpu: str, paths: set[str], cases: tuple[str, ...]) -> None:
    lines = by_case(answers(emulated(target, qemu, cpu), cases), len(cases))
    for case, found, expected in zip(cases, lines, here(cases), strict=True):
        assert {line[0] for line in found} == paths, case
        assert {result(case, line) for line in found} == {expected}, f"{case}: {found}"


def sanitized(*sanitizers: str) -> Path:
    try:
        return sanitized_check_program(*sanitizers)
    except CompilerMissing as missing:
        pytest.skip(str(missing))


def test_sanitizers_find_nothing() -> None:
    """Addresses, undefined behaviour and leaks, on every path of this processor; the results are the others'."""
    program = sanitized("address", "undefined")
    lines = by_case(answers([program], SANITIZED), len(SANITIZED))
    for case, found, expected in zip(SANITIZED, lines, here(SANITIZED), strict=True):
        assert {result(case, line) for line in found} == {expected}, f"{case}: {found}"
    answers([program], [f"round {s} {s} {x} 7" for s in range(-3, 32) for x in (0, 1, -1, 2**31 - 1, -(2**31) + 1)])


def test_every_task_of_a_pool_is_done_once() -> None:
    cases = [f"pool {threads} 100000" for threads in (2, 3, 4)]
    assert answers([check_program()], cases) == ["0"] * len(cases)


def test_threads_do_not_race() -> None:
    program = sanitized("thread")
    try:
        answers([program], ["round 0 1 1 0"])
    except AssertionError as error:
        if "unexpected memory mapping" in str(error):
            pytest.skip("this kernel places programs where the thread sanitizer cannot follow")
        raise
    lines = by_case(answers([program], RACES), len(RACES))
    for case, found, expected in zip(RACES, lines, here(RACES), strict=True):
        assert {result(case, line) for line in found} == {expected}, f"{case}: {found}"
