"""Panels: which groups of runs stand beside each other, one setting for each data set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import pandas as pd

from fl_sim.method import REGISTRY
from reports.training.curves import How, curve, final_over_cohorts, judged_model
from reports.training.groups import Group, labels
from reports.training.published import figure7_ends, nearest_curves, printed_accuracies, settings_words
from reports.training.rows import our_rows, published_rows

_Key = TypeVar("_Key")
_Member = TypeVar("_Member")


def accuracy_panels(groups: Iterable[Group], how: How, prefix: str, needed: Sequence[str] = ()) -> list[pd.DataFrame]:
    """Return the rows of accuracy over rounds, one panel for each data set that has all ``needed`` methods.

    Beside our lines stand the artifact's logged points of the nearest settings, and what Table 4 prints.
    """
    parts: list[pd.DataFrame] = []
    judged = [group for group in groups if judged_model(group, how) is not None]
    for dataset, members in by(judged, lambda group: group.dataset).items():
        chosen = fullest(members)
        if not {group.method for group in chosen} >= set(needed):
            continue
        panel = f"{prefix}{dataset}: {chosen[0].words()}"
        for group, line in zip(chosen, labels(chosen), strict=True):
            model = str(judged_model(group, how))
            parts.append(our_rows(curve(group, f"{model}_accuracy", how), group, panel, line, "accuracy", model))
        parts += [*_artifact(chosen, panel), *_printed(chosen, panel)]
    return parts


def final_panels(groups: Iterable[Group], how: How, prefix: str) -> list[pd.DataFrame]:
    """Return the rows of final accuracy over the cohort, one panel for each data set with runs of several cohorts."""
    parts: list[pd.DataFrame] = []
    judged = [group for group in groups if judged_model(group, how) is not None]
    for dataset, members in by(judged, lambda group: group.dataset).items():
        settings = by(sweeps(members, how), lambda sweep: sweep[0].condition(cohort=False))
        if not settings:
            continue
        chosen = max(settings.values(), key=lambda found: sum(map(len, found)))
        panel = f"{prefix}{dataset}: {chosen[0][0].words(cohort=False)}"
        for sweep, line in zip(chosen, labels([sweep[0] for sweep in chosen], cohort=False), strict=True):
            model = str(judged_model(sweep[0], how))
            points = final_over_cohorts(sweep, f"{model}_accuracy", how)
            parts.append(our_rows(points, sweep[0], panel, line, "final_accuracy", model))
        ends = figure7_ends()
        ends = ends[(ends["dataset"] == dataset) & ends["method"].isin([sweep[0].method for sweep in chosen])]
        for method, points in ends.groupby("method", sort=False):
            line = f"paper: {REGISTRY[str(method)].title}, {points['model'].iloc[0]}"
            parts.append(published_rows(points, dataset, panel, "cohort", "paper", line, "final_accuracy"))
    return parts


def share_panels(groups: Iterable[Group], how: How, quantities: Sequence[str]) -> list[pd.DataFrame]:
    """Return the rows of shares of weights over rounds: a panel of each data set and method, a line of each cohort."""
    parts: list[pd.DataFrame] = []
    for dataset, members in by(groups, lambda group: group.dataset).items():
        for method, same in by(fullest(members, cohort=False), lambda group: group.method).items():
            panel = f"{dataset}, {REGISTRY[method].title}: {same[0].words(cohort=False)}"
            for group, line in zip(same, labels(same, method=False), strict=True):
                for quantity in quantities:
                    parts.append(our_rows(curve(group, quantity, how), group, panel, line, quantity, ""))
    return parts


def sweeps(groups: Iterable[Group], how: How) -> list[list[Group]]:
    """Return groups that differ in their cohort alone, by rising cohort, where there are two or more."""

    def alike(group: Group) -> tuple[object, ...]:
        return group.method, group.condition(cohort=False), repr(group.own()), judged_model(group, how)

    return [sorted(same, key=lambda group: group.cohort) for same in by(groups, alike).values() if len(same) > 1]


def fullest(groups: Iterable[Group], *, cohort: bool = True) -> list[Group]:
    """Return the groups of the setting with the most methods, then the most runs, then the first."""

    def size(members: list[Group]) -> tuple[int, int]:
        return len({group.method for group in members}), sum(len(group.runs) for group in members)

    return max(by(groups, lambda group: group.condition(cohort)).values(), key=size)


def by(members: Iterable[_Member], key: Callable[[_Member], _Key]) -> dict[_Key, list[_Member]]:
    """Return members by a key, in their order."""
    found: dict[_Key, list[_Member]] = {}
    for member in members:
        found.setdefault(key(member), []).append(member)
    return found


def _artifact(groups: Sequence[Group], panel: str) -> Iterator[pd.DataFrame]:
    for _, points in nearest_curves(groups).groupby("curve", sort=False):
        line = f"artifact: {REGISTRY[str(points['method'].iloc[0])].title}, {settings_words(points.iloc[0])}"
        yield published_rows(points, groups[0].dataset, panel, "round", "artifact", line, "accuracy")


def _printed(groups: Sequence[Group], panel: str) -> Iterator[pd.DataFrame]:
    """Yield the accuracies that Table 4 prints for our methods; it prints no round."""
    known = printed_accuracies(groups[0].dataset)
    for method in dict.fromkeys(group.method for group in groups):
        if method in known:
            accuracy, model = known[method]
            points = pd.DataFrame(
                [{"method": method, "accuracy_pct": accuracy, "source": "Yuan et al. WWW'24 Table 4"}]
            )
            line = f"paper: {REGISTRY[method].title}, {model}"
            yield published_rows(points, groups[0].dataset, panel, "round", "paper", line, "accuracy")
