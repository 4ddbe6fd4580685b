"""A fleet of any size from stated statistics: some thousand traces, shared by phones that are days apart."""

import numpy as np
import numpy.typing as npt

from traces.fleet import Fleet
from traces.hardware import TIERS, Hardware
from traces.rates import Network
from traces.report import clean
from traces.synthetic.made_traces import make_traces
from traces.synthetic.statistics import DAY_S, Rates, Readiness, Statistics

# More distinct networks than any look at a fleet tells apart; one for each of ten million phones would take 320 MB.
NETWORKS = 1_000
MOST_PHONES, MOST_TRACES = 10_000_000, 100_000


def synthetic_fleet(statistics: Statistics, phones: int, seed: int, traces: int = 2_000) -> Fleet:
    """Return a fleet with the stated statistics; the same for the same arguments.

    It has that many distinct traces whatever its size. Up to ``traces`` phones have one each; more share them, read
    some whole days and a jitter apart. Both the share of phones that are never ready and the quantiles of what is
    stated come out as nearly as that number of traces allows; which phone has which trace, network and tier is drawn,
    independently: that a fast phone is also well connected, or on its charger longer, is not modelled. Phones of a tier
    have the models "low tier", "medium tier" and "high tier". Raises ValueError for what is out of range.
    """
    for name, value, most in (("phones", phones, MOST_PHONES), ("traces", traces, MOST_TRACES)):
        if not 1 <= value <= most:
            message = f"{name} must be within 1 and {most:,} (got {value:,}); more phones share traces at no gain"
            raise ValueError(message)
    if seed < 0:
        message = f"seed must be at least 0 (got {seed}); the same seed gives the same fleet"
        raise ValueError(message)
    # A stream for each purpose, so that another network leaves the traces as they are.
    for_traces, for_phones, for_network, for_hardware, for_zones = np.random.default_rng(seed).spawn(5)
    readiness = statistics.readiness
    trace_of, shift_s = np.zeros(phones, np.int32), np.zeros(phones)
    if readiness is not None:
        trace_of, shift_s = _share(readiness, phones, traces, for_phones)
    if statistics.zones is not None and readiness is not None:
        zone = for_zones.choice(len(statistics.zones.share), phones, p=_shares(statistics.zones.share))
        shift_s += np.array(statistics.zones.offset_h)[zone] * 3600.0
    network = _network(statistics.network, min(phones, NETWORKS), for_network)
    tiers = statistics.hardware
    edges = np.cumsum(_shares((tiers.low, tiers.medium, tiers.high)))[:-1]
    return Fleet(
        name=statistics.name,
        hardware=Hardware(tuple(f"{tier} tier" for tier in TIERS), ("",) * 3, TIERS, np.full(3, np.nan)),
        hardware_of=_places(edges, phones, for_hardware),
        network=network,
        network_of=_spread(phones, network.profiles, for_network),
        availability=None if readiness is None else make_traces(readiness, traces, for_traces),
        trace_of=trace_of,
        shift_s=shift_s,
        source=f"synthetic: {clean(statistics.title, 300)}; {phones} phones, {traces} traces, seed {seed}",
    )


def _share(
    r: Readiness, phones: int, traces: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Return which trace each phone has, and how far it is read from the trace's own time."""
    trace_of = _spread(phones, traces, random)
    if phones <= traces:
        return trace_of, np.zeros(phones)
    shift_s = random.standard_normal(phones)
    shift_s *= r.jitter_s
    shift_s += random.integers(0, r.days, phones, dtype=np.int8) * DAY_S
    return trace_of, shift_s


def _spread(phones: int, places: int, random: np.random.Generator) -> npt.NDArray[np.int32]:
    """Return a place for each phone: drawn without repetition as long as there are enough."""
    if phones <= places:
        return random.permutation(places)[:phones].astype(np.int32)
    return random.integers(0, places, phones, dtype=np.int32)


def _places(edges: npt.NDArray[np.float64], phones: int, random: np.random.Generator) -> npt.NDArray[np.int32]:
    """Return int32 [phones], drawn with the shares between the edges."""
    drawn = random.random(phones, dtype=np.float32)
    place = np.zeros(phones, np.int32)
    for edge in edges:
        place += drawn >= np.float32(edge)
    return place


def _shares(shares: tuple[float, ...]) -> npt.NDArray[np.float64]:
    return np.asarray(np.array(shares) / np.sum(shares))


def _network(rates: Rates, profiles: int, random: np.random.Generator) -> Network:
    """Return networks log-normal about the median: ln(rate) down and up are normal with the stated correlation."""
    from scipy.special import ndtri

    # Evenly spaced quantiles in random order, so that the median and spread are as stated for few networks, too.
    down = ndtri((random.permutation(profiles) + 0.5) / profiles)
    mixed = rates.correlation * down + np.sqrt(1 - rates.correlation**2) * random.standard_normal(profiles)
    up = ndtri((np.argsort(np.argsort(mixed)) + 0.5) / profiles)
    constant = rates.download_cv == 0 == rates.upload_cv
    return Network(
        "constant" if constant else "lognormal",
        rates.download_bit_per_s * np.exp(rates.download_spread * down),
        rates.upload_bit_per_s * np.exp(rates.upload_spread * up),
        np.full(profiles, rates.download_cv),
        np.full(profiles, rates.upload_cv),
    )
