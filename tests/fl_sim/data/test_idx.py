"""IDX files: exactly what their header names, however they are compressed, and never more than allowed."""

import gzip
import lzma
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.data.idx import read_idx, uncompressed


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 99))
def test_what_is_written_is_read(shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(read_idx(idx(values), len(shape)), values)


@given(st.binary(max_size=40), st.integers(1, 3))
def test_other_bytes_are_refused_or_read_whole(raw: bytes, dimensions: int) -> None:
    try:
        found = read_idx(raw, dimensions)
    except ValueError:
        return
    assert idx(found) == raw


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "begins with nothing"),
        (idx(np.zeros((2, 3), np.uint8)), "begins with 00000802, not 00000803"),
        (b"\0\0\x09\x03" + bytes(12), "begins with 00000903"),
        (idx(np.zeros((2, 3, 4), np.uint8))[:-1], "2 x 3 x 4 bytes, and 23 follow"),
        (idx(np.zeros((2, 3, 4), np.uint8)) + b"\0", "and 25 follow"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "4294967295 x 4294967295"),
        (b"\0\0\x08\x03" + bytes(12), "0 x 0 x 0"),
    ],
)
def test_what_is_no_file_of_images_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_idx(raw, 3)


PACKED = {"": lambda raw: raw, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("ending", PACKED)
@given(raw=st.binary(max_size=300))
def test_content_is_the_same_however_it_is_compressed(ending: str, raw: bytes) -> None:
    assert uncompressed(PACKED[ending](raw), ending, 300) == raw


@pytest.mark.parametrize("ending", PACKED)
def test_no_more_than_allowed_is_uncompressed(ending: str) -> None:
    with pytest.raises(ValueError, match="more than the 999 bytes"):
        uncompressed(PACKED[ending](bytes(10_000_000)), ending, 999)


@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_damage_is_named(ending: str) -> None:
    whole = PACKED[ending](bytes(range(256)) * 20)
    for raw, words in {
        whole[:-4]: "cut short",
        b"": "cut short",
        whole + b"x": "1 bytes follow",
        b"no stream at all": "damaged",
        whole[: len(whole) // 2] + b"\xff" * 4 + whole[len(whole) // 2 + 4 :]: "damaged",
    }.items():
        with pytest.raises(ValueError, match=words):
            uncompressed(raw, ending, 10_000)


@pytest.mark.parametrize("ending", [".gz", ".xz"])
@given(raw=st.binary(max_size=60))
def test_other_streams_are_refused(ending: str, raw: bytes) -> None:
    try:
        uncompressed(raw, ending, 10_000)
    except ValueError:
        return


def test_a_stream_that_asks_for_gigabytes_of_memory_is_refused() -> None:
    greedy = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}])
    with pytest.raises(ValueError, match="damaged xz"):
        uncompressed(greedy, ".xz", 10)
