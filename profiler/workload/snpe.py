"""Qualcomm Neural Processing SDK (SNPE): the averages that snpe-diagview prints, or snpe_bench writes as CSV.

Nested: total >= forward propagate >= RPC execute >= SNPE accelerator >= accelerator. What an RPC takes beyond the
accelerator is transfer.
"""

import re
from collections.abc import Iterable, Mapping

from profiler.workload.lines import NUMBER, Lines, lines_of, nothing_read, number
from profiler.workload.reading import Reading
from profiler.workload.workload import Workload

_NAMES = {
    "init": "init",
    "total inference time": "total",
    "forward propagate": "forward",
    "rpc execute": "rpc",
    "snpe accelerator": "outer accelerator",
    "accelerator": "accelerator",
}
_LINE = re.compile(rf"^(?P<name>[A-Za-z][A-Za-z -]{{1,40}}?) *: *(?P<time>{NUMBER}) *(?:us|NONE)?$")
_LAYER = re.compile(
    rf"(?:^\d{{1,6}}:.{{0,500}}?{NUMBER} us *: *|^Subnet \d{{1,6}} \()(?P<where>CPU|GPU|DSP|AIP|HTA|HTP)\b"
)
_RUNTIMES = {"cpu": {"CPU"}, "gpu": {"GPU"}, "dsp": {"DSP", "HTP", "HTA", "AIP"}, "npu": {"DSP", "HTP", "HTA", "AIP"}}


def read(workload: Workload, lines: Lines, files: Mapping[str, bytes]) -> Reading:
    """Return the reading of averages over all inputs, with the split into transfer and work of the accelerator.

        transfer = RPC execute - accelerator

    Raises ValueError if there is no total time.
    """
    rows = [*lines.rows, *(row for content in files.values() for row in lines_of(content).rows)]
    times_us = _times(rows)
    total_us = times_us.get("total", times_us.get("forward"))
    if total_us is None:
        expected = "'Total Inference Time: 4270 us' by snpe-diagview, or that row of snpe_bench's CSV"
        raise nothing_read(lines, expected)
    accelerator_us = times_us.get("accelerator") or times_us.get("outer accelerator") or 0.0
    rpc_us = times_us.get("rpc", 0.0)
    parts_ms, notes = {}, []
    if rpc_us > 0 and 0 < accelerator_us <= rpc_us:
        parts_ms = {"transfer": (rpc_us - accelerator_us) / 1e3, "train": accelerator_us / 1e3}
    elif accelerator_us > rpc_us > 0:
        notes.append("RPC and accelerator times do not nest: no split into transfer and train")
    coverage = _coverage(workload.processor, rows, times_us)
    return Reading(
        mean_ms=total_us / 1e3,
        startup_ms=times_us["init"] / 1e3 if "init" in times_us else None,
        parts_ms=parts_ms,
        accelerator="SNPE" if coverage in {"complete", "partial"} else None,
        coverage=coverage,
        notes=tuple(notes),
    )


def _times(rows: Iterable[str]) -> dict[str, float]:
    """Return the averages by name, in microseconds; the first of a name counts."""
    times_us: dict[str, float] = {}
    average = 1
    for row in rows:
        match = _LINE.match(row)
        cells = [cell.strip() for cell in row.split(",")]
        if len(cells) > 1:
            heading = [index for index, cell in enumerate(cells) if cell.casefold().startswith("avg")]
            average = heading[0] if heading else average
            name, text = cells[0].partition("[")[0], cells[average] if average < len(cells) else ""
        elif match:
            name, text = match.group("name"), match.group("time")
        else:
            continue
        key = _NAMES.get(name.strip().casefold().removesuffix(" time"), _NAMES.get(name.strip().casefold()))
        time_us = number(text)
        if key is not None and time_us is not None:
            times_us.setdefault(key, time_us)
    return times_us


def _coverage(processor: str, rows: Iterable[str], times_us: Mapping[str, float]) -> str | None:
    """Return how much of the graph an accelerator took: by its layers, or by whether an RPC was made at all."""
    layers = [match.group("where") for row in rows if (match := _LAYER.match(row))]
    mine = _RUNTIMES[processor]
    if processor == "cpu":
        elsewhere = [where for where in layers if where not in mine]
        if elsewhere or times_us.get("rpc", 0.0) > 0:
            return "complete" if layers and len(elsewhere) == len(layers) else "partial"
        return None
    if layers:
        taken = sum(where in mine for where in layers)
        return "complete" if taken == len(layers) else "partial" if taken else "none"
    if processor == "gpu":
        return "none" if times_us.get("rpc", 0.0) > 0 else None
    if "rpc" not in times_us and "accelerator" not in times_us:
        return None
    return "complete" if times_us.get("rpc", 0.0) > 0 or times_us.get("accelerator", 0.0) > 0 else "none"
