"""The Python that docs/reference/python.md shows runs as it stands there, and every name that it lists exists."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent / "docs/reference/python.md").read_text(encoding="utf-8")


def test_the_code_on_the_page_runs_and_trains(tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(setting.method.downlink.format)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["round 10", "round 20", "round 30", "int4"]


def test_every_module_on_the_page_can_be_imported_and_has_the_names_beside_it() -> None:
    pytest.importorskip("torch")  # of fl_sim.float32.module
    rows = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    for modules, names in rows:
        found = [importlib.import_module(name) for name in re.findall(r"`([\w.]+)`", modules)]
        for name in re.findall(r"`(\w+)`", names):
            assert any(hasattr(module, name) for module in found), f"{name} is in none of {modules.strip()}"
