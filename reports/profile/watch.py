"""A campaign under way, as a person sees it: a bar on a terminal, a line for each measurement elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from profiler.campaign.course import Event
from profiler.names import printable

Tell = Callable[[Event], None]


@contextmanager
def watched(terminal: bool) -> Iterator[Tell]:
    """Yield what shows the events of a campaign on standard error."""
    if not terminal:
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        every = bar.add_task("measurements", total=None)
        one = bar.add_task("", total=None)
        yield lambda event: _shown(event, bar, every, one)


def _line(event: Event) -> None:
    words = printable(event.what, 300)
    if event.kind == "begin":
        click.echo(f"[{event.done}/{event.total}] {words}, about {event.seconds:.0f} s", err=True)
    elif event.kind == "finish":
        click.echo(f"[{event.done}/{event.total}] {words}", err=True)
    elif event.kind in ("say", "warn"):
        click.echo(f"{'warning: ' if event.kind == 'warn' else ''}{words}", err=True)


def _shown(event: Event, bar: Any, every: Any, one: Any) -> None:
    from rich.markup import escape

    words = escape(printable(event.what, 200))
    bar.update(every, total=event.total or None, completed=event.done)
    if event.kind == "begin":
        bar.reset(one, total=max(1, round(event.seconds)), description=words)
    elif event.kind == "wait":
        bar.update(one, completed=int(event.seconds), description=words)
    else:
        bar.console.print(f"{'[yellow]warning:[/yellow] ' if event.kind == 'warn' else ''}{words}", highlight=False)
