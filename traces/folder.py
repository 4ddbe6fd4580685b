"""A fleet as a folder of our own: tables in Parquet and fleet.json, which says what they are."""

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.battery import Battery
from traces.fleet import Fleet
from traces.hardware import Hardware
from traces.parquet import Columns, Kind, read_columns, write_columns
from traces.rates import Network, RateSeries
from traces.report import Report, clean, from_json, to_json
from traces.source_file import parse_json, read_source, sum_of_file

VERSION = 1
MANIFEST = "fleet.json"
_FORMAT = "fedjoule fleet"
_MOST_MANIFEST_BYTES = 1 << 20
_MOST_ROWS = 200_000_000  # twenty times the largest fleet; ten weeks of 100,000 phones' intervals
_MOST_TEXT_CHARACTERS = 10_000

_INTERVALS: dict[str, Kind] = {"trace": "int32", "start_s": "float64", "end_s": "float64"}
_TABLES: dict[str, dict[str, Kind]] = {
    "phones": {"hardware": "int32", "network": "int32", "trace": "int32", "shift_s": "float64"},
    "hardware": {"model": "text", "soc": "text", "tier": "text", "score": "float64"},
    "networks": {
        "download_bit_per_s": "float64",
        "upload_bit_per_s": "float64",
        "download_cv": "float64",
        "upload_cv": "float64",
    },
    "series": {"period_s": "float64"},
    "rates": {
        "network": "int32",
        "begin_s": "float64",
        "download_bit_per_s": "float64",
        "upload_bit_per_s": "float64",
    },
    "traces": {"origin_s": "float64", "period_s": "float64"},
    "intervals": _INTERVALS,
    "charging": _INTERVALS,
    "levels": {"trace": "int32", "at_s": "float64", "level_pct": "float64"},
}
_ALWAYS = ("phones", "hardware", "networks")


def is_fleet_folder(path: Path) -> bool:
    """Return whether a folder holds a fleet of ours."""
    return (path / MANIFEST).is_file()


def write_fleet(fleet: Fleet, folder: Path, report: Report | None = None) -> None:
    """Write a fleet, so that a reader finds all of it or nothing; one of ours that is there already is replaced.

    ``report``: what became of what it was made from, which ``read_fleet`` gives back.
    Raises ValueError if something else lies there, or pyarrow is missing, and OSError.
    """
    if (folder.exists() or folder.is_symlink()) and not _may_replace(folder):
        message = (
            f"{clean(folder, 300)}: must be a new or empty folder, or hold a fleet of ours alone; name another one"
        )
        raise ValueError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        os.chmod(aside, 0o755)
        _write_into(aside, fleet, report or Report(fleet.phones))
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                os.replace(folder, old)
                os.replace(aside, folder)
            except BaseException:
                # Empty unless what was there had been put into it.
                if not any(old.iterdir()):
                    old.rmdir()
                raise
            shutil.rmtree(old)
        else:
            os.replace(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def read_fleet(folder: Path) -> tuple[Fleet, Report, tuple[tuple[str, str, int], ...]]:
    """Return a fleet that ``write_fleet`` wrote, equal to the last bit; its report; its files.

    Files are name, SHA-256 and bytes. Raises ValueError for another version, a file that is missing, damaged or not the
    one that was written, and what is no fleet; and OSError.
    """
    source = read_source(folder / MANIFEST, _MOST_MANIFEST_BYTES)
    where = clean(folder / MANIFEST, 300)
    manifest = parse_json(source.raw, where)
    _check_manifest(manifest, where)
    files = [source.known_by]
    tables: dict[str, Columns] = {}
    # The names of files are ours; nothing that the manifest says leads anywhere.
    for name in _TABLES:
        known = manifest["files"].get(f"{name}.parquet")
        path = folder / f"{name}.parquet"
        if known is None:
            if path.exists():  # without its intervals a fleet would be ready for ever
                message = f"{where}: does not list {path.name}, which is there; take both as they were written"
                raise ValueError(message)
            continue
        if not path.is_file():
            message = (
                f"{where}: lists {path.name}, which is not there; write the fleet anew with fedjoule fleet convert"
            )
            raise ValueError(message)
        files.append(sum_of_file(path))
        if files[-1][1] != known:
            message = (
                f"{clean(path, 300)}: is not the file that was written: its SHA-256 is {files[-1][1]}, {MANIFEST} says "
                f"{clean(known)}; write the fleet anew with fedjoule fleet convert"
            )
            raise ValueError(message)
        tables[name] = read_columns(path, _TABLES[name], _MOST_ROWS)
    try:
        fleet = _fleet(manifest, tables)
        report = from_json(manifest["reading"]) if "reading" in manifest else Report(fleet.phones)
        return fleet, report, tuple(files)
    except (KeyError, ValueError) as error:
        reason = f"lacks {error}.parquet" if isinstance(error, KeyError) else str(error)
        message = f"{clean(folder, 300)}: is no fleet: {clean(reason, 300)}"
        raise ValueError(message) from error


def _may_replace(folder: Path) -> bool:
    """Return whether a folder is empty, or holds a fleet of ours and nothing beside it that would be lost."""
    names = set(os.listdir(folder)) if folder.is_dir() and not folder.is_symlink() else {""}
    if not names:
        return True
    if not names <= {MANIFEST, *(f"{name}.parquet" for name in _TABLES)} or not is_fleet_folder(folder):
        return False
    try:
        _check_manifest(parse_json(read_source(folder / MANIFEST, _MOST_MANIFEST_BYTES).raw, MANIFEST), MANIFEST)
    except ValueError:
        return False
    return True


def _write_into(folder: Path, fleet: Fleet, report: Report) -> None:
    tables = _tables(fleet)
    for name, columns in tables.items():
        write_columns(folder / f"{name}.parquet", columns)
    manifest = {
        "format": _FORMAT,
        "version": VERSION,
        "name": fleet.name,
        "source": fleet.source,
        "phones": fleet.phones,
        "network": fleet.network.kind,
        "reading": to_json(report),
        "files": {f"{name}.parquet": sum_of_file(folder / f"{name}.parquet")[1] for name in tables},
    }
    with (folder / MANIFEST).open("w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())


def _tables(fleet: Fleet) -> dict[str, dict[str, Any]]:
    hardware, network, series = fleet.hardware, fleet.network, fleet.network.series
    tables: dict[str, dict[str, Any]] = {
        "phones": {
            "hardware": fleet.hardware_of,
            "network": fleet.network_of,
            "trace": fleet.trace_of,
            "shift_s": fleet.shift_s,
        },
        "hardware": {
            "model": np.array(hardware.models, dtype=object),
            "soc": np.array(hardware.socs, dtype=object),
            "tier": np.array(hardware.tiers, dtype=object),
            "score": hardware.scores,
        },
        "networks": {name: getattr(network, name) for name in _TABLES["networks"]},
    }
    if series is not None:
        tables["series"] = {"period_s": series.period_s}
        tables["rates"] = {
            "network": _owners(series.offsets),
            "begin_s": series.begin_s,
            "download_bit_per_s": series.download_bit_per_s,
            "upload_bit_per_s": series.upload_bit_per_s,
        }
    if fleet.availability is not None:
        tables["traces"] = {"origin_s": fleet.availability.origin_s, "period_s": fleet.availability.period_s}
        tables["intervals"] = _intervals(fleet.availability)
    if fleet.battery is not None:
        battery = fleet.battery
        tables.setdefault("traces", {"origin_s": battery.charging.origin_s, "period_s": battery.charging.period_s})
        tables["charging"] = _intervals(battery.charging)
        tables["levels"] = {"trace": _owners(battery.offsets), "at_s": battery.at_s, "level_pct": battery.level_pct}
    return tables


def _intervals(a: Availability) -> dict[str, Any]:
    return {"trace": _owners(a.offsets), "start_s": a.start_s, "end_s": a.end_s}


def _owners(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))


def _check_manifest(manifest: Any, where: str) -> None:
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        message = f"{where}: must have format {_FORMAT!r}; is it a fleet that fedjoule fleet convert wrote?"
        raise ValueError(message)
    version = manifest.get("version")
    if version != VERSION:
        message = f"{where}: has version {clean(version, 20)}; this fedjoule reads version {VERSION}: write it anew"
        raise ValueError(message)
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(known, str) for known in files.values()):
        message = f"{where}: files must say the SHA-256 of each table"
        raise ValueError(message)
    for key in ("name", "source", "network"):
        value = manifest.get(key)
        if not isinstance(value, str) or len(value) > _MOST_TEXT_CHARACTERS:
            message = f"{where}: {key} must be text of at most {_MOST_TEXT_CHARACTERS:,} characters"
            raise ValueError(message)


def _fleet(manifest: dict[str, Any], tables: dict[str, Columns]) -> Fleet:
    for name in _ALWAYS:
        tables[name]
    phones, hardware, networks = (tables[name] for name in _ALWAYS)
    availability = battery = None
    if "intervals" in tables:
        availability = _availability(tables["traces"], tables["intervals"])
    if "traces" in tables and not {"intervals", "charging"} & set(tables):
        tables["intervals"]
    if "charging" in tables:
        levels = tables["levels"]
        charging = _availability(tables["traces"], tables["charging"])
        offsets = _offsets(levels["trace"], charging.traces, "levels")
        battery = Battery(charging, offsets, levels["at_s"], levels["level_pct"])
    series = None
    if "rates" in tables:
        rates, period_s = tables["rates"], tables["series"]["period_s"]
        offsets = _offsets(rates["network"], len(period_s), "rates")
        series = RateSeries(
            offsets=offsets,
            begin_s=rates["begin_s"],
            download_bit_per_s=rates["download_bit_per_s"],
            upload_bit_per_s=rates["upload_bit_per_s"],
            period_s=period_s,
        )
    models, socs = (tuple(clean(text, 200) for text in hardware[name]) for name in ("model", "soc"))
    fleet = Fleet(
        name=clean(manifest["name"], _MOST_TEXT_CHARACTERS),
        hardware=Hardware(models, socs, tuple(hardware["tier"]), hardware["score"]),
        hardware_of=phones["hardware"],
        network=Network(
            kind=manifest["network"],
            download_bit_per_s=networks["download_bit_per_s"],
            upload_bit_per_s=networks["upload_bit_per_s"],
            download_cv=networks["download_cv"],
            upload_cv=networks["upload_cv"],
            series=series,
        ),
        network_of=phones["network"],
        availability=availability,
        trace_of=phones["trace"],
        shift_s=phones["shift_s"],
        source=clean(manifest["source"], _MOST_TEXT_CHARACTERS),
    )
    return fleet if battery is None else replace(fleet, battery=battery)


def _availability(traces: Columns, intervals: Columns) -> Availability:
    offsets = _offsets(intervals["trace"], len(traces["period_s"]), "intervals")
    return Availability(offsets, intervals["start_s"], intervals["end_s"], traces["origin_s"], traces["period_s"])


def _offsets(owner: npt.NDArray[np.int32], owners: int, what: str) -> npt.NDArray[np.int64]:
    """Return where each owner's rows begin and end, checked to be in order and within their number."""
    if len(owner) and (owner[0] < 0 or owner[-1] >= owners or (np.diff(owner) < 0).any()):
        message = f"the rows of {what}.parquet must be in order and point at {owners} rows of another table"
        raise ValueError(message)
    return np.append(0, np.cumsum(np.bincount(owner, minlength=owners), dtype=np.int64))
