"""FedScale's run of throughput over 4G and 5G: a rate for each second, which becomes a network that varies."""

import csv
import math
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from traces.lines import Lines
from traces.rates import Network, RateSeries, series_network
from traces.report import Report, Tally, clean

Floats = npt.NDArray[np.float64]
Unit = Literal["Mbit/s", "MB/s"]
_BIT_PER_S: dict[Unit, float] = {"Mbit/s": 1e6, "MB/s": 8e6}
_COLUMN = "throughput_mbps"
_SECONDS_PER_ROW = 1.0
_MOST_BYTES = 64 << 20
_MOST_LINE_BYTES = 4096
_MOST_MBPS = 1e6


def read_throughput(source: Path | bytes, *, unit: Unit = "Mbit/s") -> tuple[Network, Report]:
    """Return a network of one profile that repeats the file's rates, one second each, alike down and up.

    ``unit`` is that of the column ``throughput_mbps``. The file says neither how long a row lasts nor in which
    direction it was measured: a second is what those who use it take it for. Rows whose rate is missing, negative or
    not finite are dropped and counted; 0 is a rate. Raises ValueError if the column is missing, or no rate is above 0,
    and OSError.
    """
    if unit not in _BIT_PER_S:
        message = f"unit must be {' or '.join(_BIT_PER_S)} (got {unit!r})"
        raise ValueError(message)
    tally = Tally()
    rates = []
    with Lines(source, _MOST_BYTES, _MOST_LINE_BYTES) as lines:
        rows = csv.reader(lines, strict=True)
        try:
            heads = next(rows, [])
            if _COLUMN not in heads:
                message = f"{lines.name}: must have a column {_COLUMN} (its first line is {clean(','.join(heads))!r})"
                raise ValueError(message)
            place = heads.index(_COLUMN)
            for row in rows:
                if not row:
                    continue
                reason = "a row that is too short" if len(row) <= place else _reason(row[place])
                if reason:
                    tally.drop(reason, f"line {rows.line_num}")
                    continue
                rates.append(float(row[place]))
        except csv.Error as error:
            message = f"{lines.name}: line {rows.line_num} is no CSV: {clean(error)}; get the file again"
            raise ValueError(message) from error
        name = lines.name
    bit_per_s = np.array(rates, dtype=np.float64) * _BIT_PER_S[unit]
    if not (bit_per_s > 0).any():
        message = f"{name}: must have a rate above 0 (has {len(rates)} rates); get the file again"
        raise ValueError(message)
    tally.flag("rows taken for one second each, alike down and up: the file says neither", count=len(rates))
    offsets = np.array([0, len(rates)])
    begin_s: Floats = np.arange(len(rates), dtype=np.float64) * _SECONDS_PER_ROW
    period_s = np.array([len(rates) * _SECONDS_PER_ROW])
    series = RateSeries(offsets, begin_s, bit_per_s, bit_per_s, period_s)
    return series_network(series), tally.report(len(rates))


def _reason(text: str) -> str:
    """Return why a rate is dropped; empty: it is not."""
    try:
        rate = float(text)
    except ValueError:
        return "a rate that is no number"
    if not math.isfinite(rate):
        return "a rate that is not finite"
    return "" if 0 <= rate <= _MOST_MBPS else "a rate below 0, or beyond a million"
