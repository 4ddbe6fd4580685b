import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.columns import COLUMNS, PRECISIONS, PROCESSORS, PROVENANCES, REQUIRED, STAGES, implied_power_w
from profiler.plausibility import plausibility_warnings, power_warnings, speed_warnings
from profiler.sheet import MAX_BYTES, MAX_ROWS, TableError
from profiler.table import (
    check_table,
    paper_table,
    read_table,
    write_table,
)

HEADER = ",".join(REQUIRED)
GOOD = "Pixel 8,cpu,fp32,LeNet-5,FEMNIST,5,total,31.5,120,session 1"
Write = Callable[[str], Path]


def problems(text: str, write: Write) -> list[tuple[int | None, str | None, str | None]]:
    with pytest.raises(TableError) as caught:
        read_table(write(text))
    return [(problem.line, problem.column, problem.value) for problem in caught.value.problems]


def test_a_table_typed_by_hand_needs_ten_columns(write: Write) -> None:
    table = read_table(write(f"{HEADER}\n{GOOD}\n"))
    assert list(table.columns) == list(COLUMNS)
    row = table.iloc[0]
    assert (row["device"], row["time_ms"], row["energy_mj"], row["batch_size"]) == ("Pixel 8", 31.5, 120.0, 5)
    assert table[["soc", "time_ms_std", "provenance", "note"]].isna().all(axis=None)


def test_missing_energy_is_missing_and_not_zero(write: Write) -> None:
    table = read_table(write(f"{HEADER}\n{GOOD.replace(',120,', ',,')}\n"))
    assert math.isnan(table.loc[0, "energy_mj"])


def test_blank_lines_case_spaces_and_a_byte_order_mark_do_not_matter(write: Write) -> None:
    text = f"\ufeff{HEADER}\n\n  Pixel 8 , CPU ,FP32,LeNet-5,FEMNIST,5,Total, 31.5 ,120,session 1\n,,,,,,,,,\n"
    pd.testing.assert_frame_equal(read_table(write(text)), read_table(write(f"{HEADER}\n{GOOD}\n")))


@pytest.mark.parametrize(
    ("old", "new", "column", "rule"),
    [
        ("31.5", "-31.5", "time_ms", "must be above 0"),
        ("31.5", "0", "time_ms", "must be above 0"),
        ("31.5", "nan", "time_ms", "must be finite"),
        ("31.5", "inf", "time_ms", "must be finite"),
        ("31.5", "1e999", "time_ms", "must be finite"),
        ("31.5", "fast", "time_ms", "must be a number"),
        ("31.5", "31_5", "time_ms", "must be a number"),
        ("31.5", "31.5 ms", "time_ms", "must be a number"),
        ("31.5,120", "2e9,", "time_ms", "must be at most 1,000,000,000"),
        ("31.5", "5e-324", "time_ms", "must be above 0"),
        (",5,", f",{2**70},", "batch_size", "must be smaller"),
        (",5,", ",5.0,", "batch_size", "must be a whole number,"),
        ("31.5", "", "time_ms", "is needed for every stage but idle"),
        (",120,", ",-1,", "energy_mj", "must not be negative"),
        (",120,", ',"2,076",', "energy_mj", "must be a number"),
        ("cpu", "gpx", "processor", "one of cpu, dsp, gpu, npu"),
        ("fp32", "fp31", "precision", "one of fp32"),
        ("total", "all", "stage", "one of sample"),
        (",5,", ",0,", "batch_size", "must be at least 1"),
        (",5,", ",2.5,", "batch_size", "must be a whole number"),
        (",5,", ",,", "batch_size", "is needed for the stages"),
        ("LeNet-5", "", "model", "is needed for the stages"),
        ("Pixel 8", "", "device", "must not be empty"),
        ("Pixel 8", "Pixel\x1b[2J8", "device", "control characters"),
        ("session 1", "", "source", "must not be empty"),
        (",120,", ",0.12,", "energy_mj", "a unit of the two is wrong"),
        (",120,", ",120000,", "energy_mj", "a unit of the two is wrong"),
    ],
)
def test_a_bad_cell_is_named_with_its_place_and_rule(old: str, new: str, column: str, rule: str, write: Write) -> None:
    with pytest.raises(TableError) as caught:
        read_table(write(f"{HEADER}\n{GOOD.replace(old, new, 1)}\n"))
    found = caught.value.problems
    assert [(problem.line, problem.column) for problem in found] == [(2, column)]
    assert rule in found[0].rule
    assert found[0].file == "phone.csv"
    assert "\x1b" not in str(caught.value)


def test_every_bad_cell_is_reported_once_in_the_order_of_the_file(write: Write) -> None:
    rows = [GOOD.replace("31.5", "x"), GOOD, GOOD.replace("cpu", "tpu").replace("120", "-3"), GOOD.replace("31.5", "7")]
    found = problems("\n".join([HEADER, *rows]) + "\n", write)
    assert sorted(found, key=str) == [
        (2, "time_ms", "x"),
        (3, "device", "Pixel 8"),
        (4, "energy_mj", "-3.0"),
        (4, "processor", "tpu"),
        (5, "device", "Pixel 8"),
    ]
    assert [line for line, _, _ in found] == [2, 3, 4, 4, 5]


def test_keys_are_compared_folded_and_conditions_tell_rows_apart(write: Write) -> None:
    again = GOOD.replace("LeNet-5", "lenet5").replace("31.5", "40")
    assert problems(f"{HEADER}\n{GOOD}\n{again}\n", write) == [(3, "device", "Pixel 8")]
    for one, other in (("overlap: on", "overlap: off"), ("battery at 5 C", "battery at -5 C"), ("1.5 GHz", "15 GHz")):
        text = f"{HEADER},conditions\n{GOOD},{one}\n{again},{other}\n"
        assert len(read_table(write(text))) == 2
    assert problems(f"{HEADER},conditions\n{GOOD},Cold  phone\n{again},cold phone\n", write)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (HEADER + "\n", "no rows"),
        (HEADER.replace("time_ms,", "") + "\n" + GOOD.replace("31.5,", "") + "\n", "the column is missing"),
        (HEADER.replace("energy_mj", "energy_mJ") + "\n" + GOOD + "\n", "nearest: energy_mj"),
        (HEADER.replace("device", "time_ms") + "\n" + GOOD + "\n", "stands twice"),
        (HEADER.replace(",", ";") + "\n" + GOOD.replace(",", ";") + "\n", "separated by semicolons"),
        (HEADER.replace(",", ";") + "\n" + GOOD.replace(",", ";").replace(".", ",") + "\n", "separated by semicolons"),
        (HEADER.replace(",", "\t") + "\n" + GOOD.replace(",", "\t") + "\n", "separated by tabs"),
        ("# my phone\n" + HEADER + "\n" + GOOD + "\n", "the header has 1"),
        ("a,b,c\n1,2,3\n", "must name the columns"),
        (HEADER + "\n" + GOOD + ",more\n", "has 11 cells, the header has 10"),
        (HEADER + '\n"' + GOOD + "\n", "is a quote opened after line 1 and not closed"),
        (HEADER + "\n" + GOOD.replace("Pixel 8", "P" * 3000) + "\n", "characters long"),
        (HEADER + "\n" + GOOD.replace("Pixel 8", "P" * 200_000) + "\n", "is not valid CSV"),
        ("a\0b\n", "not a text file"),
    ],
)
def test_a_file_that_is_no_table_says_why(text: str, rule: str, write: Write) -> None:
    with pytest.raises(TableError, match=rule):
        read_table(write(text))


def test_binary_huge_and_missing_files_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)))
    with pytest.raises(TableError, match="not UTF-8"):
        read_table(binary)
    huge = tmp_path / "huge.csv"
    with open(huge, "wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(TableError, match=f"at most {MAX_BYTES:,}"):
        read_table(huge)
    with pytest.raises(TableError, match="No such file"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(TableError, match="regular file"):
        read_table(tmp_path)


def test_implied_power_warns_outside_its_band_and_leaves_idle_alone(write: Write) -> None:
    weak, idle = GOOD.replace("120", "0.63"), "Pixel 8,cpu,fp32,,,,idle,1000,5,session 1"
    table = read_table(write(f"{HEADER}\n{weak}\n{idle}\n"))
    assert implied_power_w(table)[0] == pytest.approx(0.02)
    assert math.isnan(implied_power_w(table)[1])
    assert len(power_warnings(table, "phone.csv")) == 1
    assert "0.02 W" in power_warnings(table, "phone.csv")[0]


def test_a_row_above_the_band_is_warned_about_too(write: Write) -> None:
    table = read_table(write(f"{HEADER}\n{GOOD.replace('120', '630')}\n"))
    assert ["20 W" in line for line in power_warnings(table)] == [True]


def test_a_wrong_unit_in_both_columns_is_noticed_by_the_published_times(write: Write) -> None:
    seconds_and_joules = GOOD.replace("31.5", "0.0315").replace("120", "0.12")
    table = read_table(write(f"{HEADER}\n{seconds_and_joules}\n{GOOD.replace('cpu', 'gpu')}\n"))
    assert power_warnings(table) == []
    assert len(speed_warnings(table, "phone.csv")) == 1
    assert "takes 0.0315 ms per batch, published ones take 8 to 58 ms" in speed_warnings(table, "phone.csv")[0]
    assert plausibility_warnings(table) == speed_warnings(table)


def test_more_rows_than_a_measurement_table_can_have_are_refused(write: Write) -> None:
    rows = "\n".join(GOOD.replace("Pixel 8", f"Pixel {number}") for number in range(MAX_ROWS + 1))
    with pytest.raises(TableError, match="more than 10,000 rows"):
        read_table(write(f"{HEADER}\n{rows}\n"))


def test_thousands_of_bad_cells_are_reported_in_one_go(write: Write) -> None:
    rows = "\n".join([GOOD] * 3000)
    assert len(problems(f"{HEADER}\n{rows}\n", write)) == 2999


@pytest.mark.parametrize(("column", "value"), [("time_ms", "fast"), ("batch_size", 1.5), ("batch_size", 2**70)])
def test_a_column_of_the_wrong_type_in_memory_is_a_table_error(column: str, value: object, write: Write) -> None:
    table = read_table(write(f"{HEADER}\n{GOOD}\n"))
    table[column] = pd.Series([value], dtype="object")
    with pytest.raises(TableError, match=f"{column}: does not hold numbers only"):
        check_table(table)


@pytest.mark.parametrize(("name", "rows"), [("table1", 15), ("table2", 9), ("table3", 9), ("stages", 3)])
def test_the_shipped_tables_are_valid_and_of_plausible_power(name: str, rows: int) -> None:
    table = paper_table(name)
    assert len(table) == rows
    pd.testing.assert_frame_equal(check_table(table), table)
    assert plausibility_warnings(table) == []
    assert table["provenance"].isin(["published", "inferred"]).all()
    assert table["source"].str.contains(r"p\. \d").all()


def test_the_one_time_the_paper_lost_is_never_called_published() -> None:
    table = paper_table("table3")
    inferred = table[table["provenance"] == "inferred"]
    assert inferred[["device", "dataset", "time_ms"]].to_numpy().tolist() == [["Xiaomi 11 Pro", "FEMNIST", 8.0]]
    assert "5.8-8.8 ms" in inferred["note"].iloc[0]


@pytest.mark.parametrize(("column", "value"), [("device", " Pixel 8"), ("note", "x\ny"), ("source", "s" * 3000)])
def test_text_that_could_not_be_read_back_is_refused_in_memory_too(column: str, value: str, write: Write) -> None:
    table = read_table(write(f"{HEADER}\n{GOOD}\n"))
    table[column] = table[column].astype("object")
    table.loc[0, column] = value
    with pytest.raises(TableError, match=column):
        check_table(table)


words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
notes = st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=20).map(str.strip)
times = st.floats(min_value=1e-3, max_value=1e7, allow_nan=False)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = []
    for place in range(draw(st.integers(1, 6))):
        time_ms = draw(times)
        power_w = draw(st.floats(min_value=0.02, max_value=90))
        rows.append(
            {
                "device": draw(words),
                "soc": draw(st.none() | words),
                "processor": draw(st.sampled_from(PROCESSORS)),
                "precision": draw(st.sampled_from(PRECISIONS)),
                "model": draw(words),
                "dataset": draw(st.none() | words),
                "batch_size": draw(st.integers(1, 10**9)),
                "stage": draw(st.sampled_from(STAGES)),
                "time_ms": time_ms,
                "time_ms_std": draw(st.none() | st.floats(min_value=0, max_value=1e6)),
                "energy_mj": draw(st.none() | st.just(time_ms * power_w)),
                "power_idle_mw": draw(st.none() | st.floats(min_value=0, max_value=1e6)),
                "batches": draw(st.none() | st.integers(1, 10**9)),
                "conditions": f"run {place}",
                "provenance": draw(st.none() | st.sampled_from(PROVENANCES)),
                "source": draw(words),
                "note": draw(st.none() | notes.filter(bool)),
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One path, written again for every example."""
    return tmp_path_factory.mktemp("fuzz") / "table.csv"


@settings(max_examples=60)
@given(table=tables())
def test_a_written_table_reads_back_bit_for_bit(table: pd.DataFrame, file: Path) -> None:
    file.write_text(write_table(table), encoding="utf-8", newline="")
    pd.testing.assert_frame_equal(read_table(file), check_table(table), check_exact=True)


@given(
    raw=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: f"{HEADER}\n{text}".encode(errors="replace"))
)
def test_no_file_raises_anything_but_a_table_error(raw: bytes, file: Path) -> None:
    file.write_bytes(raw)
    try:
        read_table(file)
    except TableError as error:
        assert error.problems


odd_cells = ["", "cpu", "fp32", "total", "idle", "5", "-1", "1e400", "nan", "x", "31.5", "0", "\u0663", "9" * 20]


@settings(max_examples=60)
@given(rows=st.lists(st.lists(st.sampled_from(odd_cells), min_size=10, max_size=10), min_size=1, max_size=4))
def test_any_mixture_of_cells_is_read_or_refused(rows: list[list[str]], file: Path) -> None:
    file.write_text("\n".join([HEADER, *(",".join(row) for row in rows)]) + "\n")
    try:
        assert len(read_table(file)) <= len(rows)
    except TableError as error:
        assert error.problems
