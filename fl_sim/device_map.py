"""The device map: which kind of a fleet's hardware is which measured phone."""

import csv
import io
import math
import os
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from costmodel.batch import BatchCost
from fl_sim.method import Method
from fl_sim.recost import kernel_of
from profiler.names import did_you_mean, fold, printable
from traces.hardware import TIERS, Hardware

# The paper's phones of Table 3 by tier, as its Table 4 names them.
PAPER_TIERS = {"low": "Redmi Note 9", "medium": "Xiaomi 10", "high": "Xiaomi 11 Pro"}
_DEFAULT, _SCORE = "default", "score<"
_MOST_BYTES = 1 << 20
_MOST_ENTRIES = 10_000
_PROCESSORS = ("cpu", "dsp", "gpu", "npu")
_FORM = (
    "write KIND=DEVICE:PROCESSOR, such as low=Redmi Note 9:dsp; KIND is a tier, model, SoC, score<NUMBER, or default"
)


@dataclass(frozen=True)
class Target:
    """A measured phone and its processor (empty: the DSP for INT8 if it was measured, else the only one that was)."""

    device: str
    processor: str = ""


DeviceMap = Mapping[str, Target]
Only = Callable[[str, str], BatchCost]  # the one cost of a device and processor


@dataclass(frozen=True, eq=False)
class Mapped:
    """A batch cost for each kind of hardware, and what a reader must know about them."""

    costs: tuple[BatchCost, ...]
    notes: tuple[str, ...]

    @property
    def batch_time_ms(self) -> npt.NDArray[np.float64]:
        """Milliseconds of a batch, float64 [kinds]."""
        return np.array([cost.time_ms for cost in self.costs])

    @property
    def batch_energy_mj(self) -> npt.NDArray[np.float64]:
        """Millijoules of a batch, float64 [kinds]; NaN where it was not measured."""
        energies = [np.nan if cost.energy_mj is None else cost.energy_mj for cost in self.costs]
        return np.array(energies, dtype=np.float64)


def read_device_map(text: str) -> DeviceMap:
    """Return a device map: the text itself, or the file that it names (.toml with KIND = "DEVICE:PROCESSOR", .csv with
    columns kind, device and, if the device does not name it, processor).

    Raises ValueError for what cannot be read as one, OSError for a file that cannot be opened.
    """
    suffix = Path(text).suffix.lower()
    if suffix not in (".toml", ".csv") or ("=" in text and not os.path.isfile(text)):
        pairs = [_pair(each) for each in text.split(",") if each.strip()]
    else:
        if os.path.exists(text) and not os.path.isfile(text):
            message = f"{printable(text, 200)}: must be a regular file"
            raise ValueError(message)
        with open(text, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        pairs = _file_pairs(text, raw, suffix)
    found: dict[str, Target] = {}
    for key, value in pairs:
        kind, target = fold(key.strip()), _target(key, value)
        if kind.startswith(_SCORE):
            kind = f"{_SCORE}{_score(key)!r}"  # 1000 and 1e3 are one
        if kind in found:
            message = f"device map names {printable(key.strip(), 60)!r} twice; keep one"
            raise ValueError(message)
        found[kind] = target
    if not 0 < len(found) <= _MOST_ENTRIES:
        message = f"device map must have from 1 to {_MOST_ENTRIES:,} entries (got {len(found)}); {_FORM}"
        raise ValueError(message)
    return found


def _pair(entry: str) -> tuple[str, str]:
    kind, equals, target = entry.partition("=")
    if not equals:
        message = f"device map entry {printable(entry.strip(), 80)!r} has no '='; {_FORM}; or name a .toml or .csv file"
        raise ValueError(message)
    return kind, target


def _score(key: str) -> float:
    try:
        value = float(key.partition("<")[2])
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        message = f"device map entry {printable(key.strip(), 60)!r} must be score<NUMBER, such as score<20000"
        raise ValueError(message)
    return value


def _file_pairs(name: str, raw: bytes, suffix: str) -> list[tuple[str, str]]:
    shown = printable(name, 200)
    if len(raw) > _MOST_BYTES:
        message = f"{shown}: must be at most {_MOST_BYTES >> 20} MiB"
        raise ValueError(message)
    try:
        content = raw.decode("utf-8-sig")
        if suffix == ".toml":
            return _texts(shown, tomllib.loads(content))
        rows = list(csv.DictReader(io.StringIO(content), strict=True))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error, RecursionError) as error:
        message = f"{shown}: cannot be read ({printable(error, 120)})"
        raise ValueError(message) from error
    for number, row in enumerate(rows, start=2):
        if not row.get("kind") or not row.get("device"):
            message = f"{shown}: line {number} must have a kind and a device; columns are kind, device, processor"
            raise ValueError(message)
    return [(row["kind"], ":".join(filter(None, (row["device"], row.get("processor"))))) for row in rows]


def _texts(shown: str, entries: Mapping[str, object]) -> list[tuple[str, str]]:
    pairs = []
    for key, value in entries.items():
        if not isinstance(value, str):
            message = f'{shown}: {printable(key, 60)} must be a text "DEVICE:PROCESSOR" (got a {type(value).__name__})'
            raise ValueError(message)
        pairs.append((key, value))
    return pairs


def _target(key: str, value: str) -> Target:
    device, colon, processor = value.strip().rpartition(":")
    if not colon:
        device, processor = processor, ""
    processor = processor.strip().casefold()
    if not key.strip() or not device.strip() or (processor and processor not in _PROCESSORS):
        message = f"device map entry {printable(f'{key}={value}', 80)!r} is none; {_FORM} ({', '.join(_PROCESSORS)})"
        raise ValueError(message)
    return Target(device.strip(), processor)


def map_devices(
    hardware: Hardware, costs: Iterable[BatchCost], method: Method, *, model: str, dataset: str, batch_size: int,
    given: DeviceMap | None = None,
) -> Mapped:  # fmt: skip
    """Return the batch cost of each kind of hardware, from the measurements of this model, data set and batch size.

    A kind is found in ``given`` by its model, its SoC, its tier, the least ``score<NUMBER`` above its benchmark score,
    or ``default``. Without a map, a kind that is itself a measured phone (model or SoC) is that phone; else tiers are
    the paper's phones of Table 3. INT8 is trained on the DSP where that was measured and the map names no processor.
    Where only one phone was measured in the method's arithmetic, all kinds have its cost, and a note says so; another
    note has entries of the map that fit no kind.
    A time is never scaled by a score. Raises ValueError naming the kinds that no measurement stands for, and where
    several measurements of a phone fit.
    """
    precision, own = kernel_of(method)
    known = [
        cost for cost in costs
        if (fold(cost.model), fold(cost.dataset), cost.batch_size) == (fold(model), fold(dataset), batch_size)
        and cost.precision == precision
    ]  # fmt: skip
    what = f"{model} on {dataset}, batch {batch_size}, {precision}"
    if not known:
        message = f"nothing was measured for {what}; give a table of yours with --measurements"
        raise ValueError(message)
    notes = [] if own else [f"unmeasured: {method.title} has no measured kernel; {precision} is what runs today."]
    processors = {cost.processor for cost in known}
    usual = "dsp" if precision == "int8" and "dsp" in processors else ""
    devices = {fold(cost.device) for cost in known}
    only = cache(lambda device, processor: _only(known, device, processor, usual, what))  # kinds may be very many
    if given is None:
        chosen = [_by_itself(hardware, kind, devices, only) for kind in range(len(hardware))]
    else:
        limits = sorted(float(name.removeprefix(_SCORE)) for name in given if name.startswith(_SCORE))
        chosen = [_mapped(hardware, kind, given, limits, only) for kind in range(len(hardware))]
    if None in chosen and given is None and len(devices) == 1:
        alone = only(known[0].device, "")
        chosen = [cost or alone for cost in chosen]
        notes.append(
            f"unmeasured: {what} was measured on {alone.device} alone, so every phone of the fleet has its cost; what"
            " others take is not known."
        )
    _refuse_unmapped(hardware, chosen, known, what)
    names = {fold(name) for column in (hardware.models, hardware.socs, hardware.tiers) for name in column if name}
    unused = sorted(name for name in set(given or ()) - names - {_DEFAULT} if not name.startswith(_SCORE))
    if unused:
        some = ", ".join(printable(name, 40) for name in unused[:5]) + (" and others" if len(unused) > 5 else "")
        notes.append(f"The device map names {len(unused)} kind(s) that the fleet does not have ({some}).")
    found = tuple(cost for cost in chosen if cost is not None)
    inferred = {f"{cost.device} {cost.processor}" for cost in found if cost.provenance == "inferred"}
    notes += [f"The cost of {printable(name, 60)} is inferred, not measured." for name in sorted(inferred)]
    missing = {f"{cost.device} {cost.processor}" for cost in found if cost.energy_mj is None}
    notes += [f"No energy was measured for {printable(name, 60)}." for name in sorted(missing)]
    return Mapped(found, tuple(notes))


def _by_itself(hardware: Hardware, kind: int, devices: Container[str], only: Only) -> BatchCost | None:
    """Return the cost of a kind that is a measured phone, or of its tier's phone; None if nothing fits."""
    for name in (hardware.models[kind], hardware.socs[kind], PAPER_TIERS.get(hardware.tiers[kind])):
        if name and fold(name) in devices:
            return only(name, "")
    return None


def _mapped(hardware: Hardware, kind: int, given: DeviceMap, limits: Sequence[float], only: Only) -> BatchCost | None:
    names = [fold(name) for name in (hardware.models[kind], hardware.socs[kind], hardware.tiers[kind]) if name]
    score = float(hardware.scores[kind])
    above = len(limits) if math.isnan(score) else bisect_right(limits, score)
    names += [f"{_SCORE}{limit!r}" for limit in limits[above : above + 1]]
    for name in (*names, _DEFAULT):
        target = given.get(name)
        if target is not None:
            return only(target.device, target.processor)
    return None


def _only(known: list[BatchCost], device: str, processor: str, usual: str, what: str) -> BatchCost:
    """Return the one cost of a device on a processor; empty: on the usual one where there is such a cost."""
    fits = [cost for cost in known if fold(cost.device) == fold(device)]
    if not fits:
        message = f"device {printable(device, 60)!r} was not measured for {what}; "
        raise ValueError(message + did_you_mean(device, sorted({cost.device for cost in known})))
    there = {cost.processor for cost in fits}
    wanted = processor or (usual if usual in there else "")
    on = [cost for cost in fits if wanted in ("", cost.processor)]
    if not on:
        message = f"{printable(fits[0].device, 60)} was not measured on the {wanted} for {what}; "
        raise ValueError(message + f"it was on: {', '.join(sorted(there))}")
    if len(on) > 1:
        several = ", ".join(
            f"{cost.device}:{cost.processor}" + f" ({cost.conditions})" * bool(cost.conditions) for cost in on
        )
        message = f"{len(on)} measurements of {printable(device, 60)} fit {what}: {printable(several, 200)}; "
        raise ValueError(message + "name the processor in the device map, or give a table with one of them")
    return on[0]


def _refuse_unmapped(hardware: Hardware, chosen: list[BatchCost | None], known: list[BatchCost], what: str) -> None:
    lacking = [kind for kind, cost in enumerate(chosen) if cost is None]
    if not lacking:
        return
    names = [hardware.models[kind] or hardware.socs[kind] or hardware.tiers[kind] or f"kind {kind}" for kind in lacking]
    devices = ", ".join(sorted({f"{cost.device}:{cost.processor}" for cost in known}))
    some = ", ".join(printable(name, 40) for name in names[:5]) + (" and others" if len(names) > 5 else "")
    message = (
        f"device map: {len(lacking)} of {len(hardware)} kinds of hardware have no measured device ({some}); name one "
        f"for each tier ({', '.join(TIERS)}), model or SoC, or default=DEVICE; measured for {what}: {devices}"
    )
    raise ValueError(message)
