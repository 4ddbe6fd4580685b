"""Options that several sub-commands share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from profiler.results import check_folder
from traces.network import parse_rate

_MOST_WARNINGS = 50


def _rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_rate(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def folder(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path | None:
    """Return the folder named by an option; an empty name is refused, because it would be the current one."""
    if value is not None and not value.strip():
        message = "must name a folder; '.' is the current one"
        raise click.BadParameter(message)
    return None if value is None else Path(value)


def results_of(command: str) -> Callable[[click.Context, click.Parameter, str | None], Path | None]:
    """Return the callback of an option that names the folder for a command's results: no other command's lie in it."""

    def vacant(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
        path = folder(ctx, param, value)
        if path is not None:
            try:
                check_folder(path, command)
            except OSError as error:
                raise click.UsageError(str(error)) from error
        return path

    return vacant


def power(_ctx: click.Context, _param: click.Parameter, value: float | None) -> float | None:
    """Return the watts given by an option; what is no power is refused under the option's name."""
    if value is not None and not 0 <= value <= 1e6:
        message = f"must be a power from 0 to 1e6 W (got {value:g})"
        raise click.BadParameter(message)
    return value


def warn(warnings: Sequence[str]) -> None:
    """Print warnings on standard error, the first of them if there are many."""
    for line in warnings[:_MOST_WARNINGS]:
        click.echo(f"warning: {line}", err=True)
    if len(warnings) > _MOST_WARNINGS:
        click.echo(f"warning: and {len(warnings) - _MOST_WARNINGS:,} more", err=True)


measurements = click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A measurement table of your own (CSV); may be given more than once.",
)
bandwidth = click.option(
    "--bandwidth",
    "bandwidth_bit_per_s",
    callback=_rate,
    metavar="RATE",
    help="Network rate each way, such as 10Mbit/s or 1.25MB/s.  [default: the reading's]",
)
batches = click.option(
    "--batches",
    type=click.Choice(["fractional", "ceil", "floor"]),
    help="How samples / batch size becomes batches.  [default: the reading's]",
)


def overlap_options(function: Any) -> Any:
    """Add --overlap, --link-reading and --idle-power-w to a command."""
    function = click.option(
        "--idle-power-w", type=float, help="The idle phone's power: what a millisecond saved by overlap saves."
    )(function)
    function = click.option(
        "--link-reading",
        type=click.Choice(list("ABCDEFG"), case_sensitive=False),
        metavar="A..G",
        default="F",
        show_default=True,
        help="With --overlap: what the paper's 25 ms transfer is taken to be.",
    )(function)
    return click.option(
        "--overlap",
        type=click.Choice(["as-measured", "on", "off"]),
        default="as-measured",
        show_default=True,
        help="Pipeline quantizing, transfer and training on the DSP, or do not.",
    )(function)


def check_overlap(overlap: str, idle_power_w: float | None) -> None:
    """Raise UsageError for an option about overlap without --overlap on or off."""
    given = click.get_current_context().get_parameter_source("link_reading")
    useless = {
        "--idle-power-w": idle_power_w is not None,
        "--link-reading": given is ParameterSource.COMMANDLINE,
    }
    names = [name for name, is_given in useless.items() if is_given]
    if overlap == "as-measured" and names:
        message = f"{' and '.join(names)} has no effect without --overlap on or off"
        raise click.UsageError(message)
