"""Tables on a terminal, and the same as plain text where there is none."""

import io
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from reports.manifest import Manifest
from reports.table import Table, Tone

_STYLES: dict[Tone, str] = {"plain": "", "good": "green", "warn": "yellow", "bad": "red", "faint": "dim"}
_PLAIN_WIDTH = 160


def to_terminal(tables: Iterable[Table], manifest: Manifest, *, width: int | None, colour: bool) -> str:
    """Return all tables for a terminal of ``width`` characters (None: no terminal), followed by the manifest."""
    console = Console(
        file=io.StringIO(),
        width=width or _PLAIN_WIDTH,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for table in tables:
        console.print(Text(table.title, style="bold"))
        console.print(Text(f"mode: {table.mode}; {table.units}", style="dim"))
        console.print(_rich(table))
        for note in table.notes:
            console.print(Text(f"  {note}", style="dim"))
        console.print()
    for line in manifest.lines():
        console.print(Text(line, style="dim"))
    written = console.file
    assert isinstance(written, io.StringIO)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _rich(table: Table) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        shown.add_column(column.title, justify="right" if column.numeric else "left", no_wrap=column.numeric)
    for row in table.rows:
        shown.add_row(*(Text(cell.text, style=_STYLES[cell.tone]) for cell in row))
    return shown
