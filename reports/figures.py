"""Figures, drawn with matplotlib's object interface: same figures in, same bytes out."""

import io
from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from reports.table4 import Row4

_BARS = {
    "FloatFL": ("FloatFL\nCPU", "#8c8c8c"),
    "Q-FedUpdate": ("Q-FedUpdate\nCPU", "#0072b2"),
    "Q-FedUpdate (L)": ("low DSP\nRedmi Note 9", "#7fc8a9"),
    "Q-FedUpdate (M)": ("medium DSP\nXiaomi 10", "#2a9d72"),
    "Q-FedUpdate (H)": ("high DSP\nXiaomi 11 Pro", "#00674a"),
}
_METRICS = {"energy_kj": "energy per client (kJ)", "time_h": "time to converge (h)"}
SETTINGS: Any = {"svg.hashsalt": "fedjoule", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 8}


def figure6_data(rows: Iterable[Row4]) -> pd.DataFrame:
    """Return what Figure 6 shows: one row per data set and bar, computed and printed, in kJ and hours.

    ``mode`` and ``reading`` are the caller's to add.
    """
    return pd.DataFrame(
        [
            {
                "dataset": row.workload.dataset,
                "bar": row.title,
                "device": row.result.batch.device,
                "provenance": row.result.batch.provenance,
                "energy_kj": row.result.client_kj,
                "energy_kj_printed": float(row.printed["energy_kj"]),
                "time_h": row.result.time_h,
                "time_h_printed": float(row.printed["time_h"]),
            }
            for row in rows
            if row.printed is not None and row.title in _BARS
        ]
    )


def figure6(data: pd.DataFrame, caption: str) -> tuple[bytes, bytes]:
    """Return Figure 6 as (SVG, PNG): energy above time, a panel per data set, bars computed, diamonds printed.

    A bar whose batch time is inferred is hatched and starred. ``caption`` says mode and reading.
    """
    with mpl.rc_context(SETTINGS):
        return rendered(_draw(data, caption))


def rendered(figure: Figure) -> tuple[bytes, bytes]:
    """Return a figure as (SVG, PNG), without date and maker, so that the same figure gives the same bytes."""
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def _draw(data: pd.DataFrame, caption: str) -> Figure:
    datasets = list(dict.fromkeys(data["dataset"]))
    figure = Figure(figsize=(11.5, 5.8), dpi=144, layout="constrained")
    axes = figure.subplots(len(_METRICS), len(datasets), squeeze=False)
    colours = [colour for _, colour in _BARS.values()]
    for line, (metric, label) in zip(axes, _METRICS.items(), strict=True):
        line[0].set_ylabel(label)
        for axis, dataset in zip(line, datasets, strict=True):
            panel = data[data["dataset"] == dataset].set_index("bar").loc[list(_BARS)]
            places = range(len(panel))
            bars = axis.bar(places, panel[metric], color=colours, width=0.72)
            axis.plot(
                places,
                panel[f"{metric}_printed"],
                linestyle="none",
                marker="D",
                markersize=3.5,
                color="#d55e00",
                label="printed in Table 4",
            )
            baseline = panel[metric].iloc[0]
            ratios = ["" if ratio == 1 else f"\n÷{ratio:.1f}" for ratio in baseline / panel[metric]]
            stars = ["*" if origin == "inferred" and metric == "time_h" else "" for origin in panel["provenance"]]
            texts = [
                f"{value:.3g}{star}{ratio}" for value, star, ratio in zip(panel[metric], stars, ratios, strict=True)
            ]
            for bar, star in zip(bars, stars, strict=True):
                bar.set_hatch("////" if star else "")
            axis.bar_label(bars, texts, padding=4, fontsize=7)
            axis.set_xticks(list(places), [words for words, _ in _BARS.values()], fontsize=6)
            axis.set_title(dataset, fontsize=9)
            axis.margins(y=0.22)
            axis.set_ylim(bottom=0)
            axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        "Q-FedUpdate (INT8) on the CPU and on three DSPs against FloatFL (FP32) on the CPU; ÷ is the reduction\n"
        f"{caption}; * batch time inferred from the printed value itself",
        fontsize=9,
    )
    axes[0][0].legend(frameon=False, loc="upper right", fontsize=7)
    return figure
