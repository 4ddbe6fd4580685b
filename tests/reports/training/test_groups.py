from collections.abc import Callable
from dataclasses import replace

import pytest

from fl_sim.finished import FinishedRun
from reports.training.groups import Group, grouped, labels
from tests.reports.training.training_runs import femnist

Runs = Callable[..., list[FinishedRun]]
Groups = Callable[..., tuple[Group, ...]]


def test_seeds_of_one_configuration_are_one_group(groups_of: Groups) -> None:
    groups = groups_of(*(femnist("qfedavg", seed, rounds=2) for seed in (2, 0, 1)), femnist("floatfl", rounds=2))
    assert [(group.title, group.seeds) for group in groups] == [("FloatFL", (0,)), ("Q-FedAvg", (0, 1, 2))]
    assert groups[1].words() == "LeNet-5, K = 20 of 192 clients, E = 1, batch 5, by writer"
    assert groups[1].words(cohort=False) == "LeNet-5, 192 clients, E = 1, batch 5, by writer"
    assert groups[1].dataset == "FEMNIST"


@pytest.mark.parametrize(
    ("method", "change", "groups"),
    [
        ("qfedavg", {"mu": "2"}, 2),
        ("qfedavg", {"mu_conv": "1", "mu_fc": "1", "mu": "3"}, 1),  # the same widths, said otherwise
        ("qfedavg", {"learning_rate": "0.5"}, 1),  # integers have none
        ("qfedavg", {"alpha": 0.1}, 1),  # of no partition by writer
        ("qfedavg", {"partition": "natural"}, 1),
        ("qfedavg", {"partition": "dirichlet"}, 2),
        ("qfedavg", {"epochs": 2}, 2),
        ("qfedavg", {"rounds": 3}, 2),
        ("floatfl", {"mu": "2"}, 1),
        ("floatfl", {"learning_rate": "0.5"}, 2),
    ],
)
def test_a_setting_that_changes_the_result_makes_another_group(
    method: str, change: dict[str, object], groups: int, groups_of: Groups
) -> None:
    one = femnist(method, rounds=2)
    assert len(groups_of(one, replace(one, seed=1, **change))) == groups  # type: ignore[arg-type]


def test_two_data_sets_of_one_name_are_two(runs_of: Runs) -> None:
    one, other = runs_of(femnist("qfedavg", rounds=2)), runs_of(femnist("qfedavg", 1, rounds=2), data="cd")
    assert len(grouped([*one, *other])) == 2
    assert len(grouped([*one, *runs_of(femnist("qfedavg", 1, rounds=2))])) == 1


def test_the_same_run_twice_is_refused_by_name(runs_of: Runs) -> None:
    runs = runs_of(femnist("qfedavg", rounds=2), femnist("qfedavg", rounds=2))
    with pytest.raises(ValueError, match=r"run0 and .*run1 are runs of one configuration and seed 0; give one"):
        grouped(runs)


def test_labels_say_what_tells_lines_of_one_method_apart(groups_of: Groups) -> None:
    groups = groups_of(
        femnist("floatfl", rounds=2),
        femnist("qfedupdate", rounds=2),
        femnist("qfedupdate", rounds=2, mu="3 2@100"),
        femnist("qfedupdate", rounds=2, cohort=5),
    )
    assert labels(groups) == [
        "FloatFL",
        "Q-FedUpdate, K = 5, mu = 1",
        "Q-FedUpdate, K = 20, mu = 1",
        "Q-FedUpdate, K = 20, mu = 3 2@100",
    ]
    assert labels(groups[1:3], cohort=False) == ["Q-FedUpdate", "Q-FedUpdate"]
    assert labels(groups[2:], method=False) == ["mu = 1", "mu = 3 2@100"]
    assert labels(groups[:1], method=False) == ["K = 20"]
