"""Tables as LaTeX, to be put into a paper with ``\\input``; needs booktabs, longtable and graphicx."""

import re
from collections.abc import Iterable

from reports.manifest import Manifest
from reports.table import Table

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "[": "{[}",  # after a line break LaTeX takes it for an option, and a star, too
        "*": "{*}",
    }
)
_LONG_TABLE = 25


def to_latex(tables: Iterable[Table], manifest: Manifest) -> str:
    """Return all tables as LaTeX; the manifest is in comments at the top."""
    head = ["% Needs \\usepackage{booktabs,longtable,graphicx}."]
    head += [f"% {line}" for line in manifest.lines()]
    return "\n".join(head) + "\n\n" + "\n\n".join(_table(table) for table in tables) + "\n"


def _table(table: Table) -> str:
    head = " & ".join(_escape(column.title) for column in table.columns) + r" \\"
    rows = [" & ".join(_escape(cell.text) for cell in row) + r" \\" for row in table.rows]
    title = re.sub(r"^Table [0-9]+\. ", "", table.title)  # LaTeX numbers tables itself
    caption = rf"\caption{{{_escape(f'{title} (mode: {table.mode}; {table.units}).')}}}"
    label = rf"\label{{tab:{table.name.replace('_', '-')}}}"
    notes = [rf"\par\noindent {_escape(note)}" for note in (table.headline, *table.notes) if note]
    if len(table.rows) > _LONG_TABLE:
        body = [rf"\begin{{longtable}}{{{_shares(table)}}}", rf"{caption} {label}\\", r"\toprule", head]
        end = [r"\bottomrule", r"\end{longtable}", *notes, "}"]
        return "\n".join([r"{\scriptsize\setlength{\tabcolsep}{3pt}", *body, r"\midrule\endhead", *rows, *end])
    spec = "".join("r" if column.numeric else "l" for column in table.columns)
    body = [r"\resizebox{\linewidth}{!}{%", rf"\begin{{tabular}}{{{spec}}}", r"\toprule", head, r"\midrule"]
    end = [r"\bottomrule", r"\end{tabular}}", *notes, r"\end{table}"]
    return "\n".join([r"\begin{table}\footnotesize", caption, label, *body, *rows, *end])


def _shares(table: Table) -> str:
    """Return paragraph columns that share the line by their longest text, none counting for more than 60 characters."""
    longest = [
        min(60, max(len(text) for text in (column.title, *(row[place].text for row in table.rows))))
        for place, column in enumerate(table.columns)
    ]
    return "".join(f"p{{{0.84 * length / sum(longest):.3f}\\linewidth}}" for length in longest)


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
