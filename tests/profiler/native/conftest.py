"""What tests of builds need: small sources, a cache of their own with zig's libc, and a compiler that only acts."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.native.build import cache_folder

SOURCES = {
    "kernels/fedjoule.h": "int fj_answer(void);\n",
    "kernels/answer.c": """
#include "fedjoule.h"
__attribute__((visibility("default"))) int fj_answer(void) { return 42; }
""",
    "program/main.c": """
#include <math.h>
#include <stdio.h>
#include "fedjoule.h"
int main(int count, char **words) {
  (void)words;
  printf("%s %d %.3f\\n", FJ_BUILD_ID, fj_answer(), sqrt(count));
  return 0;
}
""",
    "sampler/sampler.c": "int main(void) { return 0; }\n",
}


def write_sources(folder: Path) -> Path:
    for name, text in SOURCES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder laid out as the runner's."""
    return write_sources(tmp_path / "runner")


@pytest.fixture
def copy_sources() -> Callable[[Path], Path]:
    """Write the same sources elsewhere."""
    return write_sources


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; only zig's own is the user's, because a libc takes it half a minute."""
    shared = cache_folder() / "zig"
    shared.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = cache_folder()
    assert folder.is_relative_to(tmp_path)
    folder.mkdir(parents=True)
    (folder / "zig").symlink_to(shared)
    return folder


@dataclass(frozen=True)
class Actor:
    """A compiler that writes down how it was called, and a small file as what it made."""

    path: Path
    log: Path

    @property
    def calls(self) -> list[list[str]]:
        if not self.log.exists():
            return []
        return [call.split("\n")[:-1] for call in self.log.read_text().split("--- call\n")[1:]]


@pytest.fixture
def actor(tmp_path: Path) -> Callable[..., Actor]:
    """Make such a compiler; ``more`` is what it does besides, in sh, and ``version`` what it says it is."""

    def make(more: str = "", version: str = "Android clang version 18.0.1", name: str = "ndk") -> Actor:
        ndk = tmp_path / name
        path = ndk / "toolchains/llvm/prebuilt/linux-x86_64/bin/clang"
        path.parent.mkdir(parents=True, exist_ok=True)
        log = ndk / "log"
        path.write_text(
            f"""#!/bin/sh
[ "$1" = --version ] && {{ echo '{version}'; exit 0; }}
echo $$ >'{ndk}/pid'
{{ echo '--- call'; printf '%s\\n' "$@"; }} >>'{log}'
env >'{ndk}/environment'
{more}
while [ "$1" != -o ]; do shift; done
echo made >"$2"
"""
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Actor(path, log)

    return make


@pytest.fixture(autouse=True)
def no_ndk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own NDK has no say here."""
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    assert "ANDROID_NDK_HOME" not in os.environ
