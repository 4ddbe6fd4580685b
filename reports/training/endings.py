"""The names at the right ends of lines, moved apart where they would overlap."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

_FONT = 6.8
_LINE_IN = _FONT * 1.22 / 72
_GAP_IN = 0.03
_LETTERS = 30  # of a line of a name
_BELOW, _ABOVE = -0.1, 1.02  # how far names may leave the panel, in its heights


@dataclass(frozen=True)
class Ending:
    """A name beside the place ``value`` where its line ends; ``mark`` is ``-``, or a marker drawn before the name."""

    text: str
    value: float
    colour: str
    mark: str = "-"

    @property
    def lines(self) -> list[str]:
        """The name in lines of a width that leaves room for the panel."""
        begin, colon, end = self.text.replace(" = ", "\u00a0=\u00a0").rpartition(": ")
        return textwrap.wrap(begin + colon.replace(" ", "\u00a0") + end, _LETTERS) or [""]

    @property
    def height_in(self) -> float:
        """Height of the name, with the gap to the next, in inches."""
        return len(self.lines) * _LINE_IN + _GAP_IN


def name_endings(axis: Axes, endings: Sequence[Ending], height_in: float) -> None:
    """Write the names to the right of a panel ``height_in`` high whose limits are set, each with a line to its end."""
    to_axes = axis.transScale + axis.transLimits
    wanted = [min(max(float(to_axes.transform((1.0, each.value))[1]), 0.0), 1.0) for each in endings]
    heights = [each.height_in / height_in for each in endings]
    for place, want, each in zip(moved_apart(wanted, heights), wanted, endings, strict=True):
        line = Line2D([1.005, 1.04], [want, place], color=each.colour, lw=0.7, transform=axis.transAxes, clip_on=False)
        axis.add_line(line)
        if each.mark != "-":
            fill = each.colour if each.mark == "D" else "white"
            mark = Line2D([1.058], [place], marker=each.mark, ms=3.8, mfc=fill, mec=each.colour, ls="none")
            mark.set(transform=axis.transAxes, clip_on=False)
            axis.add_line(mark)
        axis.text(
            1.05 if each.mark == "-" else 1.078, place, "\n".join(each.lines), transform=axis.transAxes, va="center",
            fontsize=_FONT, linespacing=1.05, color="black" if each.mark == "-" else "#555555",
        )  # fmt: skip


def moved_apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return the middles of boxes of ``heights`` that do not overlap, in the order of ``wanted`` and as near as can be.

    Least squares: boxes that would overlap form a block around the mean of what they want (pool adjacent violators).
    They stay between _BELOW and _ABOVE where there is room for all.
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
        lowest = _BELOW + heights[order[0]] / 2
        highest = _ABOVE - heights[order[-1]] / 2 - offsets[-1]
        starts = [max(min(start, highest), min(lowest, highest)) for start in starts]
    places = dict(zip(order, (start + offset for start, offset in zip(starts, offsets, strict=False)), strict=True))
    return [places[i] for i in range(len(wanted))]
