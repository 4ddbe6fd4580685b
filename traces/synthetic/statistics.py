"""What is stated of a synthetic fleet: how often, how long and when phones are ready, their networks and hardware."""

import itertools
import math
from dataclasses import dataclass

from traces.report import clean

Row = tuple[float, ...]

DAY_S = 86_400.0
# Beyond it the gaps between a trace's intervals would be shorter than clocks tell apart.
MOST_DUTY = 0.999
# So that a file of a few bytes cannot ask for more memory than there is: 1,000 intervals a day are one every 86 s.
MOST_DAYS, MOST_PER_DAY, MOST_PLACES = 31, 1_000.0, 1_000


@dataclass(frozen=True)
class Readiness:
    """When phones are ready. ``duty``, ``per_day`` and ``length_s`` are quantiles at ``probabilities`` (0 to 1).

    ``never`` is the share of phones that never are; the rest is of the others: ``duty``, the share of time that a phone
    is ready; ``per_day``, its intervals a day; ``length_s``, of all intervals of all phones. ``correlation`` is that of
    duty and intervals a day between phones (of normal scores), ``within`` the standard deviation of ln(length) between
    a phone's own intervals. ``hour_of_day`` says how ready the fleet is in each hour, local time, relative to the mean.
    Traces repeat after ``days``; phones that share one are ``jitter_s`` (standard deviation) apart, besides whole days.
    Raises ValueError for what is out of range.
    """

    days: int
    never: float
    probabilities: Row
    duty: Row
    per_day: Row
    length_s: Row
    correlation: float
    within: float
    hour_of_day: Row
    jitter_s: float
    source: str

    def __post_init__(self) -> None:
        _check_readiness(self)


@dataclass(frozen=True)
class Rates:
    """Networks: log-normal between phones about the median, with ``spread`` the standard deviation of ln(rate).

    Within a phone each transfer has a rate of its own, log-normal with coefficient of variation ``cv`` about the
    phone's mean; 0 for both is constant. ``correlation`` is that of ln(rate) down and up between phones. Raises
    ValueError for what is out of range.
    """

    download_bit_per_s: float
    upload_bit_per_s: float
    download_spread: float
    upload_spread: float
    correlation: float
    download_cv: float
    upload_cv: float
    source: str

    def __post_init__(self) -> None:
        for name in ("download_bit_per_s", "upload_bit_per_s"):
            _within(f"network.{name}", getattr(self, name), 1.0, 1e12, "the median rate in bit/s")
        for name in ("download_spread", "upload_spread"):
            _within(f"network.{name}", getattr(self, name), 0.0, 5.0, "the standard deviation of ln(rate)")
        for name in ("download_cv", "upload_cv"):
            _within(f"network.{name}", getattr(self, name), 0.0, 100.0, "standard deviation / mean of a phone's rate")
        _within("network.correlation", self.correlation, -1.0, 1.0, "0 if rates down and up are independent")


@dataclass(frozen=True)
class Tiers:
    """The shares of phones of each tier of hardware. Raises ValueError unless they add up to 1."""

    low: float
    medium: float
    high: float
    source: str

    def __post_init__(self) -> None:
        _check_shares("hardware", (self.low, self.medium, self.high))


@dataclass(frozen=True)
class Zones:
    """Time zones: hours that local time is ahead of the clock, and the shares of phones. Raises ValueError."""

    offset_h: Row
    share: Row
    source: str

    def __post_init__(self) -> None:
        if len(self.offset_h) != len(self.share) or not self.share or len(self.share) > MOST_PLACES:
            message = (
                f"zones.share must be as many as zones.offset_h, 1 to {MOST_PLACES} (got {len(self.share)} and"
                f" {len(self.offset_h)}); leave zones out for one zone"
            )
            raise ValueError(message)
        for hours in self.offset_h:
            _within("zones.offset_h", hours, -12.0, 14.0, "hours that local time is ahead of the clock")
        _check_shares("zones.share", self.share)


@dataclass(frozen=True)
class Statistics:
    """What a synthetic fleet is made from. Without ``readiness`` phones are always ready; there are no batteries."""

    name: str
    title: str
    readiness: Readiness | None
    network: Rates
    hardware: Tiers
    zones: Zones | None = None


def _check_readiness(r: Readiness) -> None:
    if type(r.days) is not int or not 1 <= r.days <= MOST_DAYS:
        message = f"availability.days must be a whole number within 1 and {MOST_DAYS} (got {clean(r.days)})"
        raise ValueError(message)
    _within("availability.never", r.never, 0.0, 1.0, "the share of phones that are never ready")
    p = r.probabilities
    rising = all(a < b for a, b in itertools.pairwise(p))
    if not (2 <= len(p) <= MOST_PLACES and p[0] == 0 and p[-1] == 1 and rising):
        message = f"availability.probabilities must rise from 0 to 1, 2 to {MOST_PLACES} of them (got {clean(p)})"
        raise ValueError(message)
    bounds = {
        "duty": (1e-6, MOST_DUTY, "the share of time that a phone is ready; those that never are belong to never"),
        "per_day": (1e-3, MOST_PER_DAY, "a phone's intervals a day"),
        "length_s": (1.0, r.days * DAY_S, "seconds, at most the trace's days"),
    }
    for name, (least, most, what) in bounds.items():
        values: Row = getattr(r, name)
        if len(values) != len(p):
            message = (
                f"availability.{name} must have a value for each of the {len(p)} probabilities (got {len(values)})"
            )
            raise ValueError(message)
        for value in values:
            _within(f"availability.{name}", value, least, most, what)
        if any(a > b for a, b in itertools.pairwise(values)):
            message = f"availability.{name} must never fall (got {clean(values)}); they are quantiles"
            raise ValueError(message)
    _within("availability.correlation", r.correlation, -1.0, 1.0, "of duty and intervals a day")
    _within("availability.within", r.within, 0.0, 10.0, "the standard deviation of ln(length) within a phone")
    _within("availability.jitter_s", r.jitter_s, 0.0, DAY_S / 2, "a standard deviation in seconds")
    if len(r.hour_of_day) != 24 or not math.isclose(math.fsum(r.hour_of_day), 24.0, rel_tol=1e-3):
        message = (
            f"availability.hour_of_day must be 24 values with mean 1 (got {len(r.hour_of_day)} that add up to"
            f" {math.fsum(r.hour_of_day):g}); divide them by their mean"
        )
        raise ValueError(message)
    for value in r.hour_of_day:
        _within("availability.hour_of_day", value, 0.01, 24.0, "how ready the fleet is, relative to its mean")


def _within(name: str, value: float, least: float, most: float, what: str) -> None:
    if not least <= value <= most:  # NaN is not, either
        message = f"{name} must be within {least:g} and {most:g} (got {value:g}): {what}"
        raise ValueError(message)


def _check_shares(name: str, shares: Row) -> None:
    for share in shares:
        _within(name, share, 0.0, 1.0, "a share of the phones")
    if not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-3):
        message = f"{name} must add up to 1 (got {math.fsum(shares):g}); they are shares of the phones"
        raise ValueError(message)
