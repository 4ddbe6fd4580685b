"""``fedjoule profile build``: build the programs that a phone is measured with, and say where they are."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from profiler.native.compiler import Compiler
    from profiler.native.target import Target

_PROGRAMS = ("runner", "sampler", "library", "all")


@click.command()
@click.option("--target", metavar="NAME", help="Such as aarch64-android, armv7-android.  [default: this machine]")
@click.option("--program", type=click.Choice(_PROGRAMS), default="all", show_default=True)
@click.option("-o", "--out", metavar="FOLDER", type=click.Path(path_type=Path), help="Also copy them there.")
@click.option("--compiler", metavar="PATH", help="An Android NDK (its folder, or its clang) instead of zig.")
def build(target: str | None, program: str, out: Path | None, compiler: str | None) -> None:
    """Build the training runner, the power sampler and the library of kernels, and print where each lies.

    'fedjoule profile' does this by itself when it needs them. The first build for a target takes about a minute;
    later ones are found in the cache folder. The library is for Linux hosts only.

    \b
    Examples:
      fedjoule profile build --target aarch64-android
      fedjoule profile build --target aarch64-android --program runner -o programs
      fedjoule profile build --target armv7-android --compiler ~/android-ndk-r27
    """
    from profiler.names import printable
    from profiler.native.compiler import find_compiler
    from profiler.native.target import LIBRARIES, host_target, target_named
    from reports.profile.building import building

    chosen = host_target() if target is None else target_named(target)
    if program == "library" and chosen.name not in LIBRARIES:
        message = f"the library is built for hosts ({', '.join(LIBRARIES)}), not for {chosen.name}"
        raise click.UsageError(message)
    found = find_compiler(compiler)
    hosted = chosen.name in LIBRARIES
    wanted = [name for name in _PROGRAMS[:3] if program == name or (program == "all" and (name != "library" or hosted))]
    for name in wanted:
        with building() as tell:
            path = _built(name, chosen, found, tell)
        for line in _lines(name, chosen, path, found.version, out):
            click.echo(printable(line, 1000))


def _built(name: str, target: "Target", compiler: "Compiler", tell: Callable[[str], None]) -> Path:
    """Return the program or the library, built if it was not."""
    from profiler.native.build import built, built_library
    from profiler.native.target import LIBRARIES

    if name == "library":
        return built_library(LIBRARIES[target.name], compiler, tell)
    return built(name, target, compiler, tell)


def _lines(name: str, target: "Target", path: Path, version: str, out: Path | None) -> Iterator[str]:
    """Copy what was built if that is wanted, and return the lines that say what it is and where."""
    import hashlib

    from profiler.bundle import write_file

    content = path.read_bytes()
    if out is not None:
        path = out / f"{path.stem}-{target.name}{path.suffix}"
        write_file(path, content)
        path.chmod(0o755)
    yield f"{name} for {target.name}: {len(content):,} bytes, by {version}"
    yield f"  {path}"
    yield f"  sha256 {hashlib.sha256(content).hexdigest()}"
