"""The official files of a data set: their names, where they are to be had, and the sums by which they are known."""

import functools
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from profiler.names import printable
from traces.download import Download

Kind = Literal["cifar_binary", "cifar_python", "idx"]


@dataclass(frozen=True)
class OfficialFile:
    """A file by its name, and its sum as ``md5:...`` or ``sha256:...``, of the file uncompressed."""

    name: str
    sum: str


@dataclass(frozen=True)
class Form:
    """One way a data set is distributed: files of the train and test images, loose or in ``archive``.

    ``label_bytes`` is for CIFAR's binary files: the last of so many bytes is the label.
    """

    kind: Kind
    train: tuple[OfficialFile, ...]
    test: tuple[OfficialFile, ...]
    folder: str = ""
    archive: str = ""
    label_bytes: int = 1
    downloads: tuple[Download, ...] = ()

    @property
    def files(self) -> tuple[OfficialFile, ...]:
        """All files, those of the train images first."""
        return self.train + self.test


@dataclass(frozen=True)
class Release:
    """A data set as its makers give it out: any one of the forms is enough."""

    name: str
    title: str
    classes: int
    train_images: int
    test_images: int
    forms: tuple[Form, ...]


@functools.cache
def releases() -> Mapping[str, Release]:
    """Return the data sets that are known by their official files, by name."""
    text = (Path(__file__).parent / "official.toml").read_text(encoding="utf-8")
    return {
        name: Release(name=name, **{**row, "forms": tuple(_form(form) for form in row["forms"])})
        for name, row in tomllib.loads(text).items()
    }


def sum_of(raw: bytes | memoryview, kind: str) -> str:
    """Return the sum of ``raw``, such as ``md5:...``, of the kind (md5 or sha256) that ``kind`` begins with."""
    method = kind.partition(":")[0]
    digest = hashlib.sha256(raw) if method == "sha256" else hashlib.md5(raw, usedforsecurity=False)
    return f"{method}:{digest.hexdigest()}"


def check_sum(raw: bytes | memoryview, file: OfficialFile, where: object, remedy: str) -> None:
    """Raise ValueError naming both sums if ``raw`` is not the official file; ``remedy`` says how to get it again."""
    found = sum_of(raw, file.sum)
    if found != file.sum:
        message = (
            f"{printable(where, 300)}: is not the official {file.name}: it has {found}, the official one {file.sum} "
            f"({len(raw):,} bytes read); {remedy}"
        )
        raise ValueError(message)


def _form(row: Mapping[str, Any]) -> Form:
    downloads = tuple(
        Download(each["name"], each["sum"], each["size_bytes"], tuple(each["urls"]))
        for each in row.get("downloads", ())
    )
    train, test = (tuple(OfficialFile(**file) for file in row[part]) for part in ("train", "test"))
    return Form(
        row["kind"], train, test, row.get("folder", ""), row.get("archive", ""), row.get("label_bytes", 1), downloads
    )
