"""A phone in namespaces for the tests, or one line that says why there is none."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # the phone itself is made by the files beside this one

from namespaced_phone import NamespacedPhone, Unavailable

from profiler.native.build import Recipe, built, compiled
from profiler.native.compiler import CompilerMissing, find_compiler
from profiler.native.target import TARGETS
from profiler.transport.address import open_transport
from profiler.transport.link import Transport

HERE = Path(__file__).parent
NOBODY = 65534
Opener = Callable[..., NamespacedPhone]


@pytest.fixture
def open_phone(phone_folder: Path) -> Iterator[Opener]:
    """Open phones that are closed at the end of the test; skips where there can be none."""
    with ExitStack() as stack:

        def opened(**options: object) -> NamespacedPhone:
            try:
                phone = NamespacedPhone(phone_folder / f"phone{len(os.listdir(phone_folder))}", **options)
                return stack.enter_context(phone)
            except Unavailable as error:
                pytest.skip(str(error))

        yield opened


@pytest.fixture
def phone_folder() -> Iterator[Path]:
    """A folder that any user may go into: tmp_path is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="fedjoule-namespaced-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=[None, NOBODY], ids=["as we are", "as nobody"])
def user(request: pytest.FixtureRequest) -> int | None:
    """Who makes the namespaces: whoever runs the tests, and where that is root, also a user without any rights."""
    if request.param is not None and os.geteuid() != 0:
        pytest.skip("only root can become another user; this run has no rights itself")
    return request.param


@pytest.fixture(scope="session")
def built_c() -> Callable[[str], Path]:
    """Build a C file of this folder for the phone's arm64."""

    def build(name: str) -> Path:
        try:
            compiler = find_compiler()
        except CompilerMissing as error:
            pytest.skip(str(error))
        flags = (*compiler.flags(TARGETS["aarch64-android"]), "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-s")
        return compiled(Recipe(name, HERE, (f"{name}.c",), flags, f"{name} of the tests"), compiler)

    return build


@pytest.fixture(scope="session")
def built_program() -> Callable[[str, str], Path]:
    """Build one of fedjoule's programs for a target."""

    def build(name: str, target: str) -> Path:
        try:
            return built(name, TARGETS[target])
        except CompilerMissing as error:
            pytest.skip(str(error))

    return build


@pytest.fixture
def link_to(keys: Path) -> Iterator[Callable[[NamespacedPhone], Transport]]:
    """Open links to a phone that are closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda phone: stack.enter_context(closing(open_transport(phone.address, key_folder=keys)))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ADB's keys that is not the user's."""
    return tmp_path_factory.mktemp("keys")
