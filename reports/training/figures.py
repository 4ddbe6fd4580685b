"""What Figures 2, 3, 5 and 7 of the paper show, from our runs: the data of every panel and line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from fl_sim.method import METHODS, REGISTRY
from reports.training.curves import How
from reports.training.groups import Group
from reports.training.panels import accuracy_panels, final_panels, share_panels
from reports.training.rows import table

EFFECTIVE, CHANGED = "share_above_half_lsb", "share_changed"


@dataclass(frozen=True, eq=False)
class FigureData:
    """A figure's rows (``reports.training.rows``), and a line for each thing that the given runs cannot fill.

    Rows are empty where no panel can be drawn.
    """

    number: str
    title: str
    rows: pd.DataFrame
    missing: tuple[str, ...]


def figure_data(number: str, groups: Sequence[Group], how: How) -> FigureData:
    """Return the data of a figure of FIGURES."""
    return _FIGURES[number](groups, how)


def _figure2(groups: Sequence[Group], how: How) -> FigureData:
    both = ("floatfl", "qfedavg")
    a = accuracy_panels([group for group in groups if group.method in both], how, "(a) ", both)
    b = final_panels([group for group in groups if group.method == "qfedavg"], how, "(b) ")
    rows = table([*a, *b]).sort_values("dataset", kind="stable", ignore_index=True)
    missing = [] if a else [f"figure 2 (a): needs runs of FloatFL and Q-FedAvg in one setting; {_given(groups, both)}"]
    missing += _without_sweep("2 (b)", b, ("qfedavg",), groups)
    return FigureData("2", "what Q-FedAvg loses", rows, tuple(missing))


def _figure3(groups: Sequence[Group], how: How) -> FigureData:
    integer = [group for group in groups if REGISTRY[group.method].precision == "int8"]
    rows = table(share_panels(integer, how, (EFFECTIVE, CHANGED)))
    missing = []
    if not (rows["quantity"] == EFFECTIVE).any():
        missing.append(f"figure 3: needs runs of Q-FedAvg or Q-FedUpdate; {_given(groups, ('qfedavg', 'qfedupdate'))}")
    return FigureData("3", "updates that survive the INT8 grid", rows, tuple(missing))


def _figure5(groups: Sequence[Group], how: How) -> FigureData:
    parts = accuracy_panels(groups, how, "")
    rows = table(parts)
    missing = [] if parts else [f"figure 5: no run has an accuracy of the {how.judged} model; choose another --judged"]
    for dataset, panel in rows[rows["source"] == "ours"].groupby("dataset", sort=False):
        lacking = [method.title for name, method in METHODS.items() if name not in set(panel["method"])]
        if lacking:
            missing.append(f"figure 5, {dataset}: drawn without {', '.join(lacking)}; no run in the same setting")
        setting = panel["setting"].iloc[0]
        aside = sum(len(group.runs) for group in groups if group.dataset == dataset and group.words() != setting)
        if aside:
            missing.append(f"figure 5, {dataset}: drawn for {setting}; {aside} runs of other settings are not in it")
    return FigureData("5", "accuracy of the methods", rows, tuple(missing))


def _figure7(groups: Sequence[Group], how: How) -> FigureData:
    parts = final_panels(groups, how, "")
    missing = _without_sweep("7", parts, ("qfedavg", "qfedupdate"), groups)
    return FigureData("7", "final accuracy by clients of a round", table(parts), tuple(missing))


_FIGURES: Mapping[str, Callable[[Sequence[Group], How], FigureData]] = {
    "2": _figure2,
    "3": _figure3,
    "5": _figure5,
    "7": _figure7,
}
FIGURES = tuple(_FIGURES)


def _without_sweep(
    figure: str, parts: Sequence[pd.DataFrame], methods: tuple[str, ...], groups: Sequence[Group]
) -> list[str]:
    """Return a line that names the methods without runs of several cohorts; none if no method is without."""
    drawn = {str(method) for part in parts for method in part["method"]}
    lacking = tuple(name for name in methods if name not in drawn)
    names = " and ".join(REGISTRY[name].title for name in lacking)
    runs = f"drawn without {names}; needs runs" if drawn else f"needs runs of {names}"
    rule = f"figure {figure}: {runs} that differ in --cohort alone, at two sizes or more"
    return [f"{rule}; {_given(groups, lacking)}"] if lacking else []


def _given(groups: Sequence[Group], methods: tuple[str, ...]) -> str:
    """Return in words what runs of some methods there are."""
    found = dict.fromkeys(
        f"{group.title} on {group.dataset} at K = {group.cohort}" for group in groups if group.method in methods
    )
    some = ", ".join(list(found)[:6])
    return f"given: {some}{' and others' if len(found) > 6 else ''}" if some else "none is given"
