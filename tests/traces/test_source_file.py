"""Files read whole: within their bound, and only if they are files."""

import hashlib
import os
from pathlib import Path

import pytest

from traces.lines import Lines
from traces.source_file import Repeating, parse_json, read_source, sum_of_file


def test_what_was_read_is_known_by_its_sum(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"content")
    known = ("a.json", hashlib.sha256(b"content").hexdigest(), 7)
    assert read_source(path, 7).known_by == sum_of_file(path) == known
    assert read_source(path, 7).raw == b"content"
    with pytest.raises(ValueError, match="larger than 6 bytes"):
        read_source(path, 6)
    with pytest.raises(FileNotFoundError):
        read_source(tmp_path / "none", 6)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # to open it would wait for somebody to write
    for path in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="must be an ordinary file"):
            read_source(path, 100)
        with pytest.raises(ValueError, match="must be an ordinary file"):
            sum_of_file(path)
        with pytest.raises(ValueError, match="must be an ordinary file"):
            Lines(path, 100, 10)


def test_keys_that_come_twice_are_told() -> None:
    found = parse_json(b'{"a": 1, "b": {"c": 1}, "a": 2, "a": 3}', "x")
    assert isinstance(found, Repeating)
    assert (found, found.repeated) == ({"a": 1, "b": {"c": 1}}, ["a", "a"])
    assert type(found["b"]) is dict


def test_lines_have_a_bound_each_and_together() -> None:
    with Lines(b"ab\ncd\n", 6, 3) as lines:
        assert list(lines) == ["ab\n", "cd\n"]
    with Lines(b"ab\ncd\n", 5, 3) as lines, pytest.raises(ValueError, match="more than 5 bytes"):
        list(lines)
    with Lines(b"ab\ncde\n", 50, 3) as lines, pytest.raises(ValueError, match="line 2 is longer than 3 bytes"):
        list(lines)
