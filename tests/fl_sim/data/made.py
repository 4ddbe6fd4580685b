"""Small data sets for the tests, and releases whose sums are those of small files."""

import dataclasses

import numpy as np

from fl_sim.data.dataset import Dataset, Images, make_dataset
from fl_sim.data.official import Form, Kind, OfficialFile, Release, sum_of


def images(count: int, *, side: int = 4, channels: int = 1, classes: int = 10, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    return Images(pixels, rng.integers(0, classes, count, dtype=np.int32))


def dataset(channels: int = 1, seed: int = 0) -> Dataset:
    train, test = (images(count, channels=channels, seed=seed + count) for count in (30, 8))
    return make_dataset("drawn", 10, train, test, "drawn")


def official(name: str, content: bytes, kind: str = "sha256") -> OfficialFile:
    return OfficialFile(name, sum_of(content, kind))


def release(form: Form, train_images: int, test_images: int, classes: int = 10) -> Release:
    return Release("small", "Small", classes, train_images, test_images, (form,))


def cifar_form(kind: Kind, train: dict[str, bytes], test: dict[str, bytes], label_bytes: int = 1) -> Form:
    files = [tuple(official(name, content) for name, content in part.items()) for part in (train, test)]
    return Form(kind, *files, folder="small-files", archive="small.tar.gz", label_bytes=label_bytes)


def renamed(form: Form, **changes: object) -> Form:
    return dataclasses.replace(form, **changes)
