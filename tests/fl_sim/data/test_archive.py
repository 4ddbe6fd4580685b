"""NumPy archives: known arrays are read, and whatever else lies in such a file neither runs nor fills the memory."""

import io
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.data.archive import read_archive

WANTED = {"pixels": ("u", 3), "marks": ("b", 1), "ids": ("U", 1)}


def arrays() -> dict[str, np.ndarray]:
    return {
        "pixels": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "marks": np.array([True, False]),
        "ids": np.array(["f01", "f02_3"]),
        "more": np.array([1.5]),
    }


def saved(path: Path, **changes: np.ndarray) -> Path:
    np.savez_compressed(path, allow_pickle=True, **(arrays() | changes))
    return path


def test_known_arrays_are_read(tmp_path: Path) -> None:
    found = read_archive(saved(tmp_path / "a.npz"), WANTED)
    assert found.keys() == WANTED.keys()
    for name in WANTED:
        assert found[name].dtype == arrays()[name].dtype
        assert np.array_equal(found[name], arrays()[name])


def raw_header(shape: str, dtype: str = "'|u1'") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def with_member(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pixels.npy", content)
    return path


class _Runs:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixels": np.zeros((2, 3), np.uint8)}, r"in 3 dimensions, by rows \(got uint8 \[2, 3\]"),
        ({"pixels": np.zeros((2, 3, 4), np.int8)}, "its header"),
        ({"pixels": np.asfortranarray(arrays()["pixels"])}, "by rows"),
        ({"marks": np.array([1, 0], np.uint8)}, "yes or no"),
        ({"marks": np.array([_Runs(), 0], dtype=object)}, "its header"),
        ({"ids": np.array([b"f01"])}, "its header"),
        ({"ids": np.array(["x" * 100])}, "more than such an archive may hold"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_archive(saved(tmp_path / "a.npz", **changes), WANTED)
    assert "a.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (raw_header("(2, 3, 4)") + bytes(23), "less than the 24 bytes"),
        (raw_header("(2, 3, 4)") + bytes(25), "more than the 24 bytes"),
        (raw_header("(99999, 99999, 99999)"), "may hold"),
        (raw_header("(2, 3, 4)", "'|O'"), "its header"),
        (raw_header("(2, 3, 4)", "[('a', '|u1')]"), "its header"),
        (raw_header("(2, 3, -4)"), "its header"),
        (raw_header("(2, 3, 4)", "__import__('os').system('exit 7')"), "its header"),
        (b"\x93NUMPY\x09\x00" + bytes(20), "its header"),
        (b"no array", "its header"),
        (b"", "its header"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_archive(with_member(tmp_path / "a.npz", content), {"pixels": ("u", 3)})


def test_a_missing_array_and_a_file_that_is_no_archive_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'pixel' is missing"):
        read_archive(saved(tmp_path / "b.npz"), {"pixel": ("u", 3)})
    (tmp_path / "c.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"c\.npz: not such an archive"):
        read_archive(tmp_path / "c.npz", WANTED)


@settings(max_examples=400)
@given(st.integers(0, 1 << 60))
def test_a_damaged_archive_ends_in_one_kind_of_error(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    draw = random.Random(seed)
    stream = io.BytesIO()
    np.savez(stream, **arrays())
    raw = bytearray(stream.getvalue())
    for _ in range(draw.randrange(1, 6)):
        raw[draw.randrange(len(raw))] = draw.randrange(256)
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(bytes(raw[: draw.choice([len(raw), draw.randrange(len(raw))])]))
    try:
        read_archive(path, WANTED)
    except ValueError:
        return
