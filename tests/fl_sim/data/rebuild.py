"""Official files of the data sets, made again byte for byte from the shared copies, which are stored otherwise.

Also a script, for experiments on the official files: ``python tests/fl_sim/data/rebuild.py cifar10 FOLDER``, with
cifar10, cifar10-python, mnist10k or femnist.
"""

import json
import lzma
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

SHARED = Path(__file__).parents[3] / "../shared/data"
PARTS = ("train_1", "train_2", "train_3", "train_4", "train_5", "test")

_EACH = 10_000


def cifar10_rows(part: str, shared: Path = SHARED) -> tuple[np.ndarray, np.ndarray]:
    """The images of a part as rows of three planes, uint8 [10000, 3072], and their labels."""
    from PIL import Image

    with Image.open(shared / "cifar10" / f"{part}.webp") as picture:
        tiles = np.asarray(picture.convert("RGB")).reshape(100, 32, 100, 32, 3)
    return tiles.transpose(0, 2, 4, 1, 3).reshape(_EACH, 3072), _of_part("labels", part, shared)


def cifar10_binary(part: str, shared: Path = SHARED) -> tuple[str, bytes]:
    """The name and content of an official file of the binary version."""
    rows, labels = cifar10_rows(part, shared)
    return f"{_official(part)}.bin", np.concatenate([labels[:, None], rows], axis=1).tobytes()


def cifar10_python(part: str, shared: Path = SHARED) -> tuple[str, bytes]:
    """The name and content of an official python batch."""
    rows, labels = cifar10_rows(part, shared)
    title = "testing batch 1 of 1" if part == "test" else f"training batch {part[-1]} of 5"
    return _official(part), pickled_batch(title.encode(), rows, labels.tolist(), _of_part("filenames", part, shared))


def femnist_leaf(folder: Path, writers: int | None = None, shared: Path = SHARED, each: int = 50) -> None:
    """Write FEMNIST's first writers as LEAF does: folders train and test, ``each`` writers a file."""
    with np.load(shared / "femnist" / "femnist_writers.npz") as arrays:
        images, labels, writer, is_test, ids = (
            arrays[name] for name in ("images", "labels", "writer", "is_test", "writer_ids")
        )
    # LEAF writes k / 255 as Python does.
    texts = np.array([repr(level / 255) for level in range(256)])
    chosen = np.arange(len(ids))[:writers]
    for part, wanted in (("train", ~is_test), ("test", is_test)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for number, start in enumerate(range(0, len(chosen), each)):
            users = chosen[start : start + each]
            path = folder / part / f"all_data_{number}_niid_05_keep_0_{part}_9.json"
            with path.open("w") as file:
                file.write(leaf_text(_sheets(users, ids, writer, wanted, images, labels, texts)))


def leaf_text(sheets: Iterator[tuple[str, list[str], list[int]]]) -> str:
    """A file of LEAF's from writers' ids, images (each the text of a list) and labels."""
    users, counts, data = [], [], []
    for user, images, labels in sheets:
        users.append(user)
        counts.append(len(labels))
        data.append(f'{json.dumps(user)}: {{"x": [{", ".join(images)}], "y": {json.dumps(labels)}}}')
    return f'{{"users": {json.dumps(users)}, "num_samples": {counts}, "user_data": {{{", ".join(data)}}}}}'


def pickled_batch(title: bytes, rows: np.ndarray, labels: Sequence[int], names: Sequence[bytes]) -> bytes:
    """A dictionary of a batch as Python 2's cPickle wrote it: values seen once are not kept in its memory."""
    pieces: list[bytes] = []
    kept = 0

    def keep() -> None:
        nonlocal kept
        kept += 1
        pieces.append(b"q" + bytes([kept]) if kept < 256 else b"r" + struct.pack("<I", kept))

    def text(value: bytes, *, keeping: bool = True) -> None:
        head = b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))
        pieces.append(head + value)
        if keeping:
            keep()

    def number(value: int) -> bytes:
        if value < 256:
            return b"K" + bytes([value])
        return b"M" + struct.pack("<H", value) if value < 65536 else b"J" + struct.pack("<i", value)

    def listed(begin: str, items: Sequence[int] | Sequence[bytes]) -> None:
        text(begin.encode())
        pieces.append(b"]")
        keep()
        for start in range(0, len(items), 1000):
            pieces.append(b"(")
            for item in items[start : start + 1000]:
                if isinstance(item, bytes):
                    text(item)
                else:
                    pieces.append(number(item))
            pieces.append(b"e")

    pieces.append(b"\x80\x02}")
    keep()
    pieces.append(b"(")
    text(b"batch_label")
    text(title)
    listed("labels", labels)
    text(b"data")
    pieces.append(b"cnumpy.core.multiarray\n_reconstruct\n")
    keep()
    pieces.append(b"cnumpy\nndarray\n")
    keep()
    pieces.append(number(0) + b"\x85U\x01b\x87R")
    keep()
    pieces.append(b"(" + number(1) + number(rows.shape[0]) + number(rows.shape[1]) + b"\x86cnumpy\ndtype\n")
    keep()
    pieces.append(b"U\x02u1" + number(0) + number(1) + b"\x87R")
    keep()
    pieces.append(b"(" + number(3) + b"U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + number(0) + b"tb\x89")
    text(rows.tobytes(), keeping=False)
    pieces.append(b"tb")
    listed("filenames", names)
    return b"".join([*pieces, b"u."])


def _official(part: str) -> str:
    return "test_batch" if part == "test" else f"data_batch_{part[-1]}"


def _of_part(what: str, part: str, shared: Path) -> np.ndarray:
    which, number = ("test", 0) if part == "test" else ("train", int(part[-1]) - 1)
    with np.load(shared / "cifar10" / "index.npz") as index:
        values = index[f"{which}_{what}"]
    if what == "filenames":
        values = values.tobytes().split(b"\n")
    return values[number * _EACH : (number + 1) * _EACH]


def _sheets(users, ids, writer, wanted, images, labels, texts) -> Iterator[tuple[str, list[str], list[int]]]:
    for user in users.tolist():
        rows = np.flatnonzero(wanted & (writer == user))
        pictures = [f"[{', '.join(texts[images[row].ravel()].tolist())}]" for row in rows]
        yield str(ids[user]), pictures, labels[rows].tolist()


def main(name: str, folder: Path) -> None:
    """Write a data set's official files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "femnist":
        femnist_leaf(folder)
    elif name == "mnist10k":
        for path in sorted((SHARED / "mnist").glob("*.xz")):
            (folder / path.stem).write_bytes(lzma.decompress(path.read_bytes()))
    else:
        make = {"cifar10": cifar10_binary, "cifar10-python": cifar10_python}[name]
        for part in PARTS:
            file, content = make(part)
            (folder / file).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
