"""A plan: everything about a federated run that its cost depends on, but the phone."""

from dataclasses import dataclass, fields, replace
from typing import Any

from costmodel.round import BatchRule
from costmodel.workload import Workload
from fl_sim.method import Method
from fl_sim.reading import Reading, ReadWorkload
from fl_sim.rounds import Rounds

LARGEST = 1e15  # far beyond any run, and small enough that no product overflows


@dataclass(frozen=True)
class Plan:
    """How often what is trained on whom, and what travels. Payloads are bytes of one model, one way.

    ``rounds`` is the rounds to converge; None if nobody has counted them, then only a round can be costed.
    """

    clients: int
    clients_per_round: int
    samples_per_client: float
    batch_size: int
    epochs: int
    download_bytes: int
    upload_bytes: int
    bandwidth_bit_per_s: float
    batches: BatchRule
    rounds: int | None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "batches" or value is None:
                continue
            lowest = 0 if field.name.endswith("_bytes") else None
            if not (value >= 0 if lowest == 0 else value > 0) or value > LARGEST:
                rule = "0 or more" if lowest == 0 else "above 0"
                message = f"{field.name} must be {rule} and at most {LARGEST:g} (got {str(value)[:40]})"
                raise ValueError(message)
        if self.clients_per_round > self.clients:
            message = f"clients_per_round must not be above clients (got {self.clients_per_round} of {self.clients})"
            raise ValueError(message)


def read_plan(reading: Reading, workload: Workload, method: Method) -> Plan:
    """Return the plan that ``reading`` gives ``method`` on ``workload``; rounds None where it has none.

    Raises ValueError if the reading does not hold the workload.
    """
    read = reading.workloads.get(workload.name)
    if read is None:
        message = f"reading {reading.name!r} does not hold the workload {workload.name!r}; give every setting yourself"
        raise ValueError(message)
    return Plan(
        clients=workload.clients,
        clients_per_round=read.clients_per_round,
        samples_per_client=workload.samples_per_client,
        batch_size=workload.batch_size,
        epochs=reading.epochs,
        download_bytes=_payload_bytes(read, method.downlink.format),
        upload_bytes=_payload_bytes(read, method.uplink.format),
        bandwidth_bit_per_s=reading.bandwidth_bit_per_s,
        batches=reading.batches,
        rounds=read.rounds.get(method.name),
    )


def _payload_bytes(read: ReadWorkload, form: str) -> int:
    """Return a model's bytes in a format: the reading's, or FP32's by the bits of a number (sign has one)."""
    known = read.payload_bytes.get(form)
    if known is not None:
        return known
    bits = 1 if form == "sign" else int(form.removeprefix("int"))
    return -(-read.payload_bytes["fp32"] * bits // 32)


def with_rounds(plan: Plan, measured: Rounds) -> Plan:
    """Return the plan with a training run's rounds, and its epochs and cohort where the run states them."""
    changes: dict[str, Any] = {"rounds": measured.rounds}
    if measured.epochs is not None:
        changes["epochs"] = measured.epochs
    if measured.clients_per_round is not None:
        changes["clients_per_round"] = measured.clients_per_round
    return replace(plan, **changes)
