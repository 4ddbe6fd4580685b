import errno
import os
from pathlib import Path
from typing import Any

import pytest

from profiler.bundle import write_bundle

OLD = {"a.txt": b"old a", "b.txt": b"old b"}
NEW = {"a.txt": b"new a", "b.txt": b"new b", "c.txt": b"new c"}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_bundle_makes_its_folder_and_replaces_old_files(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    write_bundle(folder, OLD)
    write_bundle(folder, NEW)
    assert content(folder) == NEW


def test_a_folder_in_the_way_of_a_file_changes_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path, OLD)
    (tmp_path / "c.txt").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_bundle(tmp_path, NEW)
    assert caught.value.filename == str(tmp_path / "c.txt")
    (tmp_path / "c.txt").rmdir()
    assert content(tmp_path) == OLD


def test_folders_made_for_nothing_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_bundle(tmp_path / "deep" / "out", NEW)
    assert caught.value.filename == str(tmp_path / "deep" / "out" / "a.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_stopped_while_writing_the_old_files_are_untouched(
    error: BaseException, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path, OLD)
    calls = 0
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal calls
        if calls == after:
            raise error
        calls += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(type(error)):
        write_bundle(tmp_path, NEW)
    assert content(tmp_path) == OLD


@pytest.mark.parametrize("after", [0, 1, 2])
def test_stopped_while_renaming_every_file_is_whole(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path, OLD)
    calls = 0
    rename = os.replace

    def replace(*paths: Any) -> None:
        nonlocal calls
        if calls == after:
            raise KeyboardInterrupt
        calls += 1
        rename(*paths)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path, NEW)
    found = content(tmp_path)
    assert all(value in {OLD.get(name), NEW[name]} for name, value in found.items())
    assert set(OLD) <= set(found) <= set(NEW)
