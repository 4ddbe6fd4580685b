"""A file of traces as it lies on disk: read whole within a bound, with the sum by which a run log names it."""

import hashlib
import json
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traces.report import clean

_PIECE_BYTES = 1 << 22
_MOST_OBJECTS = 1 << 21  # empty ones take two bytes each here and 60 in memory


@dataclass(frozen=True)
class SourceFile:
    """What was read of a file: the last part of its path, its bytes, and their SHA-256 in hexadecimal digits."""

    name: str
    raw: bytes = field(repr=False)
    sha256: str

    @property
    def known_by(self) -> tuple[str, str, int]:
        """Name, SHA-256 and bytes."""
        return (self.name, self.sha256, len(self.raw))


def read_source(path: Path, most_bytes: int) -> SourceFile:
    """Return a file's content.

    Raises ValueError if it is larger than ``most_bytes`` or no ordinary file (never read: a pipe has no end), and
    OSError if it cannot be read.
    """
    check_ordinary(path)
    with path.open("rb") as stream:
        raw = stream.read(most_bytes + 1)
    if len(raw) > most_bytes:
        message = f"{clean(path, 300)}: is larger than {most_bytes:,} bytes, the most that is read of such a file"
        raise ValueError(message)
    return SourceFile(path.name, raw, hashlib.sha256(raw).hexdigest())


def sum_of_file(path: Path) -> tuple[str, str, int]:
    """Return name, SHA-256 and bytes of a file that is too large to be held, read piece by piece."""
    digest, size = hashlib.sha256(), 0
    check_ordinary(path)
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return (path.name, digest.hexdigest(), size)


def check_ordinary(path: Path) -> None:
    """Raise ValueError unless a path leads to an ordinary file: to open a pipe may take for ever. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        message = (
            f"{clean(path, 300)}: must be an ordinary file (it is a folder, a device or such); name the file itself"
        )
        raise ValueError(message)


class Repeating(dict[str, Any]):
    """A JSON object that names keys more than once: the first of each is kept, the others are in ``repeated``."""

    repeated: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) == len(pairs):
        return whole
    first = Repeating()
    first.repeated = []
    for key, value in pairs:
        if key in first:
            first.repeated.append(key)
        else:
            first[key] = value
    return first


def parse_json(raw: bytes, what: str) -> Any:
    """Return what JSON says; objects that repeat a key are ``Repeating``.

    Raises ValueError naming ``what`` for text that is not UTF-8 or no JSON: cut off, nested too deeply, numbers of
    thousands of digits; and for more than two million lists and objects.
    """
    objects = raw.count(b"{") + raw.count(b"[")
    if objects > _MOST_OBJECTS:
        message = (
            f"{clean(what, 300)}: has {objects:,} lists and objects, more than the {_MOST_OBJECTS:,} that are read"
        )
        raise ValueError(message)
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        message = f"{clean(what, 300)}: is no whole JSON file: {clean(error, 160)}; get it again"
        raise ValueError(message) from error
