"""What the paper prints, digit for digit: its Tables 1-4, for comparison only and never as an input."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

from profiler.sheet import parse_sheet

Row = Mapping[str, str]


@cache
def printed_table(number: int) -> tuple[Row, ...]:
    """Return the rows of the paper's Table ``number`` as printed text; an empty cell is not printed."""
    file = resources.files("reports") / "paper" / f"table{number}.csv"
    sheet = parse_sheet(file.read_bytes(), f"table{number}.csv")
    return tuple(dict(zip(sheet.header, row, strict=True)) for row in sheet.rows)
