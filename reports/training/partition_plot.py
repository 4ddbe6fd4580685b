"""The picture of a partition: a map of clients and classes, images of each client above, of each class beside."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from reports.figures import SETTINGS, rendered

_MOST_COLUMNS = 500  # of the map, at which a column is still a pixel and a half wide
_WIDTH_IN, _AROUND_IN = 6.4, 1.9
_COLOUR = "#0072b2"
_SHADES = ListedColormap(mpl.colormaps["Blues"](np.linspace(0.12, 1, 256)), "shares").with_extremes(bad="white")


def partition_figure(counts: NDArray[np.int64], title: str) -> tuple[bytes, bytes]:
    """Return the label histogram of a partition as (SVG, PNG) from ``counts`` [clients, classes].

    Clients stand in the order of their images, most first, equals by their commonest class. Of more than 500 clients,
    neighbours in that order share a column. Raises ValueError for a table without clients, classes or images.
    """
    if counts.ndim != 2 or not counts.size or counts.min() < 0 or not counts.sum():
        message = f"counts must be images of clients by classes, not all 0 (got shape {list(counts.shape)})"
        raise ValueError(message)
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):  # a dollar in a name is no formula
        return rendered(_draw(counts, title))


def columns(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the columns of the map: mean images by class [columns, classes], and how many clients each stands for."""
    order = np.lexsort((counts.argmax(1), -counts.sum(1)))
    starts = np.linspace(0, len(order), min(len(order), _MOST_COLUMNS), endpoint=False).astype(np.int64)
    clients = np.diff(np.append(starts, len(order)))
    return np.add.reduceat(counts[order], starts, axis=0) / clients[:, None], clients


def _draw(counts: NDArray[np.int64], title: str) -> Figure:
    table, clients = columns(counts)
    classes = counts.shape[1]
    map_in = float(np.clip(0.22 * classes, 1.6, 4.6))
    layout = ConstrainedLayoutEngine(wspace=0.04)
    figure = Figure(figsize=(_WIDTH_IN, map_in + _AROUND_IN), dpi=150, layout=layout)
    grid = figure.add_gridspec(2, 2, width_ratios=(5, 1), height_ratios=(1.0, map_in))
    below = figure.add_subplot(grid[1, 0])
    above, beside = figure.add_subplot(grid[0, 0], sharex=below), figure.add_subplot(grid[1, 1], sharey=below)
    edges = np.append(0, np.cumsum(clients))
    _map(figure, below, table, edges)
    above.stairs(table.sum(1), edges, fill=True, color=_COLOUR)
    above.set_ylabel("images of\na client")
    beside.barh(np.arange(classes), counts.sum(0), color=_COLOUR, height=0.8)
    beside.set_xlabel("images of\na class")
    for axis in (above, beside):
        axis.spines[["top", "right"]].set_visible(False)
        axis.yaxis.set_major_formatter(_whole) if axis is above else axis.xaxis.set_major_formatter(_whole)
    beside.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    above.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    above.tick_params(labelbottom=False)
    beside.tick_params(labelleft=False)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    return figure


def _map(figure: Figure, axis: Axes, table: NDArray[np.float64], edges: NDArray[np.int64]) -> None:
    """Draw what share of its images a client has of each class; white is none."""
    classes = table.shape[1]
    share = 100 * table / np.maximum(table.sum(1, keepdims=True), 1e-300)
    shown = np.ma.masked_equal(share.T, 0)
    drawn = axis.pcolormesh(
        edges, np.arange(classes + 1) - 0.5, shown, cmap=_SHADES, vmin=0, vmax=share.max(), rasterized=True
    )
    bar = figure.colorbar(drawn, ax=axis, location="bottom", shrink=0.6, aspect=40, pad=0.02)
    bar.set_label("share of a client's images (%)")
    axis.set_ylabel("class")
    axis.set_ylim(classes - 0.5, -0.5)
    axis.set_yticks(range(0, classes, 1 if classes <= 20 else 10))
    several = "" if edges[-1] < len(table) + 1 else f"; a column is the mean of about {edges[-1] / len(table):.3g}"
    axis.set_xlabel(f"{edges[-1]:,} clients, those with most images first{several}")
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.xaxis.set_major_formatter(_whole)


def _whole(value: float, _place: Any = None) -> str:
    return f"{value:,.0f}"
