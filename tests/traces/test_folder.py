"""Our own folder: what was written is read back, and what is not that is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from traces.availability import make_availability
from traces.battery import Battery
from traces.fleet import Fleet, uniform_fleet
from traces.folder import is_fleet_folder, read_fleet, write_fleet
from traces.hardware import Hardware
from traces.rates import Network, RateSeries, series_network
from traces.report import Report


def small() -> Fleet:
    intervals = [[(0.1, 7.3), (9.0, 20.0)], [], [(0.0, 40.0)]]
    periods = np.array([40.0, 50.0, 40.0])
    origins = np.array([3.0, 0.0, -1e6 / 3])
    charging = make_availability([[(0.0, 9.0)], [], []], periods, origins)
    return Fleet(
        name="Ähm",
        hardware=Hardware(("LG-K350", ""), ("", "SD 855"), ("low", ""), np.array([1 / 3, np.nan])),
        hardware_of=np.array([0, 1, 1, 0], np.int32),
        network=Network(
            "lognormal", np.array([1e6, 2e6]), np.array([1e5, 7e5]), np.array([0.3, 0]), np.array([0.1, 2])
        ),
        network_of=np.array([1, 1, 0, 1], np.int32),
        availability=make_availability(intervals, periods, origins),
        trace_of=np.array([2, 0, 1, 0], np.int32),
        shift_s=np.array([0.0, 86_400, -1 / 3, 0]),
        source="made by hand",
        battery=Battery(charging, np.array([0, 2, 2, 3]), np.array([0.0, 7, 1]), np.array([50.0, 49, 100])),
    )


def varying() -> Fleet:
    rates = np.array([1e6, 0, 3e6])
    series = RateSeries(np.array([0, 1, 3]), np.array([0.0, 0, 5]), rates, rates + 1, np.array([9.0, 10]))
    fleet = uniform_fleet("u", 3, model="m", soc="s", tier="high", bit_per_s=5)
    return replace(fleet, network=series_network(series), network_of=np.array([1, 0, 1], np.int32))


def same(one: object, other: object) -> None:
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


@pytest.mark.parametrize("make", [small, varying])
def test_a_fleet_comes_back_to_the_last_bit(make: Callable[[], Fleet], tmp_path: Path) -> None:
    fleet, folder = make(), tmp_path / "deep" / "fleet"
    write_fleet(fleet, folder)
    found, report, files = read_fleet(folder)
    same(found, fleet)
    assert report == Report(fleet.phones)
    assert {name for name, _, _ in files} == set(os.listdir(folder))
    assert all(len(digits) == 64 and size > 0 for _, digits, size in files)
    assert os.listdir(folder.parent) == ["fleet"]
    write_fleet(make(), folder)
    assert read_fleet(folder)[2] == files, "the same fleet makes the same files"


def test_a_fleet_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir()
    write_fleet(small(), folder)
    write_fleet(varying(), folder)
    assert read_fleet(folder)[0].name == "u"
    assert os.listdir(tmp_path) == ["fleet"]
    assert not (folder / "levels.parquet").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match="must be a new or empty folder, or hold a fleet of ours alone"):
        write_fleet(small(), other)
    with pytest.raises(ValueError, match="must be a new or empty folder"):
        write_fleet(small(), other / "thesis.txt")
    assert os.listdir(other) == ["thesis.txt"]
    (folder / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match="must be a new or empty folder"):
        write_fleet(small(), folder)
    assert (folder / "thesis.txt").exists()
    (folder / "thesis.txt").unlink()
    (folder / "fleet.json").write_text('{"format": "trucks"}')
    with pytest.raises(ValueError, match="must be a new or empty folder"):
        write_fleet(small(), folder)
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(ValueError, match="must be a new or empty folder"):
        write_fleet(small(), tmp_path / "link")


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fleet"
    write_fleet(small(), folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_fleet(varying(), folder)
    assert read_fleet(folder)[0].name == "Ähm"
    assert os.listdir(tmp_path) == ["fleet"]


def test_what_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="busy"):
        write_fleet(small(), Path())  # nobody can move the folder that he is in by that name
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match="nowhere: must be a new or empty folder"):
        write_fleet(small(), tmp_path / "nowhere")


@pytest.mark.parametrize("gone", [False, True])
def test_a_fleet_without_its_intervals_is_not_ready_for_ever(tmp_path: Path, gone: bool) -> None:
    folder = tmp_path / "f"
    write_fleet(replace(small(), battery=None), folder)
    manifest = json.loads((folder / "fleet.json").read_text())
    del manifest["files"]["intervals.parquet"]
    (folder / "fleet.json").write_text(json.dumps(manifest))
    if gone:
        (folder / "intervals.parquet").unlink()
    words = "lacks 'intervals'.parquet" if gone else "does not list intervals.parquet, which is there"
    with pytest.raises(ValueError, match=words):
        read_fleet(folder)


def change(folder: Path, **values: object) -> None:
    path = folder / "fleet.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def put(folder: Path, name: str, table: pyarrow.Table) -> None:
    """Put another table in, with its sum in the manifest."""
    import hashlib

    pyarrow.parquet.write_table(table, folder / name)
    files = json.loads((folder / "fleet.json").read_text("utf-8"))["files"]
    change(folder, files={**files, name: hashlib.sha256((folder / name).read_bytes()).hexdigest()})


def table(folder: Path, name: str, **columns: object) -> pyarrow.Table:
    found = pyarrow.parquet.read_table(folder / name).to_pydict()
    types = pyarrow.parquet.read_schema(folder / name)
    return pyarrow.table(
        {
            key: pyarrow.array(columns.get(key, value), types.field(key).type if key not in columns else None)
            for key, value in found.items()
        }
    )


F64, I32 = np.float64, np.int32
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "another format": (lambda folder: change(folder, format="zip"), "must have format 'fedjoule fleet'"),
    "a later version": (lambda folder: change(folder, version=2), "has version 2; this fedjoule reads version 1"),
    "no files": (lambda folder: change(folder, files=None), "files must say the SHA-256"),
    "a sum that is none": (lambda folder: change(folder, files={"phones.parquet": 1}), "files must say"),
    "a network of no kind": (lambda folder: change(folder, network="normal"), "kind of a network"),
    "a long name": (lambda folder: change(folder, name="x" * 10_001), "name must be text of at most 10,000"),
    "no tables": (lambda folder: change(folder, files={}), "does not list phones.parquet, which is there"),
    "another file": (lambda folder: (folder / "phones.parquet").write_bytes(b"x"), "is not the file that was written"),
    "a lost file": (lambda folder: (folder / "phones.parquet").unlink(), "lists phones.parquet, which is not there"),
    "cut JSON": (lambda folder: (folder / "fleet.json").write_text('{"format": '), "no whole JSON file"),
    "a large manifest": (lambda folder: (folder / "fleet.json").write_bytes(bytes(2 << 20)), "larger than 1,048,576"),
    "no Parquet": (lambda folder: _bytes(folder, "phones.parquet", b"PAR1 but no more PAR1"), "no whole Parquet file"),
    "a column more": (
        lambda folder: put(folder, "traces.parquet", pyarrow.table({"origin_s": [0.0], "period_s": [1.0], "x": [1]})),
        "must have the columns origin_s, period_s and may have no others",
    ),
    "a column less": (
        lambda folder: put(folder, "traces.parquet", pyarrow.table({"origin_s": [0.0]})),
        "must have the columns origin_s, period_s",
    ),
    "another kind": (
        lambda folder: put(folder, "phones.parquet", table(folder, "phones.parquet", trace=np.zeros(4, np.int64))),
        "column trace must be int32",
    ),
    "missing values": (
        lambda folder: put(folder, "traces.parquet", table(folder, "traces.parquet", period_s=[1.0, None, 2.0])),
        "column period_s has 1 missing values",
    ),
    "reversed": (
        lambda folder: put(folder, "intervals.parquet", _interval(folder, start_s=[8.0, 9, 0])),
        "must be at least",
    ),
    "overlapping": (
        lambda folder: put(folder, "intervals.parquet", _interval(folder, start_s=[0.0, 5, 0])),
        "must start",
    ),
    "not finite": (
        lambda folder: put(folder, "intervals.parquet", _interval(folder, end_s=[7.0, np.inf, 40])),
        "must be finite",
    ),
    "out of order": (
        lambda folder: put(folder, "intervals.parquet", _interval(folder, trace=np.array([2, 0, 0], I32))),
        "must be in order",
    ),
    "a trace too many": (
        lambda folder: put(folder, "intervals.parquet", _interval(folder, trace=np.array([0, 0, 3], I32))),
        "must be in order and point at 3 rows",
    ),
    "a phone that points at nothing": (
        lambda folder: put(
            folder, "phones.parquet", table(folder, "phones.parquet", trace=np.array([0, 1, 2, 9], I32))
        ),
        "trace_of of fleet",
    ),
    "a negative rate": (
        lambda folder: put(folder, "networks.parquet", table(folder, "networks.parquet", upload_bit_per_s=[-1.0, 1])),
        "upload_bit_per_s must be finite and above 0|upload_bit_per_s of",
    ),
    "a tier of no name": (
        lambda folder: put(folder, "hardware.parquet", table(folder, "hardware.parquet", tier=["low", "huge"])),
        "tiers must be",
    ),
}


def _interval(folder: Path, **columns: object) -> pyarrow.Table:
    return table(folder, "intervals.parquet", **columns)


def _bytes(folder: Path, name: str, raw: bytes) -> None:
    put(folder, name, pyarrow.table({"x": [1]}))
    import hashlib

    (folder / name).write_bytes(raw)
    files = json.loads((folder / "fleet.json").read_text("utf-8"))["files"]
    change(folder, files={**files, name: hashlib.sha256(raw).hexdigest()})


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_fleet_is_refused(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    write_fleet(small(), folder)
    spoil, words = BAD[what]
    spoil(folder)
    with pytest.raises(ValueError, match=words) as caught:
        read_fleet(folder)
    assert str(folder) in str(caught.value)


def test_what_became_of_the_traces_comes_back(tmp_path: Path) -> None:
    said = Report(2, (("devices never ready", 7),), (("events in another order", 3),), ("such as this",), (("odd", 1),))
    write_fleet(small(), tmp_path / "fleet", said)
    assert read_fleet(tmp_path / "fleet")[1] == said


WRONG_REPORTS: list[Any] = [
    [], {}, {"kept": -1}, {"kept": True}, {"kept": 1, "dropped": {}}, {"kept": 1, "flags": [["odd"]]},
    {"kept": 1, "flags": [["odd", 1.5]]}, {"kept": 1, "repaired": [[2, 2]]}, {"kept": 1, "examples": [3]},
    {"kept": 1, "dropped": [["a", 1]] * 101},
]  # fmt: skip


@pytest.mark.parametrize("reading", WRONG_REPORTS)
def test_what_is_no_report_is_refused(reading: Any, tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    write_fleet(small(), folder)
    change(folder, reading=reading)
    with pytest.raises(ValueError, match=r"is no fleet: .*report"):
        read_fleet(folder)


def test_texts_of_a_report_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    write_fleet(small(), folder)
    change(folder, reading={"kept": 1, "dropped": [["x\x1b[2J" + "y" * 999, 1]], "examples": ["\x07"]})
    _, report, _ = read_fleet(folder)
    assert len(report.dropped[0][0]) == 300
    assert report.dropped[0][0].startswith("x?[2J")
    assert report.examples == ("?",)


def test_names_in_the_manifest_lead_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    write_fleet(small(), folder)
    files = json.loads((folder / "fleet.json").read_text("utf-8"))["files"]
    change(folder, files={**files, "../../etc/passwd": "0" * 64, "/etc/passwd": "0" * 64})
    _, _, read = read_fleet(folder)
    assert {name for name, _, _ in read} == {*files, "fleet.json"}


def test_names_of_phones_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    write_fleet(small(), folder)
    put(folder, "hardware.parquet", table(folder, "hardware.parquet", model=["a\x1b[2J", "b"]))
    change(folder, name="c\x07")
    found, _, _ = read_fleet(folder)
    assert found.hardware.models == ("a?[2J", "b")
    assert found.name == "c?"


def test_what_is_a_fleet(tmp_path: Path) -> None:
    assert not is_fleet_folder(tmp_path)
    assert not is_fleet_folder(tmp_path / "none")
    write_fleet(small(), tmp_path / "fleet")
    assert is_fleet_folder(tmp_path / "fleet")


def test_without_pyarrow_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from traces.parquet import read_columns\n"
        "try: read_columns(Path('x'), {}, 1)\n"
        "except ValueError as error: print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'fedjoule[simulate]'" in ran.stdout
