"""The arm64 runner on the phone: it takes what its processor has, and trains to the same weights, bit for bit."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TMP = "/data/local/tmp"
SIZES = ["--precision", "int8", "--batch-size", "5", "--batches", "3", "--seed", "7"]
# Between them tails, a pool with an odd row, and the paper's network.
MODELS = ["lenet5", "9x9x3:conv5k3,pool,fc11"]
# The processor -> the paths that a program finds on it, the best one last.
PATHS = {
    "cortex-a57": ["scalar", "neon"],
    "cortex-a76": ["scalar", "neon", "dotprod"],
    "max": ["scalar", "neon", "dotprod", "i8mm"],
}


def said(output: str) -> tuple[str, str]:
    """Return the path that a run took, and the checksum of the weights that it ended with."""
    lines = [json.loads(line) for line in output.splitlines()]
    assert lines[-1]["rc"] == 0
    return lines[0]["path"], lines[-1]["checksum"]


@pytest.fixture(scope="module")
def here(built_program: Callable[[str, str], Path]) -> Callable[[str], str]:
    """Train on this machine without vector instructions, and return the checksum."""

    def trained(model: str) -> str:
        words = [built_program("runner", "x86_64-linux"), "--model", model, *SIZES, "--path", "scalar"]
        return said(subprocess.run(words, capture_output=True, text=True, check=True).stdout)[1]

    return trained


@pytest.mark.parametrize("cpu", PATHS)
def test_every_path_trains_to_the_same_weights(
    open_phone: Any,
    link_to: Any,
    built_program: Callable[[str, str], Path],
    here: Callable[[str], str],
    cpu: str,
) -> None:
    link = link_to(open_phone(cpu=cpu))
    with open(built_program("runner", "aarch64-android"), "rb") as program:
        link.push(program, f"{TMP}/runner", 0o755)
    assert link.run(f"{TMP}/runner --list-paths").text.split() == PATHS[cpu]
    for model in MODELS:
        command = " ".join([f"{TMP}/runner --model '{model}'", *SIZES])
        assert said(link.run(command).text) == (PATHS[cpu][-1], here(model))
        for path in PATHS[cpu]:
            assert said(link.run(f"{command} --path {path} --threads 2").text) == (path, here(model))


def test_a_path_that_the_processor_lacks_is_refused(
    open_phone: Any, link_to: Any, built_program: Callable[[str, str], Path]
) -> None:
    link = link_to(open_phone(cpu="cortex-a57"))
    with open(built_program("runner", "aarch64-android"), "rb") as program:
        link.push(program, f"{TMP}/runner", 0o755)
    done = link.run(f"{TMP}/runner --model lenet5 {' '.join(SIZES)} --path dotprod")
    assert done.code == 2
    assert "--path" in done.text


def test_the_program_for_older_phones_trains_to_the_same_weights(
    open_phone: Any, link_to: Any, built_program: Callable[[str, str], Path], here: Callable[[str], str]
) -> None:
    link = link_to(open_phone())
    with open(built_program("runner", "armv7-android"), "rb") as program:
        link.push(program, f"{TMP}/runner", 0o755)
    for model in MODELS:
        assert said(link.run(" ".join([f"{TMP}/runner --model '{model}'", *SIZES])).text)[1] == here(model)
