"""The devices that can be reached, and what each can say, as text for a person."""

from collections.abc import Callable
from dataclasses import dataclass

from profiler.campaign.source import source_of
from profiler.device.accelerator import accelerator_of
from profiler.device.battery import battery_of
from profiler.device.condition import conditions_of
from profiler.device.device import Device
from profiler.device.gauge_look import look_at_gauge
from profiler.device.probe import probe
from profiler.device.thermal import thermal_of
from profiler.names import printable
from profiler.transport.address import open_transport
from profiler.transport.discover import Found
from profiler.transport.link import Transport


@dataclass(frozen=True)
class Listed:
    """A device of the list: its heading, and what was found as (name, words)."""

    heading: str
    facts: tuple[tuple[str, str], ...]
    usable: bool


def listed(found: Found, open_link: Callable[[str], Transport] = open_transport) -> Listed:
    """Return what can be said of a device that was discovered; why it cannot be used, if it cannot."""
    heading = f"{found.address or '-'}   {found.words}".rstrip()
    if found.state != "device" or not found.address:
        return Listed(heading, (("state", found.state),), usable=False)
    try:
        link = open_link(found.address)
    except (OSError, ValueError) as error:
        return Listed(heading, (("state", printable(error, 300)),), usable=False)
    try:
        device = probe(link)
        return Listed(f"{found.address}   {device.title}", tuple(_facts(device, link)), usable=True)
    except (OSError, ValueError) as error:
        return Listed(heading, (("state", printable(error, 300)),), usable=False)
    finally:
        link.close()


def _facts(device: Device, link: Transport) -> list[tuple[str, str]]:
    source = source_of(device)
    battery, thermal = battery_of(device), thermal_of(device.thermal_dump)
    power = source.words
    if source.kind == "sysfs":
        power += f" ({look_at_gauge(link, device, source.name)})"
    power += f"; {'; '.join(source.why)}" if source.why else ""
    accelerator = accelerator_of(device)
    state = [f"level {battery.level} %"] if battery.level is not None else []
    state += [battery.status] if battery.status else []
    state += [f"{battery.temperature_c:.1f} C"] if battery.temperature_c is not None else []
    facts = [
        ("system", _system(device)),
        ("cores", _cores(device)),
        ("DSP, NPU", "; ".join([accelerator.words, *accelerator.evidence[:6]])),
        ("power", power),
        ("battery", ", ".join(state) or "none"),
        (
            "thermal",
            f"status {thermal.words}" + "".join(f", {name} {c:.0f} C" for name, _, c in thermal.temperatures_c[:3]),
        ),
    ]
    if device.emulated:
        facts.insert(0, ("emulated", "what is timed here is no device's cost"))
    against = conditions_of(device)
    facts += [("against", f"{each.what} [{each.code}]") for each in against]
    return facts


def _system(device: Device) -> str:
    android = device.says("ro.build.version.release")
    parts = [device.soc, device.says("ro.product.cpu.abi"), f"Android {android}" if android else device.says("os")]
    return ", ".join(part for part in [*parts, device.kernel] if part)


def _cores(device: Device) -> str:
    """Return the cores by kind: ``4 x 1.8 GHz, 4 x 2.4 GHz, governor schedutil``."""
    kinds: dict[int | None, int] = {}
    for core in device.cores:
        kinds[core.max_khz] = kinds.get(core.max_khz, 0) + 1
    words = [
        f"{count} x {khz / 1e6:.2g} GHz" if khz else f"{count}, frequency not readable" for khz, count in kinds.items()
    ]
    governors = sorted({core.governor for core in device.cores if core.governor})
    return ", ".join([*words, *(f"governor {governor}" for governor in governors[:3])]) or "not readable"
