"""Downloads as a person sees them on a terminal: a bar for each file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def downloading(terminal: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Give a function that is told (file, bytes that have come, bytes in all); None where there is no terminal."""
    if not terminal:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def tell(name: str, come: int, of: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=of)
            bar.update(tasks[name], completed=come)

        yield tell
