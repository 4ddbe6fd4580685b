"""A folder that may hold data sets: official names are found in it and in the folders below."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from profiler.names import printable

_DEEPEST = 4
_MOST_FILES = 200_000


@dataclass(frozen=True)
class Folder:
    """The files of ``path`` and of folders up to four levels below: names by folder, nearest folders first."""

    path: Path
    names: Mapping[Path, frozenset[str]]

    def file(self, name: str) -> Path | None:
        """Return the nearest file of that name."""
        return next((folder / name for folder, names in self.names.items() if name in names), None)

    def folder_of(self, wanted: Iterable[Sequence[str]]) -> tuple[Path, ...] | None:
        """Return the files ``wanted``, each under one of its names, all from the nearest folder that has them all."""
        choices = [tuple(names) for names in wanted]
        for folder, names in self.names.items():
            found = [next((name for name in each if name in names), None) for each in choices]
            if None not in found:
                return tuple(folder / name for name in found if name is not None)
        return None

    def missing_of(self, wanted: Iterable[Sequence[str]]) -> tuple[Path, list[str]] | None:
        """Return the folder that has most of the files ``wanted``, and the others' names; None if no folder has any."""
        choices = [tuple(names) for names in wanted]
        best: tuple[Path, list[str]] | None = None
        for folder, names in self.names.items():
            missing = [each[0] for each in choices if not names.intersection(each)]
            if len(missing) < (len(best[1]) if best else len(choices)):
                best = folder, missing
        return best


def read_folder(path: Path) -> Folder:
    """Return what lies in a folder. Raises ValueError if it is none, or holds more files than any data set.

    Links to folders are not followed.
    """
    if not path.is_dir():
        reason = "is a file, not a folder" if path.exists() else "there is no such folder"
        message = f"{printable(path, 300)}: {reason}; name the folder that holds the data"
        raise ValueError(message)
    level, names, count = [path], {}, 0
    for _ in range(_DEEPEST + 1):
        below = []
        for folder in level:
            files, folders = _entries(folder)
            names[folder] = frozenset(files)
            below += [folder / name for name in sorted(folders)]
            count += len(files) + len(folders)
            if count > _MOST_FILES:
                message = (
                    f"{printable(path, 300)}: more than {_MOST_FILES:,} files; name the folder of the data set itself"
                )
                raise ValueError(message)
        level = below
    return Folder(path, names)


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file():
                    files.append(entry.name)
    except PermissionError:
        return [], []  # somebody else's; a data set in it could not be read either
    return files, folders
