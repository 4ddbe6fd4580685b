"""Downloads of public files into a folder, checked by their sums; the one place that goes out to the network."""

import functools
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

# Told the file's name, the bytes that have come, and the bytes there will be.
Progress = Callable[[str, int, int], None]

_PATIENCE_S = (10.0, 30.0)  # for a connection, and between two pieces
_CHUNK_BYTES = 1 << 16
_ROUGHLY = 2  # a size that is only roughly known may be off by as much as this


@dataclass(frozen=True)
class Download:
    """What is fetched: its sum is of the file as it travels; ``urls`` all lead to the same bytes.

    ``sum`` is ``sha256:...``, ``md5:...``, or ``git:...``, the name that git gives to the content: SHA-1, and all that
    is known of some files. ``roughly``: ``size_bytes`` is only about right.
    """

    name: str
    sum: str
    size_bytes: int
    urls: tuple[str, ...]
    roughly: bool = False

    def __post_init__(self) -> None:
        # The name becomes a path within the folder and nothing else.
        if not self.name or self.name in {".", ".."} or set(self.name) & set("/\\:\0"):
            message = f"name of a download must be that of a file, without a folder (got {self.name[:80]!r})"
            raise ValueError(message)
        if self.sum.partition(":")[0] not in {"sha256", "md5", "git"}:
            message = f"sum of {self.name} must begin with sha256:, md5: or git: (got {self.sum[:80]!r})"
            raise ValueError(message)

    @property
    def most_bytes(self) -> int:
        """The most bytes that are taken."""
        return self.size_bytes * (_ROUGHLY if self.roughly else 1)


class _Meter:
    """What pooch tells the progress of a download; ends one that is longer than the official file."""

    def __init__(self, download: Download, tell: Progress | None) -> None:
        self.total, self._download, self._tell, self._come, self._told = 0, download, tell, 0, 0

    def update(self, count: int) -> None:
        self._come += count
        if self._come > self._download.most_bytes + _CHUNK_BYTES:  # pooch counts whole chunks
            message = f"gives more than the {self._download.most_bytes:,} bytes of {self._download.name}"
            raise ValueError(message)
        size = self._download.size_bytes
        if self._tell and min(self._come, size) > self._told:
            self._told = min(self._come, size)
            self._tell(self._download.name, self._told, size)

    def reset(self) -> None:
        self._come = 0

    def close(self) -> None:
        pass


def has_sum(path: Path, known: str) -> bool:
    """Return whether a file has the sum ``known``, written as in ``Download``. Raises OSError if it cannot be read."""
    kind, _, digits = known.partition(":")
    with path.open("rb") as stream:
        if kind == "git":
            start = f"blob {os.fstat(stream.fileno()).st_size}\0".encode()
            digest = hashlib.file_digest(stream, lambda: hashlib.sha1(start, usedforsecurity=False))
        else:
            digest = hashlib.file_digest(stream, functools.partial(hashlib.new, kind, usedforsecurity=False))
    return digest.hexdigest() == digits


def fetch_files(downloads: Iterable[Download], folder: Path, tell: Progress | None = None, remedy: str = "") -> Path:
    """Return the folder with the downloads, fetched now unless they lie there with their sums.

    A file with another sum is fetched again. ``remedy`` says what else to do if that fails. Raises ConnectionError or
    another OSError if no address gives the file, or it cannot be written.
    """
    for download in downloads:
        _fetch_one(download, folder, tell, remedy)
    return folder


def _fetch_one(download: Download, folder: Path, tell: Progress | None, remedy: str) -> None:
    import pooch  # type: ignore[import-untyped]
    from requests.exceptions import HTTPError, RequestException

    path = folder / download.name
    if path.is_file():
        if has_sum(path, download.sum):
            return
        path.unlink()
    pooch.get_logger().setLevel(logging.WARNING)  # what it would say is told through ``tell``

    # Pooch knows no git sums: it checks nothing, and this does before the file gets its place.
    def checked(url: str, output_file: str, pool: object) -> None:
        pooch.HTTPDownloader(
            progressbar=_Meter(download, tell),
            chunk_size=_CHUNK_BYTES,
            timeout=_PATIENCE_S,
            headers={"Accept-Encoding": "identity"},  # the file as it is, not unpacked on the way
        )(url, output_file, pool)
        if not has_sum(Path(output_file), download.sum):
            message = "has another sum"
            raise ValueError(message)

    reasons: dict[str, str] = {}
    useless = set()
    for url in download.urls * 2:  # a broken line may be whole the second time
        if url in useless:
            continue
        try:
            pooch.retrieve(url, known_hash=None, fname=download.name, path=folder, downloader=checked)
        except HTTPError as error:
            reasons[url] = f"answers {error.response.status_code if error.response is not None else 'an error'}"
            useless.add(url)
        except RequestException as error:
            reasons[url] = f"cannot be reached ({type(error).__name__})"
        except ValueError:
            reasons[url] = f"gives another file than the official one, {download.sum}"
            useless.add(url)
        else:
            return
    tried = "; ".join(f"{url} {reason}" for url, reason in reasons.items())
    message = (
        f"{download.name} ({download.size_bytes / 1e6:.1f} MB) could not be fetched: {tried}; try again later"
        f"{', or ' + remedy if remedy else ''}"
    )
    raise ConnectionError(message)
