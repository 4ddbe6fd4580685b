"""What is named to the right of a panel: lines beside their ends, moved apart where they would overlap, and marks."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from reports.training.strokes import Dash

_FONT = 7.0
_LINE_IN = _FONT * 1.22 / 72
_GAP_IN = 0.03
_BLOCKS_GAP_IN = 0.08  # between the lines' names and the marks' below them
_LETTERS = 27  # of a line of a name
_BELOW, _ABOVE = -0.1, 1.02  # how far names may leave the panel, in its heights


@dataclass(frozen=True)
class Ending:
    """The name of a line that ends at ``value``, with a sample of the line between the two."""

    text: str
    value: float
    colour: str
    dash: Dash = "-"
    width: float = 1.4


@dataclass(frozen=True)
class Mark:
    """The name of points that no line joins, beside their ``marker``: filled diamonds ``D``, else open."""

    text: str
    colour: str
    marker: str


def wrapped(text: str) -> list[str]:
    """Return a name in lines of a width that leaves room for the panel; values stay with what they are of."""
    begin, colon, end = text.replace(" = ", "\u00a0=\u00a0").rpartition(": ")
    return textwrap.wrap(begin + colon.replace(" ", "\u00a0") + end, _LETTERS) or [""]


def names_height_in(endings: Sequence[Ending], marks: Sequence[Mark]) -> float:
    """Return the least height of a panel that has room for all names, in inches."""
    texts = [each.text for each in endings] + [each.text for each in marks]
    return sum(map(_height_in, texts)) + _BLOCKS_GAP_IN


def write_names(axis: Axes, endings: Sequence[Ending], marks: Sequence[Mark], height_in: float) -> None:
    """Write the names to the right of a panel ``height_in`` high whose limits are set.

    Lines are named beside their ends and in their order. Marks have no place at the right edge: they stand in a block
    of their own below, without a line to anywhere.
    """
    to_axes = axis.transScale + axis.transLimits
    wanted = [min(max(float(to_axes.transform((1.0, each.value))[1]), 0.0), 1.0) for each in endings]
    heights = [_height_in(each.text) / height_in for each in endings]
    gap = _BLOCKS_GAP_IN / height_in if endings and marks else 0.0
    block = sum(_height_in(each.text) for each in marks) / height_in
    places = moved_apart(wanted, heights, _BELOW + block + gap)
    for place, want, each in zip(places, wanted, endings, strict=True):
        _line(axis, [1.005, 1.035], [want, place], color=each.colour, lw=0.6)
        _line(axis, [1.035, 1.105], [place, place], color=each.colour, ls=each.dash, lw=each.width)
        _write(axis, 1.12, place, each.text, "black")
    top = min((place - height / 2 for place, height in zip(places, heights, strict=True)), default=_ABOVE) - gap
    for mark in marks:
        height = _height_in(mark.text) / height_in
        fill = mark.colour if mark.marker == "D" else "white"
        _line(axis, [1.07], [top - height / 2], marker=mark.marker, ms=3.8, mfc=fill, mec=mark.colour, ls="none")
        _write(axis, 1.12, top - height / 2, mark.text, "#444444")
        top -= height


def moved_apart(wanted: Sequence[float], heights: Sequence[float], below: float = _BELOW) -> list[float]:
    """Return the middles of boxes of ``heights`` that do not overlap, in the order of ``wanted`` and as near as can be.

    Least squares: boxes that would overlap form a block around the mean of what they want (pool adjacent violators).
    They stay between ``below`` and _ABOVE where there is room for all, else above ``below``.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], -i))
    offsets = [0.0]  # of each box's middle from the lowest one's, in a row without gaps
    for one, other in pairwise(order):
        offsets.append(offsets[-1] + (heights[one] + heights[other]) / 2)
    blocks: list[tuple[float, int]] = []
    for i, offset in zip(order, offsets, strict=False):
        blocks.append((wanted[i] - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one_mean, n), (other_mean, m) = blocks[-2:]
            blocks[-2:] = [((one_mean * n + other_mean * m) / (n + m), n + m)]
    starts = [mean for mean, count in blocks for _ in range(count)]
    if order:
        lowest = below + heights[order[0]] / 2
        highest = _ABOVE - heights[order[-1]] / 2 - offsets[-1]
        starts = [max(min(start, highest), lowest) for start in starts]
    places = dict(zip(order, (start + offset for start, offset in zip(starts, offsets, strict=False)), strict=True))
    return [places[i] for i in range(len(wanted))]


def _height_in(text: str) -> float:
    return len(wrapped(text)) * _LINE_IN + _GAP_IN


def _line(axis: Axes, x: Sequence[float], y: Sequence[float], **how: object) -> None:
    line = Line2D(x, y, **how)  # type: ignore[arg-type]
    line.set(transform=axis.transAxes, clip_on=False)
    axis.add_line(line)


def _write(axis: Axes, x: float, y: float, text: str, colour: str) -> None:
    words = "\n".join(wrapped(text))
    axis.text(x, y, words, transform=axis.transAxes, va="center", fontsize=_FONT, linespacing=1.05, color=colour)
