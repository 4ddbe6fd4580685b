"""The progress of a build on the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from profiler.names import printable


@contextmanager
def building() -> Iterator[Callable[[str], None]]:
    """Yield what shows the progress of a build on standard error: one line that changes, elsewhere the first one."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    shown: list[int] = []

    def tell(line: str) -> None:
        words = printable(line, 200)
        if terminal:
            click.echo(f"\r{words:<{max(shown, default=0)}}", nl=False, err=True)
        elif not shown:
            click.echo(words.partition(" ...")[0], err=True)
        shown.append(len(words))

    try:
        yield tell
    finally:
        if terminal and shown:
            click.echo(f"\r{'':{max(shown)}}\r", nl=False, err=True)
