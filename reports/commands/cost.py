"""``fedjoule cost``: one configuration, explained line by line."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from reports.commands.options import bandwidth, batches, check_overlap, measurements, overlap_options, warn

if TYPE_CHECKING:
    from costmodel.overlap import Overlap

_CHOOSING = ("model", "dataset", "processor", "precision", "batch_size", "conditions")


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
@click.option("--precision", type=click.Choice(["fp32", "fp16", "bf16", "int16", "int8", "int4"]))
@click.option("--batch-size", type=int, help="To choose among several measurements.")
@click.option("--conditions", help="To choose among several measurements.")
@click.option("--time-ms", type=float, help="What if a batch took so long?")
@click.option("--energy-mj", type=float, help="What if a batch took so much energy?")
@click.option("--method", help="floatfl, quanfl, qfedavg or qfedupdate.  [default: by precision]")
@click.option("--reading", default="epochs4_int8_payload", show_default=True, help="Settings the paper leaves open.")
@measurements
@click.option("--rounds", type=int, help="Rounds to converge.  [default: the reading's]")
@click.option("--epochs", type=int, help="Local epochs.")
@click.option("--clients", type=int, help="Registered clients, N.")
@click.option("--clients-per-round", type=int, help="Selected clients, K.")
@click.option("--samples", "samples_per_client", type=float, help="Per client.")
@click.option("--download-bytes", type=int, help="Bytes a client receives in a round.")
@click.option("--upload-bytes", type=int, help="Bytes a client sends in a round.")
@bandwidth
@batches
@overlap_options
@click.option("--wait-s", type=float, default=0.0, help="Seconds a client waits in a round.")
@click.option("--radio-download-w", type=float, help="Radio power while receiving.")
@click.option("--radio-upload-w", type=float, help="Radio power while sending.")
@click.option("--idle-w", type=float, help="The phone's power while waiting.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "html"]),
    default="terminal",
    help="What to print.",
)
def cost(
    device: str,
    method: str | None,
    reading: str,
    measurements: tuple[Path, ...],
    time_ms: float | None,
    energy_mj: float | None,
    wait_s: float,
    overlap: "Overlap",
    link_reading: str,
    idle_power_w: float | None,
    form: str,
    **options: Any,
) -> None:
    """Cost one configuration of phone, model and method, every number with where it came from.

    What you change stands beside what it was. Your own measurements win over published ones that fit as well. For a
    model and data set that are no shipped workload, give what the plan needs yourself.

    \b
    Examples:
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp --bandwidth 20Mbit/s --time-ms 200
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp --overlap off --idle-power-w 0.8
      fedjoule cost --device xiaomi10 --dataset femnist --processor cpu --precision fp32 --method quanfl
      fedjoule cost --measurements my_phone.csv --device "Pixel 8" --dataset femnist --processor cpu \\
                    --precision int8 --radio-upload-w 1.2
    """
    from costmodel.batch import batch_costs
    from costmodel.overlap import Pipelining, measured_stages, without_twins
    from costmodel.round import PhasePower
    from profiler.plausibility import plausibility_warnings
    from reports.manifest import manifest
    from reports.printout import printout
    from reports.question import Question, answer
    from reports.report import read_measurements

    check_overlap(overlap, idle_power_w)
    own, inputs = read_measurements(measurements)
    question = Question(
        wanted={"device": device} | {name: options.pop(name) for name in _CHOOSING},
        method=method,
        reading=reading,
        time_ms=time_ms,
        energy_mj=energy_mj,
        wait_s=wait_s,
        power=PhasePower(*(options.pop(name) for name in ("radio_download_w", "radio_upload_w", "idle_w"))),
        plan=options,
        pipelining=Pipelining(overlap, link_reading.lower(), idle_power_w, measured_stages(own)),
    )
    costs = batch_costs(own)
    if question.wanted.get("conditions") is None:  # who names conditions wants that row and no other
        costs = without_twins(costs, question.pipelining)
    table, parameters = answer(question, costs)
    click.echo(printout([table], manifest("fedjoule cost", parameters, inputs), form), nl=False)
    warn([line for name, entry in own.items() for line in plausibility_warnings(entry, name)])
