"""Own traces as CSV and Parquet: what is read, and the row that is named when something is not right."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.fleet import Fleet, ready
from traces.intervals_file import read_intervals
from traces.report import Report

HEAD = "phone,start_s,end_s\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my phones.csv"


def read(file: Path, text: str) -> tuple[Fleet, Report]:
    file.write_text(text, "utf-8")
    return read_intervals(file)


def spans(fleet: Fleet, phone: int) -> list[tuple[float, float]]:
    a = fleet.availability
    assert a is not None
    here = slice(a.offsets[phone], a.offsets[phone + 1])
    return list(zip(a.start_s[here].tolist(), a.end_s[here].tolist(), strict=True))


def test_three_columns_are_enough(file: Path) -> None:
    fleet, report = read(file, HEAD + "b,10,20\na,0,3600.5\nb,90000,100000\nb,20,30\nc,,\n")
    assert [spans(fleet, phone) for phone in range(3)] == [[(10, 30), (90_000, 100_000)], [(0, 3600.5)], []]
    assert fleet.availability is not None
    assert fleet.availability.period_s.tolist() == [172_800] * 3
    assert fleet.name == "my phones"
    assert (len(fleet.hardware), fleet.network.download_bit_per_s.tolist()) == (1, [10e6])
    assert report.kept == 3
    assert dict(report.flags) == {
        "phones that are never ready": 1,
        "phones without period_s, whose traces repeat after 2 days": 3,
        "phones without rates, given 10 Mbit/s": 3,
    }
    assert ready(fleet, np.arange(3), 172_800 + 15.0).tolist() == [True, True, False]


def test_all_columns(file: Path) -> None:
    head = "phone,state,start_s,end_s,period_s,model,soc,tier,score,download_bit_per_s,upload_bit_per_s\n"
    rows = [
        "1,ready,0,10,50,Mi 10,SD 865,high,33289,5e6,1e6",
        "1,charging,0,40,,,,,,,",
        "2,ready,5,10,60,LG-K350,,low,,10e6,10e6",
        "3,,5,10,60,LG-K350,,low,,10e6,10e6",
    ]
    fleet, report = read(file, "\ufeff" + head + "\r\n".join(rows) + "\r\n")
    assert fleet.availability is not None
    assert fleet.battery is not None
    assert fleet.availability.period_s.tolist() == [50, 60, 60]
    assert fleet.hardware.models == ("Mi 10", "LG-K350")
    assert fleet.hardware.socs == ("SD 865", "")
    assert fleet.hardware.tiers == ("high", "low")
    np.testing.assert_array_equal(fleet.hardware.scores, [33_289, np.nan])
    assert fleet.hardware_of.tolist() == [0, 1, 1]
    assert fleet.network.download_bit_per_s[fleet.network_of].tolist() == [5e6, 10e6, 10e6]
    assert fleet.network.upload_bit_per_s[fleet.network_of].tolist() == [1e6, 10e6, 10e6]
    assert fleet.battery.charging.end_s.tolist() == [40]
    assert not report.flags


@pytest.mark.parametrize(("down", "up", "count"), [(10, 10, 1), (1e7, 10, 1), (1e4, 1e4, 0), (1e7, 5e6, 0)])
def test_rates_that_are_most_likely_in_another_unit_are_flagged(file: Path, down: float, up: float, count: int) -> None:
    file.write_text(f"phone,start_s,end_s,period_s,download_bit_per_s,upload_bit_per_s\na,0,9,10,{down},{up}\n")
    fleet, report = read_intervals(file)
    assert fleet.network.download_bit_per_s.tolist() == [down]
    assert report.flags == ((("phones with less than 10 kbit/s: rates are in bit/s, not in Mbit/s", 1),) * count)


def test_parquet_says_the_same(tmp_path: Path, file: Path) -> None:
    columns = {"phone": [7, 7, 8], "start_s": [0.0, 50, None], "end_s": [10, 60, None], "tier": ["low", None, ""]}
    path = tmp_path / "x.parquet"
    pyarrow.parquet.write_table(pyarrow.table({**columns, "phone": ["7", "7", "8"]}), path)
    with pytest.raises(ValueError, match="column start_s has 1 missing values"):
        read_intervals(path)
    columns["start_s"][2] = columns["end_s"][2] = float("nan")
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    found, report = read_intervals(path)
    other, same = read(file, "phone,start_s,end_s,tier\n7,0,10,low\n7,50,60,\n8,,,\n")
    assert [spans(found, phone) for phone in range(2)] == [spans(other, phone) for phone in range(2)]
    assert found.hardware.tiers == other.hardware.tiers
    assert report == same


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line must name the columns phone, start_s, end_s"),
        ("phone,start,end\n", "the first line must name the columns"),
        ("phone,start_s\n", "the first line must name the columns"),
        ("phone;start_s;end_s\n", "the first line must name .*; a comma must stand between them"),
        (HEAD + "a,79200,21600\n", "row 2: .*what lasts past the period's end is two rows"),
        ("phone,start_s,end_s,phone\n", "each once"),
        ("phone,start_s,end_s,rate\n", "and may name state, model"),
        (HEAD, "must have a row for each interval"),
        (HEAD + "a,1\n", "row 2 has 2 fields; the first line 3"),
        (HEAD + "a,1,2\na,9,8\n", "row 3: start_s must be at least 0 and end_s after it.*got 9 to 8"),
        (HEAD + "a,1,1\n", "row 2: start_s must be at least 0 and end_s after it"),
        (HEAD + "a,-1,1\n", "row 2: start_s must be at least 0"),
        (HEAD + "a,1,1e12\n", "row 2: .*within ten years"),
        (HEAD + "a,1,nan\n", "row 2: end_s must be a finite number .got 'nan'"),
        (HEAD + "a,1,inf\n", "row 2: end_s must be a finite number"),
        (HEAD + "a,one,2\n", "row 2: start_s must be a finite number .got 'one'"),
        (HEAD + "a,1_0,20\n", "row 2: start_s must be a finite number"),
        (HEAD + "a,1,\n", "row 2: start_s and end_s must both be there"),
        (HEAD + ",1,2\n", "row 2: phone must be a name"),
        (HEAD + "a,0,10\nb,0,9\na,5,20\n", "row 4 overlaps row 2 of the same phone .one is 0 to 10"),
        (HEAD + "a,5,20\na,0,10\n", "row 3 overlaps row 2"),
        ("phone,start_s,end_s,state\na,0,1,asleep\n", "row 2: state must be ready or charging .got 'asleep'"),
        ("phone,start_s,end_s,period_s\na,0,10,9\n", "row 2 ends after period_s, 9, of phone a"),
        ("phone,start_s,end_s,period_s\na,0,10,-9\n", "row 2: period_s must be from 1e-05 to 3.16224e.08 .got -9"),
        (
            "phone,start_s,end_s,period_s\na,0,10,1e300\n",
            "row 2: period_s must be from 1e-05 to 3.16224e.08 .got 1e.300",
        ),
        ("phone,start_s,end_s,score\na,0,10,-9\n", "row 2: score must be from 0 to"),
        (HEAD.strip() + ",download_bit_per_s\na,0,10,1e-5\n", "row 2: download_bit_per_s must be from 1 to 1e.12"),
        (HEAD.strip() + ",upload_bit_per_s\na,0,10,1e300\n", "row 2: upload_bit_per_s must be from 1 to 1e.12"),
        ("phone,start_s,end_s,tier\na,0,10,huge\n", "row 2: tier must be low, medium or high"),
        (
            "phone,start_s,end_s,model\na,0,10,x\na,20,30,y\n",
            "row 3: model of a phone must be the same .* before it was x",
        ),
        ("phone,start_s,end_s,download_bit_per_s\na,0,10,5\n", "phone a has one of download_bit_per_s and upload_bit"),
        (
            "phone,start_s,end_s,download_bit_per_s,upload_bit_per_s\na,0,10,-5,1\n",
            "row 2: download_bit_per_s must be from 1 to",
        ),
        (
            "phone,start_s,end_s,download_bit_per_s,upload_bit_per_s\na,0,10,5,0\n",
            "row 2: upload_bit_per_s must be from 1 to",
        ),
        (HEAD + "a,1,2\x00\n", "line 2 holds a NUL"),
        (HEAD + '"a,1,2\n', "is no CSV"),
        (HEAD + "a" * 5000 + ",1,2\n", "line 2 is longer than 4,096 bytes"),
        (HEAD + "a" * 300 + ",1,2\n", "row 2: phone must be a name of at most 200"),
    ],
)
def test_what_is_not_right_is_refused_by_its_row(file: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read(file, text)
    assert str(file) in str(caught.value)


def test_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    file.write_bytes(HEAD.encode() + b"\xff,1,2\n")
    with pytest.raises(ValueError, match="line 2 is not in UTF-8"):
        read_intervals(file)
    with file.open("wb") as stream:
        stream.write(HEAD.encode() + b"a")
        stream.truncate(1 << 30)
    with pytest.raises(ValueError, match="line 2 is longer than 4,096 bytes"):
        read_intervals(file)
    with pytest.raises(FileNotFoundError):
        read_intervals(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError):
        read_intervals(tmp_path / "none.parquet")
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="no whole Parquet file"):
        read_intervals(bad)


def test_names_reach_no_terminal_as_they_are(file: Path) -> None:
    with pytest.raises(ValueError, match="phone") as caught:
        read(file, "phone,start_s,end_s,download_bit_per_s\na\x1b[2J,0,10,5\n")
    assert "\x1b" not in str(caught.value)
    fleet, _ = read(file, "phone,start_s,end_s,model\na,0,10,b\x1b\u202e\n")
    assert fleet.hardware.models == ("b??",)


@given(st.lists(st.lists(st.text('0123456789.-ex,"\n\rnaif ', max_size=6), max_size=4).map(",".join), max_size=5))
@settings(max_examples=200, deadline=None)
def test_anything_else_is_a_fleet_or_a_value_error(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    try:
        fleet, report = read(file, HEAD + "\n".join(rows))
    except ValueError as error:
        assert str(file) in str(error)
    else:
        assert report.kept == fleet.phones > 0
