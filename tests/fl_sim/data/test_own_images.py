"""The how-to's program on images of one's own runs as it stands there, and learns."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "use_your_data.md"


def test_the_program_of_the_page_runs_and_learns(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "own.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [int(number) for number, _ in rows] == [1, 2, 3]
    assert float(rows[-1][1]) > 0.9
