"""Downloads of data sets' official files into a cache."""

import os
from pathlib import Path

from fl_sim.data.official import Release
from profiler.native.build import cache_folder
from traces.download import Progress, fetch_files

_REMEDY = "fetch it in another way and name its folder with --data-dir"


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
    return fetch_files(downloads, folder, tell, _REMEDY)
