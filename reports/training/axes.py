"""The axes of the figures of training: where they start and end, and what is written at them."""

from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

XAxis = Literal["round", "bytes"]

_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_EARLY = 0.1  # of a line's rounds: the climb from chance, which may lie below the axis
_RARE = 0.05  # of the bands' lower edges over rounds may lie below it, too
_GAIN_PCT = 30.0  # a lower start than this wins too little room to give up the 0
_TICKS, _STEPS = 7, (1, 2, 5, 10)
_WIDE = 300  # largest to smallest share, from which powers of ten are ticks enough


def accuracy_limits(shown: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an axis of accuracy in percent for the rows that are drawn on it.

    It starts at 0, or at a multiple of ten from 30 on below everything that counts: marks, bars, and every line after
    the first tenth of its rounds. Only rare dips of a band may lie below that.
    """
    ours = shown[shown["source"] == "ours"]
    early = ours["round"] <= _EARLY * ours.groupby("line")["round"].transform("max")
    late = shown.drop(ours.index[early])
    edges = late["low_pct"].dropna()
    least = float(late["mean_pct"].min())
    if len(edges):
        least = min(least, float(edges.quantile(_RARE if ours["round"].notna().any() else 0.0)))
    start = (least - 1) // 10 * 10  # a point of room, so that no mark is cut
    start = start if start >= _GAIN_PCT else 0.0
    top = max(float(shown[["mean_pct", "high_pct"]].max().max()), 1.0)
    return start, min(top + 0.06 * (top - start), 101.0)


def label_accuracy(axis: Axes, shown: pd.DataFrame, label: str) -> None:
    """Label an axis of accuracy, with the ends of ``accuracy_limits``."""
    axis.set_ylim(accuracy_limits(shown))
    axis.yaxis.set_major_locator(MaxNLocator(_TICKS, steps=_STEPS))
    axis.set_ylabel(label)


def label_shares(axis: Axes, shares_pct: pd.Series) -> None:
    """Label a logarithmic axis, with plain numbers and ends around the shares above 0."""
    above = shares_pct[shares_pct > 0]
    axis.set_yscale("log")
    if len(above):
        axis.set_ylim(float(above.min()) / 1.5, float(above.max()) * 1.5)
    axis.set_ylabel("share of all weights (%)")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    between = ("2", "5") if len(above) and float(above.max() / above.min()) < _WIDE else ()
    axis.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}".startswith(between) else "")


def label_x(axis: Axes, ours: pd.DataFrame, x: XAxis) -> float:
    """Label the axis, let it end with our last point, and return where that is."""
    size, unit = bytes_unit(ours) if x == "bytes" else (1.0, "")
    last = float(ours[x].max()) / size or 1.0
    axis.set_xlim(0, last)
    axis.xaxis.set_major_locator(MaxNLocator(_TICKS, steps=_STEPS, integer=x == "round"))
    axis.set_xlabel(f"sent by server and clients ({unit})" if unit else "round")
    return last


def bytes_unit(rows: pd.DataFrame) -> tuple[float, str]:
    """Return the largest unit that the most bytes of a panel fill, in bytes, and its name."""
    most = float(rows["bytes"].max())
    return next(((size, name) for size, name in _BYTES if most >= size), (1.0, "bytes"))
