"""``fedjoule fleet convert``: traces of any form as a folder of our own, in Parquet."""

from pathlib import Path
from typing import Any

import click

from reports.commands.fleet_options import fleet_options, opened
from reports.commands.options import folder


@click.command()
@click.argument("fleet")
@fleet_options
@click.option("--out", callback=folder, required=True, metavar="DIR", help="The folder to write.")
def convert(fleet: str, out: Path, **options: Any) -> None:
    """Write a fleet as a folder of Parquet tables that all commands read, and say what became of the traces.

    A fleet that lies there already is replaced; anything else is left alone, and the command fails.

    \b
    Examples:
      fedjoule fleet convert state_traces.json --rule screen_off --out fleets/flash
      fedjoule fleet convert client_behave_trace --out fleets/fedscale
      fedjoule fleet convert flash --phones 1000000 --seed 1 --out fleets/million
    """
    from profiler.names import printable
    from traces.folder import write_fleet

    found = opened(fleet, options)
    write_fleet(found.fleet, out, found.report)
    for what, counts in (
        ("dropped", found.report.dropped),
        ("put right", found.report.repaired),
        ("left, but odd", found.report.flags),
    ):
        for reason, count in counts:
            click.echo(f"{what}: {count:,} {printable(reason, 200)}", err=True)
    click.echo(f"wrote {found.fleet.phones:,} phones to {printable(out, 300)}; give it as --fleet")
