"""Opening a fleet by what people write: a built-in name, a file or a folder of any kind that is known."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np

from traces.fedscale.behaviour import LongSlots
from traces.fedscale.throughput import read_throughput
from traces.flash.derived import Unknown
from traces.flash.records import STATES_MOST_BYTES
from traces.flash.speeds import LEAST_BIT_PER_S, MOST_BIT_PER_S
from traces.flash.zones import check_zone
from traces.fleet import Fleet
from traces.folder import is_fleet_folder, read_fleet
from traces.intervals_file import read_intervals
from traces.network import format_rate, parse_rate
from traces.open_fedscale import NAMES, fedscale_files, open_fedscale
from traces.open_flash import (
    HALF_HOURS,
    SPEEDS,
    STATES,
    WITHOUT_RATES,
    Files,
    FlashOptions,
    Rule,
    is_flash_folder,
    open_flash_file,
    open_flash_folder,
    with_speeds,
)
from traces.rates import constant_network
from traces.report import Report, clean, joined
from traces.sample import sample
from traces.source_file import SourceFile, read_source, sum_of_file

# Options that concern one kind of traces, and which.
_RAW = "FLASH's state traces"
OF_ONE_KIND = {"rule": _RAW, "zone": _RAW, "unknown": "FLASH's half hours", "long_slots": "FedScale's availability"}
_OF_STATES, _OF_HALF_HOURS, _OF_FEDSCALE = ("rule", "zone"), ("unknown",), ("long_slots",)

# Phones of a fleet that is made, where nobody says how many.
SYNTHETIC_PHONES = 10_000
_HEAD_BYTES = 1 << 16
_SMALL_BYTES = 64 << 20
# What random numbers are for: each its own stream, so that one choice does not change another.
_FOR_TIERS_AND_SPEEDS, _FOR_SAMPLE, _FOR_NETWORK = 1, 2, 3


@dataclass(frozen=True)
class FleetOptions:
    """How a fleet is opened. What does not concern its kind is of no effect; ``OpenedFleet.heeded`` says what does.

    ``phones``: that many, drawn at random (see ``sample``), or made; all there are, if None. ``seed``: of all draws.
    FLASH: ``rule`` and ``zone`` of state traces, ``unknown`` half hours. FedScale: ``long_slots``, those over a day.
    ``network``: a rate for all phones (10Mbit/s), or a file of FLASH's speeds or FedScale's throughput, instead of the
    fleet's own.
    """

    phones: int | None = None
    seed: int = 0
    rule: Rule = "locked"
    zone: str = "floating"
    unknown: Unknown = "absent"
    network: str | None = None
    long_slots: LongSlots = "ready"

    def __post_init__(self) -> None:
        for name, kind in (("rule", Rule), ("unknown", Unknown), ("long_slots", LongSlots)):
            value = getattr(self, name)
            if value not in get_args(kind):
                message = f"{name} must be {' or '.join(get_args(kind))} (got {clean(value, 40)!r})"
                raise ValueError(message)
        if self.seed < 0:
            message = f"seed must be at least 0 (got {self.seed})"
            raise ValueError(message)
        if self.phones is not None and self.phones < 1:
            message = f"phones must be at least 1 (got {self.phones}); it is how many phones the fleet has"
            raise ValueError(message)
        check_zone(self.zone)


@dataclass(frozen=True, eq=False)
class OpenedFleet:
    """A fleet, what became of what its files held, and name, SHA-256 and bytes of each file that was read.

    ``heeded`` are those of the options in ``OF_ONE_KIND`` that this kind of fleet is read by. ``drawn_from``: how many
    phones the files have, if the fleet's were drawn from them; 0 if not.
    """

    fleet: Fleet
    report: Report = field(repr=False)
    files: Files
    heeded: tuple[str, ...] = ()
    drawn_from: int = 0


def open_fleet(text: str, *, options: FleetOptions | None = None) -> OpenedFleet:
    """Return the fleet that ``text`` names.

    It is a built-in name; or a path: a .toml of statistics, one of our folders, an own table of intervals (.csv,
    .parquet), FLASH's state traces or half hours or a folder with them, FedScale's files (JSON or pickle) or a folder
    with them. A built-in name comes before a file of that name: write ./name for the file. Raises ValueError if it is
    nothing of that, or what it is has something wrong with it, and OSError if it cannot be read.
    """
    options = FleetOptions() if options is None else options
    opened = _made(text, options)
    if opened is None:
        opened = _found(Path(text), options)
        if options.phones is not None:
            drawn = sample(opened.fleet, options.phones, _random(options, _FOR_SAMPLE))
            opened = replace(opened, fleet=drawn, drawn_from=opened.fleet.phones)
    return opened if options.network is None else _with_network(opened, options)


def _random(options: FleetOptions, purpose: int) -> np.random.Generator:
    return np.random.default_rng((options.seed, purpose))


def _made(text: str, options: FleetOptions) -> OpenedFleet | None:
    """Return the fleet that is made from statistics; None if ``text`` is no name or file of them."""
    path = Path(text)
    files: Files = ()
    is_name = not re.search(r"[/\\.]", text)
    if not is_name and path.suffix.lower() != ".toml":
        return None
    from traces.synthetic import built_in_fleets, find_statistics, read_statistics, synthetic_fleet

    if is_name and text not in built_in_fleets() and path.exists():
        return None
    if is_name:
        statistics = find_statistics(text)  # which says what names there are if this is none
    else:
        statistics, files = read_statistics(path), (sum_of_file(path),)
    phones = SYNTHETIC_PHONES if options.phones is None else options.phones
    return OpenedFleet(synthetic_fleet(statistics, phones, options.seed), Report(phones), files)


def _found(path: Path, options: FleetOptions) -> OpenedFleet:
    if path.is_dir():
        return _folder(path, options)
    kind = path.suffix.lower()
    if kind in {".csv", ".parquet"}:
        fleet, report = read_intervals(path)
        return OpenedFleet(fleet, report, (sum_of_file(path),))
    file = read_source(path, STATES_MOST_BYTES)
    flash = FlashOptions(options.rule, options.zone, options.unknown)
    head = file.raw[:_HEAD_BYTES]
    if kind == ".npz" or b'"messages"' in head:
        fleet, report, files = open_flash_file(file, flash)
        without = Report(0, flags=((WITHOUT_RATES, fleet.phones),))
        heeded = _OF_HALF_HOURS if kind == ".npz" else _OF_STATES
        return OpenedFleet(fleet, joined(report.kept, [report, without]), files, heeded)
    if b'"down_u"' in head:
        message = f"{clean(path, 300)}: holds network speeds and no phones; name it with --network"
        raise ValueError(message)
    if kind in {".json", ".pkl", ".pickle", ""}:
        named = replace(file, name=path.name)
        return OpenedFleet(*open_fedscale((named,), options.long_slots, path.stem), _OF_FEDSCALE)
    message = f"{clean(path, 300)}: is of no known kind; {_KNOWN}"
    raise ValueError(message)


def _folder(path: Path, options: FleetOptions) -> OpenedFleet:
    if is_fleet_folder(path):
        return OpenedFleet(*read_fleet(path))
    if is_flash_folder(path):
        flash = FlashOptions(options.rule, options.zone, options.unknown)
        heeded = _OF_STATES if (path / STATES).is_file() else _OF_HALF_HOURS
        return OpenedFleet(*open_flash_folder(path, flash, _random(options, _FOR_TIERS_AND_SPEEDS)), heeded)
    fedscale = fedscale_files(path)
    if fedscale:
        return OpenedFleet(*open_fedscale(fedscale, options.long_slots, path.resolve().name), _OF_FEDSCALE)
    message = f"{clean(path, 300)}: holds no fleet; {_KNOWN}"
    raise ValueError(message)


_KNOWN = (
    f"known are fleet.json and what belongs to it, FLASH's {STATES} and {HALF_HOURS}, FedScale's {', '.join(NAMES)}, a "
    "table of intervals (.csv, .parquet), and a .toml of statistics"
)


def _with_network(opened: OpenedFleet, options: FleetOptions) -> OpenedFleet:
    """Return the fleet with the network that the options name instead of its own."""
    text, fleet = options.network or "", opened.fleet
    kind = Path(text).suffix.lower()
    if kind == ".csv":
        network, report = read_throughput(Path(text))
        file = sum_of_file(Path(text))
        source = f"{fleet.source}; network {clean(Path(text).name)}, the same for all phones"
    elif kind == ".json":
        speeds = read_source(Path(text), _SMALL_BYTES)
        _check_speeds(speeds, text)
        fleet, report = with_speeds(fleet, speeds, _random(options, _FOR_NETWORK))
        joint = joined(opened.report.kept, [opened.report, report])
        return replace(opened, fleet=fleet, report=joint, files=(*opened.files, speeds.known_by))
    else:
        rate = _rate(text)
        network, report, file = constant_network(rate, rate), Report(0), None
        source = f"{fleet.source}; network {format_rate(rate)}, constant"
    fleet = replace(fleet, network=network, network_of=np.zeros(fleet.phones, np.int32), source=source)
    files = opened.files if file is None else (*opened.files, file)
    return replace(opened, fleet=fleet, report=joined(opened.report.kept, [opened.report, report]), files=files)


def _check_speeds(speeds: SourceFile, text: str) -> None:
    if b'"down_u"' not in speeds.raw:
        message = f"network {clean(text, 300)!r} holds no speeds; FLASH's {SPEEDS} is what is known of that kind"
        raise ValueError(message)


def _rate(text: str) -> float:
    try:
        rate = parse_rate(text)
    except ValueError as error:
        message = f"network must be a rate, FLASH's {SPEEDS} (.json) or FedScale's throughput (.csv): {error}"
        raise ValueError(message) from error
    if not LEAST_BIT_PER_S <= rate <= MOST_BIT_PER_S:
        message = f"network must be from {LEAST_BIT_PER_S:g} to {MOST_BIT_PER_S:g} bit/s (got {clean(text, 40)})"
        raise ValueError(message)
    return rate
