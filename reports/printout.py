"""A printout: tables as one text in the form a person asked for."""

import shutil
import sys
from collections.abc import Sequence

import click

from reports.manifest import Manifest
from reports.table import Table


def printout(tables: Sequence[Table], manifest: Manifest, form: str) -> str:
    """Return ``tables`` as text: terminal, markdown, csv, latex or html.

    CSV tables follow each other after an empty line, those with the same columns under one header; they carry no
    manifest (see `show`), the other forms end in one.
    On a terminal the text has its width and colours; where the encoding has no lines, they are drawn in ASCII.
    """
    if form == "markdown":
        from reports.formats.markdown import to_markdown

        return to_markdown(tables, manifest)
    if form == "latex":
        from reports.formats.latex import to_latex

        return to_latex(tables, manifest)
    if form == "html":
        from reports.formats.page import to_page

        return to_page(tables, manifest, (), ())
    if form == "csv":
        from reports.formats.csv import tables_to_csv

        return tables_to_csv(tables)
    from reports.formats.terminal import to_terminal

    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else None
    return to_terminal(tables, manifest, width=width, colour=terminal, ascii_only=not _can_print("─"))


def show(text: str, manifest: Manifest, form: str) -> None:
    """Print what `printout` made on standard output; the manifest of CSV goes to standard error, out of its way."""
    click.echo(text, nl=False)
    if form == "csv":
        click.echo("\n".join(manifest.lines()), err=True)


def _can_print(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
