"""What speaks for a DSP or NPU on a device. Files are evidence, no proof: only a call that returns proves access."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

from profiler.device.device import Device
from profiler.names import fold

_KINDS = {"adsprpc": "Qualcomm DSP", "fastrpc": "Qualcomm DSP", "dsprpc": "Qualcomm DSP", "apusys": "MediaTek APU"}


@dataclass(frozen=True)
class Accelerator:
    """A verdict in words, the Hexagon architecture if the SoC is known, and the evidence."""

    words: str
    hexagon: str
    evidence: tuple[str, ...]


def accelerator_of(device: Device) -> Accelerator:
    """Return what the device's files and names say about a DSP or NPU."""
    model, platform = device.says("ro.soc.model"), device.says("ro.board.platform", "ro.hardware")
    known = next((row for row in _socs() if row["soc_model"] and fold(row["soc_model"]) == fold(model or "-")), None)
    if known is None:
        known = next(
            (row for row in _socs() if row["platform"] and fold(row["platform"]) == fold(platform or "-")), None
        )
    evidence = list(device.accelerators)
    if known is not None:
        named = model or platform
        evidence.append(f"{named}: Hexagon {known['hexagon']}, {known['accelerator']} ({known['source']})")
    kinds = sorted({kind for path in device.accelerators for part, kind in _KINDS.items() if part in path})
    if kinds:
        words = f"{' and '.join(kinds)}: nodes and libraries are there; only a call proves access"
    elif known is not None:
        words = "the SoC has a DSP, but no node or library of it was found"
    else:
        words = "no evidence of a DSP or NPU"
    return Accelerator(words, known["hexagon"] if known else "", tuple(evidence))


@cache
def _socs() -> tuple[dict[str, str], ...]:
    text = (resources.files("profiler") / "device" / "socs.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
