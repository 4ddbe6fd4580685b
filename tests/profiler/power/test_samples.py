import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.power.samples import MAX_BYTES, MAX_ROWS, Samples, between, read_samples
from profiler.power.simulated import GaugeModel, PowerTrace, simulate, written

HEAD = "fedjoule-samples 1\ntime_s,current,voltage,status\n"
GOOD = HEAD + "10.00,-431000,3954000,Discharging\n10.10,-431000,,Discharging\n10.20,-22,3950000,\n"


def read(text: str) -> Samples:
    return read_samples(text.encode())


def test_numbers_words_and_what_was_unreadable() -> None:
    samples = read(GOOD)
    assert samples.time_s.tolist() == [10.0, 10.1, 10.2]
    assert samples.columns["current"].tolist() == [-431000.0, -431000.0, -22.0]
    assert np.isnan(samples.columns["voltage"]).tolist() == [False, True, False]
    assert samples.words["status"] == ("Discharging", "Discharging", "")
    assert samples.torn == 0
    assert samples.poll_s == pytest.approx(0.1)


def test_a_column_that_was_not_recorded_is_missing_and_not_zero() -> None:
    assert np.isnan(read(GOOD).column("charge")).all()


@pytest.mark.parametrize(
    ("text", "rows", "torn"),
    [
        (GOOD.replace("10.20,-22,3950000,\n", "10.20,-22,39500"), 2, 1),  # cut while it was written
        (GOOD.removesuffix("\n"), 2, 1),  # whole to look at, but -22 may have been -22000
        (GOOD.replace("Discharging\n10.20", "Disch10.20"), 1, 1),  # two rows run together
        (GOOD.replace("10.10,", "9.10,"), 2, 1),  # back in time
        (GOOD.replace("10.00,", "99999.00,"), 2, 1),  # far ahead: must not cost the rows after it
        (GOOD.replace("10.10,", "10.00,"), 2, 0),  # two rows of one time
        (GOOD.replace("10.10,", "ten,"), 2, 1),
        (GOOD.replace("10.10,", "1e1,"), 2, 1),
        (GOOD.replace("\n", "\r\n"), 3, 0),
        (GOOD + "\n\n", 3, 0),
        (GOOD + "10.30,1,2,3,4,5\n", 3, 1),
        (HEAD, 0, 0),
    ],
)
def test_damaged_rows_are_counted_and_the_rest_is_read(text: str, rows: int, torn: int) -> None:
    samples = read(text)
    assert (len(samples.time_s), samples.torn) == (rows, torn)


def test_of_two_rows_with_one_time_the_later_counts() -> None:
    assert read(GOOD.replace("10.20,", "10.10,")).columns["current"].tolist() == [-431000.0, -22.0]


@pytest.mark.parametrize("cell", ["0x10", "1e5", "nan", "inf", "1_000", "--1", "12ab", "1" * 30, "\x1b[2J"])
def test_a_cell_that_is_no_number_is_unreadable(cell: str) -> None:
    samples = read(GOOD.replace("-22", cell))
    assert np.isnan(samples.columns["current"][2])
    assert samples.torn == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must begin with 'fedjoule-samples 1'"),
        ("fedjoule-samples 2\ntime_s,current\n", "must begin with"),
        ("fedjoule-samples 1\n", "first column"),
        (GOOD.replace("time_s", "time"), "first column of samples must be time_s"),
        (GOOD.replace("voltage", "Volt age"), "must be named with a-z"),
        (GOOD.replace("voltage", "current"), "'current' stands twice"),
        ("fedjoule-samples 1\ntime_s," + ",".join(f"c{i}" for i in range(200)) + "\n", "more than 100 columns"),
    ],
)
def test_another_format_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text)


def test_a_refusal_prints_no_control_characters() -> None:
    with pytest.raises(ValueError, match="must begin") as caught:
        read("\x1b[31mred\n")
    assert "\x1b" not in str(caught.value)


def test_size_and_rows_are_bounded() -> None:
    with pytest.raises(ValueError, match="bytes, at most"):
        read_samples(b"\n" * (MAX_BYTES + 1))
    with pytest.raises(ValueError, match="rows, at most"):
        read_samples(HEAD.encode() + b"\n" * (MAX_ROWS + 10))


def test_times_that_do_not_rise_and_columns_of_another_length_are_no_samples() -> None:
    with pytest.raises(ValueError, match="rise strictly"):
        Samples(np.array([1.0, 1.0]), {}, {})
    with pytest.raises(ValueError, match="'current' has 1 values for 2 times"):
        Samples(np.array([1.0, 2.0]), {"current": np.array([1.0])}, {})


def test_what_the_simulator_writes_is_what_is_read() -> None:
    samples = simulate(PowerTrace(), GaugeModel(dropout=0.1), np.random.default_rng(0), origin_s=1234.5)
    again = read_samples(written(samples))
    assert again.torn == 0
    np.testing.assert_allclose(again.time_s, samples.time_s, atol=1e-9)
    for name in samples.columns:
        np.testing.assert_allclose(again.columns[name], np.round(samples.columns[name]))
    assert again.words == samples.words


def test_between_cuts_all_columns_at_the_same_rows() -> None:
    part = between(read(GOOD), 10.1, 10.2)
    assert part.time_s.tolist() == [10.1]
    assert part.columns["current"].tolist() == [-431000.0]
    assert part.words["status"] == ("Discharging",)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(content: bytes) -> None:
    try:
        samples = read_samples(HEAD.encode() + content)
    except ValueError:
        return
    assert (np.diff(samples.time_s) > 0).all()


@given(st.integers(0, 120), st.binary(min_size=1, max_size=6))
def test_damage_in_the_middle_costs_its_rows_only(at: int, junk: bytes) -> None:
    rows = "".join(f"{10 + i / 10:.2f},{i},{i},\n" for i in range(20)).encode()
    content = HEAD.encode() + rows[:at] + junk + rows[at:]
    samples = read_samples(content)
    assert len(samples.time_s) >= 20 - 2 - junk.count(b"\n") - 8
    assert (np.diff(samples.time_s) > 0).all()
