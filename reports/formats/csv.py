"""Tables as CSV: long form, full precision, units in the column names."""

import pandas as pd

from reports.table import Table

_FORMULA = ("=", "+", "-", "@")


def to_csv(table: Table) -> str:
    """Return the table's figures as CSV text, the mode in a column of its own."""
    return frame_to_csv(table.data)


def frame_to_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV text. Text that a spreadsheet would run as a formula gets an apostrophe in front."""

    def harmless(cell: object) -> object:
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

    words = [str(name) for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(**{name: frame[name].map(harmless) for name in words}).to_csv(index=False, lineterminator="\n")
