"""A build happens once for each content, leaves nothing half-made, and says what went wrong."""

import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from profiler.native import build
from profiler.native.build import LIBRARY, built, built_library, cache_folder
from profiler.native.compiler import Compiler, CompilerMissing, find_compiler
from profiler.native.target import LIBRARIES, TARGETS, Target

PHONE = TARGETS["aarch64-android"]
BUILD = """
import sys
from pathlib import Path
from profiler.native.build import built
from profiler.native.compiler import find_compiler
from profiler.native.target import TARGETS
print(built("runner", TARGETS["aarch64-android"], find_compiler(sys.argv[1]), sources=Path(sys.argv[2])))
"""


def entries(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {"zig", "lock"}


def test_the_second_build_compiles_nothing(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor()
    first = built("runner", PHONE, find_compiler(made.path), sources=sources)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    second = built("runner", PHONE, find_compiler(made.path), sources=sources)
    assert first == second
    assert first.read_text() == "made\n"
    assert len(made.calls) == 1
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    assert entries(cache) == {first.parent.name}


def test_the_compiler_sees_relative_names_in_order_and_the_build_id(
    cache: Path, sources: Path, actor: Callable[..., Any]
) -> None:
    made = actor()
    path = built("runner", PHONE, find_compiler(made.path), sources=sources)
    (call,) = made.calls
    assert f'-DFJ_BUILD_ID="{path.parent.name}"' in call
    assert [word for word in call if word.endswith(".c")] == ["kernels/answer.c", "program/main.c"]
    assert "--target=aarch64-linux-android24" in call
    assert "-pie" in call
    assert not {"-static", "-Werror"} & set(call)
    assert {"-std=c11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden"} < set(call)
    assert str(cache.parent) not in "\n".join(call)
    assert str(sources) not in "\n".join(call)


def changed_source(sources: Path) -> None:
    (sources / "kernels" / "answer.c").write_text("int fj_answer(void) { return 43; }\n")


def changed_header(sources: Path) -> None:
    (sources / "kernels" / "fedjoule.h").write_text("int fj_answer(void); /* the answer */\n")


def further_source(sources: Path) -> None:
    (sources / "kernels" / "x86").mkdir()
    (sources / "kernels" / "x86" / "more.c").write_text("")


def renamed_source(sources: Path) -> None:
    (sources / "kernels" / "answer.c").rename(sources / "kernels" / "answers.c")


@pytest.mark.parametrize("change", [changed_source, changed_header, further_source, renamed_source])
def test_whatever_changes_in_the_sources_is_built_anew(
    change: Callable[[Path], None], cache: Path, sources: Path, actor: Callable[..., Any]
) -> None:
    compiler = find_compiler(actor().path)
    before = built("runner", PHONE, compiler, sources=sources)
    change(sources)
    after = built("runner", PHONE, compiler, sources=sources)
    assert before != after
    assert entries(cache) == {before.parent.name, after.parent.name}


@pytest.mark.usefixtures("cache")
def test_another_target_compiler_or_program_is_another_build(sources: Path, actor: Callable[..., Any]) -> None:
    compiler = find_compiler(actor().path)
    newer = find_compiler(actor(version="Android clang version 19.0.0", name="newer").path)
    armv7 = TARGETS["armv7-android"]
    paths = [
        built("runner", PHONE, compiler, sources=sources),
        built("sampler", PHONE, compiler, sources=sources),
        built("runner", armv7, compiler, sources=sources),
        built("runner", PHONE, newer, sources=sources),
    ]
    assert len({path.parent for path in paths}) == 4


@pytest.mark.usefixtures("cache")
def test_where_the_sources_and_the_compiler_lie_changes_nothing(
    sources: Path, tmp_path: Path, copy_sources: Callable[[Path], Path], actor: Callable[..., Any]
) -> None:
    copied = copy_sources(tmp_path / "elsewhere" / "with blanks")
    (copied / "kernels" / "notes.txt").write_text("not compiled, not hashed")
    first, second = actor(name="one"), actor(name="two")
    assert built("runner", PHONE, find_compiler(first.path), sources=sources) == built(
        "runner", PHONE, find_compiler(second.path), sources=copied
    )
    assert (len(first.calls), len(second.calls)) == (1, 0)


@pytest.mark.usefixtures("cache")
def test_the_environment_has_no_say(sources: Path, actor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPATH", "/somewhere")
    monkeypatch.setenv("CCC_OVERRIDE_OPTIONS", "+-DX")
    made = actor()
    built("runner", PHONE, find_compiler(made.path), sources=sources)
    seen = {line.partition("=")[0] for line in (made.log.parent / "environment").read_text().splitlines()}
    assert "PATH" in seen
    assert not {"CPATH", "CCC_OVERRIDE_OPTIONS"} & seen


@pytest.mark.parametrize("damage", ["program", "record", "program gone", "record gone", "record odd"])
def test_what_was_damaged_is_built_again(damage: str, cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor()
    path = built("runner", PHONE, find_compiler(made.path), sources=sources)
    hurt = path if damage.startswith("program") else path.parent / "built.json"
    if damage.endswith("gone"):
        hurt.unlink()
    else:
        hurt.write_bytes(b"[]" if damage == "record odd" else hurt.read_bytes()[:-3])
    assert built("runner", PHONE, find_compiler(made.path), sources=sources) == path
    assert path.read_text() == "made\n"
    assert len(made.calls) == 2
    assert entries(cache) == {path.parent.name}


def test_two_processes_build_once(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor(more="sleep 1")
    words = [sys.executable, "-c", BUILD, str(made.path), str(sources)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate(timeout=60)[0] for each in both]
    assert said[0] == said[1]
    assert Path(said[0].strip()).read_text() == "made\n"
    assert len(made.calls) == 1
    assert len(entries(cache)) == 1


def test_a_killed_build_leaves_nothing_that_stays(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor(more="sleep 5")
    with subprocess.Popen([sys.executable, "-c", BUILD, str(made.path), str(sources)]) as process:
        until(lambda: len(made.calls) == 1)
        process.kill()
    os.killpg(int((made.log.parent / "pid").read_text()), signal.SIGKILL)
    assert {name.partition("-")[0] for name in entries(cache)} == {"building"}
    again = actor()
    path = built("runner", PHONE, find_compiler(again.path), sources=sources)
    assert entries(cache) == {path.parent.name}


def test_an_interrupted_build_ends_its_compiler(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor(more="sleep 60")

    def interrupt(_line: str) -> None:
        if made.calls:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built("runner", PHONE, find_compiler(made.path), interrupt, sources=sources)
    pid = int((made.log.parent / "pid").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert entries(cache) == set()


@pytest.mark.usefixtures("cache")
def test_progress_is_one_line_with_seconds(sources: Path, actor: Callable[..., Any]) -> None:
    lines: list[str] = []
    built("runner", PHONE, find_compiler(actor(more="sleep 1.2").path), lines.append, sources=sources)
    assert lines[0] == "building runner for aarch64-android, once, about a minute ... 0 s"
    assert lines[-1].endswith("... 1 s")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    "target", [*TARGETS.values(), *LIBRARIES.values()], ids=lambda target: f"{target.kind}-{target.name}"
)
def test_progress_fits_a_terminal_of_80_columns_for_every_target_to_the_last_second(
    target: Target, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler only waits, and the clock jumps to the last second that a build may take."""
    lines: list[str] = []
    now_s = [0.0]
    sleeper = Compiler("zig", ("/bin/sh", "-c", "sleep 60"), "zig that sleeps")

    def tell(line: str) -> None:
        lines.append(line)
        now_s[0] += 899.6

    monkeypatch.setattr(build, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    make = built_library if target.kind == "library" else partial(built, "sampler")
    with pytest.raises(ValueError, match="did not end within 900 s"):
        make(target, sleeper, tell, sources=sources)
    assert [line.rpartition(" ... ")[2] for line in lines][:2] == ["0 s", "900 s"]
    assert max(map(len, lines)) < 80


def test_a_failing_source_says_its_first_errors(cache: Path, sources: Path) -> None:
    (sources / "kernels" / "answer.c").write_text(
        'int fj_answer(void) { return "\x07\x1b[2J"; }\n#error "\x1b]0;no\x07"\n'
    )
    with pytest.raises(ValueError, match=r"building runner for x86_64-linux failed \(exit code 1\)") as raised:
        built("runner", TARGETS["x86_64-linux"], sources=sources)
    lines = str(raised.value).split("\n")
    assert 2 <= len(lines) <= 9
    assert lines[1].startswith("kernels/answer.c:")
    assert all(line.isprintable() for line in lines)
    assert entries(cache) == set()


def test_a_compiler_that_makes_nothing_has_failed(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="the compiler said nothing"):
        built("runner", PHONE, find_compiler(actor(more="exit 0").path), sources=sources)
    assert entries(cache) == set()


def test_missing_sources_and_programs_are_named(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no C sources for sampler for aarch64-android; install fedjoule again"):
        built("sampler", PHONE, sources=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"'runer' is unknown; known: runner, sampler"):
        built("runer", PHONE)
    assert entries(cache) == set()


def test_a_cache_that_cannot_be_written_says_so(
    tmp_path: Path, sources: Path, actor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"Not a directory; set XDG_CACHE_HOME to a folder"):
        built("runner", PHONE, find_compiler(actor().path), sources=sources)


@pytest.mark.parametrize("given", ["", "relative/folder"])
def test_the_cache_is_the_users(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "fedjoule" / "native"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(ValueError, match="no home folder"):
        cache_folder()


def test_what_lies_in_a_read_only_cache_is_used(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor()
    path = built("runner", PHONE, find_compiler(made.path), sources=sources)
    inside = "mount --bind -o ro {0} {0} && exec {1} -c {2} {3} {4}".format(
        *map(quoted, (cache, sys.executable, BUILD, made.path, sources))
    )
    assert run_apart(inside).stdout.strip() == str(path)
    (sources / "kernels" / "answer.c").write_text("int fj_answer(void) { return 43; }\n")
    done = run_apart(inside, check=False)
    assert done.stderr.splitlines()[-1].startswith(f"ValueError: {cache}: Read-only file system; set XDG_CACHE_HOME")
    assert len(made.calls) == 1


def test_a_full_disk_says_so_and_leaves_nothing(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    """With ever more room: while the sources are copied, the compiler writes, or the record is written."""
    made = actor()
    faults = []
    for size_kib in range(4, 65, 4):
        inside = (
            "mount -t tmpfs -o size={5}k tmpfs {0} && {{ {1} -c {2} {3} {4}; code=$?; ls {0} >&2; exit $code; }}"
        ).format(*map(quoted, (cache, sys.executable, BUILD, made.path, sources)), size_kib)
        done = run_apart(inside, check=False)
        if done.returncode == 0:
            break
        assert done.stderr.splitlines()[-1] == "lock"
        faults += [
            line.partition(" (exit code")[0] for line in done.stderr.splitlines() if line.startswith("ValueError")
        ]
    else:
        pytest.fail("64 KiB are enough for this")
    full = (
        f"ValueError: {cache}: No space left on device; set XDG_CACHE_HOME to a folder with 300 MB that can be written"
    )
    failed = "ValueError: building runner for aarch64-android failed"
    assert set(faults) == {full, failed}
    assert len(faults) == size_kib // 4 - 1


def test_a_compiler_that_runs_out_of_disk_is_understood(cache: Path, sources: Path, actor: Callable[..., Any]) -> None:
    made = actor(more="echo 'warning: unable to write cached code: NoSpaceLeft'; exit 1")
    with pytest.raises(ValueError, match="No space left on device; set XDG_CACHE_HOME"):
        built("runner", PHONE, find_compiler(made.path), sources=sources)
    assert entries(cache) == set()


def quoted(value: object) -> str:
    return shlex.quote(str(value))


def run_apart(command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a shell command with mounts of its own. Skips where namespaces are not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    return subprocess.run(
        [unshare, "-Urm", "sh", "-c", command], capture_output=True, text=True, check=check, timeout=60
    )


def until(true: Callable[[], bool]) -> None:
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("did not happen within 20 s")


@pytest.mark.usefixtures("cache")
def test_the_record_says_how_it_was_built(sources: Path) -> None:
    path = built("sampler", TARGETS["x86_64-linux"], sources=sources)
    record = json.loads((path.parent / "built.json").read_text())
    assert record["compiler"] == find_compiler().version
    assert record["what"] == "sampler for x86_64-linux"
    assert {"-static", "-Werror", "-s"} < set(record["flags"])
    assert path.stat().st_mode & stat.S_IXUSR


def test_sanitizers_are_for_this_machine_only(sources: Path) -> None:
    other = TARGETS["armv7-android"]
    with pytest.raises(ValueError, match="sanitizers are for this machine"):
        built("runner", other, sanitize=("undefined",), sources=sources)


@pytest.mark.usefixtures("cache")
def test_a_chosen_compiler_is_not_asked_for_the_library(sources: Path, actor: Callable[..., Any]) -> None:
    made = actor()
    with pytest.raises(ValueError, match="builds for phones"):
        built_library(compiler=find_compiler(made.path), sources=sources)
    assert made.calls == []
    assert LIBRARY == "libfedjoule.so"
    assert issubclass(CompilerMissing, ValueError)
    assert isinstance(find_compiler(made.path), Compiler)
