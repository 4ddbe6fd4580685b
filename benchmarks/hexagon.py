"""Packets of a training step on an emulated Hexagon DSP, and what they say about the paper's times.

    python benchmarks/hexagon.py            print the shipped counts and the model beside the paper
    python benchmarks/hexagon.py --count    count again (needs zig and qemu-hexagon; a few minutes), rewrite the file
    python benchmarks/hexagon.py --trace    also count LeNet-5's packets, and those with HVX, one by one from a trace

The counts are exact and do not depend on the data. No time of the emulator is shown: it says nothing about a DSP.
"""

import csv
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from costmodel.hexagon import OPERATIONS, Count, counts, estimates, rate
from profiler.native.hexagon import checker, emulated, traced

FILE = Path(__file__).parent.parent / "costmodel" / "hexagon_counts.csv"
LENET = "28x28x1:conv20k5,pool,conv50k5,pool,fc500,fc62"
VGG = "32x32x3:" + ",pool,".join(
    ",".join([f"conv{channels}k3p1"] * times) for channels, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
)
CASES = (
    ("LeNet-5", "FEMNIST", 5, LENET),
    ("VGG-16", "CIFAR-10", 64, f"{VGG},pool,fc10"),
    ("VGG-16", "CIFAR-100", 64, f"{VGG},pool,fc100"),
)


def layers_of(description: str) -> Iterator[tuple[int, int]]:
    """Weights of each layer, and the products of one image in one pass over it."""
    head, body = description.split(":")
    h, w, c = (int(side) for side in head.split("x"))
    for word in body.split(","):
        if word == "pool":
            h, w = h // 2, w // 2
        elif found := re.fullmatch(r"conv(\d+)k(\d+)(?:p(\d+))?", word):
            o, k, p = int(found[1]), int(found[2]), int(found[3] or 0)
            h, w = h + 2 * p - k + 1, w + 2 * p - k + 1
            yield o * k * k * c, h * w * o * k * k * c
            c = o
        else:
            o = int(word.removeprefix("fc"))
            yield o * h * w * c, o * h * w * c
            h, w, c = 1, 1, o


def step(batch: int, description: str) -> tuple[tuple[object, ...], bytes]:
    """Arguments and input of one training step on random numbers."""
    rng = np.random.default_rng(0)
    side = np.prod([int(word) for word in description.split(":")[0].split("x")])
    parts = [rng.integers(-127, 128, (batch, side)).astype(np.int8).tobytes(), bytes(4 * batch)]
    for weights, _ in layers_of(description):
        parts += [np.int32(-8).tobytes(), rng.integers(-127, 128, weights).astype(np.int8).tobytes()]
    return ("network", "hvx", description, 0, batch, -7, 3, 3), b"".join(parts)


def counted(model: str, dataset: str, batch: int, description: str) -> list[Count]:
    _, reports = emulated(checker("v66"), *step(batch, description))
    made = []
    for report, (_, macs) in zip(reports, layers_of(description), strict=True):
        for operation in OPERATIONS:
            of = report[operation]
            if of["packets"]:
                products = batch * macs if operation in ("forward", "error", "gradient") else 0
                made.append(Count(model, dataset, batch, report["layer"], operation, products, **of))
    return made


def write(rows: list[Count]) -> None:
    names = list(Count.__dataclass_fields__)
    with tempfile.NamedTemporaryFile("w", dir=FILE.parent, delete=False, encoding="utf-8", newline="") as aside:
        lines = csv.writer(aside, lineterminator="\n")
        lines.writerow(names)
        lines.writerows([getattr(row, name) for name in names] for row in rows)
    os.chmod(aside.name, 0o644)
    os.replace(aside.name, FILE)


def main() -> None:
    if sys.argv[1:] == ["--count"]:
        rows = []
        for case in CASES:
            print(f"counting {case[0]} {case[1]} batch {case[2]} ...", flush=True)
            rows += counted(*case)
        write(rows)
    elif sys.argv[1:] == ["--trace"]:
        packets, with_hvx = traced(checker("v66"), *step(5, LENET))
        print(f"LeNet-5 batch 5, traced: {packets:,} packets, {with_hvx:,} of them with an HVX instruction\n")
    elif sys.argv[1:]:
        sys.exit("benchmarks/hexagon.py takes --count, --trace or nothing")
    at = rate()
    print("Counted: packets of one training step, one thread (millions)")
    print(f"{'':22}{'MACs':>10}{'packets':>9}{'MAC/packet':>11}" + "".join(f"{name:>11}" for name in OPERATIONS))
    for model, dataset, *_ in CASES:
        of = [c for c in counts() if (c.model, c.dataset) == (model, dataset)]
        packets = sum(c.packets for c in of)
        macs = sum(c.macs for c in of)
        parts = [sum(c.packets for c in of if c.operation == name) / 1e6 for name in OPERATIONS]
        cells = "".join(f"{part:>11.3f}" for part in parts)
        print(f"{model + ' ' + dataset:22}{macs / 1e6:>10.1f}{packets / 1e6:>9.2f}{macs / packets:>11.1f}{cells}")
    print(f"\nAnalytic, not measured: {at.mac_per_cycle} MAC a cycle, and our packets, both at {at.clock_mhz:g} MHz;")
    print("needed: MHz of one thread, without a wait, for our packets to take the printed time")
    print(f"{'phone':16}{'batch':24}{'paper ms':>10}{'by MAC ms':>11}{'by packets ms':>15}{'needed MHz':>12}")
    for e in estimates():
        batch = f"{e.model} {e.dataset} {e.batch_size}"
        mark = "" if e.provenance == "published" else " (inferred)"
        print(
            f"{e.device:16}{batch:24}{e.printed_ms:>10g}{e.by_macs_ms:>11.1f}{e.by_packets_ms:>15.1f}"
            f"{e.needed_packets_per_us:>12.0f}{mark}"
        )


if __name__ == "__main__":
    main()
