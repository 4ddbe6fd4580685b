"""Facts in two columns, a name and words, wrapped to the terminal."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator

from profiler.names import printable

_WIDTH = 100  # where the output is no terminal
_NAME = 9


def fact_lines(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines of facts, safe to print; long words go on below themselves."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    width = max(40, shutil.get_terminal_size().columns if terminal else _WIDTH)
    for name, words in facts:
        lines = textwrap.wrap(printable(words, 1000), width - _NAME - 3, break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            yield f"  {name if number == 0 else '':<{_NAME}} {line}"
