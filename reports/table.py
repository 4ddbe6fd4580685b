"""A table to be shown: cells of text with a tone, and the same figures at full precision for machines."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from reports.verdict import Verdict

Tone = Literal["plain", "good", "warn", "bad", "faint"]

_TONES: dict[Verdict, Tone] = {
    Verdict.WITHIN: "good",
    Verdict.TRUNCATED: "warn",
    Verdict.DIFFERS: "bad",
    Verdict.AS_PRINTED: "faint",
    Verdict.NOT_PRINTED: "faint",
    Verdict.OTHER_INPUTS: "faint",
}


_SHORT = {Verdict.WITHIN: "ok", Verdict.TRUNCATED: "cut", Verdict.DIFFERS: "DIFF", Verdict.AS_PRINTED: "="}
_SHORT |= {Verdict.NOT_PRINTED: "none", Verdict.OTHER_INPUTS: "n/a"}


@dataclass(frozen=True)
class Column:
    """A column's heading, with its unit, and whether it holds numbers (aligned right).

    Where there is little room a ``spare`` column is left out and ``short`` stands for the title.
    """

    title: str
    numeric: bool = False
    spare: bool = False
    short: str | None = None


@dataclass(frozen=True)
class Cell:
    """What a person reads in one place of a table; ``short`` says it where there is little room."""

    text: str
    tone: Tone = "plain"
    short: str | None = None


@dataclass(frozen=True)
class Table:
    """One table. ``mode`` says what it is made of (docs/reference/output_files.md); ``data`` is long-form.

    ``name`` is its file's stem, ``headline`` is how it came out, in a sentence; ``notes`` are footnotes: what is
    inferred, not counted, doubted.
    """

    name: str
    title: str
    mode: str
    units: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    data: pd.DataFrame
    notes: tuple[str, ...] = ()
    headline: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                message = f"table {self.name!r} has a row of {len(row)} cells and {len(self.columns)} columns"
                raise ValueError(message)


VERDICT = Column("verdict", short="?")


def verdict_cell(verdict: Verdict) -> Cell:
    """Return the cell that shows a verdict."""
    return Cell(verdict.value, _TONES[verdict], _SHORT[verdict])


def number(value: float | None, digits: int = 4) -> Cell:
    """Return a number with ``digits`` significant digits, without exponent; a dash where it was not measured."""
    if value is None or value != value:
        return Cell("-", "faint")
    return Cell(plain_number(value, digits))


def fixed(value: float | None, places: int) -> Cell:
    """Return a number with ``places`` decimals; a dash where it was not measured."""
    return Cell("-", "faint") if value is None else Cell(f"{value:,.{places}f}")


def plain_number(value: float, digits: int = 4) -> str:
    """Return ``value`` with at least ``digits`` significant digits and a thousands comma: 0.08208, 397, 123,456.

    Digits before the point are never rounded away.
    """
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    places = max(0, digits - 1 - int(f"{rounded:e}".partition("e")[2]))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed_percent(percent: float) -> str:
    """Return a percentage with its sign; what rounds to zero has none."""
    text = f"{percent:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text
