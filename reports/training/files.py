"""The files of the figures of training runs: pictures, what they show as CSV, and what made them."""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from fl_sim.converged import Judged
from reports.formats.csv import frame_to_csv
from reports.manifest import manifest
from reports.training.curves import Band, How
from reports.training.draw import XAxis, picture
from reports.training.ended import read_runs
from reports.training.figures import FIGURES, FigureData, figure_data
from reports.training.published import inputs

_BANDS = {"range": "lowest to highest seed", "sd": "one standard deviation over seeds to both sides"}


@dataclass(frozen=True)
class FigureRequest:
    """Which figures of which runs, over rounds or bytes sent, with which band and judged model."""

    runs: tuple[Path, ...]
    figures: tuple[str, ...] = FIGURES
    x: XAxis = "round"
    band: Band = "range"
    judged: Judged = "broadcast"


@dataclass(frozen=True)
class FigureFiles:
    """Files by name, always with ``manifest.json``, and a line for each thing that the runs could not fill."""

    files: dict[str, bytes]
    missing: tuple[str, ...]


def figure_files(request: FigureRequest) -> FigureFiles:
    """Return SVG, PNG and CSV of every figure that the runs can fill; all files are read before anything is drawn.

    Raises FileNotFoundError and ValueError for a run that cannot be read, and ValueError if no figure can be drawn.
    """
    runs = read_runs(request.runs)
    how = How(request.band, request.judged)
    groups = runs.groups
    found = [figure_data(number, groups, how) for number in FIGURES if number in request.figures]
    missing = (*runs.left_out, *(line for data in found for line in data.missing))
    drawn = [data for data in found if len(data.rows)]
    if not drawn:
        raise ValueError("\n".join(missing))
    files: dict[str, bytes] = {}
    for data in drawn:
        name = f"figure{data.number}"
        files[f"{name}.svg"], files[f"{name}.png"] = picture(data, request.x, caption(data, request))
        files[f"{name}.csv"] = frame_to_csv(data.rows).encode()
    parameters = {
        "figures": [data.number for data in drawn],
        "x": request.x,
        "band": request.band,
        "judged": request.judged,
        "groups": [
            {
                "dataset": each.dataset,
                "method": each.method,
                "setting": each.words(),
                "own_settings": each.own(),
                "seeds": list(each.seeds),
            }
            for each in groups
        ],
    }
    files["manifest.json"] = manifest("fedjoule figures", parameters, [*runs.inputs, *inputs()]).to_json().encode()
    return FigureFiles(files, missing)


def caption(data: FigureData, request: FigureRequest) -> str:
    """Return what a reader must know: what band and marks are."""
    rows = data.rows
    parts = ["Lines: mean over seeds, our runs."]
    if rows["low_pct"].notna().any():
        parts.append(f"Band or bar: {_BANDS[request.band]}.")
    ends = rows[(rows["source"] == "ours") & (rows["axis"] == "round")].groupby(["panel", "line"])[request.x].max()
    if (ends < 0.97 * ends.groupby("panel").transform("max")).any():
        parts.append("Dotted: from the end of a line to its name.")
    artifact = rows[rows["source"] == "artifact"]
    if len(artifact) and request.x == "round":
        cut = " (of the round's clients only, for Q-FedAvg)" if (artifact["method"] == "qfedavg").any() else ""
        later = artifact["round"].max() > rows.loc[rows["source"] == "ours", "round"].max()
        rest = "; later ones are in the CSV" if later else ""
        parts.append(f"Circles: accuracies in the log of the paper's artifact{cut}, at its own settings{rest}.")
    if (rows["source"] == "paper").any():
        where = "Table 4; no round is printed" if (rows["quantity"] == "accuracy").any() else "section 4.4"
        where = "Table 4 (no round) and section 4.4" if rows["axis"].nunique() > 1 else where
        parts.append(f"Diamonds: printed in the paper, {where}.")
    if rows["quantity"].str.startswith("share").any():
        parts.append("Thick: mean change of half an LSB or more; thin: INT8 value changed.")
    zeros = rows[(rows["quantity"].str.startswith("share")) & (rows["mean_pct"] == 0)]
    if len(zeros):
        parts.append(f"{len(zeros)} points at 0 lie below the logarithmic axis.")
    return "\n".join(textwrap.wrap(" ".join(parts), 108))
