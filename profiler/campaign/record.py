"""The record of one measurement: a JSON file with everything that is needed to judge it a year later."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profiler.bundle import write_bundle, write_file
from profiler.names import printable
from profiler.sheet import read_bytes

FORMAT = 1
_MOST_BYTES = 4 << 20
_KEYS = ("format", "measurement", "plan", "device", "source", "timing", "energy", "flags", "verdict", "raw")
Record = Mapping[str, Any]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


def write_record(folder: Path, record: Record, raw: Mapping[str, bytes]) -> str:
    """Write a record and the files it was made from; return the record's hash. Nothing is ever left half-written."""
    name = str(record["measurement"])
    write_raw(folder, name, raw)
    content = json_of(record)
    write_file(folder / "records" / f"{name}.json", content)
    return hashlib.sha256(content).hexdigest()


def write_raw(folder: Path, name: str, raw: Mapping[str, bytes]) -> None:
    """Write the files that a measurement left; a name with a folder in it is written flat."""
    write_bundle(folder / "raw" / name, {file.replace("/", "_"): content for file, content in raw.items()})


def json_of(data: Mapping[str, Any]) -> bytes:
    """Return data as JSON that a person can read; what is no finite number becomes null."""
    return (json.dumps(_finite(data), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def read_record(path: Path) -> Record:
    """Return the record in a file. Raises ValueError for a file that is none."""
    content = read_bytes(path, _MOST_BYTES, "record (JSON)")
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        message = f"{printable(path.name)} is no JSON ({printable(error)}); give a record of a measurement"
        raise ValueError(message) from error
    if isinstance(record, dict) and not _typed(record):
        message = f"{printable(path.name)} is damaged; measure again, or leave its measurement out"
        raise ValueError(message)
    missing = [key for key in _KEYS if not isinstance(record, dict) or key not in record]
    if missing or record["format"] != FORMAT:
        what = f"lacks {missing[0]}" if missing else f"has format {printable(record['format'], 20)}, not {FORMAT}"
        message = f"{printable(path.name)} {what}; give a record that this version of fedjoule wrote"
        raise ValueError(message)
    return dict(record)


def read_raw(folder: Path, name: str, file: str, limit_bytes: int = 64 << 20) -> bytes | None:
    """Return one of the files a record was made from, None if it is not there."""
    path = folder / "raw" / name / file
    return read_bytes(path, limit_bytes, "raw") if path.is_file() else None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple | frozenset | set):
        return [_finite(each) for each in value]
    return value


def _typed(record: Record) -> bool:
    """Return whether what others rely on is of its kind, as far as it is there."""
    tables = all(isinstance(record.get(name, {}), dict) for name in ("plan", "device", "source", "raw"))
    perhaps = all(isinstance(record.get(name, {}), dict | None) for name in ("workload", "timing", "energy", "phases"))
    name = record.get("measurement", "x")
    return (
        tables
        and perhaps
        and isinstance(record.get("flags", []), list)
        and record.get("verdict", "valid") in ("valid", "doubtful", "invalid")
        and isinstance(name, str)
        and _NAME.fullmatch(name) is not None
    )
