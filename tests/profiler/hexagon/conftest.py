"""The program of the Hexagon kernels, for both architectures."""

import pytest

from profiler.native.hexagon import ARCHITECTURES
from tests.profiler.hexagon.cases import program


@pytest.fixture(scope="session", params=ARCHITECTURES)
def check(request: pytest.FixtureRequest) -> str:
    """The program, built for v66 and for v68. Building needs a minute for each where nothing was built before."""
    return program(request.param)
