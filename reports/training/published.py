"""What others report beside our runs: the artifact's logged accuracies, and the figures the paper prints."""

from collections.abc import Iterable
from functools import cache
from importlib import resources

import pandas as pd

from costmodel.workload import workloads
from fl_sim.trainer import Niti
from profiler.names import fold
from profiler.sheet import parse_sheet
from reports.manifest import Input, input_of
from reports.printed import printed_table
from reports.training.groups import Group

# FEMNIST accuracies that the authors' repository logs, and the ends of Figure 7 that the paper's text prints.
_FILES = ("artifact_curves.csv", "figure7.csv", "table4.csv")
_UNRECORDED = 2.0  # how far a setting that is not recorded counts from any of ours; doublings of K or E count 1


@cache
def artifact_curves() -> pd.DataFrame:
    """Return the artifact's logged points: curve, method, dataset, model, settings (NaN: not recorded), accuracy."""
    return _table("artifact_curves.csv", ("cohort", "epochs", "mu", "round", "accuracy_pct"))


@cache
def figure7_ends() -> pd.DataFrame:
    """Return Q-FedAvg's accuracy at 5 and at 100 clients a round, as section 4.4 of the paper prints it."""
    return _table("figure7.csv", ("cohort", "accuracy_pct"))


def printed_accuracies(dataset: str) -> dict[str, tuple[float, str]]:
    """Return (accuracy in percent, model) by method of a data set, as Table 4 of the paper prints it; empty if none."""
    workload = next((name for name, each in workloads().items() if each.dataset == dataset), None)
    rows = [row for row in printed_table(4) if row["workload"] == workload]
    return {row["method"]: (float(row["accuracy_pct"]), workloads()[row["workload"]].model) for row in rows}


def nearest_curves(groups: Iterable[Group]) -> pd.DataFrame:
    """Return the artifact's points of the curves whose settings are nearest to those of our groups, one for each group.

    Distance is the doublings between the cohorts, those between the epochs, and the bits between the gradient widths;
    a setting that the artifact does not record counts 2. Of two equally near the first stands.
    """
    known = artifact_curves()
    chosen: list[pd.DataFrame] = []
    for group in groups:
        mine = known[(known["method"] == group.method) & known["dataset"].map(fold).eq(fold(group.dataset))]
        if len(mine):
            nearest = min((_distance(group, curve), name) for name, curve in _in_order(mine))
            chosen.append(mine[mine["curve"] == nearest[1][1]])
    return pd.concat([known.iloc[:0], *chosen]).drop_duplicates()


def settings_words(point: "pd.Series[float]") -> str:
    """Return a curve's settings as the artifact has them: ``K = 20, E = 1, gb = 1``, or what is recorded of them."""
    names = {"cohort": "K", "epochs": "E", "mu": "gb"}
    parts = [f"{short} = {point[name]:g}" for name, short in names.items() if pd.notna(point[name])]
    missing = pd.isna(point["cohort"]) or pd.isna(point["epochs"])
    return ", ".join([*parts, *(["other settings" if parts else "settings"] if missing else [])]) + (
        " not recorded" if missing else ""
    )


def inputs() -> tuple[Input, ...]:
    """Return the manifest entries of the published data."""
    folder = resources.files("reports") / "paper"
    return tuple(input_of(f"reports/paper/{name}", (folder / name).read_bytes()) for name in _FILES)


def _distance(group: Group, curve: "pd.Series[float]") -> float:
    import numpy as np

    trainer = group.runs[0].config.trainer()
    mu = trainer.mu_conv.values[0] if isinstance(trainer, Niti) else float("nan")
    parts = (
        abs(np.log2(curve["cohort"] / group.cohort)),
        abs(np.log2(curve["epochs"] / group.settings["epochs"])),
        abs(curve["mu"] - mu) if isinstance(trainer, Niti) else 0.0,
    )
    return float(sum(_UNRECORDED if np.isnan(part) else part for part in parts))


def _in_order(curves: pd.DataFrame) -> list[tuple[tuple[int, str], "pd.Series[float]"]]:
    """Return the first point of each curve with (place, name), in the file's order."""
    firsts = curves.drop_duplicates("curve")
    return [((place, str(row["curve"])), row) for place, (_, row) in enumerate(firsts.iterrows())]


def _table(name: str, numbers: tuple[str, ...]) -> pd.DataFrame:
    file = resources.files("reports") / "paper" / name
    sheet = parse_sheet(file.read_bytes(), name)
    frame = pd.DataFrame(sheet.rows, columns=list(sheet.header))
    return frame.assign(**{column: pd.to_numeric(frame[column]) for column in numbers})
