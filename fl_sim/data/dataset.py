"""A data set: images with labels for training and testing, and whose they are."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int32]
Owners = NDArray[np.int32]

_LEVELS = 256
_CHUNK_BYTES = 1 << 22  # small enough that a pass over the pixels needs no memory to speak of


@dataclass(frozen=True, eq=False)
class Images:
    """``pixels`` uint8 [n, h, w, c], ``labels`` int32 [n] from 0 to classes - 1."""

    pixels: Pixels
    labels: Labels

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            message = f"pixels must be uint8 [n, h, w, c] (got {self.pixels.dtype} {list(self.pixels.shape)})"
            raise ValueError(message)
        if self.labels.dtype != np.int32 or self.labels.shape != self.pixels.shape[:1]:
            message = (
                f"labels must be int32 [{len(self.pixels)}], one for each image "
                f"(got {self.labels.dtype} {list(self.labels.shape)})"
            )
            raise ValueError(message)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train and to test on.

    ``mean`` and ``std`` are per channel, of pixel / 255 over the train images. ``train_owner`` and ``test_owner`` say
    which natural client (a writer) an image is from, 0 to owners - 1; None where there are none, then ``owners`` is 0.
    ``source`` says where the images came from; ``sha256`` is of the content: shapes, pixels, labels and owners.
    """

    name: str
    classes: int
    train: Images
    test: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_owner: Owners | None
    test_owner: Owners | None
    owners: int
    source: str
    sha256: str


def make_dataset(
    name: str,
    classes: int,
    train: Images,
    test: Images,
    source: str,
    *,
    train_owner: Owners | None = None,
    test_owner: Owners | None = None,
    owners: int = 0,
) -> Dataset:
    """Return the data set with its means, deviations and hash worked out.

    Raises ValueError for no images, images of two shapes, a label outside 0..classes-1, an owner outside
    0..owners-1, or a channel whose pixels are all equal.
    """
    for part, images, owner in (("train", train, train_owner), ("test", test, test_owner)):
        _check(f"{part} images of {name}", images, classes, owner, owners)
    if train.pixels.shape[1:] != test.pixels.shape[1:]:
        message = f"{name}: train images are {_shape(train)} and test images {_shape(test)}; they must be alike"
        raise ValueError(message)
    mean, std = _moments(name, train.pixels)
    return Dataset(
        name, classes, train, test, mean, std, train_owner, test_owner, owners, source,
        sha256=_content_sha256(classes, train, test, train_owner, test_owner, owners),
    )  # fmt: skip


def chunks(pixels: Pixels) -> Iterator[Pixels]:
    """Yield the images in pieces of about 4 MB, so that what is worked out from them stays small in memory."""
    step = max(1, _CHUNK_BYTES // max(1, math.prod(pixels.shape[1:])))
    for start in range(0, len(pixels), step):
        yield pixels[start : start + step]


def _check(what: str, images: Images, classes: int, owner: Owners | None, owners: int) -> None:
    if not images.pixels.size:
        message = f"{what}: there are none (shape {list(images.pixels.shape)}); at least one is needed"
        raise ValueError(message)
    _check_range(f"label of the {what}", images.labels, classes)
    if owner is None:
        return
    if owner.dtype != np.int32 or owner.shape != images.labels.shape:
        message = f"owner of the {what} must be int32 [{len(images)}] (got {owner.dtype} {list(owner.shape)})"
        raise ValueError(message)
    _check_range(f"owner of the {what}", owner, owners)


def _check_range(what: str, values: NDArray[np.int32], count: int) -> None:
    wrong = np.flatnonzero((values < 0) | (values >= count))
    if len(wrong):
        place = int(wrong[0])
        message = f"{what} must be from 0 to {count - 1} (got {values[place]} at image {place}, {len(wrong)} in all)"
        raise ValueError(message)


def _shape(images: Images) -> str:
    return " x ".join(str(size) for size in images.pixels.shape[1:])


def _moments(name: str, pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel of pixel / 255, from whole numbers and so the same everywhere."""
    channels = pixels.shape[3]
    counts = np.zeros((channels, _LEVELS), dtype=np.int64)
    for piece in chunks(pixels):
        for channel in range(channels):
            counts[channel] += np.bincount(piece[..., channel].ravel(), minlength=_LEVELS)
    values = range(_LEVELS)
    mean, std = [], []
    for channel, row in enumerate(counts.tolist()):
        total = sum(row)
        first = sum(value * count for value, count in zip(values, row, strict=True))
        second = sum(value * value * count for value, count in zip(values, row, strict=True))
        spread = total * second - first * first  # total^2 times the variance, exact
        if not spread:
            message = f"{name}: every pixel of channel {channel} of the train images is the same; nothing can be learnt"
            raise ValueError(message)
        mean.append(first / total / 255)
        std.append(math.sqrt(spread) / total / 255)
    return tuple(mean), tuple(std)


def _content_sha256(
    classes: int, train: Images, test: Images, train_owner: Owners | None, test_owner: Owners | None, owners: int
) -> str:
    digest = hashlib.sha256(f"fedjoule data 1 classes {classes} owners {owners}\n".encode())
    for images, owner in ((train, train_owner), (test, test_owner)):
        digest.update(f"{list(images.pixels.shape)} owned {owner is not None}\n".encode())
        digest.update(np.ascontiguousarray(images.pixels).data)
        for whole in (images.labels, owner):
            if whole is not None:
                digest.update(np.ascontiguousarray(whole, dtype="<i4").data)
    return digest.hexdigest()
