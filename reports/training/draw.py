"""The pictures of training runs: one panel under the other, every line named at its end."""

from collections.abc import Mapping
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.figures import SETTINGS, rendered
from reports.training.curves import LAST
from reports.training.endings import Ending, name_endings
from reports.training.figures import CHANGED, EFFECTIVE, FigureData

XAxis = Literal["round", "bytes"]

# Okabe and Ito's colours, which people with any colour vision tell apart; the paper's four methods first.
_COLOURS: Mapping[str, str] = {
    "floatfl": "#000000",
    "quanfl": "#e69f00",
    "qfedavg": "#d55e00",
    "qfedupdate": "#0072b2",
    "qfedupdate_momentum": "#009e73",
    "qfedavg_sr": "#cc79a7",
    "quanfl_ef": "#56b4e9",
    "quanfl_signsgd": "#8c6d1f",
}
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))  # of one method's lines
_MARKERS: Mapping[str, str] = dict(zip(_COLOURS, "osv^DPX*", strict=True))
_WIDTH_IN, _PANEL_IN, _AROUND_IN = 6.4, 2.3, 0.65  # text of 7 points is read at 500 pixels
_WIDE = 30  # largest to smallest share, from which powers of ten are ticks enough
_MOST_POINTS = 1000  # of a drawn line; its CSV has them all
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def picture(data: FigureData, x: XAxis, caption: str) -> tuple[bytes, bytes]:
    """Return a figure as (SVG, PNG). ``caption`` stands below it."""
    with mpl.rc_context(SETTINGS | {"text.parse_math": False}):  # a dollar in a name is no formula
        return rendered(draw(data, x, caption))


def draw(data: FigureData, x: XAxis, caption: str) -> Figure:
    """Return a figure with a panel for each ``panel`` of the rows; over ``x`` where points stand over rounds.

    Lines are means over seeds, bands and bars their spread. Open circles are the artifact's, diamonds the paper's.
    """
    panels = [rows for _, rows in data.rows.groupby("panel", sort=False)]
    figure = Figure(figsize=(_WIDTH_IN, 1), dpi=150, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    heights_in = []
    for axis, rows in zip(axes, panels, strict=True):
        axis.set_title(str(rows["panel"].iloc[0]), loc="left", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        if (rows["axis"] == "cohort").any():
            endings = _over_cohort(axis, rows)
        elif rows["quantity"].isin([EFFECTIVE, CHANGED]).any():
            endings = _shares(axis, rows, x)
        else:
            endings = _accuracy(axis, rows, x)
        heights_in.append(max(_PANEL_IN, sum(ending.height_in for ending in endings)))
        name_endings(axis, endings, heights_in[-1])
    figure.set_figheight(sum(heights_in) + _AROUND_IN * len(panels) + 0.6)
    axes[0].get_gridspec().set_height_ratios(heights_in)
    figure.suptitle(f"Figure {data.number} of the paper, from our runs: {data.title}", fontsize=9, x=0.01, ha="left")
    figure.supxlabel(caption, fontsize=6.5, x=0.01, ha="left", color="#444444")
    return figure


def _accuracy(axis: Axes, rows: pd.DataFrame, x: XAxis) -> list[Ending]:
    ours = rows[rows["source"] == "ours"]
    last = _label_x(axis, ours, x)
    endings = _curves(axis, ours, x, 1.5)
    if x == "round":  # others log rounds, not bytes
        for line, points in rows[rows["source"] == "artifact"].groupby("line", sort=False):
            shown = points[points["round"] <= last]
            colour = _COLOURS[str(points["method"].iloc[0])]
            axis.plot(shown["round"], shown["mean_pct"], "o", mfc="white", mec=colour, ms=3.8, zorder=4)
            if len(shown):
                endings.append(Ending(str(line), float(shown["mean_pct"].iloc[-1]), colour, "o"))
    # Printed without a round: at the right edge, beside each other because they are often a point apart.
    for place, row in enumerate(rows[rows["source"] == "paper"].to_dict("records")):
        colour, value = _COLOURS[row["method"]], float(row["mean_pct"])
        axis.plot(
            [last * (1 - 0.018 * place)],
            [value],
            "D",
            color=colour,
            ms=4,
            mec="white",
            mew=0.5,
            clip_on=False,
            zorder=5,
        )
        endings.append(Ending(f"{row['line']}: {value:g}", value, colour, "D"))
    axis.set_ylabel(f"accuracy on all test data (%)\n{_judged(ours)}")
    top = max(float(rows[["mean_pct", "high_pct"]].max().max()), 1.0)
    axis.set_ylim(0, min(top * 1.06, 101))
    return endings


def _shares(axis: Axes, rows: pd.DataFrame, x: XAxis) -> list[Ending]:
    _label_x(axis, rows, x)
    axis.set_yscale("log")
    colours = _sequence(rows)
    effective = rows[rows["quantity"] == EFFECTIVE]
    _curves(axis, rows[rows["quantity"] == CHANGED], x, 0.6, colours, band=False)
    endings = _curves(axis, effective, x, 1.4, colours)
    drawn = rows.loc[rows["mean_pct"] > 0, "mean_pct"]
    if len(drawn):
        axis.set_ylim(float(drawn.min()) / 1.5, float(drawn.max()) * 1.5)
    _name_ticks(axis, narrow=len(drawn) > 0 and float(drawn.max() / drawn.min()) < _WIDE)
    axis.set_ylabel("share of all weights (%)")
    return endings


def _name_ticks(axis: Axes, narrow: bool) -> None:
    """Write plain numbers on a logarithmic axis, between powers of ten too where few of those are in sight."""
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    between = ("2", "5") if narrow else ()
    axis.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}".startswith(between) else "")


def _over_cohort(axis: Axes, rows: pd.DataFrame) -> list[Ending]:
    ours = rows[rows["source"] == "ours"]
    endings, dashes = [], _dashes(ours)
    for line, points in ours.groupby("line", sort=False):
        method = str(points["method"].iloc[0])
        colour, dash = _COLOURS[method], dashes[str(line)]
        spread = [points["mean_pct"] - points["low_pct"], points["high_pct"] - points["mean_pct"]]
        bars = None if points["low_pct"].isna().all() else np.nan_to_num(np.array(spread))
        axis.errorbar(
            points["cohort"], points["mean_pct"], bars, color=colour, ls=dash, marker=_MARKERS[method], ms=4, lw=1.4,
            capsize=2.5, elinewidth=1,
        )  # fmt: skip
        endings.append(Ending(_named(str(line), points, ours), float(points["mean_pct"].iloc[-1]), colour))
    _gap(axis, ours)
    for line, points in rows[rows["source"] == "paper"].groupby("line", sort=False):
        colour = _COLOURS[str(points["method"].iloc[0])]
        axis.plot(points["cohort"], points["mean_pct"], "D", color=colour, ms=5, mec="white", mew=0.6, zorder=4)
        values = "\u00a0to\u00a0".join(f"{value:g}" for value in points["mean_pct"])
        endings.append(Ending(f"{line}: {values}", float(points["mean_pct"].iloc[-1]), colour, "D"))
    axis.set_xscale("log")
    cohorts = sorted(set(rows["cohort"].dropna()))
    axis.set_xticks(cohorts, [f"{cohort:g}" for cohort in cohorts])
    axis.minorticks_off()
    axis.set_xlabel("clients of a round, K")
    axis.set_ylabel(f"final accuracy (%), mean of the\nlast {LAST} evaluations; {_judged(ours)}")
    axis.set_ylim(0, min(max(float(rows[["mean_pct", "high_pct"]].max().max()) * 1.06, 1.0), 101))
    return endings


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
    """Draw every line with its band; return what stands at their ends."""
    endings, dashes = [], _dashes(rows)
    for line, points in rows.groupby("line", sort=False):
        method = str(points["method"].iloc[0])
        dash = dashes[str(line)] if colours is None else "-"
        colour = _COLOURS[method] if colours is None else colours[str(line)]
        shown = points[(points["mean_pct"] > 0) | (axis.get_yscale() != "log")]
        shown = shown.iloc[:: max(len(shown) // _MOST_POINTS, 1)]
        if not len(shown):
            continue
        place = shown[x] / (_unit(rows)[0] if x == "bytes" else 1)
        axis.plot(place, shown["mean_pct"], color=colour, ls=dash, lw=width)
        if band and shown["low_pct"].notna().any():
            low = shown["low_pct"].where((shown["low_pct"] > 0) | (axis.get_yscale() != "log"), shown["mean_pct"])
            axis.fill_between(place, low, shown["high_pct"], color=colour, alpha=0.18, lw=0)
        tail = shown["mean_pct"].tail(max(len(shown) // 20, 1))
        end = float(tail.median())
        if place.iloc[-1] < 0.97 * axis.get_xlim()[1] and band:  # from a line that ends early to its name
            axis.plot([place.iloc[-1], axis.get_xlim()[1]], [end, end], color=colour, ls=":", lw=0.7)
        endings.append(Ending(_named(str(line), points, rows), end, colour))
    return endings


def _named(line: str, points: pd.DataFrame, panel: pd.DataFrame) -> str:
    """Return a line's name with the model that is judged, where lines differ in it, and its seeds."""
    judged = f", {points['judged'].iloc[0].upper()}" if panel["judged"].nunique() > 1 else ""
    seeds = int(points["seeds"].min())
    return f"{line}{judged} ({seeds}\u00a0seed{'s' * (seeds > 1)})"


def _judged(ours: pd.DataFrame) -> str:
    models = set(ours["judged"])
    return {("int8",): "of the INT8 model", ("fp32",): "of the FP32 model"}.get(
        tuple(models), "of the INT8 or FP32 model, as named"
    )


def _sequence(rows: pd.DataFrame) -> dict[str, str]:
    """Return a colour for each line, from light to dark along the cohort."""
    lines = list(dict.fromkeys(rows.sort_values("cohort", kind="stable")["line"]))
    shades = mpl.colormaps["viridis"](np.linspace(0.85, 0.0, len(lines)) if len(lines) > 1 else [0.3])
    return {line: mpl.colors.to_hex(shade) for line, shade in zip(lines, shades, strict=True)}


def _dashes(rows: pd.DataFrame) -> dict[str, Any]:
    """Return a dash for each line; the lines of one method, which share a colour, differ in it."""
    firsts = rows.drop_duplicates("line")
    places = firsts.groupby("method", sort=False).cumcount()
    return {str(line): _DASHES[place % len(_DASHES)] for line, place in zip(firsts["line"], places, strict=True)}


def _unit(rows: pd.DataFrame) -> tuple[float, str]:
    most = float(rows["bytes"].max())
    return next(((size, name) for size, name in _BYTES if most >= size), (1.0, "bytes"))


def _label_x(axis: Axes, ours: pd.DataFrame, x: XAxis) -> float:
    """Label the axis, let it end with our last point, and return where that is."""
    size, unit = _unit(ours) if x == "bytes" else (1.0, "")
    last = float(ours[x].max()) / size or 1.0
    axis.set_xlim(0, last)
    axis.set_xlabel(f"sent by server and clients ({unit})" if unit else "round")
    return last
