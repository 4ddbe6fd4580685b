"""CIFAR-10 and CIFAR-100 from their official files: the binary version, or the python batches, loose or archived."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fl_sim.data.dataset import Dataset, Images, Labels, Pixels, make_dataset
from fl_sim.data.folder import Folder
from fl_sim.data.official import Form, OfficialFile, Release, check_sum
from fl_sim.data.pickled import read_pickled
from profiler.names import printable

SIDE = 32
IMAGE_BYTES = 3 * SIDE * SIDE

_MOST_FILE_BYTES = 200_000_000  # the longest, CIFAR-100's python train file, has 155 MB
_MOST_ARCHIVE_BYTES = 300_000_000  # uncompressed; official ones have up to 187 MB
_MOST_MEMBERS = 1000
_REMEDY = "delete it and fetch it again"


def load_cifar(release: Release, folder: Folder) -> Dataset | None:
    """Return the data set from the official files in a folder, None if it has none of their forms complete.

    The binary version is taken before the python batches, loose files before the archive. Raises ValueError for a file
    that is damaged or not the official one.
    """
    for form in release.forms:
        loose = folder.folder_of([file.name] for file in form.files)
        if loose is not None:
            return _assembled(release, form, _loose(loose, form), f"files of {form.folder}")
    for form in release.forms:
        archive = folder.file(form.archive)
        if archive is not None:
            return _assembled(release, form, _archived(archive, form), archive.name)
    return None


def read_records(raw: bytes, form: Form, what: str) -> tuple[Pixels, Labels]:
    """Return pixels [n, 32, 32, 3] (a view) and labels of one file, which must be complete and of ``form``.

    Raises ValueError naming ``what``.
    """
    try:
        if form.kind == "cifar_python":
            return _from_batch(raw)
        return _from_records(raw, form.label_bytes)
    except ValueError as error:
        message = f"{what}: {error}; {_REMEDY}"
        raise ValueError(message) from error


def _from_records(raw: bytes, label_bytes: int) -> tuple[Pixels, Labels]:
    size = label_bytes + IMAGE_BYTES
    if not raw or len(raw) % size:
        message = f"{len(raw):,} bytes are no whole number of records of {size}"
        raise ValueError(message)
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(-1, size)
    return _upright(rows[:, label_bytes:]), rows[:, label_bytes - 1].astype(np.int32)


def _from_batch(raw: bytes) -> tuple[Pixels, Labels]:
    batch = read_pickled(raw)
    rows, labels = batch.get(b"data"), batch.get(b"fine_labels", batch.get(b"labels"))
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != IMAGE_BYTES:
        message = f"has no images of {IMAGE_BYTES} bytes under 'data'"
        raise ValueError(message)
    if not isinstance(labels, list) or len(labels) != len(rows):
        message = f"has no list of {len(rows)} labels under 'labels' or 'fine_labels'"
        raise ValueError(message)
    if not all(isinstance(label, int) and 0 <= label < 100 for label in labels):
        message = "has a label that is not from 0 to 99"
        raise ValueError(message)
    return _upright(rows), np.array(labels, dtype=np.int32)


def _upright(rows: Pixels) -> Pixels:
    """Return images with their channels last: in the files each channel is a plane."""
    return rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _assembled(release: Release, form: Form, parts: Iterator[tuple[str, OfficialFile, bytes]], source: str) -> Dataset:
    """Return the data set from its files in any order, one of them in memory at a time."""
    each = release.train_images // len(form.train)
    starts = {file.name: number * each for number, file in enumerate(form.train)}
    train, test = (
        Images(np.empty((count, SIDE, SIDE, 3), dtype=np.uint8), np.empty(count, dtype=np.int32))
        for count in (release.train_images, release.test_images)
    )
    for where, file, raw in parts:
        check_sum(raw, file, where, _REMEDY)
        pixels, labels = read_records(raw, form, where)
        images, start, count = (train, starts[file.name], each) if file.name in starts else (test, 0, len(test))
        if len(labels) != count:
            message = f"{where}: holds {len(labels)} images, must hold {count}; {_REMEDY}"
            raise ValueError(message)
        images.pixels[start : start + count] = pixels
        images.labels[start : start + count] = labels
        del raw, pixels, labels  # before the next file is read
    return make_dataset(release.name, release.classes, train, test, f"{release.title}, {source}")


def _loose(paths: tuple[Path, ...], form: Form) -> Iterator[tuple[str, OfficialFile, bytes]]:
    for path, file in zip(paths, form.files, strict=True):
        where = printable(path, 300)
        if path.stat().st_size > _MOST_FILE_BYTES:
            message = f"{where}: {path.stat().st_size:,} bytes are more than any file of CIFAR has; {_REMEDY}"
            raise ValueError(message)
        yield where, file, path.read_bytes()


class _Limited:
    """An uncompressed stream that ends with an error before it fills the memory."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream, self._left = stream, _MOST_ARCHIVE_BYTES

    def read(self, count: int) -> bytes:
        self._left -= count
        if self._left < 0:
            message = f"more than {_MOST_ARCHIVE_BYTES:,} bytes uncompressed"
            raise tarfile.ReadError(message)
        return self._stream.read(count)


def _archived(path: Path, form: Form) -> Iterator[tuple[str, OfficialFile, bytes]]:
    """Yield the files of an archive as they come: it is read once, and nothing is written."""
    wanted = {f"{form.folder}/{file.name}": file for file in form.files}
    where, reason = printable(path, 300), ""
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=_Limited(stream), mode="r|") as archive:  # type: ignore[call-overload]
            for member, _ in zip(archive, range(_MOST_MEMBERS), strict=False):
                file = wanted.pop(member.name.removeprefix("./"), None)
                if file is None:
                    continue
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    reason = f"{file.name} in it is no file"
                    break
                yield f"{where}: {file.name}", file, content.read()
                if not wanted:
                    return
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        reason = str(error)
    missing = ", ".join(file.name for file in wanted.values())
    message = f"{where}: damaged archive ({printable(reason or f'{missing} is not in it', 120)}); {_REMEDY}"
    raise ValueError(message)
