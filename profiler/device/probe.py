"""The probe: one shell script on the device, and its output read as untrusted text."""

import re
from collections.abc import Iterable, Iterator
from importlib import resources

from profiler.device.device import Core, Device, Powercap, SupplyFiles
from profiler.names import has_control_characters, printable
from profiler.transport.link import Transport
from profiler.transport.paths import checked_path

_MARK = "@@fedjoule "
_LIMIT_BYTES = 512 * 1024
_LONGEST_LINE = 4096
_MOST_CORES = 1024
_MOST_SUPPLIES = 64
_SUPPLY_NAME = re.compile(r"[A-Za-z0-9._:+-]{1,64}")


def probe(transport: Transport) -> Device:
    """Run the probe on the device and return what it found.

    Raises LinkLost or LinkRefused, OutputTooLong for a device that says more than half a megabyte, and ValueError for
    output that is no probe's.
    """
    done = transport.run(script(), timeout_s=60.0, limit_bytes=_LIMIT_BYTES)
    return device_of(done.text, transport.name)


def script() -> str:
    """Return the probe without comments and indentation: old phones take at most 4,096 bytes of command."""
    lines = (resources.files("profiler") / "device" / "probe.sh").read_text(encoding="utf-8").splitlines()
    return "\n".join(kept for line in lines if (kept := line.strip()) and not kept.startswith("#"))


def device_of(text: str, link: str) -> Device:
    """Return the device that the output of ``probe.sh`` describes. Raises ValueError if it is not complete."""
    sections = _sections(text)
    if "end" not in sections or "where" not in sections:
        said = printable(text.strip()[-120:] or "nothing", 120)
        message = f"{link}: the probe did not run to its end (the device said: {said}); is this a shell?"
        raise ValueError(message)
    where = _pairs(sections["where"])
    root, workspace = where.get("root", ""), where.get("workspace", "")
    if root:
        checked_path(root)
    checked_path(workspace)
    supplies, powercaps = _supplies(sections.get("supplies", ()))
    clock = [*sections.get("clock", ()), "", "", ""]
    screen = _pairs(sections.get("screen", ()))
    wakefulness = screen.get("mWakefulness", "")
    return Device(
        link=link,
        root=root,
        workspace=workspace,
        free_kib=_whole(where.get("free_kib", "")),
        locked_by=printable(where.get("lock", ""), 80),
        fine_sleep=where.get("fine_sleep") == "1",
        user=printable(where.get("user", ""), 20),
        uptime_s=_uptime(clock[0], link),
        boot_id=clock[1] if re.fullmatch(r"[0-9a-fA-F-]{8,64}", clock[1]) else "",
        suspends=_whole(clock[2]),
        kernel=printable(" ".join(sections.get("kernel", ())), 120),
        properties=_pairs(sections.get("properties", ())),
        soc_files=_pairs(sections.get("soc", ())),
        cores=tuple(_cores(sections.get("cpus", ()))),
        supplies=supplies,
        powercaps=powercaps,
        accelerators=tuple(printable(line, 100) for line in sections.get("accelerators", ())[:64]),
        tools=frozenset(sections.get("tools", ())),
        battery_dump="\n".join(sections.get("battery", ())),
        thermal_dump="\n".join(sections.get("thermal", ())),
        awake=None if not wakefulness else wakefulness in ("Awake", "Dreaming"),
        low_power=screen.get("low_power") == "1",
    )


def _sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each section; a section that a hostile file opens again only adds lines to itself."""
    sections: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.replace("\r", "").split("\n"):
        if line.startswith(_MARK):
            current = sections.setdefault(line.removeprefix(_MARK)[:40], [])
        elif current is not None and line:
            current.append(line[:_LONGEST_LINE])
    return sections


def _pairs(lines: Iterable[str]) -> dict[str, str]:
    """Return the values by name; the first one stands, whatever a hostile file adds to the section later."""
    pairs: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.strip().partition("=")
        if equals:
            pairs.setdefault(name[:100], value)
    return pairs


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,15}", text.strip()) else None


def _uptime(line: str, link: str) -> float:
    first = line.split(" ")[0]
    if not re.fullmatch(r"\d{1,10}\.\d{1,6}", first):
        message = f"{link}: /proc/uptime cannot be read ({printable(line, 60)!r}); nothing is timed without that clock"
        raise ValueError(message)
    return float(first)


def _cores(lines: Iterable[str]) -> Iterator[Core]:
    for line in list(lines)[:_MOST_CORES]:
        cells = [*line.split(","), "", "", ""]
        number = _whole(cells[0])
        if number is not None:
            yield Core(number, _whole(cells[1]), _whole(cells[2]), printable(cells[3], 30))


def _supplies(lines: Iterable[str]) -> tuple[dict[str, SupplyFiles], tuple[Powercap, ...]]:
    """Return the power supplies by name and the host's energy counters; folders with hostile names are left out."""
    blocks: list[tuple[str, str, list[str], dict[str, str], list[str]]] = []
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind in ("@supply", "@powercap"):
            blocks.append((kind, rest, [], {}, []))
        elif not blocks:
            continue
        elif kind == "@file":
            name, _, value = rest.partition("=")
            blocks[-1][3][name[:40]] = value[:200]
        elif kind == "@denied":
            blocks[-1][4].append(printable(rest, 40))
        else:
            blocks[-1][2].append(line)
    supplies: dict[str, SupplyFiles] = {}
    powercaps: list[Powercap] = []
    for kind, name, uevent, files, denied in blocks:
        if not _SUPPLY_NAME.fullmatch(name) or has_control_characters(name) or name in (".", ".."):
            continue
        if kind == "@powercap":
            powercaps.append(Powercap(name, printable(files.get("name", ""), 40), _whole(files.get("range", "")) or 0))
        elif len(supplies) < _MOST_SUPPLIES:
            supplies[name] = SupplyFiles(name, "\n".join(uevent), files, tuple(denied))
    return supplies, tuple(powercaps)
