"""``fedjoule fleet table4``: what heterogeneity adds to each row of Table 4, one factor at a time."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reports.commands.options import results_of, warn

if TYPE_CHECKING:
    from fl_sim.rules import Interruption
    from traces.open import OpenedFleet

_PRINTED = ("terminal", "markdown", "csv", "latex", "html")


@click.command()
@click.option("--fleet", default="flash", show_default=True, help="A built-in fleet, or a file or folder of traces.")
@click.option("--phones", type=int, default=10_000, show_default=True, help="Phones that are drawn for each seed.")
@click.option("--seeds", type=int, default=3, show_default=True, help="How many times all is drawn.")
@click.option("--deadline", default="2x", show_default=True, metavar="2x|90s", help="Of the last column.")
@click.option(
    "--interrupted",
    type=click.Choice(["suspend", "abort", "check_end"]),
    default="suspend",
    show_default=True,
    help="What happens to a phone that is taken off the charger.",
)
@click.option("--workload", "workloads", multiple=True, help="Only this one; may be given more than once.")
@click.option("--reading", default="epochs4_int8_payload", show_default=True, help="Settings the paper leaves open.")
@click.option(
    "--out", callback=results_of("fedjoule fleet table4"), metavar="DIR", help="Also write files into this folder."
)
@click.option("--format", "form", type=click.Choice(_PRINTED), default="terminal", show_default=True, help="To print.")
def table4(
    fleet: str,
    phones: int,
    seeds: int,
    deadline: str,
    interrupted: "Interruption",
    workloads: tuple[str, ...],
    reading: str,
    out: Path | None,
    form: str,
) -> None:
    """Compute Table 4 on a fleet: hardware, network and availability one at a time, then together, beside paper mode.

    Rounds to converge are paper mode's. Time and energy are means over the seeds, with the lowest and the highest.

    \b
    Examples:
      fedjoule fleet table4
      fedjoule fleet table4 --fleet fedscale --workload cifar10 --deadline 10x
      fedjoule fleet table4 --interrupted check_end --seeds 5 --out out/fleet
    """
    from costmodel.workload import workloads as shipped
    from fl_sim.reading import find_reading
    from profiler.names import did_you_mean
    from reports.fleet.bar import counted
    from reports.fleet.cells import Request, fleet_cells, read_deadline
    from reports.fleet.reading_notes import reading_notes
    from reports.fleet.table4 import fleet_tables
    from reports.manifest import Input, manifest
    from reports.printout import printout, show
    from traces.open import FleetOptions, open_fleet

    for name in workloads:
        if name not in shipped():
            message = f"workload {name[:40]!r} is unknown; {did_you_mean(name, shipped())}"
            raise ValueError(message)
    if not 1 <= seeds <= 100:
        message = f"seeds must be from 1 to 100 (got {seeds})"
        raise ValueError(message)
    until, chosen = read_deadline(deadline), find_reading(reading)
    opened = [open_fleet(fleet, options=FleetOptions(phones=phones, seed=seed)) for seed in range(seeds)]
    warn(_warnings(opened[0]))
    name = opened[0].fleet.name
    request = Request(name, tuple(each.fleet for each in opened), chosen, until, workloads, interrupted)
    with counted("rows x columns x seeds", sys.stderr.isatty()) as tell:
        found = fleet_cells(request, tell)
    tables = fleet_tables(request, found, tuple(reading_notes(opened[0].report)))
    parameters: dict[str, object] = {
        "fleet": fleet, "phones": phones, "seeds": seeds, "deadline": deadline, "interrupted": interrupted,
        "workloads": list(workloads), "reading": reading,
    }  # fmt: skip
    made = manifest("fedjoule fleet table4", parameters, [Input(*each) for each in opened[0].files])
    text = printout(tables, made, form)
    if out is not None:
        from profiler.bundle import write_bundle
        from reports.formats.csv import to_csv
        from reports.formats.latex import to_latex
        from reports.formats.markdown import to_markdown

        files = {f"{table.name}.csv": to_csv(table) for table in tables[:1]}
        files |= {"table4_fleet.md": to_markdown(tables, made), "table4_fleet.tex": to_latex(tables, made)}
        files["manifest.json"] = made.to_json()
        write_bundle(out, {key: value.encode() for key, value in files.items()})
    show(text, made, form)
    if out is not None:
        click.echo(f"wrote {len(files)} files to {out}: {', '.join(sorted(files))}", err=True)


def _warnings(opened: "OpenedFleet") -> list[str]:
    """Return what to know of a fleet in which most phones are copies."""
    from profiler.names import printable

    phones, few = opened.fleet.phones, opened.drawn_from
    if not 0 < few < phones / 10:
        return []
    return [
        f"{phones:,} phones are drawn with replacement from the {few:,} of {printable(opened.fleet.name, 60)}, so most "
        f"are copies, and the figures say no more than {few:,} phones can: add traces, or draw fewer with --phones"
    ]
