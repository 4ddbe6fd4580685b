"""How the built-in fleets were fitted: to which public files, with which readings of them."""

from pathlib import Path

import numpy as np

from traces.availability import Availability
from traces.fedscale.behaviour import read_behaviour
from traces.fedscale.capacity import read_capacity
from traces.flash.derived import STEP_S, read_grid
from traces.flash.devices import hardware_of_models, read_tables
from traces.flash.speeds import read_speeds
from traces.hardware import TIERS, Hardware
from traces.synthetic.fit import fit
from traces.synthetic.statistics import Statistics
from traces.tidy import availability_of

# Table 3 of the paper, CIFAR-10: ms per batch on phones of the three tiers.
_TABLE_3_MS = (810.0, 397.0, 300.0)


def fit_flash(folder: Path) -> Statistics:
    """Return the statistics of FLASH's public files in ``folder``. Raises ValueError, OSError."""
    network, _ = read_speeds(folder / "speed_distri.json", unit="kB/s")
    tables = read_tables(folder)
    hardware, hardware_of = hardware_of_models(tuple(tables.benchmark_of), tables)
    return fit(
        known_half_hours(folder / "availability_30min.npz"),
        network,
        hardware,
        hardware_of,
        name="flash",
        title="fitted to FLASH (WWW 2021): ready is screen off, charging and on Wi-Fi; half hours",
        sources=(
            "availability_30min.npz: 723 of FLASH's phones, 29 January to 3 February 2020, each over the span of half"
            " hours that is known of it; the clock looks like local time",
            "speed_distri.json: 19 users, unit taken as kB/s, as FLASH's code acts; normal there, log-normal here",
            "real2benchmark.json, benchmark2score.json, supported_devices.json: the class with the nearest AI score, of"
            " the models that have one (80 small, 70 mid, 10 big)",
        ),
    )


def fit_fedscale(folder: Path) -> Statistics:
    """Return the statistics of FedScale's first 100 clients in ``folder``. Raises ValueError, OSError."""
    capacity = read_capacity(folder / "device_capacity_100.json", unit="kbit/s")
    ratio = np.log(capacity.computation_ms / np.median(capacity.computation_ms))
    tiers = np.log(np.array(_TABLE_3_MS) / _TABLE_3_MS[1])
    return fit(
        read_behaviour(folder / "behave_trace_100.json").availability,
        capacity.network(),
        Hardware(TIERS, ("",) * 3, TIERS, np.full(3, np.nan)),
        np.argmin(np.abs(ratio[:, None] - tiers), axis=1),
        name="fedscale",
        title="fitted to FedScale (ICML 2022), its first 100 clients: ready is what FedScale calls active",
        sources=(
            "behave_trace_100.json: slots as they are, with those longer than a day that look like gaps in the"
            " recording; which hour of the day a trace begins at is not known, 0 is taken as midnight",
            "device_capacity_100.json: communication in kbit/s, the same down and up, without variation",
            "device_capacity_100.json: computation / its median, to the nearest (in logarithm) of the time ratios of"
            " Table 3's phones on CIFAR-10, 810 : 397 : 300 ms; an assumption, FedScale has no tiers",
        ),
    )


def known_half_hours(path: Path) -> Availability:
    """Return the half hours of each phone from the first that is known to the last, as a trace that begins there.

    Taking unknown as not ready would count time in which nothing was recorded. Half hours that are unknown between
    known ones count as not ready. The last row, at which the grid begins anew, is left out, and phones of which nothing
    is known.
    """
    parts, origin_s, period_s = [], [], []
    for column in read_grid(path)[:-1].T:
        known = np.flatnonzero(column >= 0)
        if not len(known):
            continue
        span = column[known[0] : known[-1] + 1]
        edges = np.diff(np.pad((span == 1).astype(np.int8), 1))
        begin, end = (np.asarray(np.flatnonzero(edges == edge) * STEP_S, np.float64) for edge in (1, -1))
        parts.append((begin, end))
        origin_s.append(known[0] * float(STEP_S))
        period_s.append(len(span) * float(STEP_S))
    return availability_of(parts, np.array(period_s), np.array(origin_s))
