"""Own traces: one CSV or Parquet table of intervals, a row each, with what else is known of the phones."""

import csv
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from traces.availability import SHORTEST_S, make_availability
from traces.battery import Battery
from traces.fleet import Fleet
from traces.hardware import Hardware, Tier
from traces.lines import Lines
from traces.network import PAPER_BIT_PER_S
from traces.parquet import Kind, read_columns
from traces.rates import Network, constant_network
from traces.report import Report, Tally, clean

DAY_S = 86_400.0
_NEEDED: dict[str, Kind] = {"phone": "text", "start_s": "float64", "end_s": "float64"}
# What is said of the phone, not the interval: the same in all its rows, or empty.
_TEXTS = ("model", "soc", "tier")
_NUMBERS = ("period_s", "score", "download_bit_per_s", "upload_bit_per_s")
_OPTIONAL: dict[str, Kind] = {
    "state": "text",
    **dict.fromkeys(_TEXTS, "text"),
    **dict.fromkeys(_NUMBERS, "float64"),
}
_STATES = ("ready", "charging")

_MOST_BYTES = 2 << 30
_MOST_LINE_BYTES = 4096
_MOST_ROWS = 20_000_000
_MOST_PHONES = 2_000_000
_MOST_TEXT_CHARACTERS = 200
_MOST_PERIOD_S = 3_660 * DAY_S
_SLOW_BIT_PER_S = 10_000.0  # slower than the slowest mobile network: most likely a slip of units
# Beyond them is a slip of units or of the keyboard, and a clock that runs for ages: slower than any modem, say.
_BOUNDS = {
    "period_s": (SHORTEST_S, _MOST_PERIOD_S),
    "score": (0.0, 1e15),
    "download_bit_per_s": (1.0, 1e12),
    "upload_bit_per_s": (1.0, 1e12),
}


@dataclass
class _Phone:
    """What is known of a phone so far: its intervals by state, with the row of each, and the rest by column."""

    spans: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)


def read_intervals(path: Path) -> tuple[Fleet, Report]:
    """Return the fleet of an own table: a row for each interval, its times in seconds from the trace's begin, midnight.

    Columns: phone, start_s, end_s; and, if wanted, state (ready, or charging for a battery's), period_s after which
    the trace repeats (else whole days until the last end in the file), model, soc, tier, score, download_bit_per_s and
    upload_bit_per_s (both or none; without them the fleet has the paper's constant 10 Mbit/s). A row without times
    names a phone that is never ready. Rows may come in any order; intervals that touch become one.

    Nothing is dropped or repaired: raises ValueError naming the row for anything that is not right, such as an interval
    that ends before it begins or overlaps another, a rate that is not above 0, two models of one phone; and OSError.
    """
    where = clean(path, 300)
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    phones: dict[str, _Phone] = {}
    for number, row in rows:
        _add(phones, row, f"{where}: row {number}", number)
        if len(phones) > _MOST_PHONES:
            message = f"{where}: has more than {_MOST_PHONES:,} phones, the most that are read; split it"
            raise ValueError(message)
    if not phones:
        message = f"{where}: must have a row for each interval of a phone (has none)"
        raise ValueError(message)
    return _fleet(path, where, phones)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and fields of the rows; the first after the names is 2, as editors count."""
    with Lines(path, _MOST_BYTES, _MOST_LINE_BYTES) as lines:
        reader = csv.reader(lines, strict=True)
        try:
            heads = [head.strip() for head in next(reader, [])]
            _check_heads(heads, lines.name)
            count = 0
            for row in reader:
                if not row:
                    continue
                count += 1
                if len(row) != len(heads):
                    message = f"{lines.name}: row {reader.line_num} has {len(row)} fields; the first line {len(heads)}"
                    raise ValueError(message)
                if count > _MOST_ROWS:
                    message = f"{lines.name}: has more than {_MOST_ROWS:,} rows, the most that are read; split it"
                    raise ValueError(message)
                yield reader.line_num, dict(zip(heads, row, strict=True))
        except csv.Error as error:
            message = f"{lines.name}: row {reader.line_num} is no CSV: {clean(error)}"
            raise ValueError(message) from error


def _check_heads(heads: list[str], where: str) -> None:
    known = [*_NEEDED, *_OPTIONAL]
    wrong = [head for head in heads if head not in known] or [name for name in _NEEDED if name not in heads]
    if wrong or len(set(heads)) < len(heads):
        apart = "; a comma must stand between them" if len(heads) == 1 and ";" in heads[0] else ""
        message = (
            f"{where}: the first line must name the columns {', '.join(_NEEDED)} and may name {', '.join(_OPTIONAL)}, "
            f"each once (got {clean(','.join(heads), 200)!r}); times are in seconds, rates in bit/s{apart}"
        )
        raise ValueError(message)


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    columns = read_columns(path, _NEEDED, _MOST_ROWS, _OPTIONAL)
    names = list(columns)
    for number, values in enumerate(zip(*(columns[name].tolist() for name in names), strict=True), 1):
        yield number, dict(zip(names, values, strict=True))


def _add(phones: dict[str, _Phone], row: dict[str, Any], where: str, number: int) -> None:
    """Take a row's interval and what it says of the phone."""
    name = str(row["phone"]).strip()
    if not name or len(name) > _MOST_TEXT_CHARACTERS:
        message = (
            f"{where}: phone must be a name of at most {_MOST_TEXT_CHARACTERS} characters (got {clean(name, 40)!r})"
        )
        raise ValueError(message)
    phone = phones.setdefault(name, _Phone())
    start, end = (_number(row[column], column, where) for column in ("start_s", "end_s"))
    state = str(row.get("state", "")).strip() or "ready"
    if state not in _STATES:
        message = f"{where}: state must be {' or '.join(_STATES)} (got {clean(state, 40)!r})"
        raise ValueError(message)
    if math.isnan(start) != math.isnan(end):
        message = f"{where}: start_s and end_s must both be there, or neither for a phone that is never ready"
        raise ValueError(message)
    if not math.isnan(start):
        if start < 0 or end - start < SHORTEST_S or end > _MOST_PERIOD_S:
            message = (
                f"{where}: start_s must be at least 0 and end_s after it, within ten years (got {start:g} to {end:g}); "
                "times count from the trace's begin, in seconds; what lasts past the period's end is two rows"
            )
            raise ValueError(message)
        phone.spans.setdefault(state, []).append((start, end, number))
    for column in (*_TEXTS, *_NUMBERS):
        if column in row:
            _know(phone, column, row[column], where)


def _know(phone: _Phone, column: str, value: Any, where: str) -> None:
    """Take what a row says of the phone; what is empty says nothing."""
    if column in _TEXTS:
        told: Any = str(value).strip()
        if not told:
            return
        if len(told) > _MOST_TEXT_CHARACTERS:
            message = (
                f"{where}: {column} must have at most {_MOST_TEXT_CHARACTERS} characters (got {clean(told, 40)!r})"
            )
            raise ValueError(message)
        told = clean(told, _MOST_TEXT_CHARACTERS)
        if column == "tier" and told not in get_args(Tier):
            message = f"{where}: tier must be low, medium or high, or empty (got {clean(told, 40)!r})"
            raise ValueError(message)
    else:
        told = _number(value, column, where)
        if math.isnan(told):
            return
        least, most = _BOUNDS[column]
        if not least <= told <= most:
            message = f"{where}: {column} must be from {least:g} to {most:g} (got {told:g})"
            raise ValueError(message)
    before = phone.known.setdefault(column, told)
    if before != told:
        message = (
            f"{where}: {column} of a phone must be the same in all its rows (got {clean(told, 40)}, before it was "
            f"{clean(before, 40)}); it may be left empty"
        )
        raise ValueError(message)


def _number(value: Any, column: str, where: str) -> float:
    """Return a number; NaN if there is nothing."""
    text = value.strip() if isinstance(value, str) else value
    if text == "" or (isinstance(text, float) and math.isnan(text)):
        return math.nan
    try:
        number = math.nan if isinstance(text, str) and "_" in text else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        message = f"{where}: {column} must be a finite number (got {clean(value, 40)!r})"
        raise ValueError(message)
    return number


def _fleet(path: Path, where: str, phones: dict[str, _Phone]) -> tuple[Fleet, Report]:
    tally = Tally()
    for phone in phones.values():
        for spans in phone.spans.values():
            _check_apart(spans, where)
    period_s = _periods(phones, where, tally)
    availability = make_availability(_spans(phones, "ready"), period_s)
    never = sum("ready" not in phone.spans for phone in phones.values())
    tally.flag("phones that are never ready", count=never)
    battery = None
    if any("charging" in phone.spans for phone in phones.values()):
        none = np.zeros(0)
        charging = make_availability(_spans(phones, "charging"), period_s)
        battery = Battery(charging, np.zeros(len(phones) + 1, np.int64), none, none)
    hardware, hardware_of = _hardware(phones)
    network, network_of = _network(phones, where, tally)
    fleet = Fleet(
        name=clean(path.stem, 60),
        hardware=hardware,
        hardware_of=hardware_of,
        network=network,
        network_of=network_of,
        availability=availability,
        trace_of=np.arange(len(phones), dtype=np.int32),
        shift_s=np.zeros(len(phones)),
        source=f"own intervals, {clean(path.name)}: {len(phones)} phones",
        battery=battery,
    )
    return fleet, tally.report(len(phones))


def _check_apart(spans: list[tuple[float, float, int]], where: str) -> None:
    spans.sort()
    for (start, end, row), (later, _, other) in itertools.pairwise(spans):
        if later < end:
            message = (
                f"{where}: row {max(row, other)} overlaps row {min(row, other)} of the same phone (one is {start:g} to "
                f"{end:g}, the other begins at {later:g}); join them"
            )
            raise ValueError(message)


def _periods(phones: dict[str, _Phone], where: str, tally: Tally) -> npt.NDArray[np.float64]:
    last = max((end for phone in phones.values() for spans in phone.spans.values() for _, end, _ in spans), default=1.0)
    whole_s = math.ceil(last / DAY_S) * DAY_S
    unsaid = sum("period_s" not in phone.known for phone in phones.values())
    tally.flag(f"phones without period_s, whose traces repeat after {whole_s / DAY_S:g} days", count=unsaid)
    periods = np.array([phone.known.get("period_s", whole_s) for phone in phones.values()])
    for name, phone, period in zip(phones, phones.values(), periods.tolist(), strict=True):
        for spans in phone.spans.values():
            if spans[-1][1] > period:
                message = f"{where}: row {spans[-1][2]} ends after period_s, {period:g}, of phone {clean(name, 40)}"
                raise ValueError(message)
    return periods


def _spans(phones: dict[str, _Phone], state: str) -> list[list[tuple[float, float]]]:
    return [[(start, end) for start, end, _ in phone.spans.get(state, ())] for phone in phones.values()]


def _hardware(phones: dict[str, _Phone]) -> tuple[Hardware, npt.NDArray[np.int32]]:
    places: dict[tuple[str, str, Tier, float | None], int] = {}
    which = []
    for phone in phones.values():
        known = phone.known
        kind = (known.get("model", ""), known.get("soc", ""), known.get("tier", ""), known.get("score"))
        which.append(places.setdefault(kind, len(places)))
    models, socs, tiers, scores = zip(*places, strict=True)
    known_scores = np.array([math.nan if score is None else score for score in scores])
    return Hardware(models, socs, tiers, known_scores), np.array(which, np.int32)


def _network(phones: dict[str, _Phone], where: str, tally: Tally) -> tuple[Network, npt.NDArray[np.int32]]:
    pairs = [(phone.known.get("download_bit_per_s"), phone.known.get("upload_bit_per_s")) for phone in phones.values()]
    for name, (down, up) in zip(phones, pairs, strict=True):
        if (down is None) != (up is None):
            message = (
                f"{where}: phone {clean(name, 40)} has one of download_bit_per_s and upload_bit_per_s; it needs both"
            )
            raise ValueError(message)
    unsaid = sum(down is None for down, _ in pairs)
    tally.flag(f"phones without rates, given {PAPER_BIT_PER_S / 1e6:g} Mbit/s", count=unsaid)
    told = [(down or PAPER_BIT_PER_S, up or PAPER_BIT_PER_S) for down, up in pairs]
    slow = sum(min(rates) < _SLOW_BIT_PER_S for rates in told)
    tally.flag("phones with less than 10 kbit/s: rates are in bit/s, not in Mbit/s", count=slow)
    rates, which = np.unique(np.array(told, dtype=np.float64), axis=0, return_inverse=True)
    return constant_network(rates[:, 0], rates[:, 1]), which.astype(np.int32).reshape(-1)
