"""What trains on a device when nobody brought a program: the emulated phone's own, or fedjoule's runner, built."""

import re
from collections.abc import Callable, Sequence

from profiler.campaign.plan_file import DEMO, Template
from profiler.device.device import Core, Device
from profiler.names import fold, printable
from profiler.native.model import MODELS, MOST_BATCH, largest_batch, read_model
from profiler.workload.workload import CLASSES, Workload

_ELSE = "give --workload or --plan FILE with a program of yours (docs/howto/measure_a_phone.md)"
_DESCRIBED = "28x28x1-conv20k5-pool-conv50k5-pool-fc500-fc62"
# A piece of a description: a list of models is parted at commas, and so was the description.
_PIECE = re.compile(r".*:.*|pool|fc[0-9]+|conv[0-9]+k[0-9]+(p[0-9]+)?", re.DOTALL)


def trainer_of(
    device: Device,
    workloads: Sequence[Workload],
    processors: Sequence[str] = (),
    threads: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Template:
    """Return the workload that trains on ``device``; the first time it is compiled, and ``tell`` hears of it.

    ``workloads`` are what the plan asks for, whoever trains; ``processors`` those that were asked for, if any. Raises
    ValueError where there is no program for the device or the processors, nothing to build one with, or, before
    anything is built, where fedjoule's runner could not train what is asked for.
    """
    if "demo_trainer" in device.tools:
        if threads is not None:
            message = f"--threads is for fedjoule's runner; {device.title} has a program of its own, which takes none"
            raise ValueError(message)
        return DEMO
    if any(processor != "cpu" for processor in processors):
        message = (
            f"fedjoule's runner trains on the cpu only (got --processors {printable(','.join(processors), 40)}); for a "
            "DSP give --workload with a program of yours (docs/background/hexagon.md)"
        )
        raise ValueError(message)
    from profiler.native.build import built
    from profiler.native.target import target_of

    target = target_of(device)
    if target is None:
        message = f"fedjoule's runner cannot be built for {device.title} ({printable(device.kernel, 80)}); {_ELSE}"
        raise ValueError(message)
    for workload in workloads:
        _check(workload, 32 if target.name.startswith("armv7") else 64)
    program = built("runner", target, tell=tell)
    file = {"path": str(program), "name": "runner", "executable": True}
    keys = {"use": "runner", "processor": "cpu", "files": [file]}
    return Template("runner", keys if threads is None else {**keys, "threads": threads})


def refuse_pieces(models: Sequence[str]) -> None:
    """Raise ValueError if a model is a piece of a description that was parted at its commas."""
    for model in models:
        if _PIECE.fullmatch(model):
            message = (
                f"--models {printable(model, 60)!r} is a piece of a description: commas part the models of a list; "
                f"write it with '-' between its parts, as {_DESCRIBED}"
            )
            raise ValueError(message)


def refuse_absent_cores(cpus: str, cores: Sequence[Core], field: str = "--cpus") -> None:
    """Raise ValueError if the mask ``cpus`` names a core that the device does not have; without a list any may be."""
    if not cpus:
        return
    mask, there = int(cpus, 16), sum({1 << core.number for core in cores})
    if mask == 0:
        message = f"{field} {cpus} names no core; core 0 is bit 0, so that 3 is cores 0 and 1"
        raise ValueError(message)
    absent = [number for number in range(mask.bit_length()) if mask & ~there & 1 << number]
    if there and absent:
        some = ", ".join(map(str, absent[:4])) + (", ..." if len(absent) > 4 else "")
        message = (
            f"{field} {printable(cpus, 20)} names cores that the device does not have ({some}); core 0 is bit 0, and "
            f"all of its {there.bit_count()} cores are {there:x}"
        )
        raise ValueError(message)


def _check(workload: Workload, word_bits: int) -> None:
    """Raise ValueError if fedjoule's runner of 32 or 64 bits cannot train this."""
    if workload.precision not in ("fp32", "int8"):
        message = f"--precisions {printable(workload.precision, 20)}: fedjoule's runner trains in fp32 or int8; {_ELSE}"
        raise ValueError(message)
    shown = printable(workload.model, 60)
    classes = CLASSES.get(fold(workload.dataset), 0)
    try:
        layers = read_model(workload.model, 0, word_bits)
        most = largest_batch(layers, workload.precision, word_bits)
    except ValueError as error:
        message = (
            f"--models {shown!r}: {printable(error, 120)}; fedjoule's runner trains {', '.join(MODELS)} or a "
            f"description such as {_DESCRIBED}"
        )
        raise ValueError(message) from error
    if classes and workload.model not in MODELS and layers[-1].outputs != classes:
        message = (
            f"--dataset {printable(workload.dataset, 40)} has {classes} classes, and --models {shown!r} ends in "
            f"{layers[-1].outputs} outputs; end it in fc{classes}, or leave --dataset out"
        )
        raise ValueError(message)
    if most == 0:
        message = (
            f"--models {shown!r} is too large for fedjoule's runner in {workload.precision} on this device; make its "
            "layers smaller" + (", or give --precisions fp32" if workload.precision == "int8" else "")
        )
        raise ValueError(message)
    if workload.batch_size is not None and workload.batch_size > most:
        only = "" if most == MOST_BATCH else f" of {shown} in {workload.precision} on this device"
        message = (
            f"--batch-sizes {workload.batch_size}: must be from 1 to {most}{only} for fedjoule's runner; choose a "
            "smaller one" + (", or --precisions fp32" if only and workload.precision == "int8" else "")
        )
        raise ValueError(message)
