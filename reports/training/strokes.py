"""Strokes: the colour, dash and marker by which a line of a figure is told from the others."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd

Dash = str | tuple[float, tuple[float, ...]]

# Okabe and Ito's colours, which people with any colour vision tell apart; the paper's four methods first.
COLOURS: Mapping[str, str] = {
    "floatfl": "#000000",
    "quanfl": "#e69f00",
    "qfedavg": "#d55e00",
    "qfedupdate": "#0072b2",
    "qfedupdate_momentum": "#009e73",
    "qfedavg_sr": "#cc79a7",
    "quanfl_ef": "#56b4e9",
    "quanfl_signsgd": "#8c6d1f",
}
MARKERS: Mapping[str, str] = dict(zip(COLOURS, "osv^DPX*", strict=True))
_PATTERNS = ((5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5), (10, 3), (5, 1, 1, 1, 1, 1), (2.5, 2.5), (9, 1.5, 3, 1.5))
DASHES: tuple[Dash, ...] = ("-", *((0.0, pattern) for pattern in _PATTERNS))


def dashes(rows: pd.DataFrame) -> dict[str, Dash]:
    """Return a dash for each line; the lines of one method, which share a colour, differ in it (up to eight)."""
    firsts = rows.drop_duplicates("line")
    places = firsts.groupby("method", sort=False).cumcount()
    return {str(line): DASHES[place % len(DASHES)] for line, place in zip(firsts["line"], places, strict=True)}


def shades(rows: pd.DataFrame) -> dict[str, str]:
    """Return a colour for each line, from light to dark along the cohort."""
    lines = list(dict.fromkeys(rows.sort_values("cohort", kind="stable")["line"]))
    colours = mpl.colormaps["viridis"](np.linspace(0.85, 0.0, len(lines)) if len(lines) > 1 else [0.3])
    return {line: mpl.colors.to_hex(colour) for line, colour in zip(lines, colours, strict=True)}
