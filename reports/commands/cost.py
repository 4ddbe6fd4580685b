"""``fedjoule cost``: one configuration, explained line by line."""

import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from reports.commands.options import bandwidth, batches, measurements


def _complete(column: str) -> Any:
    """Return a completer over a column of the shipped tables, which reads them without pandas."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from reports.printed import printed_table

        names = {row[column] for number in (2, 3) for row in printed_table(number)}
        return [CompletionItem(name) for name in sorted(names) if name.lower().startswith(incomplete.lower())]

    return complete


@click.command()
@click.option("--device", required=True, help="The phone, as in the table.", shell_complete=_complete("device"))
@click.option("--model", help="The model, as in the table.", shell_complete=_complete("model"))
@click.option("--dataset", help="The data set, as in the table.", shell_complete=_complete("dataset"))
@click.option("--processor", type=click.Choice(["cpu", "dsp", "gpu", "npu"]))
@click.option("--precision", type=click.Choice(["fp32", "int8"]))
@click.option("--method", help="floatfl, quanfl, qfedavg or qfedupdate.  [default: by precision]")
@click.option("--reading", default="epochs4_int8_payload", show_default=True, help="Settings the paper leaves open.")
@measurements
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds to converge.  [default: the reading's]")
@click.option("--epochs", type=click.IntRange(min=1), help="Local epochs.")
@click.option("--clients", type=click.IntRange(min=1), help="Registered clients, N.")
@click.option("--clients-per-round", type=click.IntRange(min=1), help="Selected clients, K.")
@click.option("--samples", "samples_per_client", type=click.FloatRange(min=0, min_open=True), help="Per client.")
@click.option("--download-bytes", type=click.IntRange(min=0), help="Bytes a client receives in a round.")
@click.option("--upload-bytes", type=click.IntRange(min=0), help="Bytes a client sends in a round.")
@bandwidth
@batches
@click.option("--wait-s", type=click.FloatRange(min=0), default=0.0, help="Seconds a client waits in a round.")
@click.option("--radio-download-w", type=click.FloatRange(min=0), help="Radio power while receiving.")
@click.option("--radio-upload-w", type=click.FloatRange(min=0), help="Radio power while sending.")
@click.option("--idle-w", type=click.FloatRange(min=0), help="The phone's power while waiting.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "html"]),
    default="terminal",
    help="What to print.",
)
def cost(
    device: str,
    model: str | None,
    dataset: str | None,
    processor: str | None,
    precision: str | None,
    method: str | None,
    reading: str,
    measurements: tuple[Path, ...],
    wait_s: float,
    radio_download_w: float | None,
    radio_upload_w: float | None,
    idle_w: float | None,
    form: str,
    **plan: Any,
) -> None:
    """Cost one configuration of phone, model and method, every number with where it came from.

    Your own measurements are looked at before the published ones. For a model and data set that are no shipped
    workload, give what the plan needs yourself.

    \b
    Examples:
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp
      fedjoule cost --device xiaomi10 --dataset femnist --processor cpu --precision fp32 --method quanfl
      fedjoule cost --measurements my_phone.csv --device "Pixel 8" --dataset femnist --processor cpu \\
                    --precision int8 --bandwidth 20Mbit/s --radio-upload-w 1.2
    """
    from costmodel.batch import batch_costs, find_batch_cost
    from costmodel.round import PhasePower
    from fl_sim.method import find_method
    from fl_sim.reading import find_reading
    from profiler.names import fold
    from profiler.table import power_warnings
    from reports.cost_table import cost_table, default_method, explain_plan
    from reports.manifest import manifest
    from reports.printout import printout
    from reports.report import read_measurements
    from reports.table4 import paper_costs

    wanted: dict[str, Any] = {"device": device, "model": model, "dataset": dataset}
    wanted |= {"processor": processor, "precision": precision}
    own, inputs = read_measurements(measurements)
    mine = batch_costs(own)
    published = paper_costs()
    is_mine = any(fold(entry.device) == fold(device) for entry in mine)
    known = fold(device) in {fold(entry.device) for entry in published}
    batch = find_batch_cost(mine if is_mine else published if known else (*mine, *published), **wanted)
    chosen = default_method(batch) if method is None else find_method(method)
    explained = explain_plan(batch, chosen, find_reading(reading), plan)
    power = PhasePower(radio_download_w, radio_upload_w, idle_w)
    mode = "paper" if not is_mine and not any(value is not None for value in plan.values()) else "what-if"
    table = cost_table(batch, chosen, explained, power, wait_s, mode)
    given = {name: value for name, value in {**wanted, **plan, "reading": reading}.items() if value is not None}
    made_by = manifest("fedjoule cost", given, inputs)
    click.echo(printout([table], made_by, form, terminal=sys.stdout.isatty()), nl=False)
    for warning in (line for name, entry in own.items() for line in power_warnings(entry, name)):
        click.echo(f"warning: {warning}", err=True)
