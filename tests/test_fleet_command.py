"""``fedjoule fleet simulate`` as a person runs it: printed, written, of a training run, and refused in one line."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fl_sim.fleet_log import read_fleet_run

Run = Callable[..., "subprocess.CompletedProcess[str]"]
EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = {
    "clients.parquet", "rounds.parquet", "manifest.json", "fleet_run.csv", "fleet_run.md", "fleet_outcomes.csv",
    "fleet_phases.csv", "fleet_tiers.csv", "fleet_devices.csv", "day.csv", "energy.csv", "participants.csv",
    *(f"{name}.{form}" for name in ("times", "day", "energy", "participants") for form in ("svg", "png")),
}  # fmt: skip


def test_the_results_of_another_command_are_left_alone(fedjoule: Run, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    assert fedjoule("train", "--dataset", "digits", "--rounds", 1, "--out", run).returncode == 0
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for words in (("fleet", "simulate"), ("fleet", "describe", "paper"), ("figures", run), ("tables",), ("pipeline",)):
        done = fedjoule(*words, "--out", run)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"fedjoule: --out {run} holds the results of 'fedjoule train'; name another ")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert fedjoule("tables", "--table", 2, "--out", out).returncode == 0
    assert fedjoule("tables", "--table", 3, "--out", out).returncode == 0
    done = fedjoule("train", "--dataset", "digits", "--rounds", 1, "--out", out)
    assert "holds the results of 'fedjoule tables'" in done.stderr
    assert done.returncode == 2


def test_a_simulation_is_printed_and_written(fedjoule: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--phones", 400, "--rounds", 12, "--deadline", "1min", "--over-commit", "1.3", "--round-end", "kth")
    done = fedjoule("fleet", "simulate", *options, "--out", out)
    assert done.returncode == 0
    assert done.stdout.startswith("Q-FedUpdate, VGG-16 on CIFAR-10, on 400 phones of flash\nmode: fleet;")
    warned, wrote = done.stderr.splitlines()
    assert warned.startswith("warning: only ")
    assert wrote.startswith(f"wrote {len(FILES)} files to {out}: ")
    assert {path.name for path in out.iterdir()} == FILES
    log = read_fleet_run(out)
    assert len(log.rounds) >= 12
    run = pd.read_csv(out / "fleet_run.csv").set_index(["what", "quantity"])["value"]
    assert run["time", "hours"] * 3600 == pytest.approx(log.rounds["end_s"].iloc[-1])
    assert run["energy", "joules"] == pytest.approx(log.clients["train_j"].sum())
    assert log.manifest["parameters"]["deadline"] == "1min"
    again = fedjoule("fleet", "simulate", *options, "--out", tmp_path / "again")
    assert again.stdout == done.stdout
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name


def test_a_training_run_is_played_on_a_fleet(fedjoule: Run, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "my_digits.csv", tmp_path)
    trained = fedjoule(
        "train", "--clients", 30, "--cohort", 5, "--batch-size", 20, "--rounds", 6, "--out", tmp_path / "run"
    )
    assert trained.returncode == 0, trained.stderr
    table = pd.read_csv(tmp_path / "my_digits.csv")
    device = table.loc[table["precision"] == "int8", ["device", "processor"]].iloc[0]
    options = (
        "--measurements",
        tmp_path / "my_digits.csv",
        "--device-map",
        f"default={device.device}:{device.processor}",
    )
    done = fedjoule(
        "fleet", "simulate", "--run", tmp_path / "run", *options, "--rounds", 6, "--phones", 300, "--fleet", "paper"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits on digits, on 300 phones of paper" in done.stdout
    assert "6 rounds, given; batches and bytes of the run" in done.stdout
    assert "run/clients.parquet" in done.stdout  # its sum, among the inputs
    assert "method = " not in done.stdout  # nor workload, reading and clients: they are the run's
    assert "workload = " not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--deadline", "90"), "deadline must be a time above 0, such as 270s"),
        (("--round-end", "most"), "round-end must be all, fraction:0.8"),
        (("--run", "x", "--workload", "femnist"), "--workload has no effect with --run"),
        (("--concurrency", "3"), "--concurrency is for an asynchronous server"),
        (("--round-end", "buffer:2", "--clock", "events"), "--clock has no effect with --round-end buffer"),
        (("--retries", "2"), "--retries has no effect without --dropout, or --interrupted abort or check_end"),
        (("--cohort", "200"), "cohort must not be above the 100 registered clients (got 200); give --clients, too"),
        (("--fleet", "nowhere"), "no built-in fleet named 'nowhere'"),
        (("--run", "nowhere"), "no directory of a run"),
        (("--device-map", "low=Nokia"), "'Nokia' was not measured"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(fedjoule: Run, arguments: tuple[str, ...], words: str) -> None:
    done = fedjoule("fleet", "simulate", "--rounds", 1, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fedjoule: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_the_group_says_what_is_wrong_in_a_line_too(fedjoule: Run) -> None:
    for arguments in (("describe", "nowhere"), ("convert", "paper"), ("fetch", "leaf")):
        done = fedjoule("fleet", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_file_in_place_of_the_folder_is_seen_before_anything_is_simulated(fedjoule: Run, tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("mine")
    # The fleet that is not there would be refused first if the place were looked at last.
    done = fedjoule("fleet", "simulate", "--fleet", tmp_path / "none.csv", "--out", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--out must name a folder, new or not" in done.stderr
    assert out.read_text() == "mine"
