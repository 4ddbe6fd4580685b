"""``fedjoule tables``: the paper's tables from the measurements, beside what it prints."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reports.commands.options import bandwidth, batches, check_overlap, measurements, overlap_options, results_of, warn

if TYPE_CHECKING:
    from costmodel.overlap import Overlap
    from costmodel.round import BatchRule
    from reports.report import Report

_STDOUT_FORMATS = ("terminal", "markdown", "csv", "latex", "html")
_FILE_FORMATS = ("markdown", "csv", "latex", "html", "svg", "png")


@click.command()
@click.option(
    "--table",
    "which",
    type=click.Choice(["1", "2", "3", "4", "stages", "claims"]),
    multiple=True,
    help="Only this table; may be given more than once.  [default: all]",
)
@measurements
@click.option(
    "--rounds",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rounds to converge from your own training (CSV: method, dataset, rounds): adds measured-mode rows.",
)
@click.option("--reading", "names", multiple=True, metavar="NAME", help="A reading of Table 4.  [default: both]")
@bandwidth
@batches
@overlap_options
@click.option("--out", callback=results_of("fedjoule tables"), metavar="DIR", help="Also write files into this folder.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(sorted({*_STDOUT_FORMATS, *_FILE_FORMATS})),
    multiple=True,
    help="With --out: the file formats (default: all). Without: what to print (default: terminal).",
)
@click.option("--check", is_flag=True, help="Leave with 1 if a cell differs from the printed one.")
@click.pass_context
def tables(
    ctx: click.Context,
    which: tuple[str, ...],
    measurements: tuple[Path, ...],
    rounds: Path | None,
    names: tuple[str, ...],
    bandwidth_bit_per_s: float | None,
    batches: "BatchRule | None",
    overlap: "Overlap",
    link_reading: str,
    idle_power_w: float | None,
    out: Path | None,
    formats: tuple[str, ...],
    check: bool,
) -> None:
    """Regenerate Tables 1-4 of the paper, each cell beside the printed one, and its claims.

    \b
    Examples:
      fedjoule tables --table 4
      fedjoule tables --measurements my_phone.csv --table 4
      fedjoule tables --rounds my_rounds.csv --reading epochs1_fp32_payload --table 4
      fedjoule tables --bandwidth 5Mbit/s --table 4 --format csv
      fedjoule tables --overlap off --link-reading G --table 4
      fedjoule tables --out out/tables --format html --format png
    """
    if out is None:
        _check_printed(formats)
    elif "terminal" in formats:
        message = "--format terminal is what is printed anyway; with --out choose among " + ", ".join(_FILE_FORMATS)
        raise click.UsageError(message)
    check_overlap(overlap, idle_power_w)
    changed = bandwidth_bit_per_s is not None or batches is not None or overlap != "as-measured"
    if check and (changed or (which and not set(which) & set("1234"))):
        message = "--check compares with the printed tables: it needs one of Tables 1-4 and the paper's inputs"
        raise click.UsageError(message)

    from costmodel.overlap import Pipelining
    from reports.printout import printout, show
    from reports.report import TABLES, Request, build_report
    from reports.table4 import Changes

    request = Request(
        tables=tuple(name for name in TABLES if not which or name in which),
        readings=names,
        measurements=measurements,
        rounds=rounds,
        changes=Changes(
            bandwidth_bit_per_s=bandwidth_bit_per_s,
            batches=batches,
            pipelining=Pipelining(overlap, link_reading.lower(), idle_power_w),
        ),
    )
    report = build_report(request)
    form = formats[0] if formats and out is None else "terminal"
    text = printout(report.tables, report.manifest, form)
    wrote = None if out is None else _write(report, out, formats)
    show(text, report.manifest, form)
    warn(report.warnings)
    if wrote is not None:
        click.echo("\n".join([*report.summary, wrote]))
    if check and not report.reproduced:
        click.echo("fedjoule: a cell differs from the printed one (--check)", err=True)
        ctx.exit(1)


def _write(report: "Report", out: Path, formats: tuple[str, ...]) -> str:
    """Write the files of a report and return a line that says so."""
    from profiler.bundle import write_bundle
    from reports.files import report_files

    files = report_files(report, formats or _FILE_FORMATS)
    write_bundle(out, files)
    return f"wrote {len(files)} files to {out}: {', '.join(files)}"


def _check_printed(formats: tuple[str, ...]) -> None:
    if len(formats) > 1:
        message = "without --out only one --format can be printed; add --out DIR to write several"
        raise click.UsageError(message)
    if formats and formats[0] not in _STDOUT_FORMATS:
        message = f"--format {formats[0]} is a picture; add --out DIR to write it"
        raise click.UsageError(message)
