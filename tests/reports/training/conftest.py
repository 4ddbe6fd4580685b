from collections.abc import Callable
from pathlib import Path

import pytest

from fl_sim.config import Config
from fl_sim.finished import FinishedRun, read_run
from reports.training.groups import Group, grouped
from tests.reports.training.training_runs import write_run


@pytest.fixture
def runs_of(tmp_path: Path) -> Callable[..., list[FinishedRun]]:
    """Write runs of configurations and read them back."""

    def read(*configs: Config, **more: object) -> list[FinishedRun]:
        begin = len(list(tmp_path.iterdir()))
        folders = [tmp_path / f"run{begin + place}" for place in range(len(configs))]
        return [
            read_run(write_run(folder, config, **more))  # type: ignore[arg-type]
            for folder, config in zip(folders, configs, strict=True)
        ]

    return read


@pytest.fixture
def groups_of(runs_of: Callable[..., list[FinishedRun]]) -> Callable[..., tuple[Group, ...]]:
    """Write runs of configurations and group them."""
    return lambda *configs: grouped(runs_of(*configs))
