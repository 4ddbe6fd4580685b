"""FEMNIST by writer: handwritten digits and letters, each writer a client.

Read from LEAF's JSON, or from an archive of writers. LEAF's polarity is kept: 255 is white paper, 0 is ink.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fl_sim.data.archive import read_archive
from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.data.folder import Folder
from fl_sim.data.leaf import Sheet, leaf_folders, read_leaf_folder
from profiler.names import printable

CLASSES = 62
SIDE = 28
ARCHIVE = "femnist_writers.npz"

_ARRAYS = {"images": ("u", 3), "labels": ("u", 1), "writer": ("u", 1), "is_test": ("b", 1), "writer_ids": ("U", 1)}


@dataclass(frozen=True)
class _Written:
    """What each writer wrote, to train and to test on."""

    train: Mapping[str, Sheet]
    test: Mapping[str, Sheet]
    where: str
    source: str


def load_femnist(folder: Folder, writers: int | None = None) -> Dataset | None:
    """Return FEMNIST from an archive of writers or LEAF's folders ``train`` and ``test``, None if neither is there.

    Writers are clients, numbered in the order of their ids; a writer's images keep their order. ``writers`` takes
    those with most train images (of equals, those with smaller ids) and just their test images. Raises ValueError for
    damaged files, a writer with test images alone, and more writers than there are.
    """
    archive = folder.file(ARCHIVE)
    if archive is not None:
        return _assembled(_from_archive(archive), writers)
    for train, test in leaf_folders(folder.names):
        return _assembled(_from_leaf(train, test), writers)
    return None


def _from_leaf(train: Path, test: Path) -> _Written:
    to_train, to_test = (read_leaf_folder(folder, SIDE * SIDE) for folder in (train, test))
    return _Written(to_train, to_test, printable(train.parent, 300), "LEAF's JSON")


def _from_archive(path: Path) -> _Written:
    where = printable(path, 300)
    arrays = read_archive(path, _ARRAYS)
    images, ids, writer, is_test = (arrays[name] for name in ("images", "writer_ids", "writer", "is_test"))
    count = len(images)
    faults = [
        f"{name} has {len(arrays[name])} entries for {count} images"
        for name in ("labels", "writer", "is_test")
        if len(arrays[name]) != count
    ]
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        faults.append(f"images are {images.dtype} {list(images.shape[1:])}, not uint8 {SIDE} x {SIDE}")
    if len(set(ids.tolist())) != len(ids) or not len(ids):
        faults.append("writer_ids are empty, or one comes twice")
    elif len(writer) and int(writer.max()) >= len(ids):
        faults.append(f"writer is up to {writer.max()} for {len(ids)} writer_ids")
    if faults:
        message = f"{where}: {'; '.join(faults)}; get it again"
        raise ValueError(message)
    rows, labels = images.reshape(count, SIDE * SIDE), arrays["labels"].astype(np.int64)
    if int(labels.max(initial=0)) >= CLASSES:
        message = f"{where}: a label is {labels.max()}; FEMNIST's are from 0 to {CLASSES - 1}"
        raise ValueError(message)
    train, test = (
        _by_writer(rows, labels.astype(np.int32), writer, np.flatnonzero(chosen), ids) for chosen in (~is_test, is_test)
    )
    return _Written(train, test, where, path.name)


def _by_writer(
    rows: NDArray[np.uint8],
    labels: NDArray[np.int32],
    writer: NDArray[np.unsignedinteger],
    chosen: NDArray[np.intp],
    ids: NDArray[np.str_],
) -> dict[str, Sheet]:
    order = chosen[np.argsort(writer[chosen], kind="stable")]
    kinds, starts = np.unique(writer[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    places = (order[start:end] for start, end in zip(starts, ends, strict=True)) if len(order) else ()
    return {str(ids[kind]): (rows[which], labels[which]) for kind, which in zip(kinds.tolist(), places, strict=True)}


def _assembled(written: _Written, writers: int | None) -> Dataset:
    train = {writer: sheet for writer, sheet in written.train.items() if len(sheet[1])}
    test = {writer: sheet for writer, sheet in written.test.items() if len(sheet[1])}
    alone = sorted(set(test) - set(train))
    if alone or not train:
        message = (
            f"{written.where}: writer {printable(alone[0] if alone else '', 40)!r} has no train images ({len(alone)} "
            f"of {len(test)} have none); split every writer's images, in LEAF with -t sample"
        )
        raise ValueError(message)
    chosen = sorted(train, key=lambda writer: (-len(train[writer][1]), writer))
    if writers is not None:
        if not 1 <= writers <= len(chosen):
            message = f"writers must be from 1 to {len(chosen)}, those of {written.where} (got {writers})"
            raise ValueError(message)
        chosen = chosen[:writers]
    chosen.sort()
    (train_images, train_owner), (test_images, test_owner) = (_joined(part, chosen) for part in (train, test))
    return make_dataset(
        "femnist",
        CLASSES,
        train_images,
        test_images,
        f"FEMNIST, {len(chosen)} of {len(train)} writers, {written.source}",
        train_owner=train_owner,
        test_owner=test_owner,
        owners=len(chosen),
    )


def _joined(sheets: Mapping[str, Sheet], writers: list[str]) -> tuple[Images, NDArray[np.int32]]:
    nothing: Sheet = (np.empty((0, SIDE * SIDE), dtype=np.uint8), np.empty(0, dtype=np.int32))
    chosen = [sheets.get(writer, nothing) for writer in writers]
    pixels = np.concatenate([rows for rows, _ in chosen]).reshape(-1, SIDE, SIDE, 1)
    labels = np.concatenate([labels for _, labels in chosen])
    owner = np.repeat(np.arange(len(writers), dtype=np.int32), [len(labels) for _, labels in chosen])
    return Images(pixels, labels), owner
