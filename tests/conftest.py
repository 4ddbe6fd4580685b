"""What several tests need: a phone's measurement table as text, and the installed command."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fedjoule", deadline=None, max_examples=200, derandomize=True)
settings.load_profile("fedjoule")

HEADER = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,source"
PHONE = f"""{HEADER}
Pixel 8,cpu,fp32,LeNet-5,FEMNIST,5,total,31.5,120,session 1
Pixel 8,cpu,int8,LeNet-5,FEMNIST,5,total,14.25,,session 1
Pixel 8,npu,int8,vgg16,cifar10,64,total,210,520,session 2
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """A measurement table of three rows; the second has no energy."""
    path = tmp_path / "my_phone.csv"
    path.write_text(PHONE)
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write a CSV and return its path."""

    def write_csv(text: str, name: str = "phone.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_csv


@pytest.fixture
def fedjoule(tmp_path: Path) -> Run:
    """Run the installed console command in an empty folder, as a person would."""
    command = Path(sys.executable).parent / "fedjoule"

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        folder = tmp_path / "cwd"
        folder.mkdir(exist_ok=True)
        words = [str(command), *map(str, arguments)]
        return subprocess.run(
            words,
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults the tests tried on links, disks, phones and hosts."""
    reports = [report for each in terminalreporter.stats.values() for report in each if hasattr(report, "when")]
    tried = [
        value
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == "faults"
    ]
    if tried:
        terminalreporter.write_line(f"faults tried in campaigns: {sum(tried)}")
