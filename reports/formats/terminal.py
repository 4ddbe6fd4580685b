"""Tables on a terminal, and the same as plain text where there is none."""

import io
from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from reports.manifest import Manifest
from reports.table import Cell, Column, Table, Tone

_STYLES: dict[Tone, str] = {"plain": "", "good": "green", "warn": "yellow", "bad": "red", "faint": "dim"}
_PLAIN_WIDTH = 160
_MOST_ROWS = 200
_LONG_TEXT = {False: 40, True: 24}  # wide, compact: a column of longer texts may be wrapped


def to_terminal(
    tables: Iterable[Table], manifest: Manifest, *, width: int | None, colour: bool, ascii_only: bool = False
) -> str:
    """Return all tables for a terminal of ``width`` characters (None: no terminal), followed by the manifest.

    A table that does not fit is shown without its spare columns and in short words; if it still does not fit, as one
    paragraph per row. Nothing is cut off.
    """
    written = io.StringIO()
    console = Console(
        file=written,
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
        _show(console, table, ascii_only=ascii_only)
        if len(table.rows) > _MOST_ROWS:
            console.print(Text(f"  and {len(table.rows) - _MOST_ROWS:,} more rows: see --format csv", style="yellow"))
        if table.headline:
            console.print(Text(f"  {table.headline}"))
        for note in table.notes:
            console.print(Text(f"  {note}", style="dim"))
        console.print()
    for line in manifest.lines():
        console.print(Text(line, style="dim"))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"


def _show(console: Console, table: Table, *, ascii_only: bool) -> None:
    rows = table.rows[:_MOST_ROWS]
    every = list(range(len(table.columns)))
    key = [place for place in every if not table.columns[place].spare]
    wide, narrow = 3, 1
    if _needed(table, rows, every, wide, short=False) <= console.width:
        console.print(_grid(table, rows, every, compact=False, ascii_only=ascii_only))
    elif _needed(table, rows, key, narrow, short=True) <= console.width:
        console.print()  # the box of a wide table brings these lines itself
        console.print(_grid(table, rows, key, compact=True, ascii_only=ascii_only))
        console.print()
    else:
        for row in rows:
            _paragraph(console, table, row)


def _needed(table: Table, rows: Iterable[tuple[Cell, ...]], places: list[int], gap: int, *, short: bool) -> int:
    """Return the characters a table needs beside each other; a column of long texts may shrink."""
    rows = list(rows)
    total = 0
    for place in places:
        texts = [_heading(table.columns[place], short), *(_said(row[place], short) for row in rows)]
        longest = max(cell_len(text) for text in texts)
        total += longest if table.columns[place].numeric else min(longest, _LONG_TEXT[short])
    return total + gap * len(places)


def _grid(
    table: Table, rows: Iterable[tuple[Cell, ...]], places: list[int], *, compact: bool, ascii_only: bool
) -> RichTable:
    if compact:
        shown = RichTable(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="underline")
    else:
        shown = RichTable(box=box.ASCII2 if ascii_only else box.SIMPLE_HEAD, pad_edge=False)
    for place in places:
        column = table.columns[place]
        texts = [_said(row[place], compact) for row in table.rows]
        whole = column.numeric or all(cell_len(text) <= _LONG_TEXT[compact] for text in texts)
        shown.add_column(_heading(column, compact), justify="right" if column.numeric else "left", no_wrap=whole)
    for row in rows:
        shown.add_row(*(Text(_said(row[place], compact), style=_STYLES[row[place].tone]) for place in places))
    return shown


def _paragraph(console: Console, table: Table, row: tuple[Cell, ...]) -> None:
    first, *others = zip(table.columns, row, strict=True)
    console.print(Text(first[1].text, style="bold"))
    for column, cell in others:
        if cell.text:
            console.print(Text.assemble((f"  {column.title}: ", "dim"), (cell.text, _STYLES[cell.tone])))


def _heading(column: Column, short: bool) -> str:
    return column.short if short and column.short is not None else column.title


def _said(cell: Cell, short: bool) -> str:
    return cell.short if short and cell.short is not None else cell.text
