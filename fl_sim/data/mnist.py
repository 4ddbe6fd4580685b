"""MNIST from its official IDX files, plain or compressed, and its first 10,000 train images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.data.folder import Folder
from fl_sim.data.idx import ENDINGS, read_idx, uncompressed
from fl_sim.data.official import Form, OfficialFile, Release, check_sum
from profiler.names import printable

_MOST_BYTES = 1 << 26  # the train images have 47 MB
_REMEDY = "delete it and fetch it again"


def load_mnist(
    release: Release, folder: Folder, first: int | None = None, *, by: Release | None = None
) -> Dataset | None:
    """Return the data set from the official files in a folder, None if it does not have them all.

    ``first`` cuts the train images; ``by`` is the release whose name and title the data set gets. Raises ValueError
    for a file that is damaged or not the official one.
    """
    for form in release.forms:
        paths = folder.folder_of([file.name + ending for ending in ENDINGS] for file in form.files)
        if paths is not None:
            train, test = _read(form, paths)
            if first is not None:
                train = Images(train.pixels[:first], train.labels[:first])
            named = by or release
            return make_dataset(named.name, named.classes, train, test, f"{named.title}, {paths[0].name}")
    return None


def _read(form: Form, paths: tuple[Path, ...]) -> tuple[Images, Images]:
    arrays = [
        _array(path, file, dimensions) for path, file, dimensions in zip(paths, form.files, (3, 1, 3, 1), strict=True)
    ]
    for path, pixels, labels in zip(paths[::2], arrays[::2], arrays[1::2], strict=True):
        if len(pixels) != len(labels):
            message = f"{printable(path, 300)}: {len(pixels)} images, but {len(labels)} labels beside it; {_REMEDY}"
            raise ValueError(message)
    train, test = (
        Images(np.array(pixels[..., None]), labels.astype(np.int32))
        for pixels, labels in zip(arrays[::2], arrays[1::2], strict=True)
    )
    return train, test


def _array(path: Path, file: OfficialFile, dimensions: int) -> NDArray[np.uint8]:
    where = printable(path, 300)
    if path.stat().st_size > _MOST_BYTES:
        message = f"{where}: {path.stat().st_size:,} bytes are more than any file of MNIST has; {_REMEDY}"
        raise ValueError(message)
    try:
        content = uncompressed(path.read_bytes(), path.name.removeprefix(file.name), _MOST_BYTES)
        check_sum(content, file, where, _REMEDY)
        return read_idx(content, dimensions)
    except ValueError as error:
        if str(error).startswith(where):
            raise
        message = f"{where}: {error}; {_REMEDY}"
        raise ValueError(message) from error
