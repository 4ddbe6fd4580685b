"""The pictures: Gantt of both runs, tornado, sweep curves, energy bars. Same figures in, same bytes out."""

from collections.abc import Callable, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from costmodel.engine import Answer
from costmodel.scenario import pipeline_of
from costmodel.spans import Spans
from costmodel.stages import STAGES, Pipeline, work_of
from reports.figures import SETTINGS, rendered
from reports.table import plain_number

_COLOURS = {
    "sample": "#e69f00",
    "quantize": "#56b4e9",
    "transfer": "#cc79a7",
    "train": "#2a9d72",
    "return": "#8c8c8c",
}
_MOST_TICKS = 16
_MOST_INSIDE = 4  # lines whose legend fits into the axes
_SHOWN = 6  # batches of a Gantt
Drawing = Callable[[], Figure]


def picture(draw: Drawing) -> tuple[bytes, bytes]:
    """Return what ``draw`` draws as (SVG, PNG)."""
    with mpl.rc_context(SETTINGS):
        return rendered(draw())


def gantt(found: Answer, title: str) -> Figure:
    """Return both runs over one axis, sequential above overlapped: the paper's Figure 4 with real numbers.

    Stages are coloured, idle time is hatched, the steady period is marked where it is known.
    """
    pipeline = pipeline_of(found.scenario)
    shown = min(_SHOWN, found.spans.batches)
    runs = (("sequential", found.sequential_spans), ("overlapped", found.spans))
    lanes = list(work_of(pipeline))
    figure = Figure(figsize=(11.5, 1.4 + 0.55 * 2 * len(lanes)), dpi=144, layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    last_ms = float(found.sequential_spans.end_ms["return"][shown - 1])
    for axis, (words, spans) in zip(axes, runs, strict=True):
        _lanes(axis, pipeline, spans, shown, last_ms)
        timing = found.sequential if words == "sequential" else found.overlapped
        least = "at least " if timing.batch_ms.bound else ""
        axis.set_title(f"{words}: {least}{plain_number(timing.batch_ms.value, 4)} ms per batch", loc="left", fontsize=9)
        _mark_period(axis, spans, shown, len(lanes))
    axes[1].set_xlabel("time (ms)")
    axes[1].set_xlim(0, last_ms * 1.01)
    stages = [stage for stage in STAGES if float(found.spans.work_ms[stage].max()) > 0]
    handles = [Patch(facecolor=_COLOURS[stage], label=stage) for stage in stages]
    handles.append(Patch(facecolor="white", edgecolor="#bbbbbb", hatch="////", label="idle"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    later = ", before what disturbs them may begin" if found.disturbed else ""
    figure.suptitle(f"{title}; the first {shown} batches{later}; engine {found.engine}", fontsize=9)
    return figure


def _lanes(axis: Axes, pipeline: Pipeline, spans: Spans, shown: int, last_ms: float) -> None:
    work = work_of(pipeline)
    names = list(work)
    for place, stages in enumerate(work.values()):
        height = len(names) - 1 - place
        end_ms = min(last_ms, float(spans.end_ms["return"][shown - 1]))
        axis.broken_barh(
            [(0, end_ms)], (height - 0.35, 0.7), facecolor="white", edgecolor="#bbbbbb", hatch="////", linewidth=0
        )
        for stage in stages:
            bars = [
                (float(start), min(float(end), end_ms) - float(start), number)
                for number, (start, end) in enumerate(zip(spans.start_ms[stage], spans.end_ms[stage], strict=True), 1)
                if start < min(end, end_ms)
            ]
            colour, wide = _COLOURS[stage], last_ms / 60
            for shown_bars, edge in (
                ([bar for bar in bars if bar[1] > wide], "white"),
                ([bar for bar in bars if bar[1] <= wide], colour),  # a white edge would swallow them
            ):
                where = [(start, length) for start, length, _ in shown_bars]
                axis.broken_barh(where, (height - 0.35, 0.7), facecolor=colour, edgecolor=edge, linewidth=0.6)
            for start, length, number in bars:
                if length > wide:
                    cut = "…" if start + length >= end_ms and number > shown else ""
                    axis.text(start + length / 2, height, f"{number}{cut}", ha="center", va="center", fontsize=6)
    axis.set_yticks(range(len(names)), list(reversed(names)), fontsize=8)
    axis.set_ylim(-0.6, len(names) - 0.2)
    axis.spines[["top", "right"]].set_visible(False)


def _mark_period(axis: Axes, spans: Spans, shown: int, lanes: int) -> None:
    """Mark the time between the last two finished batches that are shown."""
    if shown < 2:
        return
    begin, end = (float(spans.end_ms["return"][number]) for number in (shown - 2, shown - 1))
    top = lanes - 0.45
    axis.annotate("", (begin, top), (end, top), arrowprops={"arrowstyle": "<->", "color": "#d55e00", "linewidth": 1})
    axis.text(
        (begin + end) / 2, top + 0.04, f"{plain_number(end - begin, 4)} ms", ha="center", fontsize=7, color="#d55e00"
    )


def tornado(data: pd.DataFrame, title: str) -> Figure:
    """Return the tornado of `reports.pipeline.sweep.tornado_table`'s data, the largest effect on top."""
    hours = bool(data["time_to_converge_h"].notna().all())
    column, unit = ("time_to_converge_h", "hours to converge") if hours else ("batch_ms", "ms per batch")
    base = float(data[column].iloc[0])
    changed = data.iloc[1:]
    groups = [group for group in dict.fromkeys(changed["group"])]
    width = {group: float((changed.loc[changed["group"] == group, column] - base).abs().max()) for group in groups}
    idle = [group for group in groups if width[group] <= 1e-9 * base]
    groups = [group for group in sorted(groups, key=lambda group: width[group]) if group not in idle]
    figure = Figure(figsize=(9, 1.2 + 0.32 * max(len(groups), 1)), dpi=144, layout="constrained")
    axis = figure.subplots()
    for place, group in enumerate(groups):
        for row in changed[changed["group"] == group].to_dict("records"):
            value = float(row[column])
            if value == base:
                continue
            axis.barh(place, value - base, left=base, color="#d55e00" if value > base else "#0072b2", height=0.7)
            side = "left" if value > base else "right"
            text = f" {row['change']}: {plain_number(value, 4)} ({100 * (value / base - 1):+.1f} %) "
            axis.text(value, place, text, ha=side, va="center", fontsize=6)
    axis.axvline(base, color="black", linewidth=0.8)
    axis.set_yticks([])
    axis.margins(x=0.55)
    without = f"\nno effect: {', '.join(idle)}" if idle else ""
    axis.set_xlabel(f"{unit}; unchanged {plain_number(base, 4)}; blue is less, orange is more{without}", fontsize=7)
    axis.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(f"One change at a time\n{title}", fontsize=9)
    return figure


def sweep_curves(data: pd.DataFrame, names: Sequence[str], title: str) -> Figure:
    """Return time per batch over the first swept parameter, sequential and overlapped; a line for each other value."""
    figure = Figure(figsize=(8, 5.6), dpi=144, layout="constrained")
    times, saved = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    first, *others = names
    x = pd.to_numeric(data[first], errors="coerce")
    numeric, by_sample = bool(x.notna().all()), "batch_size" in names
    for number, (key, group) in enumerate(data.groupby(others, sort=False) if others else [((), data)]):
        place = x[group.index] if numeric else range(len(group))
        words = "" if not others else " " + ", ".join(f"{n}={v}" for n, v in zip(others, key, strict=True))
        colour = f"C{number}"
        joined = ("--", "-") if numeric else ("none", "none")
        dashed = {"linestyle": joined[0], "marker": "s", "markersize": 3, "color": colour}
        solid = {"linestyle": joined[1], "marker": "o", "markersize": 3, "color": colour}
        per = group["batch_size"].astype(float) if by_sample else 1.0
        times.plot(place, group["sequential_batch_ms"] / per, label=f"sequential{words}", **dashed)
        times.plot(place, group["overlapped_batch_ms"] / per, label=f"overlapped{words}", **solid)
        saved.plot(place, group["saved_pct"], **solid)
        if group["overlapped_batch_ms_low"].notna().all():
            low, high = (group[f"overlapped_batch_ms_{side}"].astype(float) for side in ("low", "high"))
            times.fill_between(place, low / per, high / per, color=colour, alpha=0.2)
    if not numeric:
        saved.set_xticks(range(len(set(data[first]))), list(dict.fromkeys(data[first])))
    elif _MOST_TICKS >= len(set(x)) > 2 and float(x.min()) > 0 and float(x.max()) / float(x.min()) >= 16:
        saved.set_xscale("log", base=2)
        saved.set_xticks(sorted(set(x)), [f"{value:g}" for value in sorted(set(x))])
        saved.minorticks_off()
    elif len(set(x)) <= _MOST_TICKS:
        saved.set_xticks(sorted(set(x)), [f"{value:g}" for value in sorted(set(x))])
    saved.set_xlabel(first)
    saved.set_ylabel("overlap saves (%)")
    times.set_ylabel("ms per sample" if by_sample else "ms per batch")
    for axis in (times, saved):
        axis.margins(y=0.1)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    many = len(times.lines) > _MOST_INSIDE
    outside = {"loc": "upper left", "bbox_to_anchor": (1, 1)} if many else {}
    times.legend(frameon=False, fontsize=7, **outside)
    figure.suptitle(title, fontsize=9)
    return figure


def energy_bars(data: pd.DataFrame, title: str) -> Figure:
    """Return energy per batch by part, sequential beside overlapped, stacked; parts not measured are named."""
    figure = Figure(figsize=(8, 4.2), dpi=144, layout="constrained")
    axis = figure.subplots()
    parts = data[data["part"] != "total"]
    known = parts[parts["sequential_mj"].notna()]
    missing = list(parts.loc[parts["sequential_mj"].isna(), "part"])
    bottoms = [0.0, 0.0]
    for place, row in enumerate(known.to_dict("records")):
        heights = [float(row["sequential_mj"]), float(row["overlapped_mj"])]
        hatch = "////" if row["part"] in ("base",) or str(row["part"]).endswith("idle") else ""
        axis.bar(
            [0, 1], heights, bottom=bottoms, width=0.55, label=row["part"], color=f"C{place}", hatch=hatch, alpha=0.85
        )
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for place, total in enumerate(bottoms):
        least = ">= " if missing else ""
        axis.text(place, total, f"{least}{plain_number(total, 4)} mJ", ha="center", va="bottom", fontsize=8)
    axis.set_xticks([0, 1], ["sequential", "overlapped"])
    axis.set_ylabel("mJ per batch")
    axis.margins(y=0.12)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    lacks = f"\nnot measured, not shown: {', '.join(missing)}" if missing else ""
    figure.suptitle(f"Energy per batch\n{title}{lacks}", fontsize=8)
    return figure
