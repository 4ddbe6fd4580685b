"""LEAF's JSON: who wrote which images. One file at a time, and of a file one writer's numbers at a time."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from profiler.names import printable

# What one writer made: images uint8 [n, pixels of an image] and labels int32 [n].
Sheet = tuple[NDArray[np.uint8], NDArray[np.int32]]

_MOST_BYTES = 1 << 31
_MOST_WRITERS = 1_000_000
_FLOAT = 1 << 16  # marks a number that was written with a point: 1.0 is white, and so is 1


class _Levels(dict[str, int]):
    """The level, 0 to 255, of a number between 0 and 1 as it is written. There are few, so that each is read once."""

    def __missing__(self, text: str) -> int:
        value = float(text)
        if not 0 <= value <= 1:
            message = f"{printable(text, 40)} is no pixel of LEAF: they are from 0 (ink) to 1 (paper)"
            raise ValueError(message)
        level = _FLOAT + int(value * 255 + 0.5)
        if len(self) < 1 << 16:
            self[text] = level
        return level


def read_leaf(path: Path, image_pixels: int) -> dict[str, Sheet]:
    """Return the writers of one file of LEAF's: their images, 255 times LEAF's numbers to the nearest, and labels.

    Raises ValueError naming the file for anything that is not LEAF's JSON, a writer without equal numbers of images and
    labels, an image of another size, and a writer that comes twice.
    """
    where = printable(path, 300)
    if path.stat().st_size > _MOST_BYTES:
        message = f"{where}: {path.stat().st_size:,} bytes; LEAF's files have 2 GiB at most, split it"
        raise ValueError(message)
    try:
        return _writers(path.read_text(encoding="utf-8"), image_pixels)
    except (ValueError, RecursionError) as error:  # JSON's and UTF-8's errors are ValueErrors
        message = f"{where}: not a file of LEAF's FEMNIST ({printable(error, 200)}); write it again with LEAF"
        raise ValueError(message) from error


def read_leaf_folder(folder: Path, image_pixels: int) -> dict[str, Sheet]:
    """Return the writers of all files of a folder. Raises ValueError if there is none, or a writer lies in two."""
    found: dict[str, Sheet] = {}
    for path in leaf_files(folder):
        for writer, sheet in read_leaf(path, image_pixels).items():
            if found.setdefault(writer, sheet) is not sheet:
                message = (
                    f"{printable(path, 300)}: writer {printable(writer, 40)!r} also lies in another file of the "
                    "folder; keep one"
                )
                raise ValueError(message)
        if len(found) > _MOST_WRITERS:
            message = f"{printable(folder, 300)}: more than {_MOST_WRITERS:,} writers"
            raise ValueError(message)
    if not found:
        message = f"{printable(folder, 300)}: no writer in it; write it again with LEAF"
        raise ValueError(message)
    return found


def leaf_files(folder: Path) -> Sequence[Path]:
    """Return LEAF's files of a folder, in the order of their names."""
    return sorted(path for path in folder.glob("*.json") if path.is_file())


def leaf_folders(folders: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield the folders ``train`` and ``test`` of LEAF's that lie side by side among ``folders``."""
    known = set()
    for folder in folders:
        known.add(folder)
        train, test = folder.parent / "train", folder.parent / "test"
        if folder.name in {"train", "test"} and {train, test} <= known and leaf_files(train) and leaf_files(test):
            yield train, test


def _writers(text: str, image_pixels: int) -> dict[str, Sheet]:
    def kept(pairs: list[tuple[str, Any]]) -> object:
        """Turn the numbers of a writer into arrays as soon as they are read: as objects they take 8 times the room."""
        whole = dict(pairs)
        if len(whole) != len(pairs):
            message = "a key comes twice"
            raise ValueError(message)
        if whole.keys() == {"x", "y"}:
            return _sheet(whole["x"], whole["y"], image_pixels)
        return whole

    whole = json.loads(
        text, object_pairs_hook=kept, parse_float=_Levels().__getitem__, parse_int=_whole, parse_constant=_no_number
    )
    data = whole.get("user_data") if isinstance(whole, dict) else None
    if not isinstance(data, dict):
        message = "no 'user_data' of writers in it"
        raise ValueError(message)
    for writer, sheet in data.items():
        if not isinstance(sheet, tuple) or not 0 < len(writer) <= 100:
            message = f"writer {printable(writer, 40)!r} is not just images 'x' and labels 'y'"
            raise ValueError(message)
    users = whole.get("users")
    if not isinstance(users, list) or set(map(str, users)) != set(data):
        message = "'users' are not the writers of 'user_data'"
        raise ValueError(message)
    return data


def _sheet(x: object, y: object, image_pixels: int) -> Sheet:
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        message = "a writer must have a list of images 'x' and as many labels 'y'"
        raise ValueError(message)
    images = np.empty((len(x), image_pixels), dtype=np.uint8)
    for number, image in enumerate(x):
        if not isinstance(image, list) or len(image) != image_pixels:
            message = f"image {number} of a writer is not {image_pixels} numbers"
            raise ValueError(message)
        images[number] = _levels(image)
    if not all(type(label) is int and 0 <= label < _FLOAT for label in y):
        message = "a label is no whole number"
        raise ValueError(message)
    return images, np.array(y, dtype=np.int32)


def _levels(image: list[object]) -> NDArray[np.int64]:
    if not all(type(value) is int for value in image):
        message = "a pixel is no number"
        raise ValueError(message)
    values = np.array(image, dtype=np.int64)
    written_whole = values < _FLOAT
    if (written_whole & (values > 1)).any():
        message = f"a pixel is {values[written_whole].max()}; LEAF's are from 0 (ink) to 1 (paper)"
        raise ValueError(message)
    return np.where(written_whole, values * 255, values - _FLOAT)


def _whole(text: str) -> int:
    value = int(text) if len(text) < 10 else -1
    if not 0 <= value < _FLOAT:
        message = f"{printable(text, 40)} is neither a pixel nor a label nor a number of images"
        raise ValueError(message)
    return value


def _no_number(text: str) -> int:
    message = f"{text} is no pixel"
    raise ValueError(message)
