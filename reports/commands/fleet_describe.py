"""``fedjoule fleet describe``: what is in a fleet, or in a file of traces."""

from pathlib import Path
from typing import Any

import click

from reports.commands.fleet_options import fleet_options, opened, told
from reports.commands.options import results_of


@click.command()
@click.argument("fleet")
@fleet_options
@click.option(
    "--out",
    callback=results_of("fedjoule fleet describe"),
    metavar="DIR",
    help="Also write tables and figures into this folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "html"]),
    default="terminal",
    show_default=True,
    help="What to print.",
)
def describe(fleet: str, out: Path | None, form: str, **options: Any) -> None:
    """Say what is in a fleet: who is ready when, on which hardware and networks, and what became of the traces.

    FLEET is a built-in one (flash, fedscale, paper), a synthetic one of your own (.toml), intervals of your own
    (.csv, .parquet), a file or folder of FLASH or FedScale, or a folder that fedjoule fleet convert wrote.

    \b
    Examples:
      fedjoule fleet describe flash
      fedjoule fleet describe state_traces.json --rule screen_off --zone Europe/Berlin --out out/flash
      fedjoule fleet describe my_phones.csv --format markdown
    """
    from reports.fleet.describe import description
    from reports.fleet.habits import habits
    from reports.manifest import Input, manifest
    from reports.printout import printout, show

    found = opened(fleet, options)
    seen = habits(found.fleet)
    tables = description(found.fleet, found.report, seen)
    made = manifest(
        "fedjoule fleet describe", {"fleet": fleet, **told(options)}, [Input(*each) for each in found.files]
    )
    text = printout(tables, made, form)
    wrote = None
    if out is not None:
        from profiler.bundle import write_bundle
        from reports.fleet.figures import fleet_picture
        from reports.formats.csv import to_csv
        from reports.formats.markdown import to_markdown

        files = {f"{table.name}.csv": to_csv(table).encode() for table in tables}
        files |= {"fleet.md": to_markdown(tables, made).encode(), "manifest.json": made.to_json().encode()}
        if seen is not None:
            files["fleet.svg"], files["fleet.png"] = fleet_picture(found.fleet, seen)
        write_bundle(out, files)
        wrote = f"wrote {len(files)} files to {out}: {', '.join(sorted(files))}"
    show(text, made, form)
    if wrote is not None:
        click.echo(wrote, err=True)
