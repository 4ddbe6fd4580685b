"""The pictures of training runs: one panel under the other, every line named at its end."""

import textwrap
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures import SETTINGS, rendered
from reports.training.axes import XAxis as XAxis  # of picture's signature
from reports.training.axes import bytes_unit, label_accuracy, label_shares, label_x
from reports.training.endings import Ending, Mark, names_height_in, write_names
from reports.training.figures import CHANGED, EFFECTIVE, FigureData
from reports.training.notes import names, notes
from reports.training.strokes import COLOURS, MARKERS, dashes, shades

# At 5.4 inches the smallest letters, of 7 points, are still read where a page shows the picture 500 pixels wide.
_WIDTH_IN, _DPI, _PANEL_IN = 5.4, 180, 2.3
_AROUND_IN, _TITLE_LINE_IN, _NOTE_LINE_IN, _HEAD_IN = 0.6, 0.13, 0.12, 0.35
_TITLE_LETTERS, _NOTE_LETTERS = 84, 100  # of a line across the figure
_MOST_POINTS = 1000  # of a drawn line; its CSV has them all
_CROWD = 4  # lines, from which on they are drawn thinner and their bands paler
_BAND = 0.18  # opacity of one band; many share it, so that lines stay in sight through them


def picture(data: FigureData, x: XAxis, caption: str) -> tuple[bytes, bytes]:
    """Return a figure as (SVG, PNG). ``caption`` stands below it."""
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):  # a dollar in a name is no formula
        return rendered(draw(data, x, caption))


def draw(data: FigureData, x: XAxis, caption: str) -> Figure:
    """Return a figure with a panel for each ``panel`` of the rows; over ``x`` where points stand over rounds.

    Lines are means over seeds, bands and bars their spread. Open circles are the artifact's, diamonds the paper's.
    Below stand ``caption`` and what the short labels of the axes leave out.
    """
    rows = data.rows.assign(name=names(data.rows))
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    figure = Figure(figsize=(_WIDTH_IN, 1), dpi=_DPI, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    heights_in, around_in = [], 0.0
    starts_pct: list[float] = []
    cut = False
    for axis, panel in zip(axes, panels, strict=True):
        title = textwrap.wrap(str(panel["panel"].iloc[0]), _TITLE_LETTERS)
        axis.set_title("\n".join(title), loc="left", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        if panel["quantity"].isin([EFFECTIVE, CHANGED]).any():
            endings, marks = _shares(axis, panel, x)
        else:
            over_cohort = (panel["axis"] == "cohort").any()
            shown = panel if over_cohort else _in_sight(panel, x)
            label_accuracy(axis, shown, "final accuracy (%)" if over_cohort else "accuracy (%)")
            endings, marks = _over_cohort(axis, shown) if over_cohort else _accuracy(axis, shown, x)
            starts_pct.append(axis.get_ylim()[0])
            cut = cut or bool((shown[["mean_pct", "low_pct"]] < starts_pct[-1]).any(axis=None))
        heights_in.append(max(_PANEL_IN, names_height_in(endings, marks)))
        around_in += _AROUND_IN + _TITLE_LINE_IN * len(title)
        write_names(axis, endings, marks, heights_in[-1])
    told = " ".join(caption.split())
    more = [note for note in notes(rows, starts_pct, cut) if note not in told]
    below = textwrap.wrap(" ".join([told, *more]).strip(), _NOTE_LETTERS)
    figure.set_figheight(sum(heights_in) + around_in + _HEAD_IN + _NOTE_LINE_IN * len(below))
    axes[0].get_gridspec().set_height_ratios(heights_in)
    figure.suptitle(f"Figure {data.number} of the paper, from our runs: {data.title}", fontsize=9, x=0.01, ha="left")
    figure.supxlabel("\n".join(below), fontsize=7, x=0.01, ha="left", color="#444444")
    return figure


def _in_sight(panel: pd.DataFrame, x: XAxis) -> pd.DataFrame:
    """Return the rows without the artifact's points that cannot be drawn: beyond our rounds, or over bytes."""
    last = panel.loc[panel["source"] == "ours", "round"].max() if x == "round" else -1.0  # others log no bytes
    return panel[(panel["source"] != "artifact") | (panel["round"] <= last)]


def _accuracy(axis: Axes, rows: pd.DataFrame, x: XAxis) -> tuple[list[Ending], list[Mark]]:
    ours = rows[rows["source"] == "ours"]
    last = label_x(axis, ours, x)
    endings, marks = _curves(axis, ours, x, 1.5 if ours["line"].nunique() <= _CROWD else 1.1), []
    for name, points in rows[rows["source"] == "artifact"].groupby("name", sort=False):
        colour = COLOURS[str(points["method"].iloc[0])]
        axis.plot(points["round"], points["mean_pct"], "o", mfc="white", mec=colour, ms=3.8, zorder=4, clip_on=False)
        marks.append(Mark(str(name), colour, "o"))
    # Printed without a round: near the right edge, beside each other because they are often a point apart, and not on
    # it, where the last circle may be.
    for place, row in enumerate(rows[rows["source"] == "paper"].to_dict("records")):
        colour, value = COLOURS[row["method"]], float(row["mean_pct"])
        at = last * (1 - 0.025 * (place + 1))
        axis.plot([at], [value], "D", color=colour, ms=4, mec="white", mew=0.5, clip_on=False, zorder=5)
        marks.append(Mark(f"{row['name']}: {value:g}", colour, "D"))
    return endings, marks


def _shares(axis: Axes, rows: pd.DataFrame, x: XAxis) -> tuple[list[Ending], list[Mark]]:
    label_x(axis, rows, x)
    label_shares(axis, rows["mean_pct"])
    colours = shades(rows)
    _curves(axis, rows[rows["quantity"] == CHANGED], x, 0.6, colours, band=False)
    return _curves(axis, rows[rows["quantity"] == EFFECTIVE], x, 1.4, colours), []


def _over_cohort(axis: Axes, rows: pd.DataFrame) -> tuple[list[Ending], list[Mark]]:
    ours = rows[rows["source"] == "ours"]
    endings, marks, dash_of = [], [], dashes(ours)
    for line, points in ours.groupby("line", sort=False):
        method = str(points["method"].iloc[0])
        colour, dash = COLOURS[method], dash_of[str(line)]
        axis.plot(points["cohort"], points["mean_pct"], color=colour, ls=dash, lw=1.4, marker=MARKERS[method], ms=4)
        if points["low_pct"].notna().any():
            spread = [points["mean_pct"] - points["low_pct"], points["high_pct"] - points["mean_pct"]]
            axis.errorbar(
                points["cohort"], points["mean_pct"], np.nan_to_num(np.array(spread)), fmt="none", ecolor=colour,
                alpha=0.7, capsize=2.5, elinewidth=0.9, zorder=1.5,
            )  # fmt: skip
        end = float(points["mean_pct"].iloc[-1])
        endings.append(Ending(str(points["name"].iloc[0]), end, colour, dash))
    _gap(axis, ours)
    for name, points in rows[rows["source"] == "paper"].groupby("name", sort=False):
        colour = COLOURS[str(points["method"].iloc[0])]
        axis.plot(points["cohort"], points["mean_pct"], "D", color=colour, ms=5, mec="white", mew=0.6, zorder=4)
        values = "\u00a0to\u00a0".join(f"{value:g}" for value in points["mean_pct"])
        marks.append(Mark(f"{name}: {values}", colour, "D"))
    axis.set_xscale("log")
    cohorts = sorted(set(rows["cohort"].dropna()))
    axis.set_xticks(cohorts, [f"{cohort:g}" for cohort in cohorts])
    axis.minorticks_off()
    axis.set_xlabel("clients of a round, K")
    right = axis.get_xlim()[1]
    for last, ending in zip(ours.groupby("line", sort=False)["cohort"].max(), endings, strict=True):
        if last < cohorts[-1]:  # from a line that ends early to its name
            axis.plot([last, right], [ending.value] * 2, color=ending.colour, ls=":", lw=0.7)
    axis.set_xlim(right=right)
    return endings, marks


def _gap(axis: Axes, ours: pd.DataFrame) -> None:
    """Shade what lies between Q-FedAvg and Q-FedUpdate, as the paper does, where there is one line of each."""
    of = [ours[ours["method"] == method] for method in ("qfedavg", "qfedupdate")]
    if all(points["line"].nunique() == 1 for points in of):
        low, high = (points.set_index("cohort")["mean_pct"] for points in of)
        both = low.index.intersection(high.index)
        axis.fill_between(both, low[both], high[both], color="#999999", alpha=0.25, lw=0)


def _curves(
    axis: Axes, rows: pd.DataFrame, x: XAxis, width: float, colours: Mapping[str, str] | None = None, band: bool = True
) -> list[Ending]:
    """Draw every line, above all bands; return what stands at their ends."""
    endings, dash_of = [], dashes(rows)
    opacity = _BAND * min(_CROWD / max(rows["line"].nunique(), 1), 1)
    for line, points in rows.groupby("line", sort=False):
        method = str(points["method"].iloc[0])
        dash = dash_of[str(line)] if colours is None else "-"
        colour = COLOURS[method] if colours is None else colours[str(line)]
        shown = points[(points["mean_pct"] > 0) | (axis.get_yscale() != "log")]
        shown = shown.iloc[:: max(len(shown) // _MOST_POINTS, 1)]
        if not len(shown):
            continue
        place = shown[x] / (bytes_unit(rows)[0] if x == "bytes" else 1)
        axis.plot(place, shown["mean_pct"], color=colour, ls=dash, lw=width)
        if band and shown["low_pct"].notna().any():
            low = shown["low_pct"].where((shown["low_pct"] > 0) | (axis.get_yscale() != "log"), shown["mean_pct"])
            axis.fill_between(place, low, shown["high_pct"], color=colour, alpha=opacity, lw=0, zorder=1)
        tail = shown["mean_pct"].tail(max(len(shown) // 20, 1))
        end = float(tail.median())
        if place.iloc[-1] < 0.97 * axis.get_xlim()[1] and band:  # from a line that ends early to its name
            axis.plot([place.iloc[-1], axis.get_xlim()[1]], [end, end], color=colour, ls=":", lw=0.7)
        endings.append(Ending(str(points["name"].iloc[0]), end, colour, dash, width))
    return endings
