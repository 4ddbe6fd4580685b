import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_sim.finished import read_run
from reports.training.curves import How
from reports.training.figures import figure_data
from reports.training.files import FigureRequest, caption, figure_files
from reports.training.groups import grouped
from tests.reports.training.training_runs import femnist, write_run

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("runs")
    configs = {f"{method}-{seed}": femnist(method, seed, 5, 6) for method in ("qfedavg", "floatfl") for seed in (1, 0)}
    return tuple(write_run(folder / name, config) for name, config in configs.items())


def test_every_figure_comes_as_picture_and_data_and_the_manifest_names_the_runs(runs: tuple[Path, ...]) -> None:
    found = figure_files(FigureRequest(runs, ("5", "7")))
    assert sorted(found.files) == ["figure5.csv", "figure5.png", "figure5.svg", "manifest.json"]
    manifest = json.loads(found.files["manifest.json"])
    assert manifest["parameters"]["figures"] == ["5"]
    hashes = {entry["name"]: entry["sha256"] for entry in manifest["inputs"]}
    for run in runs:
        for name in ("config.toml", "rounds.parquet"):
            assert hashes[f"{run.name}/{name}"] == hashlib.sha256((run / name).read_bytes()).hexdigest()
    assert "reports/paper/artifact_curves.csv" in hashes
    assert [each["seeds"] for each in manifest["parameters"]["groups"]] == [[0, 1], [0, 1]]
    assert str(runs[0].parent) not in found.files["manifest.json"].decode()
    csv = found.files["figure5.csv"].decode().splitlines()
    assert csv[0].startswith(
        "panel,axis,source,mode,dataset,setting,method,line,quantity,judged,mu,cohort,epochs,round"
    )
    assert sum(",ours,measured,FEMNIST," in line for line in csv) == 2 * 6
    assert any(line.startswith("figure 7: needs runs of Q-FedAvg and Q-FedUpdate") for line in found.missing)


def test_the_order_of_the_runs_changes_no_picture(runs: tuple[Path, ...]) -> None:
    one, other = (figure_files(FigureRequest(order, ("5",))).files for order in (runs, runs[::-1]))
    for name in ("figure5.svg", "figure5.png", "figure5.csv"):
        assert one[name] == other[name]


def test_the_caption_says_what_the_band_is_and_no_band_is_named_that_is_not_there(runs: tuple[Path, ...]) -> None:
    groups = grouped([read_run(run) for run in runs])
    two = caption(figure_data("5", groups, How()), FigureRequest(runs))
    assert "Band or bar: lowest to highest seed." in two.replace("\n", " ")
    assert "the log of the paper's artifact (of the round's clients only, for Q-FedAvg)" in two.replace("\n", " ")
    assert "one standard deviation" in caption(figure_data("5", groups, How("sd")), FigureRequest(runs, band="sd"))
    one = caption(figure_data("5", grouped([read_run(runs[0])]), How()), FigureRequest(runs[:1], x="bytes"))
    assert "Band" not in one
    assert "artifact" not in one  # its points have no bytes


def test_no_figure_at_all_is_an_error_that_says_why(runs: tuple[Path, ...]) -> None:
    with pytest.raises(ValueError, match=r"figure 3: needs runs of Q-FedAvg or Q-FedUpdate; none is given"):
        figure_files(FigureRequest(runs[2:], ("3", "7")))


def test_the_command_draws_what_it_can_and_names_what_is_missing(
    runs: tuple[Path, ...], fedjoule: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = fedjoule("figures", *runs, "--figure", "2", "--figure", "5", "--out", out, "--x", "bytes")
    assert done.returncode == 0
    assert done.stdout == (
        f"wrote 7 files to {out}: figure2.csv, figure2.png, figure2.svg, figure5.csv, figure5.png, figure5.svg, "
        "manifest.json\n"
    )
    assert done.stderr.splitlines() == [
        "warning: figure 2 (b): needs runs of Q-FedAvg that differ in --cohort alone, at two sizes or more; given: "
        "Q-FedAvg on FEMNIST at K = 5",
        "warning: figure 5, FEMNIST: drawn without QuanFL, Q-FedUpdate; no run in the same setting",
    ]
    assert len(list(out.iterdir())) == 7
    none = fedjoule("figures", tmp_path / "nowhere", "--out", tmp_path / "never")
    assert (none.returncode, len(none.stderr.splitlines())) == (2, 1)
    assert "nowhere: no directory of a run" in none.stderr
    assert not (tmp_path / "never").exists()
