"""``fedjoule rounds``: when have training runs converged, and after how many rounds?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reports.commands.options import warn

if TYPE_CHECKING:
    from fl_sim.converged import Judged


def rule_options(function: Any) -> Any:
    """Add --window, --margin, --judged and --target to a command."""
    function = click.option(
        "--target", type=float, metavar="SHARE", help="Also until this accuracy is reached, such as 0.8."
    )(function)
    function = click.option(
        "--judged",
        type=click.Choice(["broadcast", "int8", "fp32"]),
        default="broadcast",
        show_default=True,
        help="Whose accuracy: of the model as it is broadcast (INT8 where a method sends INT8), or always of one.",
    )(function)
    function = click.option(
        "--margin", "margin_points", type=float, default=1.0, show_default=True, help="Points below the run's best."
    )(function)
    return click.option(
        "--window", type=int, default=5, show_default=True, help="Evaluations whose mean counts as the accuracy."
    )(function)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@rule_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "html"]),
    default="terminal",
    show_default=True,
    help="What to print.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a file for tables --rounds.",
)
def rounds(
    runs: tuple[Path, ...],
    window: int,
    margin_points: float,
    judged: "Judged",
    target: float | None,
    form: str,
    out: Path | None,
) -> None:
    """Count the rounds that training runs needed to converge, beside the paper's.

    Converged is the first round whose accuracy, as the mean of the last --window evaluations, is within --margin points
    of the run's best. Runs that differ in their seed alone are one row; a second table shows what other windows and
    margins would give.

    \b
    Examples:
      fedjoule rounds runs/*
      fedjoule rounds runs/* --window 10 --margin 0.5 --target 0.8
      fedjoule rounds runs/femnist-* --out my_rounds.csv
      fedjoule tables --rounds my_rounds.csv --table 4
    """
    from fl_sim.converged import Rule
    from reports.manifest import manifest
    from reports.printout import printout, show
    from reports.training.converged import paper_inputs, rounds_table, sensitivity_table
    from reports.training.ended import check_target, ended, read_runs
    from reports.training.rounds_file import rounds_file

    rule = Rule(window, margin_points, judged)
    check_target(target)
    read = read_runs(runs)
    found, short = ended(read.groups, rule)
    made, refused = None, None
    if out is not None:
        try:
            made = rounds_file(found, rule)
        except ValueError as error:  # said behind the report, which does not need the file
            refused = error
    tables = [rounds_table(found, rule, target), sensitivity_table(found, rule)]
    parameters: dict[str, object] = {"window": window, "margin_points": margin_points, "judged": judged}
    parameters |= {} if target is None else {"target": target}
    warn((*read.left_out, *short))
    about = manifest("fedjoule rounds", parameters, [*paper_inputs(), *read.inputs])
    text = printout(tables, about, form)
    if out is not None and made is not None:
        from profiler.bundle import write_file

        write_file(out, made[0].encode())
    show(text, about, form)
    if refused is not None:
        raise refused
    if out is not None and made is not None:
        warn(made[1])
        click.echo(f"wrote {out}", err=True)
