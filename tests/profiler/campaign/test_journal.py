"""The journal: what is in it is on disk, one process holds it, and a power cut costs one line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.campaign import journal as journals
from profiler.campaign.journal import FILE, Journal, read_journal

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.dictionaries(st.sampled_from(["measurement", "old", "job", "why"]), _VALUES)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["changing", "complete", "\u2028odd\n"]), _FIELDS), max_size=6))
def test_what_was_appended_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, dict[str, Any]]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder, now=lambda: 12.3456) as journal:
        for kind, fields in entries:
            journal.append(kind, **fields)
            assert json.loads((folder / FILE).read_bytes().split(b"\n")[-2])["kind"] == kind  # on disk at once
        written = [dict(entry) for entry in journal.entries]
    assert written == [{"kind": kind, "host_time": 12.346, **fields} for kind, fields in entries]
    assert read_journal(folder) == written
    with Journal(folder) as again:
        assert again.entries == written


def test_an_entry_is_synced_to_the_disk_before_anything_else_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(journals.os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").read_bytes()))
    with Journal(tmp_path) as journal:
        journal.append("a")
        journal.append("b")
    assert [content.count(b"\n") for content in synced] == [1, 2]


def test_an_entry_that_is_no_json_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("a")
        for wrong in (float("nan"), float("inf"), {1, 2}, b"x"):
            with pytest.raises((ValueError, TypeError)):
                journal.append("b", value=wrong)
        journal.append("c")
    assert [entry["kind"] for entry in read_journal(tmp_path)] == ["a", "c"]


@given(st.integers(0, 200), st.booleans())
def test_a_power_cut_costs_the_last_line_and_no_later_one(
    tmp_path_factory: pytest.TempPathFactory, cut: int, twice: bool
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder) as journal:
        for number in range(4):
            journal.append("complete", number=number)
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[: len(whole) - cut])
    kept = [entry["number"] for entry in read_journal(folder)]
    assert kept == list(range(len(kept)))
    assert len(kept) >= whole[: len(whole) - cut].count(b"\n")
    for _ in range(1 + twice):
        with Journal(folder) as journal:
            journal.append("after")
    assert [entry.get("number") for entry in read_journal(folder)] == [*kept, *[None] * (1 + twice)]


def test_only_one_process_holds_it(tmp_path: Path) -> None:
    lines = [
        "from pathlib import Path",
        "from profiler.campaign.journal import Journal",
        f"Journal(Path({str(tmp_path)!r}))",
    ]
    other = "\n".join(lines)
    with Journal(tmp_path) as journal:
        journal.append("a")
        done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1
        assert done.stderr.strip().splitlines()[-1].startswith(f"ValueError: {tmp_path.name}: another run of fedjoule")
        with pytest.raises(ValueError, match="another run"):
            Journal(tmp_path)
        journal.append("b")  # the refused ones have not harmed it
    assert [entry["kind"] for entry in read_journal(tmp_path)] == ["a", "b"]
    Journal(tmp_path).close()


def test_the_newest_entry_with_all_its_fields_is_found(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("pilot", measurement="a", mean_ms=1.0)
        journal.append("pilot", measurement="a", mean_ms=2.0)
        journal.append("pilot", measurement="b", mean_ms=3.0)
        found = journal.last("pilot", measurement="a")
        assert found is not None
        assert found["mean_ms"] == 2.0
        assert journal.last("pilot", measurement="c") is None
        assert journal.last("gauge") is None
        newest = journal.last("pilot")
        assert newest is not None
        assert newest["measurement"] == "b"


_LINES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b'{"kind":"a"}', b'{"kind":1}', b"[1]", b"null", b'{"kind":"a"', b"[" * 5000, b"1" * 5000, b"\xff"]
    ),
    st.sampled_from([b'{"kind":"b","x":NaN}', b'{"kind":"\\ud800"}', b"\xef\xbb\xbf{}", b'{"k":1}', b"{}{}", b"\0\0"]),
)


@given(st.lists(_LINES, max_size=8))
def test_any_bytes_are_read_as_the_entries_among_them(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / FILE).write_bytes(b"\n".join(lines))
    entries = read_journal(folder)
    assert all(isinstance(entry["kind"], str) for entry in entries)
    assert sum(entry["kind"] == "a" for entry in entries) >= lines.count(b'{"kind":"a"}')


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_MOST_BYTES", 100)
    (tmp_path / FILE).write_bytes(b"x" * 101)
    with pytest.raises(ValueError, match="is larger than"):
        read_journal(tmp_path)
    assert read_journal(tmp_path / "missing") == []
