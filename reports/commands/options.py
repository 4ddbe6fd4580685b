"""Options that several sub-commands share."""

from pathlib import Path

import click

from traces.network import parse_rate


def _rate(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_rate(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


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
