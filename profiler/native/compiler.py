"""The compiler: zig, which pip installs, or a user's Android NDK; for sanitizers, the host's own."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from profiler.names import printable
from profiler.native.target import Target

_INSTALL = "pip install 'fedjoule[profile]'"
_NDK_CLANG = "toolchains/llvm/prebuilt/*/bin/clang"
# What a compiler may see of the environment: variables such as CPATH or CFLAGS would change what it makes.
_KEPT = ("PATH", "HOME", "TMPDIR", "USER", "LD_LIBRARY_PATH")


class CompilerMissing(ValueError):
    """There is no compiler; the message says what to install."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler: whose it is, the words its command line starts with, and what it says its version is."""

    kind: Literal["zig", "ndk", "host"]
    command: tuple[str, ...]
    version: str

    def flags(self, target: Target) -> tuple[str, ...]:
        """Return the flags that make it build for ``target``. Raises ValueError if it cannot.

        The NDK links a position-independent program with the phone's own bionic, the way that Android supports best;
        zig links a static one with musl.
        """
        if self.kind == "zig":
            # A library that lacks a function shall fail here, as a program does, and not where it is loaded.
            link = ("-shared", "-fPIC", "-Wl,-z,defs") if target.kind == "library" else ("-static",)
            return ("-target", target.triple, *target.flags, *link)
        if self.kind == "ndk":
            if not target.ndk_triple:
                message = f"the NDK builds for phones, not for {target.name}; leave --compiler out, zig builds that"
                raise ValueError(message)
            return (f"--target={target.ndk_triple}", "-fPIE", "-pie")
        return ("-shared", "-fPIC") if target.kind == "library" else ()


def find_compiler(chosen: str | Path | None = None) -> Compiler:
    """Return the compiler ``chosen`` (a file, or the folder of an NDK), else zig, else the NDK of ANDROID_NDK_HOME.

    Raises CompilerMissing if there is none, and ValueError if the chosen one is none.
    """
    if chosen is not None:
        return _chosen(Path(chosen), "--compiler", "give clang of an NDK, or its folder")
    zig = _zig()
    if zig is not None:
        return _asked("zig", str(zig))
    ndk = os.environ.get("ANDROID_NDK_HOME", "")
    if ndk:
        return _chosen(Path(ndk), "ANDROID_NDK_HOME", f"set it to the folder of an NDK, or {_INSTALL}")
    message = f"ziglang is not installed, and nothing is built without a compiler; {_INSTALL}"
    raise CompilerMissing(message)


@cache
def sanitizing_compiler(sanitize: tuple[str, ...]) -> Compiler:
    """Return this machine's clang or gcc, whichever has the run-time libraries of these sanitizers.

    zig has none for ``address``. Raises CompilerMissing if no compiler has them.
    """
    for name in ("clang", "gcc"):
        path = shutil.which(name)
        if path is None:
            continue
        with tempfile.TemporaryDirectory() as aside:
            words = [path, f"-fsanitize={','.join(sanitize)}", "-x", "c", "-", "-o", str(Path(aside) / "tried")]
            done = subprocess.run(words, input=b"int main(void) { return 0; }\n", capture_output=True, check=False)
        if done.returncode == 0:
            return _asked("host", path)
    message = f"neither clang nor gcc of this machine has the sanitizers {', '.join(sanitize)}; install one with them"
    raise CompilerMissing(message)


def environment(zig_cache: Path, aside: Path) -> dict[str, str]:
    """Return the environment a compiler runs in: little of ours, and zig's caches where we want them."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "LC_ALL": "C",
        "ZIG_GLOBAL_CACHE_DIR": str(zig_cache),
        "ZIG_LOCAL_CACHE_DIR": str(aside),
    }


def _zig() -> Path | None:
    """Return zig of the package ziglang. It is not imported: only its place matters."""
    found = importlib.util.find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "zig"
    return path if path.is_file() else None


def _chosen(path: Path, whose: str, instead: str) -> Compiler:
    """Return the compiler in a path; ``whose`` setting that is stands in the errors, and what to do ``instead``."""
    if path.is_dir():
        found = sorted(path.glob(_NDK_CLANG))
        if not found:
            message = f"{whose} {printable(path, 200)}: no Android NDK there (it has no {_NDK_CLANG}); {instead}"
            raise ValueError(message)
        path = found[0]
    where = shutil.which(path)
    if where is None:
        message = f"{whose} {printable(path, 200)}: no program that can be run; {instead}"
        raise ValueError(message)
    try:
        return _asked("zig" if path.name.startswith("zig") else "ndk", str(Path(where).absolute()))
    except ValueError as error:
        message = f"{whose} {error}; {instead}"
        raise ValueError(message) from error


def _asked(kind: Literal["zig", "ndk", "host"], path: str) -> Compiler:
    """Return the compiler with the version it names itself. Raises ValueError if it does not."""
    words = [path, "version"] if kind == "zig" else [path, "--version"]
    try:
        done = subprocess.run(words, capture_output=True, check=False, timeout=60, env=_plain())
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{printable(path, 200)} cannot be run ({printable(error, 200)})"
        raise ValueError(message) from error
    said = printable(next(_lines(done.stdout), ""), 120)
    if done.returncode != 0 or not said:
        message = f"{printable(path, 200)} does not say its version (exit code {done.returncode}); is it a C compiler?"
        raise ValueError(message)
    return Compiler(kind, (path, "cc") if kind == "zig" else (path,), f"zig {said}" if kind == "zig" else said)


def _plain() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {"LC_ALL": "C"}


def _lines(output: bytes) -> Iterator[str]:
    return (line for line in output[:4096].decode(errors="replace").splitlines() if line.strip())
