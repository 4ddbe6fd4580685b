"""Settings: however they are spelled, and whatever the seed, a run that is asked for can be had."""

from pathlib import Path

import numpy as np
import pytest

from fl_sim.config import Config, read_config, to_toml
from fl_sim.data.catalog import load
from fl_sim.data.dataset import Images, make_dataset
from fl_sim.setting import make_setting


def test_spellings_are_one_configuration() -> None:
    spelled = Config(method="Q-FedUpdate", dataset="CIFAR-10", model="VGG-16")
    assert spelled == Config(method="qfedupdate", dataset="cifar10", model="vgg16")
    assert Config(**read_config(to_toml(spelled).encode(), "a")) == spelled


def test_a_schedule_given_as_a_number_is_kept_as_the_text_that_its_file_has() -> None:
    config = Config(mu=3, learning_rate=0.05)  # type: ignore[arg-type]
    assert config == Config(mu="3", learning_rate="0.05")
    assert Config(**read_config(to_toml(config).encode(), "a")) == config


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


def test_batches_that_could_overflow_are_refused_before_anything_is_trained() -> None:
    """The test images are one batch at most, so that few of them may be judged in a batch of any size."""
    rng = np.random.default_rng(1)

    def images(count: int) -> Images:
        labels = rng.integers(0, 10, count, dtype=np.int32)
        return Images(rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8), labels)

    few, many = (make_dataset("mnist", 10, images(100), images(count), "made by a test") for count in (231, 232))
    for method in ("qfedavg", "quanfl"):
        config = Config(method=method, dataset="mnist", clients=10, evaluation_batch=100_000)
        make_setting(config, few)
        with pytest.raises(ValueError, match="evaluation_batch must be at most 231 for lenet5 in int8"):
            make_setting(config, many)
    make_setting(Config(method="floatfl", dataset="mnist", clients=10, evaluation_batch=100_000), many)
    with pytest.raises(ValueError, match="batch_size must be at most 231"):
        make_setting(Config(dataset="mnist", clients=10, batch_size=232), few)
