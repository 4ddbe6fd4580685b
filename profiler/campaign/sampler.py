"""The sampler of a campaign: fedjoule's native one where the device runs it, else the shell's; and what it took."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from profiler.campaign.session import Session
from profiler.campaign.workspace import Workspace, hash_here
from profiler.device.device import Core, Device
from profiler.names import printable

_PROGRAM, _COST = "samples.program", "samples.cost"
_MOST_BYTES = 1 << 14


@dataclass(frozen=True)
class Sampler:
    """What samples: ``command`` starts the native sampler, empty for the shell's; ``words`` say which, and why."""

    command: str = ""
    words: str = "shell"


SHELL = Sampler()


def bring_sampler(
    session: Session, workspace: Workspace, device: Device, cpus: str = "", tell: Callable[[str], None] = lambda _: None
) -> Sampler:
    """Build the native sampler for a device, bring it there, and return it; the shell's where the device has no use.

    ``cpus`` is the mask of the workload's cores, which the sampler keeps away from if it can. Raises OSError if the
    program does not arrive.
    """
    if device.root:
        return Sampler(words="shell: the phone has a clock of its own")
    from profiler.native.build import built
    from profiler.native.target import target_of

    target = target_of(device)
    if target is None:
        return Sampler(words=f"shell: none is built for {printable(device.kernel.split(' ')[-1], 20) or 'this device'}")
    try:
        program = built("sampler", target, tell=tell)
    except ValueError as error:  # no compiler, no room: the shell's does it, too
        return Sampler(words=f"shell: {printable(str(error).partition(chr(10))[0], 160)}")
    sha256 = hash_here(program)
    there = shlex.quote(workspace.bring(program, sha256, executable=True))
    said = session.run(f"{there} --version 2>&1")
    if said.code != 0 or not said.text.startswith("fedjoule-sampler 1 "):
        why = printable(said.text.strip()[:80], 80) or f"exit code {said.code}"
        return Sampler(words=f"shell: the device does not run the native one ({why})")
    mask = quiet_cores(device.cores, int(cpus or "0", 16))
    return Sampler(f"{there} --cpus {mask:x}" if mask else there, f"native {sha256}")


def quiet_cores(cores: tuple[Core, ...], busy: int = 0) -> int:
    """Return the mask of the slowest cores, without those that are busy if some are left; 0 where all are alike."""
    speeds = {core.max_khz for core in cores}
    if None in speeds or len(speeds) < 2:
        return 0
    slowest = min(speed for speed in speeds if speed is not None)
    mask = sum(1 << core.number for core in cores if core.max_khz == slowest and core.number < 64)
    return mask & ~busy or mask


def sampler_record(raw: Mapping[str, bytes]) -> dict[str, Any] | None:
    """Return which sampler ran and its own cost: rows, late rows, its share of one core in percent; None if unknown.

    The native one also says how many microseconds its rows were off their schedule and each file took to read.
    """
    cost = raw[_COST] if _COST in raw else raw.get("dumps.cost", b"")
    text = cost[:_MOST_BYTES].decode("ascii", "replace")
    counts = re.match(r"rows (\d{1,9}) late (\d{1,9}) elapsed_cs (\d{1,12})\n", text)
    times = re.findall(r"(\d{1,6})m(\d{1,2}\.\d{1,9})s", text)
    if counts is None or not times or int(counts[3]) == 0:
        return None
    cpu_s = sum(60 * int(minutes) + float(seconds) for minutes, seconds in times)
    found: dict[str, Any] = {
        "program": printable(raw.get(_PROGRAM, b"").decode("ascii", "replace").strip(), 200),
        "rows": int(counts[1]),
        "late": int(counts[2]),
        "core_percent": 100 * cpu_s / (int(counts[3]) / 100),
    }
    number = r"(\d{1,12}\.\d)"
    jitter = re.search(rf"^jitter_us mean {number} sd {number} max {number}$", text, re.MULTILINE)
    if jitter is not None:
        found["jitter_us"] = dict(zip(("mean", "sd", "max"), map(float, jitter.groups()), strict=True))
        reads = re.findall(rf"^read_us ([a-z0-9_]{{1,64}}) {number}$", text, re.MULTILINE)
        found["read_us"] = {name: float(mean_us) for name, mean_us in reads}
    ended = re.search(r"^ended ([ -~]{1,60})$", text, re.MULTILINE)
    return found if ended is None else {**found, "ended": ended[1]}
