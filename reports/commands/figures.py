"""``fedjoule figures``: Figures 2, 3, 5 and 7 of the paper from training runs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reports.commands.options import results_of, warn

if TYPE_CHECKING:
    from fl_sim.converged import Judged
    from reports.training.curves import Band
    from reports.training.draw import XAxis


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--figure",
    "which",
    type=click.Choice(["2", "3", "5", "7"]),
    multiple=True,
    help="Only this figure; may be given more than once.  [default: all]",
)
@click.option("--x", type=click.Choice(["round", "bytes"]), default="round", show_default=True, help="Over what.")
@click.option(
    "--band",
    type=click.Choice(["range", "sd"]),
    default="range",
    show_default=True,
    help="Over seeds: lowest to highest, or one standard deviation to both sides.",
)
@click.option(
    "--judged",
    type=click.Choice(["broadcast", "int8", "fp32"]),
    default="broadcast",
    show_default=True,
    help="Whose accuracy: of the model as it is broadcast (INT8 where a method sends INT8), or always of one.",
)
@click.option(
    "--out",
    callback=results_of("fedjoule figures"),
    default="figures",
    show_default=True,
    metavar="DIR",
    help="Write them here.",
)
def figures(
    runs: tuple[Path, ...], which: tuple[str, ...], x: "XAxis", band: "Band", judged: "Judged", out: Path
) -> None:
    """Draw Figures 2, 3, 5 and 7 of the paper from the folders of finished runs.

    Runs that differ in their seed alone become one line with a band. Beside them stand the accuracies that the paper's
    artifact logged, and those that the paper prints. A figure that the runs cannot fill is named, the others are drawn:
    2 needs FloatFL and Q-FedAvg; 2 (b) and 7 need runs that differ in --cohort.

    \b
    Examples:
      fedjoule figures runs/*
      fedjoule figures runs/femnist-* --figure 5 --x bytes --out out/bytes
      fedjoule figures runs/k-* --figure 3 --figure 7 --band sd
    """
    from profiler.bundle import write_bundle
    from reports.training.files import FigureRequest, figure_files

    found = figure_files(FigureRequest(runs, which or ("2", "3", "5", "7"), x, band, judged))
    write_bundle(out, found.files)
    warn(found.missing)
    click.echo(f"wrote {len(found.files)} files to {out}: {', '.join(sorted(found.files))}")
