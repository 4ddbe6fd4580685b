"""Public traces of phones, fetched into a folder and checked by their sums; none is part of this project."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traces.download import Download, Progress, fetch_files
from traces.report import clean


@dataclass(frozen=True)
class PublicSet:
    """A set of public files. Whoever publishes with it is asked for the citation."""

    name: str
    title: str
    licence: str
    citation: str
    files: tuple[Download, ...]

    @property
    def size_bytes(self) -> int:
        """What is fetched, all in all; some sizes are only roughly known."""
        return sum(file.size_bytes for file in self.files)


@functools.cache
def public_sets() -> Mapping[str, PublicSet]:
    """Return the public sets that are known, by name."""
    text = (Path(__file__).parent / "public.toml").read_text(encoding="utf-8")
    return {name: _set(name, row) for name, row in tomllib.loads(text).items()}


def find_public_set(name: str) -> PublicSet:
    """Return a public set by its name. Raises ValueError naming those there are."""
    known = public_sets()
    if name not in known:
        message = f"there are no public traces named {clean(name, 40)!r} to fetch; there are {' and '.join(known)}"
        raise ValueError(message)
    return known[name]


def fetch(chosen: PublicSet, folder: Path, tell: Progress | None = None) -> Path:
    """Return ``folder`` with a set's files in it, fetched now unless they lie there with their sums.

    What is fetched is data: nothing is unpacked or run. Raises ConnectionError or another OSError if a file cannot be
    had from any address, or not be written.
    """
    return fetch_files(
        chosen.files, folder, tell, "fetch it in another way and name the folder it lies in with --fleet"
    )


def _set(name: str, row: Mapping[str, Any]) -> PublicSet:
    files = tuple(Download(**{**file, "urls": tuple(file["urls"])}) for file in row["files"])
    return PublicSet(name, row["title"], row["licence"], row["citation"], files)
