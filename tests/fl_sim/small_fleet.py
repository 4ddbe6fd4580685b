"""Small fleets and loads with round figures: 8 bit/s, so that a byte takes a second, and a batch takes a second."""

from collections.abc import Sequence

import numpy as np

from costmodel.round import PhasePower
from fl_sim.draws import Draws
from fl_sim.load import Load
from traces.availability import Availability
from traces.fleet import Fleet
from traces.hardware import Hardware
from traces.rates import Network

Intervals = Sequence[tuple[float, float]]
BYTE_PER_S = Network("constant", np.array([8.0]), np.array([8.0]), np.zeros(1), np.zeros(1))


def small_fleet(
    ready: Sequence[Intervals] | None,
    *,
    phones: int | None = None,
    period_s: float | Sequence[float] = 1000.0,
    origin_s: float | Sequence[float] = 0.0,
    shift_s: float | Sequence[float] = 0.0,
    network: Network = BYTE_PER_S,
    hardware_of: Sequence[int] | None = None,
) -> Fleet:
    """Return a fleet in which phone p has the p-th of the traces ``ready``, and the hardware and network in turn."""
    traces = 0 if ready is None else len(ready)
    count = traces if phones is None else phones
    availability = None
    if ready is not None:
        edges = np.array([edge for intervals in ready for interval in intervals for edge in interval], dtype=np.float64)
        availability = Availability(
            np.cumsum([0, *(len(intervals) for intervals in ready)]),
            edges[::2].copy(),
            edges[1::2].copy(),
            np.broadcast_to(np.asarray(origin_s, dtype=np.float64), traces).copy(),
            np.broadcast_to(np.asarray(period_s, dtype=np.float64), traces).copy(),
        )
    kinds = np.zeros(count) if hardware_of is None else np.asarray(hardware_of)
    return Fleet(
        name="small",
        hardware=Hardware(("slow", "fast"), ("", ""), ("low", "high"), np.full(2, np.nan)),
        hardware_of=kinds.astype(np.int32),
        network=network,
        network_of=(np.arange(count) % network.profiles).astype(np.int32),
        availability=availability,
        trace_of=(np.arange(count) % max(traces, 1)).astype(np.int32),
        shift_s=np.broadcast_to(np.asarray(shift_s, dtype=np.float64), count).copy(),
        source="made for a test",
    )


def small_load(
    download_s: float = 10.0, train_s: float = 20.0, upload_s: float = 5.0, *, counted: bool = False
) -> Load:
    """Return a load that takes so many seconds on the slow hardware; the fast one trains twice as fast, for 3 J/s."""
    return Load(
        batches=np.array([train_s]),
        download_bytes=np.array([download_s]),
        upload_bytes=np.array([upload_s]),
        batch_time_ms=np.array([1000.0, 500.0]),
        batch_energy_mj=np.array([2000.0, 1500.0]),
        power=PhasePower(1.0, 0.5, 0.25) if counted else PhasePower(),
    )


def no_luck(phones: int, attempts: int = 1, fails_at: Sequence[Sequence[float]] | None = None) -> Draws:
    """Return draws that leave everything as it is, or in which attempts fail."""
    ones = np.ones((phones, attempts))
    return Draws(ones, ones, np.full((phones, attempts), np.nan) if fails_at is None else np.array(fails_at))
