"""Paths on a device, and the words of a shell command: what may be sent, and how it is quoted."""

import posixpath
import re

# Everything fedjoule writes on a device has such a path; nothing in it needs quoting, and it is quoted all the same.
_PATH = re.compile(r"/(?:[A-Za-z0-9._+@:,=-]+/)*[A-Za-z0-9._+@:,=-]+")
_LONGEST = 1000


def checked_path(path: str) -> str:
    """Return ``path`` if it is absolute, normalised and of plain characters, or raise ValueError."""
    if len(path) > _LONGEST or not _PATH.fullmatch(path) or posixpath.normpath(path) != path:
        from profiler.names import printable

        message = (
            f"device path {printable(path, 120)!r} must be absolute, without '..' or '//', and made of letters, digits "
            "and . _ + @ : , = -; rename the file"
        )
        raise ValueError(message)
    return path
