"""Tables as CSV: long form, full precision, units in the column names."""

from collections.abc import Iterable

import pandas as pd

from reports.table import Table

_FORMULA = ("=", "+", "-", "@")


def to_csv(table: Table) -> str:
    """Return the table's figures as CSV text, the mode in a column of its own."""
    return frame_to_csv(table.data if "mode" in table.data else table.data.assign(mode=table.mode))


def tables_to_csv(tables: Iterable[Table]) -> str:
    """Return the figures of all tables as CSV text, an empty line between them.

    Tables in a row with the same columns are under one header; one with the same figures as the last adds nothing.
    """
    written, last = "", ("", "")
    for table in tables:
        header, _, rows = to_csv(table).partition("\n")
        if header != last[0]:
            written += ("\n" if written else "") + f"{header}\n{rows}"
        elif rows != last[1]:
            written += rows
        last = header, rows
    return written


def frame_to_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV text. Text that a spreadsheet would run as a formula gets an apostrophe in front."""

    def harmless(cell: object) -> object:
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

    words = [str(name) for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(**{name: frame[name].map(harmless) for name in words}).to_csv(index=False, lineterminator="\n")
