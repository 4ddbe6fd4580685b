"""MNIST from IDX files, however they are compressed; the shared first 10,000 are known by their sums."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from fl_sim.data.catalog import load
from fl_sim.data.folder import read_folder
from fl_sim.data.mnist import load_mnist
from fl_sim.data.official import Form, Release, releases
from tests.fl_sim.data.made import official, release
from tests.fl_sim.data.rebuild import SHARED
from tests.fl_sim.data.test_idx import idx

NAMES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
PACKED = {"": lambda raw: raw, ".gz": gzip.compress, ".xz": lzma.compress}


def contents() -> list[bytes]:
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (12, 28, 28), dtype=np.uint8),
        rng.integers(0, 10, 12, dtype=np.uint8),
        rng.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        rng.integers(0, 10, 5, dtype=np.uint8),
    ]
    return [idx(array) for array in arrays]


def made_release(raw: list[bytes]) -> Release:
    files = [official(name, content, "md5") for name, content in zip(NAMES, raw, strict=True)]
    return release(Form("idx", tuple(files[:2]), tuple(files[2:])), 12, 5)


def write(folder: Path, raw: list[bytes], endings: tuple[str, ...]) -> Path:
    for name, content, ending in zip(NAMES, raw, endings, strict=True):
        (folder / (name + ending)).write_bytes(PACKED[ending](content))
    return folder


@pytest.mark.parametrize("endings", [("",) * 4, (".gz",) * 4, (".xz",) * 4, ("", ".gz", ".xz", "")])
def test_files_are_read_however_they_are_compressed(tmp_path: Path, endings: tuple[str, ...]) -> None:
    raw = contents()
    found = load_mnist(made_release(raw), read_folder(write(tmp_path, raw, endings)))
    assert found is not None
    assert found.train.pixels.shape == (12, 28, 28, 1)
    assert found.train.pixels.tobytes() == raw[0][16:]
    assert found.train.labels.tolist() == list(raw[1][8:])
    assert found.test.pixels.tobytes() == raw[2][16:]
    assert found.test.labels.tolist() == list(raw[3][8:])
    assert found.train.pixels.flags.writeable


def test_the_train_images_can_be_cut(tmp_path: Path) -> None:
    raw = contents()
    folder = read_folder(write(tmp_path, raw, ("",) * 4))
    whole, cut = load_mnist(made_release(raw), folder), load_mnist(made_release(raw), folder, 7)
    assert whole is not None
    assert cut is not None
    assert (len(cut.train), len(cut.test)) == (7, 5)
    assert np.array_equal(cut.train.pixels, whole.train.pixels[:7])


def test_a_file_missing_is_no_data_set(tmp_path: Path) -> None:
    raw = contents()
    write(tmp_path, raw, ("",) * 4)
    (tmp_path / NAMES[3]).unlink()
    assert load_mnist(made_release(raw), read_folder(tmp_path)) is None


def test_damage_is_named_with_the_file_and_what_to_do(tmp_path: Path) -> None:
    raw = contents()
    other = [*raw[:3], idx(np.zeros(4, np.uint8))]
    for words, made, written, endings in (
        ("t10k-labels: is not the official t10k-labels", raw, [*raw[:3], raw[3][:-1] + b"\x0b"], ("",) * 4),
        ("5 images, but 4 labels", other, other, ("",) * 4),
        ("not an IDX file", [b"x", *raw[1:]], [b"x", *raw[1:]], ("",) * 4),
    ):
        folder = read_folder(write(tmp_path, written, endings))
        with pytest.raises(ValueError, match=words) as caught:
            load_mnist(made_release(made), folder)
        assert "fetch it again" in str(caught.value)
    write(tmp_path, raw, (".gz",) * 4)
    for name in NAMES:
        (tmp_path / name).unlink()
    (tmp_path / f"{NAMES[0]}.gz").write_bytes(gzip.compress(raw[0])[:-9])
    with pytest.raises(ValueError, match=r"train-images\.gz: cut short.* fetch it again"):
        load_mnist(made_release(raw), read_folder(tmp_path))


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="the shared MNIST is not beside this checkout")
def test_the_first_10_000_are_read_from_official_bytes(tmp_path: Path) -> None:
    found = load("mnist10k", SHARED / "mnist", download=False)
    assert (len(found.train), len(found.test)) == (10_000, 10_000)
    for path in (SHARED / "mnist").glob("*.xz"):
        (tmp_path / f"{path.stem}.gz").write_bytes(gzip.compress(lzma.decompress(path.read_bytes()), 1))
    assert load("mnist10k", tmp_path, download=False).sha256 == found.sha256
    # Ink is white: 255 on 0, the opposite of FEMNIST.
    assert found.mean == pytest.approx((0.1311,), abs=1e-4)


def test_the_official_files_are_listed_for_each_form() -> None:
    for known in releases().values():
        for form in known.forms:
            assert all(file.sum.partition(":")[0] in {"md5", "sha256"} for file in form.files)
            assert all(download.urls and download.sum.startswith("sha256:") for download in form.downloads)
    assert [len(known.forms) for known in releases().values()] == [2, 2, 1, 1]
