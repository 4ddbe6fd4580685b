"""``fedjoule cost``: one configuration, explained line by line."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from reports.commands.options import bandwidth, batches, measurements, warn

if TYPE_CHECKING:
    from costmodel.batch import BatchCost
    from reports.cost_table import Costing


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
      fedjoule cost --device xiaomi10 --dataset femnist --processor cpu --precision fp32 --method quanfl
      fedjoule cost --measurements my_phone.csv --device "Pixel 8" --dataset femnist --processor cpu \\
                    --precision int8 --radio-upload-w 1.2
    """
    from costmodel.batch import batch_costs
    from costmodel.round import PhasePower
    from fl_sim.method import find_method
    from fl_sim.reading import find_reading
    from profiler.plausibility import plausibility_warnings
    from reports.cost_table import Costing, cost_table, default_method, explain_plan
    from reports.manifest import manifest
    from reports.printout import printout
    from reports.report import read_measurements

    wanted = {"device": device} | {name: options.pop(name) for name in _CHOOSING}
    watts = {name: options.pop(name) for name in ("radio_download_w", "radio_upload_w", "idle_w")}
    own, inputs = read_measurements(measurements)
    batch, is_own = _find(batch_costs(own), wanted)
    chosen = default_method(batch) if method is None else find_method(method)
    read = find_reading(reading)
    costing = Costing(
        batch=_changed(batch, time_ms, energy_mj),
        method=chosen,
        explained=explain_plan(batch, chosen, read, options),
        power=PhasePower(*watts.values()),
        wait_s=wait_s,
    )
    changes = {"time_ms": time_ms, "energy_mj": energy_mj, "wait_s": wait_s or None} | watts | options
    changed = {name: value for name, value in changes.items() if value is not None}
    unchanged, mode = None, "paper's rounds, own costs" if is_own else "paper"
    if not costing.explained.complete:
        mode = "your settings, own costs"
    elif changed:
        unchanged, mode = (
            Costing(batch, chosen, explain_plan(batch, chosen, read, {}), PhasePower(), 0.0),
            f"{mode}, inputs changed",
        )
    table = cost_table(costing, unchanged, mode, _notes(costing, changed, reading))
    given = {"method": chosen.name, "reading": reading} | {k: v for k, v in wanted.items() if v is not None} | changed
    click.echo(printout([table], manifest("fedjoule cost", given, inputs), form), nl=False)
    warn([line for name, entry in own.items() for line in plausibility_warnings(entry, name)])


_CHOOSING = ("model", "dataset", "processor", "precision", "batch_size", "conditions")


def _find(own: "tuple[BatchCost, ...]", wanted: Mapping[str, Any]) -> "tuple[BatchCost, bool]":
    """Return the batch cost that fits, and whether it is the person's own.

    Own rows that fit all that is wanted hide published ones that would fit as well.
    """
    from costmodel.batch import find_batch_cost
    from profiler.names import fold
    from reports.table4 import paper_costs

    def fits(cost: "BatchCost") -> bool:
        return all(fold(str(getattr(cost, name))) == fold(str(value)) for name, value in wanted.items() if value)

    own_fits = tuple(cost for cost in own if fits(cost))
    found = find_batch_cost(own_fits or (*own, *paper_costs()), **wanted)
    return found, found in own


def _changed(batch: "BatchCost", time_ms: float | None, energy_mj: float | None) -> "BatchCost":
    """Return the batch cost with the time and energy a person asked about; its source says so."""
    from dataclasses import replace

    for name, value in (("time_ms", time_ms), ("energy_mj", energy_mj)):
        if value is not None and not (1e-6 if name == "time_ms" else 0) <= value <= 1e12:
            message = f"{name} must be above 0 and at most 1e12 (got {value})"
            raise ValueError(message)
    given = [f"--{name}" for name, value in (("time-ms", time_ms), ("energy-mj", energy_mj)) if value is not None]
    if not given:
        return batch
    return replace(
        batch,
        time_ms=batch.time_ms if time_ms is None else time_ms,
        energy_mj=batch.energy_mj if energy_mj is None else energy_mj,
        source=f"you: {' '.join(given)}, else {batch.source}",
    )


def _notes(costing: "Costing", changed: Mapping[str, Any], reading: str) -> list[str]:
    """Return what a person should know about what they changed."""
    notes = []
    if (
        "rounds" in changed
        and costing.explained.complete
        and not {"epochs", "download_bytes", "upload_bytes"} <= set(changed)
    ):
        notes.append(
            f"Epochs and payloads that you did not give are reading {reading}'s. Readings are equal for the paper's own"
            " rounds only: the other one gives another time for yours."
        )
    if "time_ms" in changed and "energy_mj" not in changed:
        notes.append("The energy of a batch was left as measured, so its implied power changed with the time.")
    if "idle_w" in changed and not costing.wait_s:
        notes.append("Waiting is 0 s when all phones are alike, so its power adds nothing; --wait-s gives a time.")
    return notes
