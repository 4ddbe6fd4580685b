"""The paper's scenarios: three phones, three workloads, and seven readings of the 25 ms, put together by name.

``xiaomi10_cifar10`` is reading A, ``xiaomi10_cifar10_f`` reading F. Times come from the shipped tables; what the paper
does not print is inferred or assumed, and every parameter says which.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from costmodel.batch import BatchCost, batch_costs, find_batch_cost
from costmodel.scenario import Clock, Cohort, Link, Power, Scenario, StageTimes
from costmodel.workload import Workload, workloads
from profiler.names import did_you_mean, fold
from profiler.table import paper_table

LETTERS = "abcdefg"
DEVICES = {"xiaomi10": "Xiaomi 10", "redmi_note9": "Redmi Note 9", "xiaomi11pro": "Xiaomi 11 Pro"}
# INT8 bytes of a sample (28 x 28, 32 x 32 x 3) and of the model when the printed size is FP32 (Table 2, p. 7).
_SAMPLE_BYTES = {"femnist": 784.0, "cifar10": 3072.0, "cifar100": 3072.0}
_MODEL_BYTES = {"femnist": 400_000.0, "cifar10": 3_750_000.0, "cifar100": 3_750_000.0}
_REFERENCE = "cifar10"  # the workload whose batch the 25 ms are taken to be of, where they are for bytes
_NOT_PRINTED = "not printed; assumed"


def scenario_names() -> tuple[str, ...]:
    """Return the names of the shipped scenarios, without the letter of a reading (A)."""
    return tuple(f"{device}_{workload}" for device in DEVICES for workload in workloads())


def paper_scenario(name: str) -> Scenario:
    """Return a shipped scenario by name. Raises ValueError for an unknown one, or for a reading that is impossible."""
    every = {fold(base): (base, "a") for base in scenario_names()}
    every |= {fold(f"{base}_{letter}"): (base, letter) for base in scenario_names() for letter in LETTERS}
    found = every.get(fold(name))
    if found is None:
        known = [*scenario_names(), *(f"{base}_{letter}" for base in scenario_names() for letter in LETTERS)]
        message = f"scenario {name[:80]!r} is neither a file nor shipped; {did_you_mean(name, known)}"
        raise ValueError(message)
    base, letter = found
    device = next(key for key in DEVICES if base.startswith(f"{key}_"))
    return _scenario(base, letter, DEVICES[device], workloads()[base.removeprefix(f"{device}_")])


@cache
def stage_readings() -> Mapping[str, Mapping[str, str]]:
    """Return the readings of the 25 ms by letter: ``title``, ``basis``, ``train``, and maybe ``holds``."""
    text = (resources.files("costmodel") / "paper" / "readings.toml").read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(text))


def reading_of(letter: str) -> Mapping[str, str]:
    """Return a reading of the 25 ms by its letter in any case. Raises ValueError for an unknown one."""
    reading = stage_readings().get(letter.casefold())
    if reading is None:
        message = f"link reading {letter[:20]!r} is unknown; known: {', '.join(LETTERS.upper())}"
        raise ValueError(message)
    return reading


def read_stages(letter: str, cost: BatchCost, workload: Workload) -> tuple[StageTimes, Link]:
    """Return the stage times and the link that reading ``letter`` gives a published batch cost of a workload.

    Raises ValueError where the reading leaves no time for training.
    """
    reading = reading_of(letter)
    stages = paper_table("stages")
    transfer_ms = float(stages.loc[stages["stage"] == "transfer", "time_ms"].item())
    quantize = stages[stages["stage"] == "quantize"].set_index("processor")["time_ms"]
    share = 1.0
    link = Link(call_ms=transfer_ms)
    if reading["basis"] != "call":  # quantizing is proportional to the batch's bytes, too
        reference_bytes = _SAMPLE_BYTES[_REFERENCE] * workloads()[_REFERENCE].batch_size
        share = _SAMPLE_BYTES[workload.name] * workload.batch_size / reference_bytes
        model = reading["basis"] == "model and batch bytes"
        moved_bytes = reference_bytes + (_MODEL_BYTES[_REFERENCE] if model else 0.0)
        link = Link(
            bytes_per_s=moved_bytes / transfer_ms * 1e3,
            bytes_per_sample=_SAMPLE_BYTES[workload.name],
            model_bytes=_MODEL_BYTES[workload.name] if model else 0.0,
        )
    if reading["basis"] == "round":
        link = Link(round_ms=transfer_ms)
    if reading.get("holds") == "dsp":
        link = Link(call_ms=transfer_ms, holds="dsp")
    quantize_ms = float(quantize["cpu"]) * share
    taken_ms = {"T - transfer": transfer_ms, "T - quantize - transfer": quantize_ms + transfer_ms}
    train_ms = cost.time_ms - taken_ms.get(reading["train"], 0.0)
    if train_ms <= 0 or (reading["train"] == "T, hides the transfer" and cost.time_ms < transfer_ms):
        message = (
            f"reading {letter.upper()} is impossible for {cost.device} on {workload.dataset}: {reading['title']}, but T"
            f" is {cost.time_ms:g} ms; readings E, F and G fit"
        )
        raise ValueError(message)
    stage = StageTimes(
        reference_batch_size=workload.batch_size,
        quantize_ms=quantize_ms,
        quantize_dsp_ms=float(quantize["dsp"]) * share,
        train_ms=train_ms,
    )
    return stage, link


def _scenario(base: str, letter: str, device: str, workload: Workload) -> Scenario:
    tables = batch_costs({f"table{number}.csv": paper_table(f"table{number}") for number in (2, 3)})
    cost = find_batch_cost(tables, device=device, model=workload.model, dataset=workload.dataset, processor="dsp")
    stage, link = read_stages(letter, cost, workload)
    inferred = " (inferred)" if cost.provenance == "inferred" else ""
    reading = f"reading {letter.upper()}"
    assumed_phone = "" if device == DEVICES["xiaomi10"] else ", of Xiaomi 10"
    quantize = f"section 2.3 p. 4{assumed_phone}"
    transfer = f"section 3.2 p. 6{assumed_phone}, {reading}"
    origins = {
        **dict.fromkeys(("title", "device", "model", "dataset", "printed_batch_ms"), f"{cost.source}{inferred}"),
        **dict.fromkeys(("batch_size", "samples"), workload.source),
        "epochs": "inferred, reading epochs1_fp32_payload",
        "batches_per_round": "inferred: Table 4 needs the fraction",
        "quantize_on": "section 3.2 p. 6",
        "host_slot_freed": "section 3.2 p. 6",
        **dict.fromkeys(("cpu_threads", "host_slots", "device_slots", "link.holds", "link.duplex"), _NOT_PRINTED),
        "stage.reference_batch_size": "section 2.3 does not print it; the workload's is assumed",
        "stage.sample_ms": f"{_NOT_PRINTED} 0, which understates what overlap saves",
        "stage.quantize_ms": f"{quantize}: 21.3 ms / 9, inferred",
        "stage.quantize_dsp_ms": quantize,
        "stage.train_ms": f"{cost.source}{inferred}, {reading}",
        **{f"link.{name}": transfer for name in ("call_ms", "bytes_per_s", "round_ms") if getattr(link, name)},
        **{f"link.{name}": reading for name in ("bytes_per_sample", "model_bytes") if getattr(link, name)},
        "power.mean_w": f"{cost.source}: energy / time of a batch",
        "cohort.bandwidth_bit_per_s": "section 4.1 p. 6",
    }
    return Scenario(
        name=base if letter == "a" else f"{base}_{letter}",
        title=f"{device}, {workload.model} on {workload.dataset}, {reading}: {stage_readings()[letter]['title']}",
        device=device,
        model=workload.model,
        dataset=workload.dataset,
        printed_batch_ms=cost.time_ms,
        batch_size=workload.batch_size,
        samples=workload.samples_per_client,
        batches_per_round="fractional",
        stage=stage,
        link=link,
        clock=Clock(),
        power=Power(mean_w=None if cost.energy_mj is None else cost.energy_mj / cost.time_ms),
        cohort=Cohort(),
        origins=tuple(origins.items()),
    )
