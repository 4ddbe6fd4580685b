"""Curves over rounds, and final values over the cohort: what seeds have in common and how far they are apart."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fl_sim import converged
from fl_sim.converged import Judged, Rule
from fl_sim.finished import FinishedRun
from reports.training.groups import Group

Band = Literal["range", "sd"]
BANDS: tuple[Band, ...] = ("range", "sd")
LAST = Rule().window  # evaluations whose mean is a run's final accuracy, as in `fedjoule rounds`


@dataclass(frozen=True)
class How:
    """How runs become lines: the spread over seeds, and which model's accuracy.

    ``band``: from the lowest to the highest seed, or the standard deviation to both sides. ``judged``: the model as it
    is broadcast (INT8 where a method sends INT8, else FP32), or always the one or the other.
    """

    band: Band = "range"
    judged: Judged = "broadcast"


def judged_model(group: Group, how: How) -> Literal["int8", "fp32"] | None:
    """Return which model's accuracy stands for a group; None where a run never judged it, or runs judged another."""
    try:
        models = {converged.curve(run, how.judged).judged for run in group.runs}
    except ValueError:
        return None
    return models.pop() if len(models) == 1 else None


def curve(group: Group, column: str, how: How) -> pd.DataFrame:
    """Return a column of the round logs in percent over the rounds that every seed's run has a value for.

    Columns: round, bytes (sent both ways by all clients up to then, mean over seeds), mean_pct, low_pct, high_pct,
    seeds. With one seed low and high are NaN.
    """
    of_seeds = [_judged_rounds(run, column) for run in group.runs]
    shares = pd.concat([each[column] for each in of_seeds], axis=1, join="inner")
    sent = pd.concat([each["bytes"] for each in of_seeds], axis=1, join="inner")
    return pd.DataFrame(
        {
            "round": shares.index.to_numpy(np.int64),
            "bytes": sent.mean(axis=1).to_numpy(),
            **_spread(100 * shares.to_numpy(np.float64), how.band),
        }
    )


def final_over_cohorts(groups: Iterable[Group], column: str, how: How) -> pd.DataFrame:
    """Return each group's final value in percent by rising cohort: the mean of the last LAST rounds that have one.

    Columns: cohort, mean_pct, low_pct, high_pct, seeds.
    """
    rows = []
    for group in sorted(groups, key=lambda group: group.cohort):
        finals = [_judged_rounds(run, column)[column].tail(LAST).mean() for run in group.runs]
        spread = _spread(100 * np.array([finals], dtype=np.float64), how.band)
        rows.append({"cohort": group.cohort} | {name: values[0] for name, values in spread.items()})
    return pd.DataFrame(rows)


def _judged_rounds(run: FinishedRun, column: str) -> pd.DataFrame:
    """Return the rounds with a value, by round, and the bytes sent up to each."""
    rounds = run.rounds
    sent = (rounds["download_bytes"] + rounds["upload_bytes"]).cumsum()
    frame = pd.DataFrame({column: rounds[column], "bytes": sent}).set_index(rounds["round"])
    return frame[frame[column].notna()]


def _spread(values: NDArray[np.float64], band: Band) -> dict[str, NDArray[Any]]:
    """Return mean, low and high over the columns (seeds) of ``values``, and their number."""
    mean, seeds = values.mean(axis=1), values.shape[1]
    if seeds == 1:
        low = high = np.full(len(values), np.nan)
    elif band == "range":
        low, high = values.min(axis=1), values.max(axis=1)
    else:
        deviation = values.std(axis=1, ddof=1)
        low, high = mean - deviation, mean + deviation
    return {"mean_pct": mean, "low_pct": low, "high_pct": high, "seeds": np.full(len(values), seeds)}
