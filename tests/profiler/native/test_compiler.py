"""Which compiler is found, and what it is told."""

import importlib.util
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiler.native.compiler import CompilerMissing, environment, find_compiler, sanitizing_compiler
from profiler.native.target import LIBRARIES, TARGETS


@pytest.fixture
def without_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ziglang" else found(name))


def test_zig_of_this_environment_is_found_with_its_version() -> None:
    compiler = find_compiler()
    assert compiler.kind == "zig"
    assert re.fullmatch(r"zig 0\.17\.\d+", compiler.version)
    assert Path(compiler.command[0]).name == "zig"


@pytest.mark.usefixtures("without_zig")
def test_without_any_compiler_the_extra_is_named() -> None:
    with pytest.raises(CompilerMissing, match=re.escape("pip install 'fedjoule[profile]'")):
        find_compiler()


@pytest.mark.usefixtures("without_zig")
def test_the_ndk_of_the_environment_stands_in_for_zig(
    actor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = actor()
    monkeypatch.setenv("ANDROID_NDK_HOME", str(made.path.parents[5]))
    compiler = find_compiler()
    assert (compiler.kind, compiler.command, compiler.version) == (
        "ndk",
        (str(made.path),),
        "Android clang version 18.0.1",
    )


def test_zig_comes_before_the_ndk_of_the_environment(
    actor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_NDK_HOME", str(actor().path.parents[5]))
    assert find_compiler().kind == "zig"


def test_a_chosen_compiler_is_a_folder_a_clang_or_a_zig(actor: Callable[..., Any]) -> None:
    made = actor()
    assert find_compiler(made.path.parents[5]) == find_compiler(made.path)
    assert find_compiler(find_compiler().command[0]) == find_compiler()


def test_a_chosen_compiler_that_is_none_is_refused(tmp_path: Path, actor: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="no Android NDK there"):
        find_compiler(tmp_path)
    with pytest.raises(ValueError, match="no program that can be run"):
        find_compiler(tmp_path / "missing")
    text = tmp_path / "clang.txt"
    text.write_text("not a program")
    with pytest.raises(ValueError, match="no program that can be run"):
        find_compiler(text)
    with pytest.raises(ValueError, match=r"does not say its version \(exit code 0\)"):
        find_compiler(actor(version="", name="silent").path)
    with pytest.raises(ValueError, match=r"does not say its version \(exit code 1\)"):
        find_compiler("/bin/false")
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(ValueError, match="broken cannot be run"):
        find_compiler(broken)


@pytest.mark.usefixtures("without_zig")
@pytest.mark.parametrize(
    ("made", "why"),
    [("folder", "no Android NDK there"), ("", "no program that can be run"), ("script", "does not say its version")],
)
def test_a_bad_ndk_of_the_environment_is_named_as_that(
    made: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ndk"
    if made == "folder":
        path.mkdir()
    elif made:
        path.write_text("#!/bin/sh\nexit 3\n")
        path.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(path))
    with pytest.raises(ValueError, match=why) as raised:
        find_compiler()
    said = str(raised.value)
    assert said.startswith(f"ANDROID_NDK_HOME {path}")
    assert said.endswith("set it to the folder of an NDK, or pip install 'fedjoule[profile]'")
    assert "--compiler" not in said


def test_a_version_cannot_reach_the_terminal(actor: Callable[..., Any]) -> None:
    assert find_compiler(actor(version="clang \x1b[31m18").path).version == "clang ?[31m18"


def test_the_ndk_builds_for_phones_only(actor: Callable[..., Any]) -> None:
    ndk = find_compiler(actor().path)
    triples = {name: ndk.flags(target)[0] for name, target in TARGETS.items() if name.endswith("android")}
    assert triples == {
        "aarch64-android": "--target=aarch64-linux-android24",
        "armv7-android": "--target=armv7a-linux-androideabi24",
        "x86_64-android": "--target=x86_64-linux-android24",
    }
    for target in (TARGETS["x86_64-linux"], LIBRARIES["x86_64-linux"]):
        with pytest.raises(ValueError, match="builds for phones, not for x86_64-linux"):
            ndk.flags(target)


@pytest.mark.parametrize(
    ("name", "neon"), [("armv7-android", True), ("aarch64-android", True), ("x86_64-linux", False)]
)
def test_arm_code_may_use_neon(name: str, neon: bool, tmp_path: Path) -> None:
    zig = find_compiler()
    done = subprocess.run(
        [*zig.command, *zig.flags(TARGETS[name]), "-E", "-dM", "-x", "c", "-"],
        input=b"",
        capture_output=True,
        check=True,
        env=environment(tmp_path / "zig", tmp_path / "zig"),
    )
    assert (b"#define __ARM_NEON 1" in done.stdout) is neon


def test_a_sanitizer_that_no_compiler_has_is_named() -> None:
    with pytest.raises(CompilerMissing, match="has the sanitizers nonsense"):
        sanitizing_compiler(("nonsense",))
