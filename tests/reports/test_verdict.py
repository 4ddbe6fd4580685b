import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.table import plain_number
from reports.verdict import Verdict, judge, parse_printed


@pytest.mark.parametrize(
    ("computed", "printed", "verdict"),
    [
        (0.5650, "0.56", Verdict.WITHIN),  # the tie
        (0.5757, "0.57", Verdict.TRUNCATED),
        (1.6153, "1.61", Verdict.TRUNCATED),
        (8.9375, "8.94", Verdict.WITHIN),
        (0.5700, "0.57", Verdict.WITHIN),
        (0.5801, "0.57", Verdict.DIFFERS),
        (0.5601, "0.57", Verdict.DIFFERS),
        (2076.4, "2,076", Verdict.WITHIN),
        (42.44, "42.5", Verdict.DIFFERS),
        (42.46, "42.5", Verdict.WITHIN),
        (math.nan, "1", Verdict.DIFFERS),
        (math.inf, "1", Verdict.DIFFERS),
    ],
)
def test_verdicts(computed: float, printed: str, verdict: Verdict) -> None:
    assert judge(computed, printed) is verdict


@given(st.floats(0, 1e4), st.integers(0, 4))
def test_what_rounding_prints_is_within_rounding(value: float, digits: int) -> None:
    assert judge(value, f"{value:.{digits}f}") is Verdict.WITHIN


@given(st.floats(0.01, 1e4), st.integers(0, 3))
def test_what_cutting_prints_is_never_called_different(value: float, digits: int) -> None:
    cut = math.floor(value * 10**digits) / 10**digits
    assert judge(value, f"{cut:.{digits}f}") is not Verdict.DIFFERS


@given(st.floats(1, 1e4), st.integers(0, 3))
def test_a_unit_and_more_away_differs(value: float, digits: int) -> None:
    printed = f"{value:.{digits}f}"
    assert judge(float(printed) + 1.01 * 10**-digits, printed) is Verdict.DIFFERS


@pytest.mark.parametrize("text", ["", "-", "1e5", "nan", "0x10", "1.", "\u0661"])
def test_only_decimals_are_printed_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="decimal"):
        parse_printed(text)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.082, 4, "0.082"),
        (397, 4, "397"),
        (13600, 4, "13,600"),
        (123456, 4, "123,456"),
        (0.99996, 4, "1"),
        (0.1, 2, "0.1"),
        (0, 4, "0"),
        (2.7708, 3, "2.77"),
        (1e-7, 3, "0.0000001"),
    ],
)
def test_numbers_as_people_read_them(value: float, digits: int, text: str) -> None:
    assert plain_number(value, digits) == text
