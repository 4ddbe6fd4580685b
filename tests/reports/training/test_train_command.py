"""``fedjoule train`` as a person runs it: files, resumption after Ctrl-C and kill -9, several processes, errors."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fl_sim.config import Config
from fl_sim.data.digits import load_digits
from fl_sim.setting import make_setting
from reports.commands.train import _engine, _resumed
from tests.conftest import Run

COMMAND = Path(sys.executable).with_name("fedjoule")
FILES = ("rounds.parquet", "clients.parquet", "weights.npz", "config.toml", "manifest.json")
SHORT = ["--rounds", "6", "--clients", "20", "--cohort", "4"]


def files(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in FILES}


def test_a_run_and_its_files(fedjoule: Run, tmp_path: Path) -> None:
    done = fedjoule("train", *SHORT, "--out", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("INT8 ")
    assert done.stdout.strip().endswith(f"the run is in {tmp_path / 'r'}")
    assert "native engine" in done.stderr
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["config"]["rounds"] == 6
    assert manifest["data"]["name"] == "digits"
    assert set(manifest["files_sha256"]) == {*FILES} - {"manifest.json"}


def test_workers_and_engines_change_nothing(fedjoule: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    made = []
    for name, how in {"one": ["--workers", "1"], "three": ["--workers", "3"], "eager": ["--engine", "eager"],
                      "stacked": ["--engine", "stacked"]}.items():  # fmt: skip
        done = fedjoule("train", *SHORT, *how, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        made.append((tmp_path / name / "weights.npz").read_bytes())
    assert len(set(made)) == 1
    assert files(tmp_path / "one") == files(tmp_path / "three")


def test_a_config_file_with_options_over_it(fedjoule: Run, tmp_path: Path) -> None:
    fedjoule("train", *SHORT, "--mu", "2 1@3", "--out", str(tmp_path / "r"))
    again = fedjoule("train", "--config", str(tmp_path / "r" / "config.toml"), "--out", str(tmp_path / "s"))
    assert again.returncode == 0, again.stderr
    assert files(tmp_path / "s") == files(tmp_path / "r")
    other = fedjoule(
        "train", "--config", str(tmp_path / "r" / "config.toml"), "--seed", "1", "--out", str(tmp_path / "t")
    )
    assert other.returncode == 0
    assert (tmp_path / "t" / "weights.npz").read_bytes() != (tmp_path / "r" / "weights.npz").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed(fedjoule: Run, tmp_path: Path, number: signal.Signals) -> None:
    long = ["--rounds", "60", "--clients", "100", "--cohort", "50", "--workers", "1"]
    fedjoule("train", *long, "--out", str(tmp_path / "whole"))
    run = tmp_path / "r"
    with subprocess.Popen([COMMAND, "train", *long, "--out", str(run)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[1/"):
                break
        time.sleep(0.3)
        process.send_signal(number)
        said = process.stderr.read()
        process.wait(60)
    assert process.returncode == (1 if number == signal.SIGINT else -signal.SIGKILL)
    if number == signal.SIGINT:
        assert f"go on with: fedjoule train --resume --out {run}" in said
        assert (run / "checkpoint.npz").exists()
    done = fedjoule("train", "--resume", "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert files(run) == files(tmp_path / "whole")


def test_processes_of_torchrun_make_the_same_files(fedjoule: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    torchrun = shutil.which("torchrun", path=str(COMMAND.parent))
    assert torchrun is not None
    for method in ("floatfl", "qfedupdate_momentum"):
        alone, both = tmp_path / f"{method}-1", tmp_path / f"{method}-2"
        fedjoule("train", *SHORT, "--method", method, "--out", str(alone))
        done = subprocess.run(
            [torchrun, "--nproc-per-node", "2", "--no-python", COMMAND, "train", *SHORT, "--method", method,
             "--workers", "1", "--out", both],
            capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert "2 processes" in done.stderr
        assert files(both) == files(alone)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--method", "fedprox"], "method 'fedprox' is unknown"),
        (["--dataset", "svhn"], "data set 'svhn' is unknown"),
        (["--model", "lenet5"], "model lenet5 takes images of (28, 28, 1), digits has (8, 8, 1)"),
        (["--cohort", "101"], "cohort must not be above the 100 clients"),
        (["--mu", "3 2"], "mu must be a whole number"),
        (["--bias"], "bias must be false"),
        (["--method", "qfedavg", "--server-momentum", "0.9"], "server_momentum needs a method that accumulates"),
        (["--partition", "writer"], "digits has no natural clients"),
        (["--batch-size", "2081"], "batch_size must be at most 2080 for digits in int8"),
        (["--config", "/dev/zero"], "/dev/zero: must be a regular file"),
        (["--resume"], "--resume needs the run's --out"),
        (["--engine", "eager", "--workers", "2"], "workers must be 1"),
        (["--method", "floatfl", "--momentum", "0.9", "--engine", "native"], "momentum"),
        (["--config", "absent.toml"], "absent.toml: No such file"),
        (["--method", "floatfl", "--learning-rate", "1e8"], "client "),
    ],
)
def test_what_cannot_be_is_one_line(fedjoule: Run, tmp_path: Path, options: list[str], told: str) -> None:
    out = [] if "--resume" in options else ["--out", str(tmp_path / "r")]
    done = fedjoule("train", "--rounds", "3", *options, *out)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    last = [line for line in done.stderr.splitlines() if line.startswith("fedjoule: ")]
    assert len(last) == 1
    assert "1e8" in options or not (tmp_path / "r").exists()  # what is refused at once leaves nothing in the way


def test_a_directory_that_holds_a_run_is_told_before_data_are_looked_for(fedjoule: Run, tmp_path: Path) -> None:
    fedjoule("train", *SHORT, "--out", str(tmp_path / "r"))
    again = fedjoule("train", "--dataset", "femnist", "--data-dir", str(tmp_path), "--out", str(tmp_path / "r"))
    assert again.returncode == 2
    assert "holds a run already" in again.stderr


def test_momentum_without_torch_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = make_setting(Config(method="floatfl", momentum=0.9), load_digits())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(ValueError, match="momentum and weight_decay need torch"):
        _engine(setting, "auto", "cpu")


def test_how_to_go_on_names_what_the_run_does_not_keep() -> None:
    assert _resumed(Path("my runs/x"), Path("data"), 500) == (
        "fedjoule train --resume --out 'my runs/x' --data-dir data --rounds 500"
    )
    assert _resumed(Path("x\x1b[2J"), None, None) == "fedjoule train --resume --out 'x?[2J'"


def test_a_directory_that_holds_a_run(fedjoule: Run, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "r")]
    fedjoule("train", *SHORT, *out)
    before = files(tmp_path / "r")
    again = fedjoule("train", *SHORT, *out)
    assert again.returncode == 2
    assert "holds a run already; go on with --resume" in again.stderr
    changed = fedjoule("train", "--resume", "--mu", "3", *out)
    assert changed.returncode == 2
    assert "another mu: '1', now '3'" in changed.stderr
    assert files(tmp_path / "r") == before
    longer = fedjoule("train", "--resume", "--rounds", "8", *out)
    assert longer.returncode == 0, longer.stderr
    fedjoule("train", *SHORT, "--rounds", "8", "--out", str(tmp_path / "whole"))
    assert files(tmp_path / "r") == files(tmp_path / "whole")


# The most memory of this program itself: what getrusage says holds, behind an exec, that of the tests before it, too.
NATIVE = """
import sys
from pathlib import Path
from reports.cli import main
try:
    main(["train", "--rounds", "2", "--method", sys.argv[2], "--out", sys.argv[1]])
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("method", ["floatfl", "qfedupdate"])
def test_the_native_path_never_imports_torch(tmp_path: Path, method: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NATIVE, str(tmp_path / "r"), method], capture_output=True, text=True, check=True
    )
    assert int(done.stdout.splitlines()[-1]) < 300 * 1024, "kilobytes"
