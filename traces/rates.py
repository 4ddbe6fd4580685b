"""How fast phones' networks are: constant, log-normal about a mean, or a series of rates that repeats."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from traces.stretches import bisection_steps, check_offsets, last_not_above, sums

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
NetworkKind = Literal["constant", "lognormal", "trace"]
Profiles = npt.NDArray[np.integer] | int
Direction = Literal["download", "upload"]


@dataclass(frozen=True, eq=False)
class RateSeries:
    """Rates over time: from ``begin_s`` on, in the series' own time (the first at 0), until the next; repeated.

    Profile i has the places ``offsets[i]:offsets[i + 1]`` and repeats every ``period_s[i]``; its time 0 is that of the
    clock. Rates may be 0 for a while, not for a whole period. Raises ValueError where that does not hold.
    """

    offsets: Places
    begin_s: Floats
    download_bit_per_s: Floats
    upload_bit_per_s: Floats
    period_s: Floats

    def __post_init__(self) -> None:
        _check_series(self)

    @cached_property
    def counts(self) -> Places:
        """How many rates each profile has."""
        return np.diff(self.offsets)

    @cached_property
    def steps(self) -> int:
        """How many steps a look-up takes."""
        return bisection_steps(self.counts)

    @cached_property
    def duration_s(self) -> Floats:
        """How long each rate holds, float64 [places]."""
        ends = np.append(self.begin_s[1:], 0.0)
        ends[self.offsets[1:] - 1] = self.period_s
        return ends - self.begin_s

    @cached_property
    def download(self) -> "Carried":
        """What the series carries down, for the look-ups."""
        return _carried(self, self.download_bit_per_s)

    @cached_property
    def upload(self) -> "Carried":
        """What the series carries up, for the look-ups."""
        return _carried(self, self.upload_bit_per_s)


@dataclass(frozen=True, eq=False)
class Carried:
    """Bits that one direction of a series carries: before each place in its period, and in a whole period."""

    bit_per_s: Floats
    before_bit: Floats
    period_bit: Floats


@dataclass(frozen=True, eq=False)
class Network:
    """Network profiles, float64 [profiles]: mean rates in bit/s and their coefficients of variation.

    ``constant``: always the mean. ``lognormal``: each transfer has a rate of its own, drawn with that mean and that
    coefficient of variation (never a normal cut at zero: its mean time of a transfer is infinite). ``trace``: rates
    follow ``series``; the means are the series' own, over time. Only ``lognormal`` uses the coefficients of variation.
    Raises ValueError for what is no rate.
    """

    kind: NetworkKind
    download_bit_per_s: Floats
    upload_bit_per_s: Floats
    download_cv: Floats
    upload_cv: Floats
    series: RateSeries | None = None

    def __post_init__(self) -> None:
        _check_network(self)

    @property
    def profiles(self) -> int:
        """How many profiles there are."""
        return len(self.download_bit_per_s)


def constant_network(download_bit_per_s: Floats | float, upload_bit_per_s: Floats | float) -> Network:
    """Return a network of constant rates: one profile, or one for each place of the arrays."""
    down, up = np.broadcast_arrays(
        np.atleast_1d(np.asarray(download_bit_per_s, np.float64)), np.asarray(upload_bit_per_s, np.float64)
    )
    return Network("constant", down.copy(), up.copy(), np.zeros(down.shape), np.zeros(down.shape))


def series_network(series: RateSeries) -> Network:
    """Return the network that follows ``series``, with its means over time and their coefficients of variation."""
    first, counts = series.offsets[:-1], series.counts

    def over_time(rate: Floats) -> tuple[Floats, Floats]:
        mean = np.add.reduceat(rate * series.duration_s, first) / series.period_s
        square = np.square(rate - np.repeat(mean, counts))
        return mean, np.sqrt(np.add.reduceat(square * series.duration_s, first) / series.period_s) / mean

    down, down_cv = over_time(series.download_bit_per_s)
    up, up_cv = over_time(series.upload_bit_per_s)
    return Network("trace", down, up, down_cv, up_cv, series)


def draw_multipliers(network: Network, profile: Profiles, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Return what the mean rates of one transfer down and one up of each profile are multiplied by, independent draws.

    ``lognormal``: exp(m + s z) with z standard normal, s^2 = ln(1 + cv^2) and m = -s^2 / 2, which has mean 1 and that
    cv. 1 for the other kinds, which draw nothing.
    """
    shape = np.shape(profile)
    if network.kind != "lognormal":
        return np.ones(shape), np.ones(shape)
    drawn = random.standard_normal((2, *shape))
    for z, cv in zip(drawn, (network.download_cv, network.upload_cv), strict=True):
        variance = np.log1p(np.square(cv))[profile]
        z *= np.sqrt(variance)
        z -= variance / 2
    multipliers = np.exp(drawn, out=drawn)
    return multipliers[0], multipliers[1]


def transfer_s(
    network: Network,
    profile: Profiles,
    begin_s: Floats | float,
    size_bytes: Floats | float,
    direction: Direction,
    multiplier: Floats | float = 1.0,
) -> Floats:
    """Return the seconds that transfers take which begin at ``begin_s`` of the clock; all arguments broadcast.

    8 x size / (rate x multiplier); for a series the earliest time by which the rates from begin on, times the
    multiplier, add up to the size, over as many periods as it takes. Its slow twin, a walk from rate to rate, is in the
    tests. The network knows nothing of readiness: a transfer that is interrupted takes longer.
    """
    bits = np.multiply(8.0, size_bytes) / multiplier
    if network.kind != "trace" or network.series is None:
        rate = network.download_bit_per_s if direction == "download" else network.upload_bit_per_s
        seconds = np.asarray(bits / rate[profile])
        if seconds.shape == np.shape(begin_s) or np.ndim(begin_s) == 0:
            return seconds
        return np.broadcast_to(seconds, np.broadcast_shapes(seconds.shape, np.shape(begin_s))).copy()
    return _through(network.series, profile, begin_s, bits, direction)


def _through(
    series: RateSeries, profile: Profiles, begin_s: Floats | float, bits: Floats, direction: Direction
) -> Floats:
    """Return the seconds that ``bits`` take through a series from ``begin_s`` on."""
    carried = series.download if direction == "download" else series.upload
    period, whole_bit = series.period_s[profile], carried.period_bit[profile]
    first, count = series.offsets[profile], series.counts[profile]
    own = np.mod(np.where(np.isfinite(begin_s), begin_s, 0.0), period)  # what begins at infinity takes some time, too
    place = last_not_above(series.begin_s, first, count, own, series.steps)
    rate = carried.bit_per_s.take(place)
    passed = own - series.begin_s.take(place)
    remaining = series.duration_s.take(place) - passed
    fits = np.asarray(bits <= rate * remaining)
    seconds = np.where(fits, bits, 0.0) / np.where(rate > 0, rate, 1.0)
    if fits.all():
        return np.asarray(seconds)
    # Whole periods, such that something is left of the last: it is done at the last place with less carried before.
    goal = carried.before_bit.take(place) + rate * passed + bits
    whole = np.floor(goal / whole_bit)
    left = goal - whole * whole_bit
    whole, left = np.where(left > 0, (whole, left), (whole - 1, left + whole_bit))
    last = last_not_above(carried.before_bit, first, count, np.nextafter(left, -math.inf), series.steps)
    within = (left - carried.before_bit.take(last)) / carried.bit_per_s.take(last)
    longer = np.maximum(whole * period + series.begin_s.take(last) + within - own, remaining)
    return np.where(fits, seconds, longer)


def _carried(series: RateSeries, bit_per_s: Floats) -> Carried:
    before, whole = sums(bit_per_s * series.duration_s, series.offsets)
    return Carried(bit_per_s, before, whole)


def _check_series(series: RateSeries) -> None:
    places, kinds = len(series.begin_s), len(series.period_s)
    for name in ("begin_s", "download_bit_per_s", "upload_bit_per_s", "period_s"):
        values, length = getattr(series, name), kinds if name == "period_s" else places
        if values.dtype != np.float64 or values.shape != (length,):
            message = f"{name} of a rate series must be float64 [{length}] (got {values.dtype} {values.shape})"
            raise ValueError(message)
        _refuse(~(np.isfinite(values) & (values >= 0)), name, values, "must be finite and at least 0")
    check_offsets("offsets of a rate series", series.offsets, kinds, places)
    profile = np.repeat(np.arange(kinds), series.counts)
    empty = series.counts == 0
    _refuse(empty, "offsets", series.counts, "must hold a rate for every profile; leave out one that has none")
    first = np.zeros(places, bool)
    first[series.offsets[:-1]] = True
    begin = series.begin_s
    _refuse(first & (begin != 0), "begin_s", begin, "must be 0 for a profile's first rate; count from its begin")
    _refuse(~first & (np.diff(begin, prepend=-1.0) <= 0), "begin_s", begin, "must rise within a profile; sort it")
    _refuse(begin >= series.period_s[profile], "begin_s", begin, "must be below the profile's period_s")
    for name, carried in (("download_bit_per_s", series.download), ("upload_bit_per_s", series.upload)):
        _refuse(
            carried.period_bit <= 0, name, carried.period_bit, "must be above 0 somewhere in every profile's period"
        )


def _check_network(network: Network) -> None:
    if network.kind not in get_args(NetworkKind):
        message = (
            f"kind of a network must be one of {', '.join(get_args(NetworkKind))} (got {str(network.kind)[:40]!r})"
        )
        raise ValueError(message)
    shape = (len(network.download_bit_per_s),)
    for name in ("download_bit_per_s", "upload_bit_per_s", "download_cv", "upload_cv"):
        values = getattr(network, name)
        if values.dtype != np.float64 or values.shape != shape:
            message = f"{name} of a network must be float64 {list(shape)} (got {values.dtype} {values.shape})"
            raise ValueError(message)
        finite = np.isfinite(values)
        if name.endswith("cv"):
            _refuse(~(finite & (values >= 0)), name, values, "must be finite and at least 0; 0 means no variation")
        else:
            _refuse(~(finite & (values > 0)), name, values, "must be finite and above 0; bit/s")
    if network.kind == "trace" and (network.series is None or len(network.series.period_s) != network.profiles):
        message = f"series must have the {network.profiles} profiles of the network of kind 'trace'; see series_network"
        raise ValueError(message)


def _refuse(broken: npt.NDArray[np.bool_], name: str, values: npt.NDArray[np.generic], rule: str) -> None:
    if broken.any():
        place = int(np.argmax(broken))
        message = f"{name} {rule} (got {values[place]} at place {place})"
        raise ValueError(message)
