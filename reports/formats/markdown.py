"""Tables as Markdown."""

from collections.abc import Iterable

from reports.manifest import Manifest
from reports.table import Table

_ESCAPES = str.maketrans({"<": "&lt;"} | {character: f"\\{character}" for character in "\\|*_`[~"})


def to_markdown(tables: Iterable[Table], manifest: Manifest) -> str:
    """Return all tables as one Markdown document that ends in the manifest."""
    parts = [_table(table) for table in tables]
    lines = "\n".join(f"- {_escape(line)}" for line in manifest.lines())
    return "\n\n".join([*parts, f"## Manifest\n\n{lines}"]) + "\n"


def _table(table: Table) -> str:
    head = "| " + " | ".join(_escape(column.title) for column in table.columns) + " |"
    rule = "|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|"
    rows = ["| " + " | ".join(_escape(cell.text) for cell in row) + " |" for row in table.rows]
    notes = [f"- {_escape(note)}" for note in (table.headline, *table.notes) if note]
    about = f"Mode: {table.mode}. Units: {_escape(table.units)}."
    return "\n".join([f"## {_escape(table.title)}", "", about, "", head, rule, *rows, *([""] if notes else []), *notes])


def _escape(text: str) -> str:
    return text.translate(_ESCAPES).replace("://", "&#58;//")  # no links but ours
