"""Real power readings, where the shared data lies beside the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[4] / "shared" / "data" / "power_fixtures"


@pytest.fixture(scope="session")
def uevents() -> dict[str, dict[str, Any]]:
    """Seventeen dumps of real devices by id, each with what is known of its units and sign."""
    path = FIXTURES / "uevents.json"
    if not path.exists():
        pytest.skip("the dumps of real devices are not here")
    return {entry["id"]: entry for entry in json.loads(path.read_text())["entries"]}


@pytest.fixture(scope="session")
def series_folder() -> Path:
    """Folder of real time series."""
    if not (FIXTURES / "series").exists():
        pytest.skip("the series of real devices are not here")
    return FIXTURES / "series"
