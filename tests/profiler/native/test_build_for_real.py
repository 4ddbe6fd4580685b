"""What zig builds runs, is the same wherever it is built, and needs nothing on the machine it runs on."""

import ctypes
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.native.build import SOURCES, built, built_library
from profiler.native.compiler import CompilerMissing
from profiler.native.target import LIBRARIES, TARGETS, host_target

QEMU = shutil.which("qemu-aarch64-static")


def run(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.usefixtures("cache")
def test_a_program_runs_here_and_knows_its_build(sources: Path) -> None:
    path = built("runner", host_target(), sources=sources)
    assert run(path, "a", "b", "c").stdout == f"{path.parent.name} 42 2.000\n"


@pytest.mark.skipif(QEMU is None, reason="needs qemu-aarch64-static")
@pytest.mark.usefixtures("cache")
def test_a_program_for_arm64_runs(sources: Path) -> None:
    path = built("runner", TARGETS["aarch64-android"], sources=sources)
    assert run(QEMU, path, "a", "b", "c").stdout == f"{path.parent.name} 42 2.000\n"


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["aarch64-android", "x86_64-linux"])
def test_the_same_sources_give_the_same_bytes_wherever_they_lie(
    name: str, sources: Path, tmp_path: Path, copy_sources: Callable[[Path], Path]
) -> None:
    """A header that is not included changes the build id alone, so that zig does not give what it already has."""
    main = sources / "program" / "main.c"
    main.write_text(main.read_text().replace("FJ_BUILD_ID", "__FILE__"))
    copied = copy_sources(tmp_path / "another place")
    shutil.copy(main, copied / "program")
    (copied / "kernels" / "other.h").write_text("")
    paths = [built("runner", TARGETS[name], sources=place) for place in (sources, copied)]
    first, second = (path.read_bytes() for path in paths)
    assert paths[0] != paths[1]
    assert first == second
    assert b"program/main.c\0" in first
    for place in (tmp_path, Path.home(), "/program/main.c", *(path.parent.name for path in paths)):
        assert str(place).encode() not in first


@pytest.mark.usefixtures("cache")
def test_a_program_is_static(sources: Path) -> None:
    content = built("runner", TARGETS["aarch64-android"], sources=sources).read_bytes()
    assert content[:5] == b"\x7fELF\x02"
    assert b"/ld-" not in content
    # Phones with pages of 16 KiB load it too.
    assert smallest_alignment(content) >= 16384


def smallest_alignment(content: bytes) -> int:
    """Return the smallest alignment of the loaded segments of a 64-bit little-endian ELF file."""
    start = int.from_bytes(content[32:40], "little")
    size, count = int.from_bytes(content[54:56], "little"), int.from_bytes(content[56:58], "little")
    headers = [content[start + i * size : start + (i + 1) * size] for i in range(count)]
    return min(int.from_bytes(header[48:56], "little") for header in headers if header[:4] == b"\x01\0\0\0")


@pytest.mark.usefixtures("cache")
def test_the_library_loads_into_python(sources: Path) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the library is for hosts with glibc")
    path = built_library(sources=sources)
    assert ctypes.CDLL(str(path)).fj_answer() == 42


@pytest.mark.usefixtures("cache")
def test_a_library_that_lacks_a_function_is_not_built(sources: Path) -> None:
    answer = sources / "kernels" / "answer.c"
    answer.write_text("int fj_missing(void);\n" + answer.read_text().replace("42", "fj_missing()"))
    with pytest.raises(ValueError, match=r"undefined symbol: fj_missing"):
        built_library(LIBRARIES["x86_64-linux"], sources=sources)


@pytest.mark.usefixtures("cache")
def test_the_library_asks_for_no_newer_glibc(sources: Path) -> None:
    (sources / "kernels" / "answer.c").write_text(
        '#include <pthread.h>\n#include <math.h>\n#include <string.h>\n#include "fedjoule.h"\n'
        "static void *same(void *given) { return given; }\n"
        '__attribute__((visibility("default"))) int fj_answer(void) {\n  pthread_t one;\n  char text[40];\n'
        "  if (pthread_create(&one, 0, same, 0)) return 0;\n  pthread_join(one, 0);\n"
        "  memcpy(text, &one, sizeof one);\n  return (int)(exp(1.0) * 10) + text[0] * 0;\n}\n"
    )
    content = built_library(LIBRARIES["x86_64-linux"], sources=sources).read_bytes()
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(\d+\.\d+(?:\.\d+)?)\0", content)}
    assert versions
    assert max(versions) <= (2, 17)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("sanitizer", "code", "said"),
    [
        ("undefined", "int many = 2147483645 + count; return many < 0;", "signed integer overflow"),
        (
            "address",
            "volatile char *two = malloc(2); two[count - 1] = 1; free((void *)two); return 0;",
            "heap-buffer-overflow",
        ),
    ],
)
def test_sanitizers_find_what_they_are_for(sanitizer: str, code: str, said: str, sources: Path) -> None:
    (sources / "sampler" / "sampler.c").write_text(
        f"#include <stdlib.h>\nint main(int count, char **words) {{ (void)words; {code} }}\n"
    )
    try:
        path = built("sampler", host_target(), sanitize=(sanitizer,), sources=sources)
    except CompilerMissing as error:
        pytest.skip(str(error))
    assert run(path, "second").returncode == 0
    done = run(path, "second", "third")
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize("program", ["runner", "sampler"])
@pytest.mark.parametrize("name", ["aarch64-android", host_target().name])
def test_our_own_programs_build_without_a_warning(program: str, name: str) -> None:
    """In the user's cache, which other tests share."""
    assert (SOURCES / "sampler").is_dir()
    path = built(program, TARGETS[name])
    assert path.stat().st_size > 10_000
