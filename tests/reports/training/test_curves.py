from collections.abc import Callable

import numpy as np
import pytest

from fl_sim.finished import FinishedRun
from reports.training.curves import LAST, How, curve, final_over_cohorts, judged_model
from reports.training.groups import Group, grouped
from tests.reports.training.training_runs import femnist

Runs = Callable[..., list[FinishedRun]]
Groups = Callable[..., tuple[Group, ...]]


def test_a_curve_is_mean_lowest_and_highest_of_the_seeds(runs_of: Runs) -> None:
    runs = runs_of(*(femnist("qfedavg", seed, rounds=30) for seed in range(3)), noise=0.05)
    (group,) = grouped(runs)
    values = 100 * np.array([run.rounds["int8_accuracy"] for run in runs])
    found = curve(group, "int8_accuracy", How())
    assert list(found["round"]) == list(range(1, 31))
    np.testing.assert_allclose(found["mean_pct"], values.mean(axis=0))
    np.testing.assert_allclose(found["low_pct"], values.min(axis=0))
    np.testing.assert_allclose(found["high_pct"], values.max(axis=0))
    assert set(found["seeds"]) == {3}
    spread = curve(group, "int8_accuracy", How("sd"))
    np.testing.assert_allclose(spread["high_pct"] - spread["mean_pct"], values.std(axis=0, ddof=1))
    np.testing.assert_allclose(spread["mean_pct"] - spread["low_pct"], values.std(axis=0, ddof=1))


def test_one_seed_has_no_band(groups_of: Groups) -> None:
    found = curve(groups_of(femnist("qfedavg", rounds=3))[0], "int8_accuracy", How())
    assert found[["low_pct", "high_pct"]].isna().all(axis=None)


def test_rounds_that_were_not_judged_are_no_points_but_their_bytes_count(groups_of: Groups) -> None:
    (group,) = groups_of(femnist("qfedavg", rounds=7, evaluate_every=3, cohort=2))
    found = curve(group, "int8_accuracy", How())
    assert list(found["round"]) == [3, 6, 7]
    assert list(found["bytes"]) == [3 * 1600, 6 * 1600, 7 * 1600]  # 2 clients, 400 bytes each way


def test_a_run_that_was_cut_short_ends_the_curve_of_its_group(runs_of: Runs) -> None:
    one, other = runs_of(*(femnist("qfedavg", seed, rounds=9) for seed in range(2)))
    short = FinishedRun(other.config, other.rounds.head(4), other.clients, other.manifest, other.path)
    assert list(curve(grouped([one, short])[0], "int8_accuracy", How())["round"]) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("method", "judged", "model"),
    [
        ("floatfl", "broadcast", "fp32"),
        ("qfedavg", "broadcast", "int8"),
        ("qfedavg", "fp32", "fp32"),
        ("floatfl", "int8", None),
    ],
)
def test_whose_accuracy_it_is(method: str, judged: str, model: str | None, groups_of: Groups) -> None:
    assert judged_model(groups_of(femnist(method, rounds=2))[0], How(judged=judged)) == model  # type: ignore[arg-type]


def test_the_final_accuracy_is_the_mean_of_the_last_evaluations(runs_of: Runs) -> None:
    runs = runs_of(*(femnist("qfedavg", seed, cohort, rounds=20) for seed in range(2) for cohort in (10, 5)))
    found = final_over_cohorts(grouped(runs), "int8_accuracy", How())
    assert list(found["cohort"]) == [5, 10]
    finals = [100 * run.rounds["int8_accuracy"].tail(LAST).mean() for run in runs if run.config.cohort == 5]
    assert found[["mean_pct", "low_pct", "high_pct", "seeds"]].iloc[0].to_list() == pytest.approx(
        [np.mean(finals), min(finals), max(finals), 2]
    )
