"""``fedjoule cost``: one configuration, explained line by line; or finished training runs, phone by phone."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from reports.commands.options import bandwidth, batches, check_overlap, measurements, overlap_options, power, warn
from reports.commands.rounds import rule_options

if TYPE_CHECKING:
    from costmodel.overlap import Overlap

# What a run's log says, so that it cannot be given beside a run; and what says nothing without one.
_OF_THE_RUN = (
    "model", "dataset", "precision", "batch_size", "time_ms", "energy_mj", "method", "reading", "rounds", "epochs",
    "clients", "clients_per_round", "samples_per_client", "download_bytes", "upload_bytes", "wait_s",
)  # fmt: skip
_OF_RUNS = ("window", "margin_points", "judged", "target")
_CHOOSING = ("model", "dataset", "processor", "precision", "batch_size", "conditions")


def _complete(column: str) -> Any:
    """Return a completer over a column of the shipped tables, which reads them without pandas."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from reports.printed import printed_table

        names = {row[column] for number in (2, 3) for row in printed_table(number)}
        return [CompletionItem(name) for name in sorted(names) if name.lower().startswith(incomplete.lower())]

    return complete


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN]...")
@click.option("--device", help="The phone, as in the table.  [needed without RUN]", shell_complete=_complete("device"))
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
@click.option("--radio-download-w", type=float, callback=power, help="Radio power while receiving.")
@click.option("--radio-upload-w", type=float, callback=power, help="Radio power while sending.")
@click.option("--idle-w", type=float, callback=power, help="The phone's power while waiting.")
@rule_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "markdown", "csv", "latex", "html"]),
    default="terminal",
    help="What to print.",
)
def cost(
    runs: tuple[Path, ...],
    device: str | None,
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
    """Cost one configuration of phone, model and method, every number with where it came from; or training runs.

    What you change stands beside what it was. Your own measurements win over published ones that fit as well. For a
    model and data set that are no shipped workload, give what the plan needs yourself.

    With the folders of finished runs: what they cost on every phone that was measured with their model, batch size and
    precision, from the batches and bytes of their logs, nothing trained again. --window, --margin, --judged and
    --target say what converged is, see fedjoule rounds.

    \b
    Examples:
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp --bandwidth 20Mbit/s --time-ms 200
      fedjoule cost --device xiaomi10 --dataset cifar10 --processor dsp --overlap off --idle-power-w 0.8
      fedjoule cost --device xiaomi10 --dataset femnist --processor cpu --precision fp32 --method quanfl
      fedjoule cost --measurements my_phone.csv --device "Pixel 8" --dataset femnist --processor cpu \\
                    --precision int8 --radio-upload-w 1.2
      fedjoule cost runs/* --measurements my_phone.csv
    """
    check_overlap(overlap, idle_power_w)
    _check_given(runs)
    rule = {name: options.pop(name) for name in _OF_RUNS}
    if runs:
        options |= {"device": device, "measurements": measurements, "form": form}
        _cost_runs(runs, rule, options, overlap, link_reading, idle_power_w)
        return
    from costmodel.batch import batch_costs
    from costmodel.overlap import Pipelining, measured_stages, without_twins
    from costmodel.round import PhasePower
    from profiler.plausibility import plausibility_warnings
    from reports.manifest import manifest
    from reports.printout import printout, show
    from reports.question import Question, answer
    from reports.report import read_measurements

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
    made = manifest("fedjoule cost", parameters, inputs)
    show(printout([table], made, form), made, form)
    warn([line for name, entry in own.items() for line in plausibility_warnings(entry, name)])


def _check_given(runs: tuple[Path, ...]) -> None:
    """Raise UsageError for an option that has no meaning with runs, or without, and where neither run nor phone is."""
    ctx = click.get_current_context()
    options = {option.name: option for option in ctx.command.params if option.name is not None}
    given = [name for name in options if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    useless = [options[name].opts[0] for name in given if name in (_OF_THE_RUN if runs else _OF_RUNS)]
    if useless:
        why = "a run has its own; leave it out" if runs else "it is about training runs; name some"
        has = "has" if len(useless) == 1 else "have"
        message = f"{' and '.join(useless)} {has} no effect {'with' if runs else 'without'} RUN: {why}"
        raise click.UsageError(message)
    if not runs and "device" not in given:
        message = "give --device for one configuration, or the folders of training runs"
        raise click.UsageError(message)


def _cost_runs(
    runs: tuple[Path, ...], rule: dict[str, Any], options: dict[str, Any], overlap: "Overlap", reading: str,
    idle_power_w: float | None,
) -> None:  # fmt: skip
    from costmodel.overlap import Pipelining
    from costmodel.round import PhasePower
    from fl_sim.converged import Rule
    from reports.printout import printout, show
    from reports.table4 import Changes
    from reports.training.recost import RunsRequest, price
    from reports.training.recost_table import cost_tables

    if options["batches"] == "floor":
        message = "--batches floor drops images that the runs trained on; ceil is as trained, fractional images / size"
        raise click.UsageError(message)
    fractional = options["batches"] == "fractional"
    request = RunsRequest(
        runs=runs,
        rule=Rule(rule["window"], rule["margin_points"], rule["judged"]),
        target=rule["target"],
        measurements=options["measurements"],
        device=options["device"],
        processor=options["processor"],
        conditions=options["conditions"],
        counted="fractional" if fractional else "trained",
        changes=Changes(
            options["bandwidth_bit_per_s"],
            "fractional" if fractional else None,
            Pipelining(overlap, reading.lower(), idle_power_w),
        ),
        power=PhasePower(*(options[name] for name in ("radio_download_w", "radio_upload_w", "idle_w"))),
    )
    found = price(request)
    form = options["form"]
    show(printout(cost_tables(found, request), found.manifest, form), found.manifest, form)
    warn(found.warnings)
