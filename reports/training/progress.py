"""A training run under way, as a person sees it: a bar with time left on a terminal, a line now and then elsewhere."""

import math
import time
from collections.abc import Iterable

import click

from fl_sim.runlog import RoundRow
from fl_sim.simulation import Progress

_LINE_EVERY_S = 10.0


def follow(progress: Iterable[Progress], terminal: bool) -> RoundRow | None:
    """Show a run until it ends, on standard error; return its last judged round, None if it had none."""
    return _on_terminal(progress) if terminal else _in_lines(progress)


def accuracies(row: RoundRow | None) -> str:
    """Return a round's accuracies in words; empty where it was not judged."""
    if row is None:
        return ""
    named = (("INT8", row.int8_accuracy), ("FP32", row.fp32_accuracy))
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in named if not math.isnan(value))


def _in_lines(progress: Iterable[Progress]) -> RoundRow | None:
    judged, told = None, -math.inf
    for step in progress:
        judged = step.row if accuracies(step.row) else judged
        now = time.monotonic()
        if step.row is None or now - told >= _LINE_EVERY_S or step.done == step.rounds:
            told = now
            nothing = "not judged yet" if step.done else "begun"
            click.echo(f"[{step.done}/{step.rounds}] {accuracies(judged) or nothing}", err=True)
    return judged


def _on_terminal(progress: Iterable[Progress]) -> RoundRow | None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("rounds"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    judged = None
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        for step in progress:
            judged = step.row if accuracies(step.row) else judged
            bar.update(task, total=step.rounds, completed=step.done, description=accuracies(judged))
    return judged
