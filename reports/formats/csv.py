"""Tables as CSV: long form, full precision, units in the column names."""

from reports.table import Table


def to_csv(table: Table) -> str:
    """Return the table's figures as CSV text, the mode in a column of its own."""
    return table.data.to_csv(index=False, lineterminator="\n")
