from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fl_sim.config import Config
from fl_sim.finished import read_run
from reports.training.curves import How, curve
from reports.training.figures import CHANGED, EFFECTIVE, FIGURES, FigureData, figure_data
from reports.training.groups import Group, grouped
from reports.training.rows import COLUMNS
from tests.reports.training.training_runs import femnist, write_run

Groups = Callable[..., tuple[Group, ...]]
SWEEP = [
    femnist(method, seed, cohort, 12) for method in ("qfedavg", "qfedupdate") for cohort in (5, 20) for seed in (0, 1)
]
FOUR = [femnist(method, seed, 20, 12) for method in ("floatfl", "quanfl") for seed in (0, 1)] + SWEEP


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> tuple[Group, ...]:
    folder = tmp_path_factory.mktemp("runs")
    return grouped(read_run(write_run(folder / f"{place}", config)) for place, config in enumerate(FOUR))


def figure(number: str, groups: tuple[Group, ...]) -> FigureData:
    return figure_data(number, groups, How())


def lines(rows: pd.DataFrame, source: str = "ours") -> list[str]:
    return list(dict.fromkeys(rows.loc[rows["source"] == source, "line"]))


@pytest.mark.parametrize("number", FIGURES)
def test_a_line_is_of_one_source_mode_and_panel_and_every_figure_is_full(number: str, four: tuple[Group, ...]) -> None:
    data = figure(number, four)
    assert tuple(data.rows) == COLUMNS
    assert len(data.rows) > 0
    told = data.rows.groupby(["panel", "line"])[["source", "mode", "method", "setting", "judged"]].nunique()
    assert (told == 1).all(axis=None)
    modes = data.rows.drop_duplicates(["source", "mode"]).set_index("source")["mode"].to_dict()
    assert modes.items() <= {
        "ours": "measured", "artifact": "logged by the artifact", "paper": "printed in the paper"
    }.items()  # fmt: skip


def test_figure_5_is_drawn_in_the_setting_with_most_methods(four: tuple[Group, ...]) -> None:
    data = figure("5", four)
    assert lines(data.rows) == ["FloatFL", "QuanFL", "Q-FedAvg", "Q-FedUpdate"]
    assert set(data.rows.loc[data.rows["source"] == "ours", "cohort"]) == {20}
    assert data.missing == (
        "figure 5, FEMNIST: drawn for LeNet-5, K = 20 of 192 clients, E = 1, batch 5, by writer; 4 runs of other "
        "settings are not in it",
    )
    assert lines(data.rows, "artifact") == [
        "artifact: FloatFL, K = 25, E = 10",
        "artifact: Q-FedAvg, settings not recorded",
        "artifact: Q-FedUpdate, K = 20, E = 1, gb = 1",
    ]
    paper = data.rows[data.rows["source"] == "paper"]
    assert dict(zip(paper["method"], paper["mean_pct"], strict=True)) == {
        "floatfl": 82, "quanfl": 80, "qfedupdate": 81
    }  # fmt: skip
    assert paper["round"].isna().all()  # none is printed
    assert set(paper["judged"]) == {""}  # the paper does not say
    assert set(data.rows.loc[(data.rows["method"] == "floatfl") & (data.rows["source"] != "paper"), "judged"]) == {
        "fp32"
    }
    assert set(data.rows.loc[data.rows["line"] == "Q-FedAvg", "judged"]) == {"int8"}


def test_the_points_are_those_of_the_runs(four: tuple[Group, ...]) -> None:
    rows = figure("5", four).rows
    for line, points in rows[rows["source"] == "ours"].groupby("line"):
        group = next(each for each in four if each.title == line and each.cohort == 20)
        column = "fp32_accuracy" if line == "FloatFL" else "int8_accuracy"
        for name, values in curve(group, column, How()).items():
            np.testing.assert_array_equal(points[name], values.astype(float))


def test_figure_2_sets_q_fedavg_beside_floatfl_and_over_the_cohort(four: tuple[Group, ...]) -> None:
    data = figure("2", four)
    a, b = (rows for _, rows in data.rows.groupby("panel", sort=False))
    assert lines(a) == ["FloatFL", "Q-FedAvg"]
    assert lines(b) == ["Q-FedAvg"]
    ours = b[b["source"] == "ours"]
    assert list(ours["cohort"]) == [5, 20]
    assert ours["mean_pct"].iloc[0] > ours["mean_pct"].iloc[1]
    assert b.loc[b["source"] == "paper", ["cohort", "mean_pct"]].to_numpy().tolist() == [[5, 78], [100, 70]]
    assert data.missing == ()


def test_figure_3_has_both_shares_for_every_cohort(four: tuple[Group, ...]) -> None:
    rows = figure("3", four).rows
    q_fedavg = rows[rows["method"] == "qfedavg"]
    assert set(q_fedavg["panel"]) == {"FEMNIST, Q-FedAvg: LeNet-5, 192 clients, E = 1, batch 5, by writer"}
    assert lines(q_fedavg) == ["K = 5", "K = 20"]
    assert set(rows["quantity"]) == {EFFECTIVE, CHANGED}
    assert set(rows["method"]) == {"qfedavg", "qfedupdate"}  # FloatFL has no grid
    group = next(each for each in four if each.method == "qfedavg" and each.cohort == 5)
    drawn = q_fedavg[(q_fedavg["line"] == "K = 5") & (q_fedavg["quantity"] == EFFECTIVE)]
    shares = [run.rounds[EFFECTIVE] for run in group.runs]
    np.testing.assert_allclose(drawn["mean_pct"], 100 * np.mean(shares, axis=0))


def test_figure_7_has_the_ends_that_the_paper_prints_for_q_fedavg_alone(four: tuple[Group, ...]) -> None:
    rows = figure("7", four).rows
    assert lines(rows) == ["Q-FedAvg", "Q-FedUpdate"]
    assert lines(rows, "paper") == ["paper: Q-FedAvg, LeNet-5"]
    assert rows.loc[rows["source"] == "ours", "seeds"].eq(2).all()


def test_runs_that_differ_in_more_than_the_cohort_are_no_line(groups_of: Groups) -> None:
    other = femnist("qfedavg", 0, 5, 12, mu="2")
    data = figure("7", groups_of(femnist("qfedavg", 0, 20, 12), other))
    assert data.rows.empty
    assert data.missing == (
        "figure 7: needs runs of Q-FedAvg and Q-FedUpdate that differ in --cohort alone, at two sizes or more; given: "
        "Q-FedAvg on FEMNIST at K = 5, Q-FedAvg on FEMNIST at K = 20",
    )


@pytest.mark.parametrize(
    ("number", "configs", "line"),
    [
        ("2", [femnist("floatfl", rounds=2), *SWEEP[:4]], None),
        ("2", SWEEP[:2], "figure 2 (a): needs runs of FloatFL and Q-FedAvg in one setting; given: Q-FedAvg on FEMNIST"),
        ("2", SWEEP[:2], "figure 2 (b): needs runs of Q-FedAvg that differ in --cohort alone"),
        ("3", [femnist("floatfl", rounds=2)], "figure 3: needs runs of Q-FedAvg or Q-FedUpdate; none is given"),
        ("5", SWEEP[:2], "figure 5, FEMNIST: drawn without FloatFL, QuanFL, Q-FedUpdate; no run in the same setting"),
        ("7", SWEEP[:4], "figure 7: drawn without Q-FedUpdate; needs runs that differ in --cohort alone"),
    ],
)
def test_what_the_runs_cannot_fill_is_named(
    number: str, configs: list[Config], line: str | None, groups_of: Groups
) -> None:
    missing = figure(number, groups_of(*configs)).missing
    assert missing == () if line is None else any(each.startswith(line) for each in missing)


def test_data_sets_have_panels_of_their_own(groups_of: Groups) -> None:
    digits = replace(femnist("qfedavg", rounds=4), dataset="digits", partition="dirichlet", model="digits")
    rows = figure("5", groups_of(femnist("qfedavg", rounds=4), digits)).rows
    assert [panel.split(":")[0] for panel in dict.fromkeys(rows["panel"])] == ["FEMNIST", "digits"]
    assert set(rows.loc[rows["dataset"] == "digits", "source"]) == {"ours"}
