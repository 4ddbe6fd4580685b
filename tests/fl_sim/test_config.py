"""Settings: however they are spelled, and whatever the seed, a run that is asked for can be had."""

from pathlib import Path

import pytest

from fl_sim.config import Config, read_config, to_toml
from fl_sim.data.catalog import load
from fl_sim.setting import make_setting


def test_spellings_are_one_configuration() -> None:
    spelled = Config(method="Q-FedUpdate", dataset="CIFAR-10", model="VGG-16")
    assert spelled == Config(method="qfedupdate", dataset="cifar10", model="vgg16")
    assert Config(**read_config(to_toml(spelled).encode(), "a")) == spelled


def test_a_spelling_is_no_path() -> None:
    assert Path(Config(method="../../q fed/avg").method).name == "qfedavg"


def test_names_of_ones_own_stay() -> None:
    own = Config(dataset="My Birds", model="8x8x1:conv4k3,pool,fc10")
    assert (own.dataset, own.model) == ("My Birds", "8x8x1:conv4k3,pool,fc10")


@pytest.mark.parametrize("clients", [100, 200])
def test_the_embedded_data_are_dealt_out_for_any_seed(clients: int) -> None:
    digits = load("digits")
    for seed in range(20):
        partition = make_setting(Config(seed=seed, clients=clients), digits).partition
        assert partition.clients == clients
        assert partition.sizes.min() >= 1442 / clients // 5
