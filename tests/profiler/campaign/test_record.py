"""Records on disk: whole or not there, and refused if they are none."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.campaign.record import json_of, read_raw, read_record, write_record
from profiler.names import has_control_characters

GOOD: dict[str, Any] = {
    "format": 1, "measurement": "001-a-r1", "plan": {}, "device": {}, "source": {}, "timing": None,
    "energy": {"net_j": 1.5}, "flags": [], "verdict": "valid", "raw": {},
}  # fmt: skip


def test_a_record_and_its_raw_files_come_back(tmp_path: Path) -> None:
    raw = {"samples": b"\x00\xff", "out/a.csv": b"x"}
    digest = write_record(tmp_path, GOOD, raw)
    path = tmp_path / "records" / "001-a-r1.json"
    assert read_record(path) == GOOD
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert read_raw(tmp_path, "001-a-r1", "samples") == b"\x00\xff"
    assert read_raw(tmp_path, "001-a-r1", "out_a.csv") == b"x"  # flat
    assert read_raw(tmp_path, "001-a-r1", "missing") is None
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"001-a-r1.json", "samples", "out_a.csv"}


def test_a_record_written_again_replaces_the_first(tmp_path: Path) -> None:
    write_record(tmp_path, GOOD, {})
    write_record(tmp_path, {**GOOD, "verdict": "invalid"}, {})
    assert read_record(tmp_path / "records" / "001-a-r1.json")["verdict"] == "invalid"


def test_no_record_is_written_before_its_raw_files(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("in the way")
    with pytest.raises(OSError, match="raw"):
        write_record(tmp_path, GOOD, {"samples": b"x"})
    assert not (tmp_path / "records").exists()


_NUMBERS = st.floats() | st.integers(-5, 5) | st.none() | st.text(max_size=4)


@given(st.dictionaries(st.text(max_size=4), _NUMBERS | st.lists(_NUMBERS, max_size=4) | st.tuples(_NUMBERS)))
def test_what_is_no_finite_number_becomes_null_and_nothing_else_changes(data: dict[str, Any]) -> None:
    def expected(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return [expected(each) for each in value] if isinstance(value, list | tuple) else value

    assert json.loads(json_of(data)) == {name: expected(value) for name, value in data.items()}


def test_the_same_record_is_the_same_bytes() -> None:
    assert json_of({"a": 1, "b": (2, {"c": 3})}) == json_of({"b": [2, {"c": 3}], "a": 1})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"[" * 10_000, "is no JSON"),
        (b"[]", "lacks format"),
        (b"1", "lacks format"),
        (b"null", "lacks format"),
        (json.dumps({**GOOD, "format": 2}).encode(), "has format 2, not 1"),
        (json.dumps({**GOOD, "format": "\x1b[0m"}).encode(), "has format ?[0m, not 1"),
        *((json.dumps({k: v for k, v in GOOD.items() if k != key}).encode(), f"lacks {key}") for key in GOOD),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json") as caught:
        read_record(path)
    assert said in str(caught.value)
    assert not has_control_characters(str(caught.value))


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_record(tmp_path / "missing.json")
    (tmp_path / "large.json").write_bytes(b" " * (4 * 2**20 + 1))
    with pytest.raises(ValueError, match="at most"):
        read_record(tmp_path / "large.json")


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_a_record(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("record") / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json"):
        read_record(path)
