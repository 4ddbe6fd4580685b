"""CIFAR from its official files in every form they come in, and what happens with files that are not those."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fl_sim.data.catalog import load
from fl_sim.data.cifar import load_cifar, read_records
from fl_sim.data.dataset import Dataset
from fl_sim.data.folder import read_folder
from fl_sim.data.official import Form, check_sum, releases
from tests.fl_sim.data.made import cifar_form, release, renamed
from tests.fl_sim.data.rebuild import PARTS, SHARED, cifar10_binary, cifar10_python, cifar10_rows, pickled_batch

# Of CIFAR-10's content, the same from each of its forms.
CIFAR10_SHA256 = "b2575a5fea5c1c90"

needs_shared = pytest.mark.skipif(not (SHARED / "cifar10").is_dir(), reason="the shared CIFAR-10 is not beside this")


def upright(rows: np.ndarray) -> np.ndarray:
    """Planes to pixels, one by one."""
    out = np.empty((len(rows), 32, 32, 3), np.uint8)
    for channel in range(3):
        for line in range(32):
            start = channel * 1024 + line * 32
            out[:, line, :, channel] = rows[:, start : start + 32]
    return out


def drawn(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), rng.integers(0, classes, count, dtype=np.uint8)


def binary(rows: np.ndarray, labels: np.ndarray, coarse: bool = False) -> bytes:
    first = [np.full((len(rows), 1), 77, np.uint8)] if coarse else []
    return np.concatenate([*first, labels[:, None], rows], axis=1).tobytes()


TRAIN = {f"part_{number}": drawn(3, 10, number) for number in range(2)}
TEST = {"part_t": drawn(4, 10, 9)}
BINARY = cifar_form(
    "cifar_binary",
    {name: binary(*part) for name, part in TRAIN.items()},
    {name: binary(*part) for name, part in TEST.items()},
)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def files(**changes: bytes) -> dict[str, bytes]:
    return {name: binary(*part) for name, part in (TRAIN | TEST).items()} | changes


def small(folder: Path, form: Form = BINARY) -> Dataset | None:
    return load_cifar(release(form, 6, 4), read_folder(folder))


def pack(folder: Path, contents: Mapping[str, bytes], prefix: str = "small-files/") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "small.tar.gz", "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder


def check_small(made: Dataset | None) -> None:
    assert made is not None
    rows = np.concatenate([part[0] for part in TRAIN.values()])
    labels = np.concatenate([part[1] for part in TRAIN.values()])
    assert np.array_equal(made.train.pixels, upright(rows))
    assert np.array_equal(made.train.labels, labels)
    assert np.array_equal(made.test.pixels, upright(TEST["part_t"][0]))
    assert np.array_equal(made.test.labels, TEST["part_t"][1])


def test_loose_files_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", files())
    check_small(small(tmp_path))


def test_an_archive_is_read_in_any_order(tmp_path: Path) -> None:
    pack(tmp_path, {"readme.html": b"hello", **dict(reversed(files().items()))})
    check_small(small(tmp_path))


def test_an_archive_packed_from_the_folder_itself_is_read(tmp_path: Path) -> None:
    pack(tmp_path, files(), "./small-files/")
    check_small(small(tmp_path))


def test_python_batches_are_the_same_data(tmp_path: Path) -> None:
    batches = {name: pickled_batch(b"t", rows, labels.tolist(), []) for name, (rows, labels) in (TRAIN | TEST).items()}
    form = cifar_form("cifar_python", {name: batches[name] for name in TRAIN}, {name: batches[name] for name in TEST})
    check_small(small(write(tmp_path, batches), form))


def test_the_fine_label_of_cifar_100_is_taken() -> None:
    rows, labels = drawn(5, 100, 1)
    form = releases()["cifar100"].forms[0]
    pixels, found = read_records(binary(rows, labels, coarse=True), form, "train.bin")
    assert np.array_equal(found, labels)
    assert np.array_equal(pixels, upright(rows))
    batch = pickled_batch(b"t", rows, labels.tolist(), []).replace(b"U\x06labels", b"U\x0bfine_labels")
    pixels, found = read_records(batch, releases()["cifar100"].forms[1], "train")
    assert np.array_equal(found, labels)
    assert np.array_equal(pixels, upright(rows))


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, content in files().items() if name != "part_1"})
    assert small(tmp_path) is None


def test_a_file_that_is_not_the_official_one_is_named_with_both_sums(tmp_path: Path) -> None:
    changed = bytearray(files()["part_1"])
    changed[700] ^= 1
    write(tmp_path, files(part_1=bytes(changed)))
    with pytest.raises(ValueError, match="part_1: is not the official part_1") as caught:
        small(tmp_path)
    assert BINARY.train[1].sum in str(caught.value)
    assert str(caught.value).count("sha256:") == 2
    assert "fetch it again" in str(caught.value)


@pytest.mark.parametrize("size", [0, 3072, 3 * 3073 - 1])
def test_a_file_of_another_length_is_named(tmp_path: Path, size: int) -> None:
    content = files()["part_0"][:size]
    form = renamed(BINARY, train=(cifar_form("cifar_binary", {"part_0": content}, {}).train[0], BINARY.train[1]))
    with pytest.raises(ValueError, match="no whole number of records of 3073"):
        small(write(tmp_path, files(part_0=content)), form)


def test_too_few_images_are_named(tmp_path: Path) -> None:
    content = files()["part_0"][:3073]
    form = renamed(BINARY, train=(cifar_form("cifar_binary", {"part_0": content}, {}).train[0], BINARY.train[1]))
    with pytest.raises(ValueError, match="holds 1 images, must hold 3"):
        small(write(tmp_path, files(part_0=content)), form)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    whole = (pack(tmp_path / "whole", files()) / "small.tar.gz").read_bytes()
    for number, raw in enumerate((whole[:-40], whole[:200], b"", b"no archive", whole[:100] + b"\0" * 9 + whole[109:])):
        folder = write(tmp_path / str(number), {"small.tar.gz": raw})
        with pytest.raises(ValueError, match=r"small\.tar\.gz: (damaged archive|part_. is not)") as caught:
            small(folder)
        assert "fetch it again" in str(caught.value)


def test_what_is_missing_in_an_archive_is_named(tmp_path: Path) -> None:
    pack(tmp_path, {name: content for name, content in files().items() if name != "part_1"})
    with pytest.raises(ValueError, match="part_1 is not in it"):
        small(tmp_path)


def test_a_link_in_an_archive_is_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "small.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("small-files/part_0")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(ValueError, match="part_0 in it is no file"):
        small(tmp_path)


def test_an_archive_of_endless_zeros_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_sim.data.cifar._MOST_ARCHIVE_BYTES", 1 << 20)
    pack(tmp_path, {"zeros": bytes(1 << 22), **files()})
    with pytest.raises(ValueError, match="more than 1,048,576 bytes uncompressed"):
        small(tmp_path)
    # Also when a header says that what follows is one long name.
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    (tmp_path / "small.tar.gz").write_bytes(gzip.compress(member.tobuf() + bytes(1 << 22)))
    with pytest.raises(ValueError, match="more than 1,048,576 bytes uncompressed"):
        small(tmp_path)


def test_batches_without_images_or_labels_are_refused() -> None:
    form = releases()["cifar10"].forms[1]
    rows, labels = drawn(2, 10, 0)
    good = pickled_batch(b"t", rows, labels.tolist(), [])
    for raw, words in {
        good.replace(b"U\x04data", b"U\x04Data"): "no images of 3072 bytes",
        pickled_batch(b"t", rows[:, :3071], labels.tolist(), []): "no images of 3072 bytes",
        pickled_batch(b"t", rows, labels.tolist()[:1], []): "no list of 2 labels",
        good.replace(b"U\x06labels", b"U\x06Labels"): "no list of 2 labels",
        pickled_batch(b"t", rows, [100, 1], []): "not from 0 to 99",
        b"cos\nsystem\n.": "nothing was run",
    }.items():
        with pytest.raises(ValueError, match=words) as caught:
            read_records(raw, form, "data_batch_1")
        assert str(caught.value).startswith("data_batch_1: ")


@needs_shared
def test_official_files_rebuilt_are_the_official_ones_and_agree() -> None:
    pytest.importorskip("PIL")
    forms = releases()["cifar10"].forms
    rows, labels = cifar10_rows("test")
    for form, make in zip(forms, (cifar10_binary, cifar10_python), strict=True):
        name, content = make("test")
        (official,) = (file for file in form.files if file.name == name)
        check_sum(content, official, name, "")
        pixels, found = read_records(content, form, name)
        assert np.array_equal(found, labels)
        assert np.array_equal(pixels[::100], upright(rows[::100]))
        assert int(pixels.sum(dtype=np.int64)) == int(rows.sum(dtype=np.int64))


@pytest.mark.slow
@needs_shared
def test_the_whole_of_cifar10_is_loaded_from_the_python_batches(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    for part in PARTS:
        name, content = cifar10_python(part)
        (tmp_path / name).write_bytes(content)
    made = load("cifar10", tmp_path, download=False)
    assert made.sha256.startswith(CIFAR10_SHA256)
    assert np.bincount(made.train.labels).tolist() == [5000] * 10
    assert np.bincount(made.test.labels).tolist() == [1000] * 10
    assert made.mean == pytest.approx((0.49140, 0.48216, 0.44653), abs=1e-5)
    assert made.std == pytest.approx((0.24703, 0.24349, 0.26159), abs=1e-5)
