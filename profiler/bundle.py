"""A bundle: the files of one run, none of them ever half-written."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_bundle(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` (name -> content) into ``folder``, which is made if it is missing.

    Every file is written aside first and renamed when all are complete: an interruption or a full disk leaves the old
    files, or between two renames some old and some new ones, each whole. Raises OSError, with the final path in it,
    if the folder or a file cannot be written; then nothing was changed.
    """
    target = Path(folder)
    made = [place for place in (target, *target.parents) if not place.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in files:
            if (target / name).is_dir():
                raise IsADirectoryError(21, "Is a directory", str(target / name))
        with _aside(target) as aside:
            for name, content in files.items():
                _write(Path(aside) / name, content, target / name)
            for name in files:
                os.replace(Path(aside) / name, target / name)
    except BaseException:
        for place in made:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise


def _aside(target: Path) -> "tempfile.TemporaryDirectory[str]":
    """Return a folder inside ``target`` for what is not complete yet; an error names ``target``."""
    try:
        return tempfile.TemporaryDirectory(prefix=".fedjoule-", dir=target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def write_file(path: Path, content: bytes) -> None:
    """Write one file, aside first, like `write_bundle`. The folder is made if it is missing."""
    write_bundle(path.parent, {path.name: content})


def _write(path: Path, content: bytes, final: Path) -> None:
    try:
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(final)) from error
