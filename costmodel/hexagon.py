"""A first analytic cost model of a phone's DSP: packets of our HVX kernels, counted, over a clock.

Every time here is computed, none is measured: they stand beside measured ones and never among them (the provenance of a
measurement table has no word for them). Packets over the clock are a lower bound for one hardware thread that never
waits: no cache miss, no stall, no call from the CPU is in them.
"""

import csv
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

from profiler.table import paper_table

OPERATIONS = ("forward", "error", "gradient", "requantize", "update", "move", "loss")


@dataclass(frozen=True)
class Count:
    """What one operation of one layer takes in a step: a packet is what a Hexagon core issues at once.

    ``macs`` are the products of the layer's formula, without those of padding; ``instructions`` leaves out nops.
    """

    model: str
    dataset: str
    batch_size: int
    layer: int
    operation: str
    macs: int
    packets: int
    instructions: int
    hvx_instructions: int


@dataclass(frozen=True)
class Rate:
    """What the paper says that a DSP does: products in a cycle, and cycles in a second."""

    mac_per_cycle: int
    clock_mhz: float
    source: str


@dataclass(frozen=True)
class Estimate:
    """A batch of training as the model has it, beside what the paper prints for a phone.

    ``by_macs_ms`` is the paper's rate, ``by_packets_ms`` our kernels at the paper's clock; ``printed_ms`` is of a batch
    on the phone, ``provenance`` says whether the paper prints it or it is inferred.
    """

    device: str
    model: str
    dataset: str
    batch_size: int
    printed_ms: float
    provenance: str
    macs: int
    packets: int
    by_macs_ms: float
    by_packets_ms: float

    @property
    def needed_packets_per_us(self) -> float:
        """Packets in a microsecond with which our kernels would take the printed time: MHz of one thread at least."""
        return self.packets / (self.printed_ms * 1e3)


@cache
def counts() -> tuple[Count, ...]:
    """Return the shipped counts, layer by layer."""
    text = (resources.files("costmodel") / "hexagon_counts.csv").read_text(encoding="utf-8")
    return tuple(
        Count(row["model"], row["dataset"], int(row["batch_size"]), int(row["layer"]), row["operation"],
              *(int(row[name]) for name in ("macs", "packets", "instructions", "hvx_instructions")))
        for row in csv.DictReader(text.splitlines())
    )  # fmt: skip


@cache
def rate() -> Rate:
    """Return the paper's rate."""
    text = (resources.files("costmodel") / "hexagon.toml").read_text(encoding="utf-8")
    return Rate(**tomllib.loads(text)["paper"])


def by_macs_ms(macs: int, rate: Rate) -> float:
    """Return the time of that many products: macs / (products in a cycle) / clock."""
    return macs / rate.mac_per_cycle / (rate.clock_mhz * 1e3)


def by_packets_ms(packets: int, clock_mhz: float) -> float:
    """Return the time of that many packets, one in each cycle: packets / clock. Raises ValueError for a clock of 0."""
    if not clock_mhz > 0:
        message = f"clock_mhz must be above 0 (got {clock_mhz:g}); the paper has {rate().clock_mhz:g}"
        raise ValueError(message)
    return packets / (clock_mhz * 1e3)


def estimates() -> tuple[Estimate, ...]:
    """Return a row for every INT8 batch on a DSP that the paper's Tables 2 and 3 print, by phone."""
    return tuple(_estimates())


def _estimates() -> Iterator[Estimate]:
    at = rate()
    table = pd.concat([paper_table("table2"), paper_table("table3")])
    rows = table[(table["processor"] == "dsp") & (table["stage"] == "total")]
    for _, row in rows.drop_duplicates(["device", "model", "dataset"]).iterrows():
        same = [c for c in counts() if (c.model, c.dataset) == (row["model"], row["dataset"])]
        if not same or same[0].batch_size != row["batch_size"]:
            continue
        macs, packets = sum(c.macs for c in same), sum(c.packets for c in same)
        yield Estimate(
            str(row["device"]), str(row["model"]), str(row["dataset"]), int(row["batch_size"]), float(row["time_ms"]),
            str(row["provenance"]), macs, packets, by_macs_ms(macs, at), by_packets_ms(packets, at.clock_mhz),
        )  # fmt: skip
