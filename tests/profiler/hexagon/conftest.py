"""The program of the Hexagon kernels, for both architectures; tests marked slow run with `-m slow` only."""

from pathlib import Path

import pytest

from profiler.native.hexagon import ARCHITECTURES
from tests.profiler.hexagon.cases import program


@pytest.fixture(scope="session", params=ARCHITECTURES)
def check(request: pytest.FixtureRequest) -> str:
    """The program, built for v66 and for v68. Building needs a minute for each where nothing was built before."""
    return program(request.param)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("markexpr"):
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="a whole step of VGG-16 takes a minute; run it with -m slow"))
