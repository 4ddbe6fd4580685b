"""Pickles as data: every protocol of what FedScale writes, and nothing that pickles can do beyond that."""

import os
import pickle
import pickletools
import re
import sys
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.fedscale import instructions, pickled
from traces.fedscale.pickled import read_pickled

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
# FedScale's own shape: clients, each with numbers, texts and lists of numbers.
FILES = st.dictionaries(
    st.integers(0, 10**6) | TEXTS,
    st.dictionaries(TEXTS, NUMBERS | TEXTS | st.lists(NUMBERS, max_size=20), max_size=4),
    max_size=6,
)


@given(FILES, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_what_python_writes_is_read_back(whole: dict[object, object], protocol: int) -> None:
    raw = pickle.dumps(whole, protocol)
    try:
        found = read_pickled(raw)
    except ValueError as error:
        # The same list or dictionary object in two places is refused; hypothesis may make that, FedScale does not.
        assert "again" in str(error)
        return
    assert found == whole
    assert [type(key) for key in found] == [type(key) for key in whole]


@pytest.mark.parametrize("protocol", range(6))
def test_a_file_of_many_clients_with_shared_names(protocol: int) -> None:
    whole = {
        client: {
            "duration": client,
            "inactive": [7, 300, 70_000],
            "finish_time": 10**10,
            "active": [-1],
            "model": "LG-K350",
        }
        for client in range(2500)
    }
    assert read_pickled(pickle.dumps(whole, protocol)) == whole


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_numbers_of_numpy_which_the_capacity_file_has(protocol: int, module: bytes) -> None:
    whole = {
        1: {"computation": np.float64(153), "communication": np.float64(2209.5)},
        2: {"computation": np.float64(39)},
    }
    raw = pickle.dumps(whole, protocol)
    if protocol == 3:  # later ones write how long a name is
        raw = raw.replace(b"numpy._core.multiarray", module)
    found = read_pickled(raw)
    assert found == whole
    assert type(found[1]["computation"]) is float  # type: ignore[index, call-overload]


def numbers(clients: int) -> bytes:
    """Clients enough for Python to write what it keeps in the long form, as in the capacity file."""
    values = np.random.default_rng(1).random((clients, 2))
    return pickle.dumps({i: {"computation": a, "communication": b} for i, (a, b) in enumerate(values)}, 3)


def test_numbers_at_once_are_those_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = numbers(100)
    usual = list(pickled._NUMBER.finditer(raw))
    assert len(usual) > 100
    # One that keeps something by the name of a text, and forgets it; one whose names are others.
    forgets = bytearray(raw)
    forgets[usual[50].end() - 4 : usual[50].end()] = (2).to_bytes(4, "little")
    renamed = bytearray(raw)
    renamed[usual[60].start() + 1] ^= 1
    # Values as well, at random places.
    random = np.random.default_rng(2)
    damaged = []
    for _ in range(200):
        other = bytearray(raw)
        match = usual[random.integers(len(usual))]
        other[random.integers(match.start(), match.end())] ^= 1 << random.integers(8)
        damaged.append(bytes(other))
    every = [raw, bytes(forgets), bytes(renamed), *damaged]
    fast = [_outcome(each) for each in every]
    monkeypatch.setattr(pickled, "_NUMBER", re.compile(rb"(?!)"))
    assert [_outcome(each) for each in every] == fast
    assert "communication" in fast[0]
    assert "again" in fast[1]
    assert "calls something" in fast[2] or "again" in fast[2]


def _outcome(raw: bytes) -> str:
    try:
        return repr(read_pickled(raw))
    except ValueError as error:
        return str(error)


class _Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("echo it ran > /dev/null; kill -9 $PPID",))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(_Runs(), id="runs"),
        os.system,
        OrderedDict(a=1),
        {1, 2},
        (1, 2),
        b"bytes",
        bytearray(b"x"),
        None,
        True,
        1j,
        np.arange(3),
        np.float32(1),
        np.int64(1),
        2**63,
        -(2**70),
    ],
    ids=repr,
)
def test_what_no_trace_needs_is_refused_and_nothing_runs(bad: object, protocol: int) -> None:
    for whole in ({1: bad}, {1: {"active": [bad]}}, [bad], bad):
        with pytest.raises(ValueError, match=r".") as caught:
            read_pickled(pickle.dumps(whole, protocol))
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "names 'os system' at byte 11"),
        (b"\x8c\x02os\x8c\x06system\x93.", "names 'os system'"),
        (b"cnumpy\ndtype\n(S'O'\ntR.", "calls something other"),
        (b"(ios\nsystem\n.", "instruction 0x69 at byte 1"),
        (b"(cos\nsystem\no.", "names 'os system'"),
        (b"Pid\n.", "instruction 0x50"),
        (b"\x80\x02\x81.", "instruction 0x81"),
        (b"\x82\x01.", "instruction 0x82"),
        (b"}2.", "instruction 0x32"),
        (b"\x80\x06}.", "unknown protocol"),
        (b"}\x80\x02.", "unknown protocol"),
        (b"", "ends at byte 0"),
        (b"}", "ends at byte 1"),
        (b"}.x", "is not one value"),
        (b"(}.", "is not one value"),
        (b".", "is not one value"),
        (b"]q\x00h\x00a.", "uses value 0 again"),
        (b"}h\x07.", "uses value 7 again"),
        (b"K\x01.", "holds no dictionary but a int"),
        (b"}K\x01K\x02sK\x03.", "is not one value"),
        (b"}(K\x01K\x02K\x01K\x03u.", "the key 1 twice"),
        (b"}(K\x01u.", "belong to no list or dictionary"),
        (b"}(]K\x01u.", "has a list as a key"),
        (b"}u.", "no mark"),
        (b"}s.", "too few values"),
        (b"}(s.", "too few values"),
        (b"((((((((((", "nested deeper than 8"),
        (b"X\xff\xff\xff\xff", "announces 4,294,967,295 bytes"),
        (b"\x8d" + b"\xff" * 8, "announces"),
        (b"T\xff\xff\xff\xff", "announces"),
        (b"\x8a\xff" + b"\x01" * 255, "announces 255 bytes"),
        (b"X\x02\x00\x00\x00\xff\xff.", "not utf-8"),
        (b"I" + b"9" * 30 + b"\n.", "whole number of 64 bits"),
        (b"I" + b"9" * 5000 + b"\n.", "no end of line"),
        (b"F" + b"9" * 50 + b"\n.", "no end of line"),
        (b"Fwords\n.", "convert"),
        (b"S'a\\x41'\n.", "without plain quotes"),
        (b"p1\n", "has no value"),
        (b"}K\x01" + b"]" * 9 + b"a" * 8 + b"s.", "deeper than 4 levels"),
        (b"K\x01" + b"\x85" * 100 + b".", "a tuple in a tuple"),
    ],
)
def test_made_by_hand(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_pickled(raw)


@pytest.mark.parametrize(
    ("bound", "most", "raw", "words"),
    [
        (
            "_MOST_KEPT",
            9,
            b"".join(b"X\x00\x00\x00\x00q" + bytes([key]) for key in range(10)),
            "keeps more than 9 names",
        ),
        ("_MOST_CONTAINERS", 9, b"]" * 10, "more than 9 lists and dictionaries"),
        ("MOST_STACK", 9, b"K\x01" * 10, "lays more than 9 values aside"),
        ("MOST_STACK", 9, b"M\x01\x01" * 10, "lays more than 9 values aside"),
        ("MOST_STACK", 9, b"J\x01\x01\x01\x01" * 10, "lays more than 9 values aside"),
        ("MOST_STACK", 9, b"G12345678" * 10, "lays more than 9 values aside"),
        ("_MOST_BYTES", 9, b"K\x01" * 5, "at most 9 of a pickle are read"),
    ],
)
def test_nothing_grows_without_end(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int, raw: bytes, words: str
) -> None:
    modules = [module for module in (pickled, instructions) if hasattr(module, bound)]
    assert modules
    for module in modules:
        assert getattr(module, bound) <= 1 << 26
        monkeypatch.setattr(module, bound, most)
    with pytest.raises(ValueError, match=words):
        read_pickled(raw)


WHOLE = pickle.dumps({1: {"active": [1, 2], "model": "a", "c": np.float64(2)}, 2: {"model": "a"}}, 3)


def test_every_cut_is_refused() -> None:
    assert read_pickled(WHOLE)
    for size in range(len(WHOLE)):
        with pytest.raises(ValueError, match=r"."):
            read_pickled(WHOLE[:size])


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=3))
@settings(max_examples=400, deadline=None)
def test_damage_is_another_tree_or_a_value_error(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(WHOLE)
    for place, value in changes:
        raw[place] = value
    _plain_or_refused(bytes(raw))


@given(st.lists(st.sampled_from([bytes([ord(code.code)]) for code in pickletools.opcodes]) | st.binary(max_size=9)))
@settings(max_examples=400, deadline=None)
def test_any_instructions_are_another_tree_or_a_value_error(pieces: list[bytes]) -> None:
    _plain_or_refused(b"".join(pieces))


def _plain_or_refused(raw: bytes) -> None:
    before = set(sys.modules)
    try:
        found = read_pickled(raw)
    except ValueError as error:
        assert str(error)
    else:
        assert _plain(found)
    assert set(sys.modules) == before


def _plain(value: object) -> bool:
    if type(value) is dict:
        return all(type(key) in {int, str} and _plain(each) for key, each in value.items())
    if type(value) is list:
        return all(map(_plain, value))
    return type(value) in {int, float, str}
