import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.network import format_rate, parse_rate


@pytest.mark.parametrize(
    ("text", "bit_per_s"),
    [
        ("10Mbit/s", 10e6),
        ("10 Mbps", 10e6),
        ("10mbit/s", 10e6),
        ("1.25MB/s", 10e6),
        ("500 kbps", 500e3),
        ("2e1 Mbit/s", 20e6),
        ("1Gbit/s", 1e9),
        ("8B/s", 64.0),
        ("9600bit/s", 9600.0),
    ],
)
def test_rates_as_people_write_them(text: str, bit_per_s: float) -> None:
    assert parse_rate(text) == bit_per_s


@pytest.mark.parametrize(
    "text", ["", "10", "Mbit/s", "0Mbit/s", "-1Mbit/s", "nan Mbit/s", "1e999 Mbit/s", "10 furlongs"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["10kb/s", "10Mb/s", "10mb/s", "10KB/s"])
def test_a_unit_that_could_be_bits_or_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="could mean bits or bytes"):
        parse_rate(text)


@given(st.text(max_size=30))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    try:
        assert parse_rate(text) > 0
    except ValueError as error:
        assert "bandwidth" in str(error)


@given(st.integers(1, 10**12))
def test_a_formatted_rate_parses_back(bit_per_s: int) -> None:
    assert parse_rate(format_rate(bit_per_s)) == pytest.approx(bit_per_s, rel=1e-5)
