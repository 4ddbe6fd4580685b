"""The build: C sources to a program or the library, once for each content, kept in the user's cache folder."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from profiler.names import did_you_mean, printable
from profiler.native.compiler import Compiler, environment, find_compiler, sanitizing_compiler
from profiler.native.target import Target, host_library, host_target

Tell = Callable[[str], None]

SOURCES = Path(__file__).parent.parent / "runner"
LIBRARY = "libfedjoule.so"

# Folders under SOURCES that a program is made of.
_PROGRAMS = {"runner": ("program", "kernels"), "sampler": ("sampler",)}
_LIBRARY = ("kernels",)
_FLAGS = (
    "-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden",
    "-Wall", "-Wextra", "-pthread", "-Ikernels", "-D_GNU_SOURCE=",
)  # fmt: skip
_FAST = ("-O3", "-s")
_SANITIZED = ("-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
_ENDINGS = (".c", ".h")
_RECORD = "built.json"
_ASIDE = "building-"
_LONGEST_S = 900.0
_FULL = re.compile(rb"NoSpaceLeft|No space left")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Recipe:
    """What is compiled: the file that comes out, the folders or files under ``folder``, and the compiler's flags."""

    name: str
    folder: Path
    parts: tuple[str, ...]
    flags: tuple[str, ...]
    what: str


def built(
    program: str,
    target: Target,
    compiler: Compiler | None = None,
    tell: Tell | None = None,
    *,
    sanitize: tuple[str, ...] = (),
    sources: Path = SOURCES,
) -> Path:
    """Return the program ``runner`` or ``sampler`` for a target, built now unless it lies in the cache.

    ``tell`` is given a line about every second of a build, each in place of the one before. ``sanitize`` (such as
    address and undefined) builds with this machine's own compiler, for this machine. Raises CompilerMissing without a
    compiler, and ValueError for an unknown program, a failed build, or a cache folder that cannot be written.
    """
    if program not in _PROGRAMS:
        message = f"program {program[:40]!r} is unknown; {did_you_mean(program, _PROGRAMS)}"
        raise ValueError(message)
    return _built(program, program, _PROGRAMS[program], target, compiler, tell, sanitize, sources)


def built_library(
    target: Target | None = None,
    compiler: Compiler | None = None,
    tell: Tell | None = None,
    *,
    sanitize: tuple[str, ...] = (),
    sources: Path = SOURCES,
) -> Path:
    """Return the shared library of the kernels, for this machine or a target of LIBRARIES. See ``built``."""
    target = host_library() if target is None else target
    return _built("the library", LIBRARY, _LIBRARY, target, compiler, tell, sanitize, sources)


def compiled(recipe: Recipe, compiler: Compiler, tell: Tell | None = None) -> Path:
    """Return what a recipe makes, from the cache if the same content was built before. See ``built``."""
    sources = _read(recipe)
    key = _key(recipe, compiler, sources)
    cache = cache_folder()
    found = _found(cache / key, recipe.name)
    if found is not None:
        return found
    try:
        with _alone(cache, recipe, tell):
            return _found(cache / key, recipe.name) or _build(recipe, compiler, sources, key, cache, tell)
    except OSError as error:
        reason = printable(error.strerror or error, 120)
        message = f"{printable(cache, 200)}: {reason}; set XDG_CACHE_HOME to a folder with 300 MB that can be written"
        raise ValueError(message) from error


def cache_folder() -> Path:
    """Return where built things are kept. It may be deleted at any time; what is missing is built again."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    except RuntimeError as error:
        message = "this user has no home folder to keep built programs in; set XDG_CACHE_HOME to a folder"
        raise ValueError(message) from error
    return base / "fedjoule" / "native"


def _built(
    what: str,
    name: str,
    parts: tuple[str, ...],
    target: Target,
    compiler: Compiler | None,
    tell: Tell | None,
    sanitize: tuple[str, ...],
    sources: Path,
) -> Path:
    flags: tuple[str, ...] = (*_FLAGS, *_FAST)
    if sanitize:
        if target.name != host_target().name:
            message = f"sanitizers are for this machine ({host_target().name}), not for {target.name}"
            raise ValueError(message)
        compiler = sanitizing_compiler(sanitize)
        flags = (*_FLAGS, *_SANITIZED, f"-fsanitize={','.join(sanitize)}")
    compiler = compiler or find_compiler()
    if compiler.kind == "zig":  # its version is ours; another's new warnings shall stop nobody
        flags = (*flags, "-Werror")
    recipe = Recipe(name, sources, parts, (*compiler.flags(target), *flags), f"{what} for {target.name}")
    return compiled(recipe, compiler, tell)


def _read(recipe: Recipe) -> dict[str, bytes]:
    """Return the sources by their path inside the recipe's folder, in order of the paths."""
    found: dict[str, bytes] = {}
    for part in recipe.parts:
        place = recipe.folder / part
        paths = [place] if place.is_file() else [path for path in place.rglob("*") if path.suffix in _ENDINGS]
        for path in paths:
            found[path.relative_to(recipe.folder).as_posix()] = path.read_bytes()
    if not any(name.endswith(".c") for name in found):
        message = f"{printable(recipe.folder, 200)}: no C sources for {recipe.what}; install fedjoule again"
        raise ValueError(message)
    return dict(sorted(found.items()))


def _key(recipe: Recipe, compiler: Compiler, sources: dict[str, bytes]) -> str:
    """Return the hash of everything that decides what comes out; no place on this machine is in it."""
    content = hashlib.sha256()
    facts = (recipe.name, *recipe.flags, compiler.kind, compiler.version)
    for word in (json.dumps(facts).encode(), *(name.encode() + b"\0" + text for name, text in sources.items())):
        content.update(len(word).to_bytes(8, "big") + word)
    return content.hexdigest()[:32]


def _found(folder: Path, name: str) -> Path | None:
    """Return what was built into the folder, None if it is not there or not what was built."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        same = record["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder / name if same else None


@contextmanager
def _alone(cache: Path, recipe: Recipe, tell: Tell | None) -> Iterator[None]:
    """Let one process build at a time: two would compile the same libc twice. The kernel frees it when one dies."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "wb") as lock:
        begun_s = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if tell:
                    tell(f"waiting for another build before {recipe.what} ... {time.monotonic() - begun_s:.0f} s")
                time.sleep(0.5)
        for left in cache.glob(f"{_ASIDE}*"):  # of a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield


def _build(
    recipe: Recipe, compiler: Compiler, sources: dict[str, bytes], key: str, cache: Path, tell: Tell | None
) -> Path:
    """Compile aside and rename. The sources are copied, so that what is compiled is what was hashed."""
    with tempfile.TemporaryDirectory(prefix=_ASIDE, dir=cache) as name:
        aside = Path(name)
        for path, content in sources.items():
            place = aside / "sources" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        made = aside / "made"
        made.mkdir()
        # Relative names and a fixed order: nothing of this machine gets into what comes out.
        names = [path for path in sources if path.endswith(".c")]
        words = [*compiler.command, *recipe.flags, f'-DFJ_BUILD_ID="{key}"', *names, "-lm", "-o"]
        words.append(os.path.join("..", "made", recipe.name))
        _run(words, aside / "sources", environment(cache / "zig", aside / "zig"), recipe, tell)
        content = (made / recipe.name).read_bytes()
        record = {
            "name": recipe.name,
            "what": recipe.what,
            "compiler": compiler.version,
            "flags": list(recipe.flags),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        (made / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(cache / key, ignore_errors=True)  # a damaged one
        os.rename(made, cache / key)
    return cache / key / recipe.name


def _run(words: Sequence[str], folder: Path, variables: dict[str, str], recipe: Recipe, tell: Tell | None) -> None:
    """Run the compiler to its end. Raises ValueError with what it says first if it fails."""
    begun_s = time.monotonic()
    with subprocess.Popen(
        words,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            while True:
                passed_s = time.monotonic() - begun_s
                if tell:
                    tell(f"building {recipe.what}, once, about a minute ... {passed_s:.0f} s")
                if passed_s > _LONGEST_S:
                    message = f"building {recipe.what} did not end within {_LONGEST_S:.0f} s; is this machine busy?"
                    raise ValueError(message)
                try:
                    said, _ = process.communicate(timeout=1.0)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0 or not (folder.parent / "made" / recipe.name).is_file():
        if _FULL.search(said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        message = f"building {recipe.what} failed (exit code {process.returncode}):\n" + "\n".join(_first(said))
        raise ValueError(message)


def _first(said: bytes) -> list[str]:
    """Return the compiler's first lines of errors, or its first lines if none is an error, safe to print."""
    lines = [_COLOUR.sub("", line) for line in said[: 1 << 20].decode(errors="replace").splitlines()]
    lines = [printable(line, 300) for line in lines if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["the compiler said nothing"])[:8]
