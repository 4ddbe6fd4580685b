"""Steady-state time per batch and makespan of a pipeline with constant stage times, in closed form."""

from collections.abc import Mapping
from dataclasses import dataclass

from costmodel.stages import Pipeline


@dataclass(frozen=True)
class Period:
    """Milliseconds between two finished batches, and the claims on it by name; the largest is the bottleneck.

    ``exact`` is False where the period is only a lower bound, because two claimants contend for a resource.
    """

    period_ms: float
    claims_ms: Mapping[str, float]
    bottleneck: str
    exact: bool


def overlapped(pipeline: Pipeline) -> Period:
    """Return the period of the overlapped pipeline: the largest cycle mean of its event graph.

        max(CPU work, link work, DSP work, (transfer + train) / device slots, (quantize + transfer) / host slots)

    CPU work is sample + quantize in one thread, their maximum in two; what a transfer holds is added to its holder.
    Slow twin: `costmodel.recurrence.makespan_ms`, equal for every number of batches (property test).
    """
    p = pipeline
    on_cpu = p.quantize_on == "cpu"
    quantize_cpu, quantize_dsp = (p.quantize_ms, 0.0) if on_cpu else (0.0, p.quantize_ms)
    dsp_ms = quantize_dsp + p.train_ms
    claims: dict[str, float] = {}
    if p.quantizes_apart:
        claims["CPU sampling"] = p.sample_ms
        claims["CPU quantizing"] = quantize_cpu
        claims["staging slots"] = (p.sample_ms + quantize_cpu) / p.staging_slots
        if p.link_holds == "cpu":
            claims["CPU work"] = (p.sample_ms + quantize_cpu + p.transfer_ms) / 2
    else:
        claims["CPU work"] = p.sample_ms + quantize_cpu + (p.transfer_ms if p.copies_in_thread else 0.0)
    claims["link work"] = p.transfer_ms + (p.return_ms if p.half_duplex else 0.0)
    claims["DSP work"] = dsp_ms + (p.transfer_ms if p.link_holds == "dsp" else 0.0)
    claims["return work"] = p.return_ms
    claims["device slots"] = (p.transfer_ms + dsp_ms) / p.device_slots
    if not p.copies_in_thread:  # a thread that copies has emptied its slot before it comes back to fill one
        held_ms = p.transfer_ms if p.host_slot_freed == "transfer_end" else 0.0
        claims["host slots"] = ((quantize_cpu if on_cpu else p.sample_ms) + held_ms) / p.host_slots
    bottleneck = max(claims, key=lambda name: claims[name])
    return Period(claims[bottleneck], claims, bottleneck, exact=not p.contended)


def makespan_ms(pipeline: Pipeline, batches: int, *, overlap: bool = True) -> float:
    """Return the milliseconds of ``batches`` batches: one batch, and a period for each further one.

    Exact without contention. Under contention it is a lower bound: a shared resource needs its work on all batches,
    after the first one has come to it. Raises ValueError for less than one batch.
    """
    if batches < 1:
        message = f"batches must be at least 1 (got {batches})"
        raise ValueError(message)
    p, more = pipeline, batches - 1
    if not overlap:
        return batches * p.sequential_ms
    claims = overlapped(p).claims_ms
    if not p.contended:
        return p.sequential_ms + more * max(claims.values())
    free = [claim_ms for name, claim_ms in claims.items() if name not in _shared(p)]
    bounds = [p.sequential_ms + more * max(free)]
    if "link work" in _shared(p):
        before_ms = p.sample_ms + (p.quantize_ms if p.quantize_on == "cpu" else 0.0)
        bounds.append(before_ms + batches * claims["link work"])
    if "CPU work" in _shared(p):
        bounds.append(batches * claims["CPU work"] + p.train_ms + p.return_ms)
    return max(bounds)


def _shared(p: Pipeline) -> set[str]:
    """Return the claims whose work is done in no fixed order."""
    link = {"link work"} if p.half_duplex and p.return_ms > 0 else set()
    return link | ({"CPU work"} if p.quantizes_apart and p.link_holds == "cpu" else set())
