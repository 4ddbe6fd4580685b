"""Data sets by name: where they are looked for, in which order, and what is said when they are nowhere."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from fl_sim.data import catalog
from fl_sim.data.catalog import NAMES, load
from fl_sim.data.folder import read_folder
from fl_sim.data.official import Form, Release
from tests.fl_sim.data.made import official
from tests.fl_sim.data.test_mnist import NAMES as FILES
from tests.fl_sim.data.test_mnist import contents


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDJOULE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """MNIST as if its official files were small ones; the first 4 images are mnist10k."""
    raw = contents()
    files = [official(name, content, "md5") for name, content in zip(FILES, raw, strict=True)]
    whole = Release("mnist", "MNIST", 10, 12, 5, (Form("idx", tuple(files[:2]), tuple(files[2:])),))
    other = official("never", b"there")
    cut = Release("mnist10k", "MNIST, cut", 10, 4, 5, (Form("idx", (other, other), tuple(files[2:])),))
    monkeypatch.setattr(catalog, "releases", lambda: {"mnist": whole, "mnist10k": cut})
    monkeypatch.setattr(catalog, "_FIRST", 4)
    return raw


def put(folder: Path, raw: list[bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in zip(FILES, raw, strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def test_names_are_taken_as_people_write_them() -> None:
    assert load("Digits").name == "digits"
    for name, words in {"cifar-1": "nearest: cifar10", "\x1b[2J": "unknown"}.items():
        with pytest.raises(ValueError, match=words) as caught:
            load(name)
        assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"digits"}))
def test_what_is_nowhere_is_named_with_where_it_was_looked_for_and_what_to_do(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(ValueError, match=rf"^{name}: ") as caught:
        load(name, mine, download=False)
    said = str(caught.value)
    for words in (str(mine), str(tmp_path / "cache" / "data"), "--data-dir"):
        assert words in said
    assert "preprocess.sh" in said if name == "femnist" else "fedjoule data fetch" in said


def test_a_folder_is_searched_with_what_is_below_it(small_mnist: list[bytes], tmp_path: Path) -> None:
    put(tmp_path / "mine" / "MNIST" / "raw", small_mnist)
    assert len(load("mnist", tmp_path / "mine", download=False).train) == 12


def test_files_far_below_are_not_found(small_mnist: list[bytes], tmp_path: Path) -> None:
    put(tmp_path / "a/b/c/d/e", small_mnist)
    assert load("mnist", tmp_path / "a", download=False).name == "mnist"
    with pytest.raises(ValueError, match="mnist: "):
        load("mnist", tmp_path, download=False)


def test_the_nearest_complete_folder_wins(small_mnist: list[bytes], tmp_path: Path) -> None:
    put(tmp_path / "mine" / "b" / "deep", small_mnist)
    near = put(tmp_path / "mine" / "c", small_mnist)
    part = put(tmp_path / "mine" / "a", small_mnist)
    (part / f"{FILES[1]}.gz").unlink()
    found = read_folder(tmp_path / "mine").folder_of([(f"{name}.gz",) for name in FILES])
    assert found is not None
    assert {path.parent for path in found} == {near}


def test_what_is_missing_of_a_data_set_is_named(small_mnist: list[bytes], tmp_path: Path) -> None:
    mine = put(tmp_path / "mine", small_mnist)
    (mine / f"{FILES[1]}.gz").unlink()
    with pytest.raises(ValueError, match=f"mine has some of its files, but not {FILES[1]};"):
        load("mnist", mine, download=False)


def test_the_cache_is_searched_after_the_folder(small_mnist: list[bytes], tmp_path: Path) -> None:
    put(tmp_path / "cache" / "data" / "mnist", small_mnist)
    (tmp_path / "mine").mkdir()
    assert len(load("mnist", tmp_path / "mine", download=False).train) == 12


def test_the_first_images_of_mnist_are_cut_from_the_official_files(small_mnist: list[bytes], tmp_path: Path) -> None:
    mine = put(tmp_path / "mine", small_mnist)
    cut = load("mnist10k", mine, download=False)
    assert (cut.name, len(cut.train), len(cut.test)) == ("mnist10k", 4, 5)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, words in ((tmp_path / "file", "is a file"), (tmp_path / "none", "there is no such folder")):
        with pytest.raises(ValueError, match=words):
            load("mnist", path)


def test_a_folder_of_far_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_sim.data.folder._MOST_FILES", 5)
    for number in range(6):
        (tmp_path / f"{number}").write_text("")
    with pytest.raises(ValueError, match="name the folder of the data set itself"):
        load("mnist", tmp_path)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path)
    assert set(read_folder(tmp_path).names) == {tmp_path}


def test_writers_are_for_femnist() -> None:
    with pytest.raises(ValueError, match="writers is for femnist"):
        load("digits", writers=3)


def test_loading_imports_neither_torch_nor_the_downloader() -> None:
    code = (
        "import sys; from fl_sim.data.catalog import load; load('digits');"
        "print([name for name in ('torch', 'pooch', 'requests', 'pandas', 'PIL', 'pickle') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"[]", "['pickle']"}  # NumPy itself may import pickle
