"""What a reader of a figure must be told in words: lines' names, and the notes below that would crowd the axes."""

from collections.abc import Sequence

import pandas as pd

from reports.training.curves import LAST
from reports.training.figures import CHANGED, EFFECTIVE

_SAME = 1.05  # of two shares: nearer than this their lines cannot be told apart


def names(rows: pd.DataFrame) -> pd.Series:
    """Return each row's line as it is written in the figure.

    Ours are named with the model that is judged and with the seeds where these differ within the figure; where they
    do not, the notes say it once.
    """
    ours = rows["source"] == "ours"
    seeds = rows.groupby(["panel", "line"])["seeds"].transform("min")
    named = rows["line"].astype(str)
    if len(_models(rows)) > 1:
        named = named + (", " + rows["judged"].str.upper()).where(ours & (rows["judged"] != ""), "")
    if _seeds(rows) is None:
        words = seeds.map(lambda count: "" if pd.isna(count) else f" ({_count(int(count))})")
        named = named + words.where(ours, "")
    return named


def notes(rows: pd.DataFrame, starts_pct: Sequence[float], cut: bool) -> list[str]:
    """Return the sentences below a figure; ``starts_pct`` are its accuracy axes' from top to bottom.

    ``cut``: whether some of a line or band lies below its axis.
    """
    found = []
    seeds, models = _seeds(rows), sorted(_models(rows))
    if seeds is not None:
        found.append(f"{_count(seeds).capitalize()} a line.")
    if models:
        model = models[0].upper() if len(models) == 1 else "INT8 or FP32"
        found.append(f"Accuracy: of the {model} model{', as named,' if len(models) > 1 else ''} on all test data.")
    if (rows["quantity"] == "final_accuracy").any():
        found.append(f"Final: mean of a run's last {LAST} evaluations.")
    over = rows[rows["axis"] == "cohort"]
    ends = over[over["source"] == "ours"].groupby(["panel", "line"])["cohort"].max()
    if (ends < over.groupby("panel")["cohort"].max().reindex(ends.index, level="panel")).any():
        found.append("Dotted: from the end of a line to its name.")
    if any(starts_pct):
        values = ", ".join(f"{start:g}" for start in starts_pct)
        one = f"axis starts at {values} %, not at 0"
        where = one if len(starts_pct) == 1 else f"axes start at {values} % (from the top)"
        found.append(f"The accuracy {where}{'; what is below is cut off' if cut else ''}.")
    if _covered(rows):
        found.append("Where no thin line is seen, it lies under the thick one.")
    return found


def _count(seeds: int) -> str:
    return f"{seeds}\u00a0seed{'s' * (seeds > 1)}"


def _seeds(rows: pd.DataFrame) -> int | None:
    """Return how many seeds each of our lines has; None if they differ in it."""
    found = set(rows[rows["source"] == "ours"].groupby(["panel", "line"])["seeds"].min().dropna())
    return int(found.pop()) if len(found) == 1 else None


def _models(rows: pd.DataFrame) -> set[str]:
    return set(rows.loc[rows["source"] == "ours", "judged"]) - {""}


def _covered(rows: pd.DataFrame) -> bool:
    """Return whether a line of changed values lies on that of effective updates nearly everywhere."""
    both = rows[rows["quantity"].isin([EFFECTIVE, CHANGED])]
    if both.empty:
        return False
    wide = both.pivot_table(index=["panel", "line", "round"], columns="quantity", values="mean_pct")
    if not {EFFECTIVE, CHANGED} <= set(wide):
        return False
    ratio = wide[CHANGED] / wide[EFFECTIVE].where(wide[EFFECTIVE] > 0)
    return bool((ratio.groupby(["panel", "line"]).median() < _SAME).any())
