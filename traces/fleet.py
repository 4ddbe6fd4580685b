"""A fleet: phones as aligned arrays that point into small tables of hardware, networks and traces."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from traces import availability, rates
from traces.availability import Availability, Seconds, Truths
from traces.battery import Battery
from traces.hardware import Hardware, Tier
from traces.rates import Direction, Network, RateSeries

Index = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Phones = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fleet:
    """``hardware_of``, ``network_of`` and ``trace_of`` say which kind each phone is of, int32 [phones].

    Phones may share a trace: theirs is read at clock + ``shift_s`` (float64 [phones]); the shift is for availability
    and battery, series of rates are read at the clock. Without ``availability`` all phones are always ready, and
    ``trace_of`` and ``shift_s`` mean nothing. ``source`` says where the fleet is from and what was assumed.
    Raises ValueError if a phone points at nothing or the arrays do not fit together.
    """

    name: str
    hardware: Hardware
    hardware_of: Index
    network: Network
    network_of: Index
    availability: Availability | None
    trace_of: Index
    shift_s: Floats
    source: str
    battery: Battery | None = None

    def __post_init__(self) -> None:
        _check(self)

    @property
    def phones(self) -> int:
        """How many phones there are."""
        return len(self.hardware_of)


def uniform_fleet(name: str, phones: int, *, model: str, soc: str, tier: Tier, bit_per_s: float) -> Fleet:
    """Return a fleet of equal phones that are always ready, with one rate both ways, as in the paper's tables."""
    if phones < 1:
        message = f"phones must be at least 1 (got {phones}); a fleet has somebody to ask"
        raise ValueError(message)
    none = np.zeros(phones, np.int32)
    return Fleet(
        name=name,
        hardware=Hardware((model,), (soc,), (tier,), np.array([np.nan])),
        hardware_of=none,
        network=rates.constant_network(bit_per_s, bit_per_s),
        network_of=none,
        availability=None,
        trace_of=none,
        shift_s=np.zeros(phones),
        source=f"{phones} x {model}, always ready, {bit_per_s:g} bit/s",
    )


def ready(fleet: Fleet, phones: Phones, clock_s: Seconds) -> Truths:
    """Return whether phones (int64 [any]) are ready at the clock, which may be one time or one for each of them."""
    if fleet.availability is None:
        return np.ones(np.broadcast_shapes(np.shape(phones), np.shape(clock_s)), bool)
    return availability.is_ready(fleet.availability, fleet.trace_of[phones], clock_s, fleet.shift_s[phones])


def finish(fleet: Fleet, phones: Phones, begin_s: Seconds, work_s: Seconds) -> Floats:
    """Return when ``work_s`` seconds of work that begin at ``begin_s`` are done, if phones work only while ready."""
    if fleet.availability is None:
        return _wide(phones, np.add(begin_s, work_s))
    return availability.finish_s(fleet.availability, fleet.trace_of[phones], begin_s, work_s, fleet.shift_s[phones])


def next_ready(fleet: Fleet, phones: Phones, clock_s: Seconds) -> Floats:
    """Return when phones are ready next: the clock if they are now, infinity if never."""
    if fleet.availability is None:
        return _wide(phones, np.asarray(clock_s, np.float64))
    return availability.next_ready_s(fleet.availability, fleet.trace_of[phones], clock_s, fleet.shift_s[phones])


def ready_until(fleet: Fleet, phones: Phones, clock_s: Seconds) -> Floats:
    """Return until when phones stay ready: the clock if they are not ready now, infinity if always."""
    if fleet.availability is None:
        return np.full(np.broadcast_shapes(np.shape(phones), np.shape(clock_s)), np.inf)
    return availability.ready_until_s(fleet.availability, fleet.trace_of[phones], clock_s, fleet.shift_s[phones])


def work_done(fleet: Fleet, phones: Phones, begin_s: Seconds, clock_s: Seconds) -> Floats:
    """Return the seconds for which phones were ready between ``begin_s`` and the clock, both finite."""
    if fleet.availability is None:
        return _wide(phones, np.subtract(clock_s, begin_s))
    trace, shift = fleet.trace_of[phones], fleet.shift_s[phones]
    return availability.ready_between_s(fleet.availability, trace, begin_s, clock_s, shift)


def transfer(
    fleet: Fleet, phones: Phones, begin_s: Seconds, size_bytes: Seconds, direction: Direction, multiplier: Seconds
) -> Floats:
    """Return the seconds of transfers that begin at ``begin_s``; ``multiplier`` as drawn by ``multipliers``."""
    return rates.transfer_s(fleet.network, fleet.network_of[phones], begin_s, size_bytes, direction, multiplier)


def multipliers(fleet: Fleet, phones: Phones, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Return what the mean rates of one transfer down and one up of each phone are multiplied by."""
    return rates.draw_multipliers(fleet.network, fleet.network_of[phones], random)


def subset(fleet: Fleet, phones: Phones) -> Fleet:
    """Return the fleet of some phones, in the order given; kinds and traces that none of them has are left out.

    A phone that is named twice is there twice. Raises ValueError if none is named.
    """
    if len(phones) == 0:
        message = f"phones must name at least one of the {fleet.phones} of fleet {fleet.name!r} (got none)"
        raise ValueError(message)
    kinds, hardware_of = _kept(fleet.hardware_of[phones])
    profiles, network_of = _kept(fleet.network_of[phones])
    traces, trace_of = _kept(fleet.trace_of[phones])
    return replace(
        fleet,
        hardware=_hardware(fleet.hardware, kinds),
        hardware_of=hardware_of,
        network=_network(fleet.network, profiles),
        network_of=network_of,
        availability=None if fleet.availability is None else _availability(fleet.availability, traces),
        trace_of=trace_of,
        shift_s=fleet.shift_s[phones],
        battery=None if fleet.battery is None else _battery(fleet.battery, traces),
    )


def _wide(phones: Phones, values: Floats) -> Floats:
    """Return ``values`` in the shape that they have together with the phones."""
    return np.broadcast_to(values, np.broadcast_shapes(np.shape(phones), np.shape(values))).copy()


def _kept(index: Index) -> tuple[Phones, Index]:
    """Return the places that an index points at, and the index into these alone."""
    kept, places = np.unique(index, return_inverse=True)
    return kept.astype(np.int64), places.astype(np.int32).reshape(index.shape)


def _slices(offsets: Phones, kept: Phones) -> tuple[Phones, Phones]:
    """Return the offsets of the slices that are kept, once they stand side by side, and the places they are from."""
    counts = np.diff(offsets)[kept]
    ends = np.append(0, np.cumsum(counts))
    return ends, np.arange(ends[-1]) + np.repeat(offsets[:-1][kept] - ends[:-1], counts)


def _hardware(hardware: Hardware, kept: Phones) -> Hardware:
    models, socs, tiers = (
        tuple(column[kind] for kind in kept) for column in (hardware.models, hardware.socs, hardware.tiers)
    )
    return Hardware(models, socs, tiers, hardware.scores[kept])


def _network(network: Network, kept: Phones) -> Network:
    series = network.series
    if series is not None:
        offsets, places = _slices(series.offsets, kept)
        series = RateSeries(
            offsets,
            series.begin_s[places],
            series.download_bit_per_s[places],
            series.upload_bit_per_s[places],
            series.period_s[kept],
        )
    return Network(
        network.kind,
        network.download_bit_per_s[kept],
        network.upload_bit_per_s[kept],
        network.download_cv[kept],
        network.upload_cv[kept],
        series,
    )


def _availability(a: Availability, kept: Phones) -> Availability:
    offsets, places = _slices(a.offsets, kept)
    return Availability(offsets, a.start_s[places], a.end_s[places], a.origin_s[kept], a.period_s[kept])


def _battery(battery: Battery, kept: Phones) -> Battery:
    offsets, places = _slices(battery.offsets, kept)
    return Battery(_availability(battery.charging, kept), offsets, battery.at_s[places], battery.level_pct[places])


def _check(fleet: Fleet) -> None:
    traces = [each.traces for each in (fleet.availability, fleet.battery and fleet.battery.charging) if each]
    if len(set(traces)) > 1:
        message = (
            f"battery of fleet {fleet.name!r} must have the traces of its availability (got {traces[1]}, {traces[0]})"
        )
        raise ValueError(message)
    shape = (fleet.phones,)
    tables = {"hardware_of": len(fleet.hardware), "network_of": fleet.network.profiles}
    tables["trace_of"] = traces[0] if traces else np.iinfo(np.int32).max
    for name, places in tables.items():
        index = getattr(fleet, name)
        if index.dtype != np.int32 or index.shape != shape:
            message = f"{name} of fleet {fleet.name!r} must be int32 {list(shape)} (got {index.dtype} {index.shape})"
            raise ValueError(message)
        if fleet.phones and not (index.min() >= 0 and index.max() < places):
            message = (
                f"{name} of fleet {fleet.name!r} must be within 0 and {places - 1} (got {index.min()} to {index.max()})"
            )
            raise ValueError(message)
    shift_s = fleet.shift_s
    if shift_s.dtype != np.float64 or shift_s.shape != shape or not np.isfinite(shift_s).all():
        got = f"{shift_s.dtype} {shift_s.shape}"
        message = f"shift_s of fleet {fleet.name!r} must be float64 {list(shape)} and finite (got {got})"
        raise ValueError(message)
