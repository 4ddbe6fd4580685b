"""What trains on a device when nobody brought a program: the emulated phone's own, or fedjoule's runner, built."""

from collections.abc import Callable, Sequence

from profiler.campaign.plan_file import DEMO, Template
from profiler.device.device import Device
from profiler.names import printable

_ELSE = "give --workload or --plan FILE with a program of yours (docs/howto/measure_a_phone.md)"


def trainer_of(
    device: Device,
    processors: Sequence[str] = (),
    threads: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Template:
    """Return the workload that trains on ``device``; the first time it is compiled, and ``tell`` hears of it.

    ``processors`` are those that were asked for, if any. Raises ValueError where there is no program for the device or
    the processors, or nothing to build one with.
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
    program = built("runner", target, tell=tell)
    file = {"path": str(program), "name": "runner", "executable": True}
    keys = {"use": "runner", "processor": "cpu", "files": [file]}
    return Template("runner", keys if threads is None else {**keys, "threads": threads})
