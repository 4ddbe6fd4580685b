"""``fedjoule profile build``, as a person calls it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.usefixtures("cache")
def test_it_says_where_it_is_how_large_and_its_hash(fedjoule: Run, actor: Callable[..., Any], tmp_path: Path) -> None:
    done = fedjoule(
        "profile", "build", "--target", "aarch64-android", "--compiler", actor().path.parents[5], "-o", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "runner-aarch64-android",
        "sampler-aarch64-android",
    ]
    for number, name in enumerate(("runner", "sampler")):
        path = tmp_path / "out" / f"{name}-aarch64-android"
        assert lines[3 * number] == f"{name} for aarch64-android: 5 bytes, by Android clang version 18.0.1"
        assert lines[3 * number + 1] == f"  {path}"
        assert lines[3 * number + 2] == f"  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
        assert os.access(path, os.X_OK)
    assert done.stderr.splitlines() == [
        "building runner for aarch64-android, once, about a minute",
        "building sampler for aarch64-android, once, about a minute",
    ]


def test_without_a_folder_it_names_the_cache(cache: Path, fedjoule: Run, actor: Callable[..., Any]) -> None:
    made = actor()
    words = ("profile", "build", "--target", "armv7-android", "--program", "sampler", "--compiler", made.path)
    first, second = fedjoule(*words), fedjoule(*words)
    assert first.stdout == second.stdout
    assert first.stdout.splitlines()[1].startswith(f"  {cache}/")
    assert second.stderr == ""
    assert len(made.calls) == 1


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "aarch64-androd"), "target 'aarch64-androd' is unknown; nearest: aarch64-android"),
        (("--target", "aarch64-android", "--program", "library"), "the library is built for hosts"),
        (("--program", "walker"), "'walker' is not one of"),
        (("--compiler", "/no/where"), "--compiler /no/where: no program that can be run"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words: tuple[str, ...], said: str, fedjoule: Run) -> None:
    done = fedjoule("profile", "build", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


@pytest.mark.usefixtures("cache")
def test_a_failing_compiler_is_quoted_line_by_line(fedjoule: Run, actor: Callable[..., Any]) -> None:
    made = actor(more="printf 'kernels/a.c:1:2: \\033[31merror: bad\\033[0m \\007thing\\n' >&2; exit 1")
    done = fedjoule("profile", "build", "--target", "aarch64-android", "--compiler", made.path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        "fedjoule: building runner for aarch64-android failed (exit code 1):",
        "fedjoule: kernels/a.c:1:2: error: bad ?thing",
    ]


def test_help_imports_nothing_that_builds() -> None:
    code = (
        "import sys\nfrom reports.cli import main\n"
        "try: main(['profile', 'build', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'profiler.native.build', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "fedjoule profile build --target aarch64-android" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
