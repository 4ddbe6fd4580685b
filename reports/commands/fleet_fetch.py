"""``fedjoule fleet fetch``: the public traces, with their checksums."""

import sys
from pathlib import Path

import click

from reports.commands.options import folder


@click.command()
@click.argument("name", metavar="flash|fedscale")
@click.option("--to", "to", callback=folder, metavar="DIR", help="[default: a folder of that name in the cache]")
def fetch(name: str, to: Path | None) -> None:
    """Fetch a public set of traces, unless its files lie there whole; sizes and checksums are looked at.

    The cache is $FEDJOULE_CACHE/fleets, or fedjoule/fleets in your cache folder. Nothing that is fetched is run or
    unpickled.

    \b
    Examples:
      fedjoule fleet fetch flash --to traces/flash
      fedjoule fleet describe traces/flash
    """
    from fl_sim.data.download import data_cache
    from profiler.names import printable
    from reports.fleet.download import downloading
    from traces.fetch import fetch as fetch_files
    from traces.fetch import find_public_set

    chosen = find_public_set(name)
    place = data_cache().parent / "fleets" / chosen.name if to is None else to
    click.echo(f"{chosen.title}: {chosen.size_bytes / 1e6:,.1f} MB, {chosen.licence}", err=True)
    with downloading(sys.stderr.isatty()) as tell:
        where = fetch_files(chosen, place, tell)
    click.echo(f"{chosen.name} is in {printable(where, 300)}: fedjoule fleet describe shows it")
    click.echo(f"whoever publishes with it is asked to cite: {chosen.citation}")
