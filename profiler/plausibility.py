"""What looks wrong in a valid measurement table: odd power, and batches far off the published ones."""

import pandas as pd

from profiler.columns import PLAUSIBLE_POWER_W, implied_power_w
from profiler.names import fold
from profiler.table import paper_table

# A complete batch so many times faster or slower than every published one of its kind is worth a second look: it is
# what a wrong unit in both time and energy looks like, or a sample's cost taken for a batch's.
_ODD_SPEED = 20


def plausibility_warnings(table: pd.DataFrame, file: str = "table") -> list[str]:
    """Return a line for every row of a checked table that deserves a second look; an empty list is no proof."""
    return [*power_warnings(table, file), *speed_warnings(table, file)]


def power_warnings(table: pd.DataFrame, file: str = "table") -> list[str]:
    """Return one line for every row whose implied power is outside ``PLAUSIBLE_POWER_W``."""
    low, high = PLAUSIBLE_POWER_W
    rows = table.assign(power_w=implied_power_w(table)).to_dict("records")
    return [
        f"{file}: {row['device']} {row['processor']} {row['precision']} {row['model']} implies {row['power_w']:.3g} W, "
        f"outside {low:g} to {high:g} W; check the units (ms, mJ)"
        for row in rows
        if row["power_w"] < low or row["power_w"] > high
    ]


def speed_warnings(table: pd.DataFrame, file: str = "table") -> list[str]:
    """Return one line for every complete batch that is far faster or slower than all published ones of its kind.

    Its kind is model, data set and batch size, in Tables 2 and 3. A wrong unit in both columns implies a plausible
    power, so only this notices it.
    """
    published = pd.concat([paper_table("table2"), paper_table("table3")])
    kinds = _kinds(published)
    warnings = []
    for row, kind in zip(table.to_dict("records"), _kinds(table), strict=True):
        times = published["time_ms"][[known == kind for known in kinds]]
        if row["stage"] != "total" or times.empty:
            continue
        if not times.min() / _ODD_SPEED <= row["time_ms"] <= times.max() * _ODD_SPEED:
            warnings.append(
                f"{file}: {row['device']} {row['processor']} {row['precision']} {row['model']} takes "
                f"{row['time_ms']:g} ms per batch, published ones take {times.min():g} to {times.max():g} ms; "
                "is it in ms, and for a whole batch?"
            )
    return warnings


def _kinds(table: pd.DataFrame) -> list[tuple[object, ...]]:
    names = [table[name].map(lambda cell: fold(cell) if isinstance(cell, str) else "") for name in ("model", "dataset")]
    return list(zip(*names, table["batch_size"], strict=True))
