"""``fedjoule fleet simulate``: federated training on a fleet, round by round, with what it costs and wastes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reports.commands.fleet_options import fleet_options, given, opened, told
from reports.commands.options import folder, measurements, power, results_of, warn

if TYPE_CHECKING:
    from fl_sim.rules import Interruption

_SELECTORS = ("random", "available", "fastest", "oort")
# What a training run's log says, and what only one kind of server has.
_OF_THE_RUN = ("workload", "method", "reading", "clients")
_OF_SYNCHRONOUS = ("over_commit", "clock", "least", "begin_h")
_OF_BUFFERED = ("concurrency", "most_stale")


@click.command()
@click.option("--fleet", default="flash", show_default=True, help="A built-in fleet, or a file or folder of traces.")
@click.option("--workload", default="cifar10", show_default=True, help="What is trained: femnist, cifar10 or cifar100.")
@click.option("--method", default="qfedupdate", show_default=True, help="floatfl, quanfl, qfedavg or qfedupdate.")
@click.option("--reading", default="epochs4_int8_payload", show_default=True, help="Settings the paper leaves open.")
@click.option("--run", callback=folder, metavar="DIR", help="A training run, instead of workload, method and reading.")
@click.option("--device-map", metavar="MAP|FILE", help="Which hardware is which measured phone: see above.")
@measurements
@click.option("--rounds", type=int, help="Rounds that count.  [default: to convergence]")
@click.option("--clients", type=int, help="Registered clients, N, whose data phones hold.  [default: the workload's]")
@click.option("--cohort", type=int, help="Updates wanted in a round, K.  [default: the reading's or the run's]")
@click.option(
    "--select", type=click.Choice(_SELECTORS), default="available", show_default=True, help="Whom the server asks."
)
@click.option("--over-commit", type=float, default=1.0, show_default=True, help="Asks so many times K phones.")
@click.option(
    "--round-end",
    default="all",
    show_default=True,
    metavar="all|fraction:0.8|kth|buffer:10",
    help="When enough have delivered; kth is K, buffer is an asynchronous server.",
)
@click.option("--deadline", metavar="TIME", help="Of a round (buffer: of a client), such as 270s, 5min or 1h.")
@click.option(
    "--interrupted",
    type=click.Choice(["suspend", "abort", "check_end"]),
    default="suspend",
    show_default=True,
    help="What happens to the work of a phone that stops being ready.",
)
@click.option("--dropout", type=float, default=0.0, show_default=True, help="Chance that an attempt fails.")
@click.option("--retries", type=int, default=0, show_default=True, help="Attempts after a lost one.")
@click.option("--least", type=int, default=1, show_default=True, help="Updates without which a round is void.")
@click.option(
    "--begin",
    "begin_h",
    type=float,
    default=0.0,
    show_default=True,
    metavar="HOUR",
    help="Hour of the day to begin at.",
)
@click.option("--concurrency", type=int, help="With buffer: phones at work at a time.  [default: K]")
@click.option("--most-stale", type=int, help="With buffer: versions after which an update is thrown away.")
@fleet_options
@click.option("--radio-download-w", type=float, callback=power, help="Radio power while receiving.")
@click.option("--radio-upload-w", type=float, callback=power, help="Radio power while sending.")
@click.option("--idle-w", type=float, callback=power, help="The phone's power while it waits for the round to end.")
@click.option(
    "--clock",
    type=click.Choice(["fast", "events"]),
    default="fast",
    show_default=True,
    help="Arrays, or a process for each phone that takes part: slower, with the same result.",
)
@click.option(
    "--out",
    callback=results_of("fedjoule fleet simulate"),
    metavar="DIR",
    help="Also write the log, tables and figures into this folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "html"]),
    default="terminal",
    show_default=True,
    help="What to print.",
)
def simulate(
    fleet: str,
    measurements: tuple[Path, ...],
    deadline: str | None,
    round_end: str,
    interrupted: "Interruption",
    out: Path | None,
    form: str,
    **options: Any,
) -> None:
    """Simulate federated training on a fleet: hours, joules, what was wasted, who took part and who did not.

    Nothing is trained. Rounds to convergence are paper mode's, unless --rounds or a --run of yours says otherwise; a
    round in which fewer updates came teaches less, and that is not counted.

    A device map says which hardware is which measured phone, by tier, model, SoC or score: 'low=Redmi Note 9:dsp,
    medium=Xiaomi 10:dsp,default=Xiaomi 10:cpu', or a .toml or .csv file of the same. Without one, tiers are the phones
    of Table 3, on their DSPs in INT8.

    \b
    Examples:
      fedjoule fleet simulate
      fedjoule fleet simulate --fleet fedscale --workload femnist --method floatfl --deadline 5min --out out/fleet
      fedjoule fleet simulate --select oort --over-commit 1.3 --round-end kth --deadline 270s
      fedjoule fleet simulate --round-end buffer:10 --concurrency 40 --rounds 100
      fedjoule fleet simulate --run runs/x --measurements my_phone.csv --device-map 'default=Pixel 8:cpu'
    """
    buffered = round_end.strip().startswith("buffer")
    _check_given(given(), buffered=buffered, run=options["run"] is not None)
    if options["retries"] and not options["dropout"] and interrupted == "suspend":
        message = "--retries has no effect without --dropout, or --interrupted abort or check_end: no attempt is lost"
        raise click.UsageError(message)
    if out is not None and out.exists() and not out.is_dir():
        message = "--out must name a folder, new or not; there is a file of that name"  # better now than after hours
        raise click.UsageError(message)
    from reports.fleet.bar import counted
    from reports.fleet.request import Request, read_round_end, read_seconds
    from reports.fleet.simulate import simulated
    from reports.fleet.summary_table import summary_tables
    from reports.manifest import Input, manifest
    from reports.printout import printout, show
    from reports.report import read_measurements

    deadline_s = None if deadline is None else read_seconds("deadline", deadline)
    end = read_round_end(round_end)
    own, inputs = read_measurements(measurements)
    found = opened(fleet, options)
    request = Request(
        opened=found, end=end, deadline_s=deadline_s, interrupted=interrupted, own=own, **_of_request(options)
    )
    with counted("buffered updates" if buffered else "rounds", sys.stderr.isatty()) as tell:
        result = simulated(request, tell)
    parameters = {"fleet": fleet, "deadline": deadline, "round_end": round_end, "interrupted": interrupted, **options}
    if options["run"] is not None:
        parameters = {name: value for name, value in parameters.items() if name not in _OF_THE_RUN}
    made = manifest(
        "fedjoule fleet simulate",
        {name: str(value) if isinstance(value, Path) else value for name, value in told(parameters).items()},
        [*inputs, *(Input(*each) for each in (*found.files, *result.files))],
    )
    tables = summary_tables(result)
    text = printout(tables, made, form)
    wrote = None
    if out is not None:
        from reports.fleet.files import write_simulation

        wrote = write_simulation(out, result, tables, made)
    show(text, made, form)
    warn(result.warnings)
    if wrote is not None:
        click.echo(wrote, err=True)


def _check_given(names_given: set[str], *, buffered: bool, run: bool) -> None:
    """Raise UsageError for options that say nothing beside others."""
    for useless, names, why in (
        (run, _OF_THE_RUN, "has no effect with --run: a run has its own"),
        (not buffered, _OF_BUFFERED, "is for an asynchronous server: --round-end buffer:10"),
        (buffered, _OF_SYNCHRONOUS, "has no effect with --round-end buffer: an asynchronous server has no rounds"),
    ):
        for name in names if useless else ():
            if name in names_given:
                message = f"--{name.removesuffix('_h').replace('_', '-')} {why}"
                raise click.UsageError(message)


def _of_request(options: dict[str, Any]) -> dict[str, Any]:
    from costmodel.round import PhasePower

    names = ("download_w", "upload_w", "wait_w")
    watts = (options["radio_download_w"], options["radio_upload_w"], options["idle_w"])
    phases = PhasePower(**dict(zip(names, watts, strict=True)))
    names_of_request = (
        "workload", "method", "reading", "run", "device_map", "rounds", "clients", "cohort", "select", "over_commit",
        "dropout", "retries", "least", "begin_h", "concurrency", "most_stale", "seed", "clock",
    )  # fmt: skip
    return {"power": phases, **{name: options[name] for name in names_of_request}}
