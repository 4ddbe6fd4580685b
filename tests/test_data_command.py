"""``fedjoule data``: what a data set holds and how it is dealt out, the same as in training."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fl_sim.config import Config
from fl_sim.data.digits import load_digits
from fl_sim.partition import label_counts
from fl_sim.setting import make_setting

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_data_set_is_described(fedjoule: Run) -> None:
    done = fedjoule("data", "describe", "--dataset", "digits", "--clients", "20")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("digits: 1,442 train and 355 test images, 8 x 8, 10 classes\n")
    assert load_digits().sha256 in done.stdout
    assert "Dirichlet(0.5), seed 0: 20 clients" in done.stdout


def test_the_histogram_is_of_the_partition_that_training_uses(fedjoule: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "counts.csv"
    options = ("--partition", "shards", "--shards-per-client", "3", "--clients", "12", "--seed", "4")
    done = fedjoule("data", "describe", "--dataset", "digits", *options, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 shards a client, seed 4: 12 clients" in done.stdout
    config = Config(partition="shards", shards_per_client=3, clients=12, seed=4)
    digits = load_digits()
    expected = label_counts(make_setting(config, digits).partition, digits.train.labels, 10)
    found = np.loadtxt(out, delimiter=",", skiprows=1, dtype=int)
    assert found[:, 0].tolist() == list(range(12))
    assert np.array_equal(found[:, 1], expected.sum(1))
    assert np.array_equal(found[:, 2:], expected)


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("PNG", b"\x89PNG")])
def test_the_histogram_is_drawn(fedjoule: Run, tmp_path: Path, ending: str, start: bytes) -> None:
    out = tmp_path / f"histogram.{ending}"
    done = fedjoule("data", "describe", "--dataset", "digits", "--partition", "iid", "--clients", "7", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("describe", "--dataset", "digits", "--out", "x.pdf"), "must end in .svg, .png, .csv"),
        (("describe", "--dataset", "digits", "--partition", "writer"), "no natural clients"),
        (("describe", "--dataset", "digits", "--clients", "2000"), "too few"),
        (("describe", "--dataset", "digit"), "nearest: digits"),
        (("describe", "--dataset", "femnist", "--data-dir", "nowhere"), "there is no such folder"),
        (("describe", "--dataset", "femnist", "--data-dir", "."), "preprocess.sh"),
        (("fetch", "femnist"), "cannot be downloaded"),
        (("fetch", "cifar"), "unknown; nearest: cifar10"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(fedjoule: Run, arguments: tuple[str, ...], words: str) -> None:
    done = fedjoule("data", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_digits_need_not_be_fetched(fedjoule: Run) -> None:
    assert "nothing to fetch" in fedjoule("data", "fetch", "digits").stdout
