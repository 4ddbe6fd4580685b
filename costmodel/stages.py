"""The pipeline of one training batch: its stages, who works on them, and the slots between them.

A batch is sampled and quantized on the CPU, transferred over the link and trained on the DSP; results may return.
`Pipeline` is what the engines need: milliseconds, and what a stage holds. A scenario (`costmodel.scenario`), which
people write, is reduced to it.
"""

from dataclasses import dataclass, fields
from typing import Literal

Stage = Literal["sample", "quantize", "transfer", "train", "return"]
STAGES: tuple[Stage, ...] = ("sample", "quantize", "transfer", "train", "return")


@dataclass(frozen=True)
class Pipeline:
    """Mean milliseconds of the stages of a batch, and the topology.

    ``quantize_on``: where quantizing runs; on the DSP it comes after the transfer and before training.
    ``cpu_threads``: 1 samples and quantizes in one thread, 2 in two with ``staging_slots`` batches between them.
    ``host_slots``: buffers for quantized batches, each freed at the transfer's start or end (``host_slot_freed``).
    ``device_slots``: input buffers on the DSP, each freed when training on it ends; 1 means no overlap of the two.
    ``link_holds``: what else is busy during a transfer. ``half_duplex``: results go back over the same link.
    """

    sample_ms: float
    quantize_ms: float
    transfer_ms: float
    train_ms: float
    return_ms: float = 0.0
    quantize_on: Literal["cpu", "dsp"] = "cpu"
    cpu_threads: Literal[1, 2] = 1
    staging_slots: int = 2
    host_slots: int = 2
    device_slots: int = 2
    host_slot_freed: Literal["transfer_start", "transfer_end"] = "transfer_start"
    link_holds: Literal["nothing", "cpu", "dsp"] = "nothing"
    half_duplex: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_ms") and not 0 <= value < float("inf"):
                message = f"{field.name} must be finite and 0 or more (got {value})"
                raise ValueError(message)
            if field.name.endswith("_slots") and (value < 1 or value != int(value)):
                hint = "; 1 means no overlap of transfer and training" if field.name == "device_slots" else ""
                message = f"{field.name} must be a whole number of at least 1 (got {value}){hint}"
                raise ValueError(message)

    @property
    def sequential_ms(self) -> float:
        """Milliseconds of one batch when nothing overlaps: the sum of all stages."""
        return self.sample_ms + self.quantize_ms + self.transfer_ms + self.train_ms + self.return_ms

    @property
    def quantizes_apart(self) -> bool:
        """Whether sampling and quantizing run in two threads of the CPU."""
        return self.cpu_threads == 2 and self.quantize_on == "cpu"

    @property
    def copies_in_thread(self) -> bool:
        """Whether the one thread that prepares batches copies them over the link, too."""
        return self.link_holds == "cpu" and self.cpu_threads == 1

    @property
    def contended(self) -> bool:
        """Whether two claimants without a fixed order share a resource, so that only a simulation is exact.

        So it is for results going back over a half-duplex link, and for two threads that share two CPU cores with a
        transfer that is a copy by the CPU.
        """
        return (self.half_duplex and self.return_ms > 0) or (self.quantizes_apart and self.link_holds == "cpu")


def work_of(pipeline: Pipeline) -> dict[str, tuple[Stage, ...]]:
    """Return which stages keep which resource busy. A stage may hold two; the CPU has a line for each thread.

    Resources are ``cpu`` (and ``cpu quantizing`` for a second thread), ``link``, ``dsp``, and ``link back`` where
    results return over a way of their own.
    """
    p = pipeline
    copied: tuple[Stage, ...] = ("transfer",) if p.copies_in_thread else ()
    held: tuple[Stage, ...] = ("transfer",) if p.link_holds == "dsp" else ()
    if p.quantize_on == "dsp":
        work: dict[str, tuple[Stage, ...]] = {"cpu": ("sample", *copied), "link": ("transfer",)}
        work["dsp"] = (*held, "quantize", "train")
    else:
        work = {"cpu": ("sample",), "cpu quantizing": ("quantize",)} if p.quantizes_apart else {}
        work |= {} if work else {"cpu": ("sample", "quantize", *copied)}
        work |= {"link": ("transfer",), "dsp": (*held, "train")}
    if p.return_ms > 0:
        work |= {"link": ("transfer", "return")} if p.half_duplex else {"link back": ("return",)}
    return work
