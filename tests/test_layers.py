"""The import contracts catch a violation: a check that cannot fail would be worth nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("profiler", "costmodel", "traces", "fl_sim", "reports")


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = str(Path(sys.executable).parent / "lint-imports")
    return subprocess.run(
        [command, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(folder)},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("profiler/table.py", "import costmodel.round"),
        ("costmodel/round.py", "import traces.network"),
        ("traces/network.py", "import profiler.table"),
        ("fl_sim/plan.py", "import reports.table"),
        ("costmodel/round.py", "import matplotlib"),
        ("reports/table4.py", "import torch"),
        ("costmodel/batch.py", "import simpy"),
        ("fl_sim/plan.py", "import simpy"),
        ("reports/table4.py", "import adb_shell"),
        ("profiler/transport/server.py", "import adb_shell"),
        ("profiler/transport/direct.py", "import adbutils"),
        ("profiler/campaign/course.py", "import matplotlib"),
    ],
)
def test_a_violation_is_caught(module: str, line: str, copy: Path) -> None:
    path = copy / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
