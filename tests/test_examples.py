"""Every example runs, and prints what stands beside it: examples/*.py, and the console blocks of README and docs.

In a console block a line that begins with ``$`` is a command (bash; the folder holds examples/*.csv), what follows is
its whole output, errors included; a line ``...`` stands for any lines.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def console_blocks(text: str) -> list[str]:
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield (command, expected output); a command goes on after a backslash."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        match = re.match(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", part, re.DOTALL)
        assert match is not None
        yield match[1], match[2]


CASES = [
    pytest.param(command, expected, id=f"{page.relative_to(ROOT)}:{number}")
    for page in PAGES
    for number, (command, expected) in enumerate(
        case for block in console_blocks(page.read_text()) for case in commands(block)
    )
]


@pytest.mark.parametrize(("command", "expected"), CASES)
def test_a_command_in_the_documentation_prints_what_stands_there(command: str, expected: str, tmp_path: Path) -> None:
    for path in (ROOT / "examples").glob("*.csv"):
        shutil.copy(path, tmp_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    checker = doctest.OutputChecker()
    assert checker.check_output(expected, done.stdout, doctest.ELLIPSIS), f"{command}\nprinted\n{done.stdout}"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_an_example_prints_what_stands_beside_it(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == path.with_suffix(".out").read_text()


def test_there_are_examples_and_every_link_between_pages_leads_somewhere() -> None:
    assert len(CASES) >= 10
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
