"""Downloads of official files into a cache, checked by their sums."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from fl_sim.data.official import Download, Release
from profiler.native.build import cache_folder

# Told the file's name, the bytes that have come, and the bytes there will be.
Progress = Callable[[str, int, int], None]

_PATIENCE_S = (10.0, 30.0)  # for a connection, and between two pieces
_CHUNK_BYTES = 1 << 16


class _Meter:
    """What pooch tells the progress of a download; ends one that is longer than the official file."""

    def __init__(self, download: Download, tell: Progress | None) -> None:
        self.total, self._download, self._tell, self._come, self._told = 0, download, tell, 0, 0

    def update(self, count: int) -> None:
        self._come += count
        most = self._download.size_bytes
        if self._come > most + _CHUNK_BYTES:  # pooch counts whole chunks
            message = f"gives more than the {most:,} bytes of {self._download.name}"
            raise ValueError(message)
        if self._tell and min(self._come, most) > self._told:
            self._told = min(self._come, most)
            self._tell(self._download.name, self._told, most)

    def reset(self) -> None:
        self._come = 0

    def close(self) -> None:
        pass


def data_cache() -> Path:
    """Return the folder that downloads are kept in. It may be deleted at any time.

    ``FEDJOULE_CACHE`` names the folder above it; else it lies beside what is built for phones, see
    ``profiler.native.build.cache_folder``.
    """
    given = os.environ.get("FEDJOULE_CACHE", "")
    return (Path(given) if given else cache_folder().parent) / "data"


def fetch(release: Release, cache: Path | None = None, tell: Progress | None = None) -> Path:
    """Return the folder with a data set's downloads, fetched now unless they lie there with their official sums.

    A file with another sum is fetched again. Raises ValueError if the data set is not to be had that way, and
    ConnectionError or another OSError if no address gives the official file, or it cannot be written.
    """
    downloads = next((form.downloads for form in release.forms if form.downloads), ())
    if not downloads:
        message = f"{release.name} cannot be downloaded; put its files into a folder and name that with --data-dir"
        raise ValueError(message)
    folder = (data_cache() if cache is None else cache) / release.name
    for download in downloads:
        _fetch_one(download, folder, tell)
    return folder


def _fetch_one(download: Download, folder: Path, tell: Progress | None) -> None:
    import pooch  # type: ignore[import-untyped]
    from requests.exceptions import HTTPError, RequestException

    pooch.get_logger().setLevel(logging.WARNING)  # what it would say is told through ``tell``
    reasons: dict[str, str] = {}
    useless = set()
    for url in download.urls * 2:  # a broken line may be whole the second time
        if url in useless:
            continue
        try:
            pooch.retrieve(
                url,
                known_hash=download.sum,
                fname=download.name,
                path=folder,
                downloader=pooch.HTTPDownloader(
                    progressbar=_Meter(download, tell),
                    chunk_size=_CHUNK_BYTES,
                    timeout=_PATIENCE_S,
                    headers={"Accept-Encoding": "identity"},  # the file as it is, not unpacked on the way
                ),
            )
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
        f"{download.name} ({download.size_bytes / 1e6:.1f} MB) could not be fetched: {tried}; try again later, or "
        "fetch it in another way and name its folder with --data-dir"
    )
    raise ConnectionError(message)
