"""The rows that a figure is drawn from and that its CSV holds: a row for each point, from wherever it is."""

from collections.abc import Sequence

import pandas as pd

from reports.training.groups import Group

# `source` is ours, artifact or paper; `line` names the points of one line; a point stands over `round` or `cohort`, as
# `axis` says. Percentages are of test images (accuracy) or of weights (shares).
_WORDS = ("panel", "axis", "source", "mode", "dataset", "setting", "method", "line", "quantity", "judged", "mu")
_NUMBERS = ("cohort", "epochs", "round", "bytes", "mean_pct", "low_pct", "high_pct", "seeds")
COLUMNS = (*_WORDS, *_NUMBERS, "from")


def our_rows(points: pd.DataFrame, group: Group, panel: str, line: str, quantity: str, judged: str) -> pd.DataFrame:
    """Return a group's points (see ``reports.training.curves``) as rows; over the cohort where points have one."""
    axis = "cohort" if "cohort" in points else "round"
    about: dict[str, str] = {"panel": panel, "axis": axis, "source": "ours", "mode": group.settings["mode"]}
    about |= {
        "dataset": group.dataset,
        "setting": group.words(cohort=axis == "round"),
        "method": group.method,
        "line": line,
    }
    about |= {"quantity": quantity, "judged": judged, "mu": group.mu, "from": group.origin}
    numbers: dict[str, int] = {"epochs": group.settings["epochs"]}
    if axis == "round":
        numbers["cohort"] = group.cohort
    return points.assign(**about, **numbers)


def published_rows(
    points: pd.DataFrame, dataset: str, panel: str, axis: str, source: str, line: str, quantity: str
) -> pd.DataFrame:
    """Return points with method, accuracy_pct and source (and more of COLUMNS) as rows; ``source``: artifact, paper."""
    mode = {"artifact": "logged by the artifact", "paper": "printed in the paper"}[source]
    named = points.rename(columns={"accuracy_pct": "mean_pct", "source": "from"})
    return named.assign(panel=panel, axis=axis, source=source, mode=mode, dataset=dataset, quantity=quantity, line=line)


def table(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return parts as one table of COLUMNS; numbers that are not known are NaN, words are empty."""
    records = [record for part in parts for record in part.to_dict("records")]
    frame = pd.DataFrame(records, columns=list(COLUMNS))
    return frame.assign(
        **{name: pd.to_numeric(frame[name]).astype(float) for name in _NUMBERS},
        **{name: frame[name].map(lambda word: "" if pd.isna(word) else f"{word}") for name in (*_WORDS, "from")},
    )
