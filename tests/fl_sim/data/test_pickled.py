"""The reader of CIFAR's pickles: what Python 2 wrote is read, and nothing else ever runs or gets through."""

import os
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim.data.pickled import read_pickled
from tests.fl_sim.data.rebuild import pickled_batch


def batch(rows: int = 3) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (rows, 7), dtype=np.uint8)
    return pickled_batch(b"training batch 1 of 5", values, list(range(rows)), [b"name_%d.png" % n for n in range(rows)])


def test_what_python_2_wrote_is_read() -> None:
    found = read_pickled(batch(300))
    assert set(found) == {b"batch_label", b"labels", b"data", b"filenames"}
    assert found[b"batch_label"] == b"training batch 1 of 5"
    assert found[b"labels"] == list(range(300))
    assert found[b"filenames"][299] == b"name_299.png"
    expected = np.random.default_rng(0).integers(0, 256, (300, 7), dtype=np.uint8)
    assert np.array_equal(found[b"data"], expected)


def test_pythons_own_reader_reads_the_same() -> None:
    theirs = pickle.loads(batch(300), encoding="bytes")
    ours = read_pickled(batch(300))
    assert theirs.keys() == ours.keys()
    assert np.array_equal(theirs[b"data"], ours[b"data"])
    assert all(theirs[key] == ours[key] for key in ours if key != b"data")


class _Runs:
    def __reduce__(self):
        return os.system, ("echo run > /dev/null; exit 7",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_nothing_is_run(protocol: int) -> None:
    with pytest.raises(ValueError, match=r"nothing was run|protocol|is announced"):
        read_pickled(pickle.dumps({b"data": _Runs()}, protocol=protocol))


@pytest.mark.parametrize(
    "raw",
    [
        b"cos\nsystem\n(U\x02lstR.",
        b"cposix\nsystem\n(U\x02lstR.",
        b"cbuiltins\neval\n(U\x011tR.",
        b"c__builtin__\neval\n(U\x011tR.",
        b"cnumpy\nload\n(U\x01xtR.",
        b"cnumpy.core.multiarray\nfromfile\n(U\x01xtR.",
        b"(U\x02lsios\nsystem\n.",  # an instance, made by name
        b"(cos\nsystem\nU\x02lso.",  # an object
        b"\x80\x02cnumpy\nndarray\nU\x01x\x85\x81.",  # by __new__
        b"cnumpy\nndarray\n(K\x01tR.",  # a name that is known, called
        b"cnumpy\ndtype\n(U\x01OK\x00K\x01tR.",  # a type of objects
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    ],
)
def test_calls_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"nothing was run|protocol 4"):
        read_pickled(raw)


def test_a_foreign_name_is_printed_harmlessly() -> None:
    with pytest.raises(ValueError, match="none of CIFAR's") as caught:
        read_pickled(b"cos\x1b[2J\nsys\xfftem\n.")
    assert str(caught.value).isascii()
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "announces 1 bytes"),
        (b"}", "announces 1 bytes"),
        (b".", "is not one value"),
        (b"}}.", "is not one value"),
        (b"}.x", "is not one value"),
        (b"(}.", "is not one value"),
        (b"K\x01.", "holds a int"),
        (b"].", "holds a list"),
        (b"}U\x01aT\xff\xff\xff\x7fs.", "announces"),
        (b"}U\x01aT\xff\xff\xff\xffs.", "announces"),
        (b"}h\x05.", "never kept"),
        (b"q\x01.", "no value"),
        (b"(q\x01.", "no value"),
        (b"a.", "too few"),
        (b"]a.", "no value"),
        (b"K\x01(a.", "too few"),
        (b"}K\x01K\x02s.", "no byte string"),
        (b"}(U\x01au.", "no list or dictionary"),
        (b"K\x01(U\x01ae.", "no list or dictionary"),
        (b"e.", "no mark"),
        (b"\x85.", "too few"),
        (b"}K\x01b.", "no array"),
        (b"}U\x01a}s.", "holds a dict"),
        (b"}U\x01a)s.", "instruction 29"),
        (b"}U\x01acnumpy\nndarray\ns.", "holds a Name"),
        (b"}U\x01a\x88s.", "holds a bool"),
        (b"c" + b"x" * 300, "no end of line"),
    ],
)
def test_damage_is_named(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_pickled(raw)


def test_an_array_whose_values_do_not_fit_is_refused() -> None:
    whole = batch()
    for old, new in {
        b"K\x03K\x07\x86": b"K\x03K\x08\x86",  # another shape
        b"K\x03K\x07\x86c": b"K\x15\x85N0c",  # not a shape and something else
        b"tb\x89": b"tb\x88",  # stored by columns
        b"U\x02u1": b"U\x02i8",  # another type
        b"U\x01b\x87R": b"U\x01c\x87R",
    }.items():
        assert whole.count(old) == 1
        with pytest.raises(ValueError, match=r"array|nothing was run"):
            read_pickled(whole.replace(old, new))


def test_an_array_that_never_gets_values_is_refused() -> None:
    raw = b"}U\x01acnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs."
    with pytest.raises(ValueError, match="holds a Array"):
        read_pickled(raw)


def test_lists_in_themselves_do_no_harm() -> None:
    with pytest.raises(ValueError, match="holds a list"):
        read_pickled(b"}U\x01a]q\x01h\x01as.")


CODES = b"\x80(}]N\x88\x89KMJUTqrhjt\x85\x86\x87euascRb.0)lIVXBC\x81\x8a\x95"


@settings(max_examples=1000)
@given(st.lists(st.one_of(st.sampled_from(CODES), st.integers(0, 255)), max_size=60))
def test_other_bytes_end_in_one_kind_of_error(codes: list[int]) -> None:
    try:
        found = read_pickled(bytes(codes))
    except ValueError:
        return
    assert isinstance(found, dict)


@settings(max_examples=600)
@given(st.integers(0, 1 << 60))
def test_a_damaged_batch_ends_in_one_kind_of_error_or_is_plain_data(seed: int) -> None:
    draw = random.Random(seed)
    raw = bytearray(batch())
    for _ in range(draw.randrange(1, 5)):
        place = draw.randrange(len(raw))
        match draw.randrange(3):
            case 0:
                raw[place] = draw.randrange(256)
            case 1:
                del raw[place : place + draw.randrange(1, 9)]
            case _:
                raw[place:place] = bytes(draw.choices(CODES, k=draw.randrange(1, 5)))
    try:
        found = read_pickled(bytes(raw))
    except ValueError:
        return
    for value in found.values():
        assert value is None or isinstance(value, bytes | int | list | np.ndarray)
        if isinstance(value, np.ndarray):
            assert value.dtype == np.uint8
