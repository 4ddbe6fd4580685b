"""Whose results a folder holds: others' are left alone."""

import json
from pathlib import Path

import pytest

from profiler.results import check_folder, owner_of


def written(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


OWNERS: list[tuple[dict[str, str], str]] = [
    ({}, ""),
    ({"notes_txt": "dear"}, ""),
    ({"manifest_json": json.dumps({"command": "fedjoule tables"})}, "fedjoule tables"),
    ({"manifest_json": json.dumps({"files_sha256": {}})}, "fedjoule train"),
    ({"checkpoint_npz": "x"}, "fedjoule train"),
    ({"checkpoint_npz": "x", "manifest_json": json.dumps({"command": "fedjoule tables"})}, "fedjoule train"),
    ({"fleet_json": "{}"}, "fedjoule fleet convert"),
    ({"journal_jsonl": ""}, "fedjoule profile"),
    ({"manifest_json": json.dumps({"command": "rm\x1b[2J"})}, "rm?[2J"),
    *(({"manifest_json": text}, "another program") for text in ("", "[]", "{}", "{", '{"command": 3}', "[" * 99_999)),
]


@pytest.mark.parametrize(("files", "owner"), OWNERS)
def test_who_wrote_a_folder(files: dict[str, str], owner: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "f", **files)
    assert owner_of(folder) == owner
    if owner:
        with pytest.raises(FileExistsError, match=r"f holds the results of .*; name another folder"):
            check_folder(folder, "fedjoule pipeline")
    else:
        check_folder(folder, "fedjoule pipeline")
    check_folder(folder, owner)


def test_a_new_folder_is_nobodys(tmp_path: Path) -> None:
    check_folder(tmp_path / "new", "fedjoule tables")
