"""A fleet of FLASH's files: state traces or half hours, and with them device tables and network speeds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from traces.flash.derived import Unknown, read_half_hours
from traces.flash.devices import CLASSES, NAMES, RANKING, SCORES, hardware_of_models, read_tables
from traces.flash.records import STATES_MOST_BYTES
from traces.flash.speeds import read_speeds
from traces.flash.states import read_states
from traces.fleet import Fleet
from traces.hardware import Hardware, Tier
from traces.network import PAPER_BIT_PER_S
from traces.rates import constant_network
from traces.report import Report, Tally, clean, joined
from traces.source_file import SourceFile, read_source, sum_of_file

Rule = Literal["locked", "screen_off"]
STATES, HALF_HOURS, SPEEDS = "state_traces.json", "availability_30min.npz", "speed_distri.json"
_TABLES = (SCORES, NAMES, CLASSES)
_SMALL_BYTES = 8 << 20
WITHOUT_RATES = f"phones without rates, given {PAPER_BIT_PER_S / 1e6:g} Mbit/s"

Files = tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class FlashOptions:
    """Which rule makes a phone ready, whose clock wrote the times, and what half hours are that are not known."""

    rule: Rule
    zone: str
    unknown: Unknown


def is_flash_folder(folder: Path) -> bool:
    """Return whether a folder holds one of FLASH's files."""
    return any((folder / name).is_file() for name in (STATES, HALF_HOURS, SPEEDS, *_TABLES))


def open_flash_folder(folder: Path, options: FlashOptions, random: np.random.Generator) -> tuple[Fleet, Report, Files]:
    """Return the fleet of a folder with FLASH's files: state traces, or else half hours; tables and speeds if there.

    A phone whose model has no score has its tier drawn by FLASH's weights, and every phone one of the users' network
    speeds, evenly, taken for kB/s as FLASH's code takes them. Raises ValueError if there is no availability, OSError.
    """
    chosen = next((folder / name for name in (STATES, HALF_HOURS) if (folder / name).is_file()), None)
    if chosen is None:
        message = f"{clean(folder, 300)}: must hold {STATES} or {HALF_HOURS}; fedjoule fleet fetch flash gets the first"
        raise ValueError(message)
    most = STATES_MOST_BYTES if chosen.name == STATES else _SMALL_BYTES
    fleet, report, files = open_flash_file(read_source(chosen, most), options)
    reports, tally = [report], Tally()
    if chosen.name == HALF_HOURS:
        tally.flag(
            "phones of no known model: the half hours name none, and have no use for device tables", count=fleet.phones
        )
    elif (folder / HALF_HOURS).is_file():
        tally.flag(f"files not used, {HALF_HOURS}: {STATES} says more")
    if all((folder / name).is_file() for name in _TABLES) and chosen.name == STATES:
        tables = read_tables(folder)
        models = [fleet.hardware.models[kind] for kind in fleet.hardware_of.tolist()]
        hardware, which = hardware_of_models(models, tables, random)
        unscored = sum(tables.benchmark(model) is None for model in models)
        tally.flag("phones whose model has no score: tier drawn by FLASH's weights", count=unscored)
        fleet = replace(fleet, hardware=hardware, hardware_of=which, source=f"{fleet.source}; tiers by AI score")
        reports.append(tables.report)
        there = [name for name in (*_TABLES, RANKING) if (folder / name).is_file()]
        files = (*files, *(sum_of_file(folder / name) for name in there))
    if (folder / SPEEDS).is_file():
        speeds = read_source(folder / SPEEDS, _SMALL_BYTES)
        fleet, said = with_speeds(fleet, speeds, random)
        reports.append(said)
        files = (*files, speeds.known_by)
    else:
        tally.flag(WITHOUT_RATES, count=fleet.phones)
    return fleet, joined(fleet.phones, [*reports, tally.report(0)]), files


def open_flash_file(file: SourceFile, options: FlashOptions) -> tuple[Fleet, Report, Files]:
    """Return the fleet of state traces, or of half hours by the ending .npz, with the paper's constant rate.

    Of half hours no model is known. Raises ValueError.
    """
    if file.name.lower().endswith(".npz"):
        availability, report = read_half_hours(file.raw, unknown=options.unknown)
        phones = availability.traces
        source = f"FLASH in half hours, screen off, charging and Wi-Fi; not known: {options.unknown}"
        fleet = _fleet("flash half hours", ("",) * phones, source)
        return replace(fleet, availability=availability), report, (file.known_by,)
    states = read_states(file.raw, rule=options.rule, zone=options.zone)
    told = "locked" if options.rule == "locked" else "screen off"
    source = f"FLASH's state traces, {told}, charging and Wi-Fi; zone {clean(options.zone, 60)}"
    fleet = _fleet("flash states", states.models, source)
    return replace(fleet, availability=states.availability, battery=states.battery), states.report, (file.known_by,)


def with_speeds(fleet: Fleet, file: SourceFile, random: np.random.Generator) -> tuple[Fleet, Report]:
    """Return the fleet with one of the users' network speeds for each phone, drawn evenly. Raises ValueError."""
    network, report = read_speeds(file.raw, unit="kB/s")
    of: npt.NDArray[np.int32] = random.integers(network.profiles, size=fleet.phones).astype(np.int32)
    source = f"{fleet.source}; network of {network.profiles} users by FLASH, taken for kB/s, log-normal"
    return replace(fleet, network=network, network_of=of, source=source), report


def _fleet(name: str, models: tuple[str, ...], source: str) -> Fleet:
    """Return phones of these models that are always ready, to be given the rest."""
    places: dict[str, int] = {}
    which = np.array([places.setdefault(model, len(places)) for model in models], np.int32)
    unknown: Tier = ""
    return Fleet(
        name=name,
        hardware=Hardware(tuple(places), ("",) * len(places), (unknown,) * len(places), np.full(len(places), np.nan)),
        hardware_of=which,
        network=constant_network(PAPER_BIT_PER_S, PAPER_BIT_PER_S),
        network_of=np.zeros(len(models), np.int32),
        availability=None,
        trace_of=np.arange(len(models), dtype=np.int32),
        shift_s=np.zeros(len(models)),
        source=source,
    )
