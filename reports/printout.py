"""A printout: tables as one text in the form a person asked for."""

import shutil
from collections.abc import Sequence

from reports.manifest import Manifest
from reports.table import Table


def printout(tables: Sequence[Table], manifest: Manifest, form: str, *, terminal: bool) -> str:
    """Return ``tables`` as text: terminal, markdown, csv, latex or html.

    CSV tables follow each other after an empty line; they carry no manifest, the other forms end in one.
    ``terminal`` is whether a terminal will show it: then its width and colours are used.
    """
    if form == "markdown":
        from reports.formats.markdown import to_markdown

        return to_markdown(tables, manifest)
    if form == "latex":
        from reports.formats.latex import to_latex

        return to_latex(tables, manifest)
    if form == "html":
        from reports.formats.page import to_page

        return to_page(tables, manifest, None)
    if form == "csv":
        from reports.formats.csv import to_csv

        return "\n".join(to_csv(table) for table in tables)
    from reports.formats.terminal import to_terminal

    width = shutil.get_terminal_size().columns if terminal else None
    return to_terminal(tables, manifest, width=width, colour=terminal)
