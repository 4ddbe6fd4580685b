from collections.abc import Callable

import pytest

from reports.training.groups import Group
from reports.training.published import (
    artifact_curves,
    figure7_ends,
    nearest_curves,
    printed_accuracies,
    settings_words,
)
from tests.reports.training.training_runs import femnist

Groups = Callable[..., tuple[Group, ...]]


def test_the_artifact_has_nine_curves_that_rise_and_never_reach_the_papers_round() -> None:
    points = artifact_curves()
    assert points["curve"].nunique() == 9
    assert points["accuracy_pct"].between(20, 85).all()
    assert (points.groupby("curve", sort=False)["round"].diff().dropna() > 0).all()
    known = points[(points["method"] == "qfedupdate") & (points["round"] <= 65)]
    assert known["accuracy_pct"].max() == 76.5  # the paper: 81 % after 65 rounds
    last = points[points["curve"].str.fullmatch("K=20 E=1 gb=.")].groupby("curve")["accuracy_pct"].last()
    assert list(last) == [76.7, 80.2, 81.2]
    assert points["source"].str.len().min() > 0


def test_the_paper_prints_the_ends_of_figure_7_and_the_accuracies_of_table_4() -> None:
    ends = figure7_ends().groupby("dataset", sort=False)["accuracy_pct"].apply(list).to_dict()
    assert ends == {"FEMNIST": [78, 70], "CIFAR-10": [68, 48], "CIFAR-100": [61, 9]}
    assert printed_accuracies("CIFAR-10") == {
        "floatfl": (84, "VGG-16"), "quanfl": (82, "VGG-16"), "qfedupdate": (81, "VGG-16")
    }  # fmt: skip
    assert printed_accuracies("digits") == {}


@pytest.mark.parametrize(
    ("method", "settings", "curve"),
    [
        ("qfedupdate", {"mu": "1"}, "K=20 E=1 gb=1"),
        ("qfedupdate", {"mu": "3 2@100"}, "K=20 E=1 gb=3"),
        ("qfedupdate", {"mu": "3", "epochs": 4}, "K=20 E=5 gb=3"),
        ("qfedupdate", {"mu": "3", "epochs": 16}, "K=20 E=10 gb=3"),
        ("qfedavg", {"cohort": 20}, "result-niti-int"),
        ("qfedavg", {"cohort": 100}, "result-niti-int-100"),
        ("floatfl", {}, "K=25 E=10"),
        ("quanfl", {}, None),  # no log of it
    ],
)
def test_the_nearest_of_the_artifacts_curves_stands_beside_ours(
    method: str, settings: dict[str, object], curve: str | None, groups_of: Groups
) -> None:
    found = nearest_curves(groups_of(femnist(method, rounds=1, **settings)))  # type: ignore[arg-type]
    assert set(found["curve"]) == ({curve} if curve else set())


def test_only_femnist_was_logged(groups_of: Groups) -> None:
    assert nearest_curves(groups_of(femnist("qfedavg", rounds=1, dataset="cifar10", partition="iid"))).empty


def test_settings_are_told_and_so_is_what_is_not_recorded() -> None:
    words = {str(curve): settings_words(points.iloc[0]) for curve, points in artifact_curves().groupby("curve")}
    assert words["K=20 E=5 gb=3"] == "K = 20, E = 5, gb = 3"
    assert words["K=25 E=10"] == "K = 25, E = 10"
    assert words["result-niti-int"] == "settings not recorded"
    assert words["result-niti-int-100"] == "K = 100, other settings not recorded"
