"""Statistics of a synthetic fleet as a TOML file: read within bounds, every key checked; and written."""

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from traces.report import clean
from traces.source_file import read_source
from traces.synthetic.statistics import Rates, Readiness, Statistics, Tiers, Zones

Part = TypeVar("Part", Readiness, Rates, Tiers, Zones)

MOST_BYTES = 1 << 18
_PARTS = {"availability": Readiness, "network": Rates, "hardware": Tiers, "zones": Zones}
_NEEDED = ("name", "title", "network", "hardware")
_MOST_CHARACTERS = 500


def read_statistics(path: Path) -> Statistics:
    """Return the statistics that a TOML file states. Raises ValueError naming file and key, and OSError."""
    return parse_statistics(read_source(path, MOST_BYTES).raw, path.name)


def parse_statistics(raw: bytes, what: str) -> Statistics:
    """Return the statistics that TOML text states. Raises ValueError naming ``what`` and the key."""
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        message = f"{clean(what, 300)}: is no TOML file in UTF-8: {clean(error, 160)}"
        raise ValueError(message) from error
    try:
        _check_keys("", table, {"name", "title", *_PARTS}, _NEEDED)
        parts: dict[str, Any] = {key: _part(key, kind, table[key]) for key, kind in _PARTS.items() if key in table}
        name, title = _text("name", table["name"]), _text("title", table["title"])
    except ValueError as error:
        message = f"{clean(what, 300)}: {error}"
        raise ValueError(message) from error
    readiness = parts.pop("availability", None)
    return Statistics(name, title, readiness, **parts)


def format_statistics(statistics: Statistics) -> str:
    """Return statistics as the text of a TOML file; reading it gives the same ones."""
    lines = [f"name = {_value(statistics.name)}", f"title = {_value(statistics.title)}"]
    held = (statistics.readiness, statistics.network, statistics.hardware, statistics.zones)
    for key, part in zip(_PARTS, held, strict=True):
        if part is not None:
            lines += ["", f"[{key}]"]
            lines += [f"{field.name} = {_value(getattr(part, field.name))}" for field in fields(part)]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        shown = [_value(each) for each in value]
        rows = [", ".join(shown[first : first + 8]) for first in range(0, len(shown), 8)]
        return f"[{rows[0]}]" if len(rows) == 1 else "[\n" + "".join(f"  {row},\n" for row in rows) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)


def _part(key: str, kind: type[Part], table: object) -> Part:
    if not isinstance(table, dict):
        message = f"{key} must be a table, [{key}] (got {clean(table)!r})"
        raise ValueError(message)
    names = {field.name: field.type for field in fields(kind)}
    _check_keys(f"{key}.", table, set(names), tuple(names))
    values: dict[str, Any] = {}
    for name, wanted in names.items():
        where, value = f"{key}.{name}", table[name]
        if wanted is str:
            values[name] = _text(where, value)
        elif wanted is int:
            values[name] = value
        elif wanted is float:
            values[name] = _number(where, value)
        elif isinstance(value, list):
            values[name] = tuple(_number(where, each) for each in value)
        else:
            message = f"{where} must be a list of numbers (got {clean(value)!r})"
            raise ValueError(message)
    return kind(**values)


def _check_keys(where: str, table: dict[str, Any], known: set[str], needed: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            message = f"{where}{clean(key)} is no key of a synthetic fleet; there are {', '.join(sorted(known))}"
            raise ValueError(message)
    for key in needed:
        if key not in table:
            message = f"{where}{key} is missing; every figure is stated, with its source"
            raise ValueError(message)


def _number(where: str, value: object) -> float:
    # Whole numbers of TOML have no end; float() would raise another error for one of hundreds of digits.
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        message = f"{where} must be a number (got {clean(value, 40)!r})"
        raise ValueError(message)
    return float(value)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _MOST_CHARACTERS:
        message = f"{where} must be text of 1 to {_MOST_CHARACTERS} characters (got {clean(value, 40)!r})"
        raise ValueError(message)
    return clean(value, _MOST_CHARACTERS)
