"""What the wheel carries, seen without installing its dependencies again; `make wheel` does the whole installation."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("fedjoule-*.whl"))


def test_the_wheel_carries_the_packages_their_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "profiler",
        "costmodel",
        "traces",
        "fl_sim",
        "reports",
        "fedjoule",
    }
    tracked = [
        path
        for package in ("profiler", "costmodel", "traces", "fl_sim", "reports")
        for path in (ROOT / package).rglob("*")
    ]
    endings = {".csv", ".toml", ".html", ".typed", ".c", ".h", ".sh", ".idl"}
    data = [str(path.relative_to(ROOT)) for path in tracked if path.suffix in endings]
    assert len(data) >= 12
    assert set(data) <= set(names)


def test_the_wheel_runs_from_where_it_is_unpacked(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(place)
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        f"import reports, profiler; assert reports.__file__.startswith({str(place)!r}), reports.__file__\n"
        "from reports.cli import main; main(['tables', '--check', '--table', '4'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("34 within rounding, 2 truncated") == 2
