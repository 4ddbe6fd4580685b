"""The verdict on a pipeline in one line: what is busy, what overlap saves, and what to change next."""

import numpy as np

from costmodel import period
from costmodel.engine import Answer, answer, disturbing_events
from costmodel.scenario import Scenario, pipeline_of
from costmodel.timeline import use_of
from costmodel.tornado import Lever, levers
from reports.table import plain_number

AGREES = 0.005  # of the printed time: closer than the difference between two readings
_DRAWN = 0.01  # what a lever must save where periods are drawn: more than their noise
_REPLICATIONS = 200
_SIMULATED = 20  # the same for a simulation
_QUICK = 4_000  # batches and events of disturbed rounds that a dozen levers can be simulated for


def verdict_line(found: Answer, *, overlap: bool = True) -> str:
    """Return the verdict in a line; ``overlap`` False is about the sequential run."""
    before, after = found.sequential.batch_ms, found.overlapped.batch_ms
    saved = before.value - after.value
    busy = _busiest(found, overlap=overlap)
    if before.bound:
        saves = "what overlap saves is not known from bounds"
    else:
        most = "at most " if after.bound else ""
        saves = (
            f"overlap saves {most}{plain_number(saved, 3)} of {plain_number(before.value, 4)} ms"
            f" ({percent(saved, before.value)})"
        )
    if not overlap:
        return f"{busy} without overlap; {saves}."
    held = found.floor.bottleneck
    held = f" (held up by {held})" if held.endswith("slots") else ""
    doubt = "; contradicted by the printed time" if contradicted(found) else ""
    return f"{busy}{held}; {saves}{doubt}; {_next_lever(found)}."


def contradicted(found: Answer) -> bool:
    """Return whether an unchanged scenario takes longer than was printed for it, even overlapped."""
    printed = found.scenario.printed_batch_ms
    origins = dict(found.scenario.origins).values()
    changed = any(origin.startswith(("you: ", "swept", "changed")) for origin in origins)
    if printed is None or changed or not found.exact or found.disturbed or found.asked_batches is not None:
        return False
    return found.overlapped.batch_ms.value > printed * (1 + AGREES)


def percent(part: float, whole: float) -> str:
    """Return a share in per cent with one decimal, a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _busiest(found: Answer, *, overlap: bool) -> str:
    """Return the busiest resource with its share: of the period where the law holds, else of the round as it went."""
    if found.disturbed or found.scenario.noise.varies:
        spans = found.spans if overlap else found.sequential_spans
        use = max(use_of(pipeline_of(found.scenario), spans), key=lambda use: use.busy_ms + use.slowed_ms)
        name = use.resource if use.resource.startswith("link") else use.resource.upper()
        share = 100 * (use.busy_ms + use.slowed_ms) / use.makespan_ms
        return f"{name} {share:.0f} % {'occupied' if use.slowed_ms else 'busy'}"
    claims = {name: claim for name, claim in found.floor.claims_ms.items() if name.endswith(("work", "ing"))}
    busiest = max(claims, key=lambda name: claims[name])
    whole = found.overlapped.batch_ms.value if overlap else found.sequential.batch_ms.value
    return f"{busiest.removesuffix(' work')} {100 * claims[busiest] / whole if whole else 0:.0f} % busy"


def _next_lever(found: Answer) -> str:
    best, by = _levers(found)
    if best is None:
        return f"no lever was looked for in so long a run; --tornado does{by}"
    if not best:
        return f"next lever{by}: no single change helps"
    lever = best[0]
    then = f", then {lever.then} binds" if lever.then != found.floor.bottleneck else ""
    return f"next lever{by}: {lever.words} saves {plain_number(lever.saves_ms, 3)} ms{then}"


def _levers(found: Answer) -> tuple[tuple[Lever, ...] | None, str]:
    """Return levers by what answered; None where simulating them takes too long; by the law, where that is said."""
    scenario = found.scenario

    def by_law(changed: Scenario) -> float:
        return period.overlapped(pipeline_of(changed, found.asked_batches)).period_ms

    contended = pipeline_of(scenario).contended
    if found.engine == "formula" and not found.disturbed and not found.overlapped.batch_ms.bound:
        return levers(scenario, by_law), ""
    if found.engine == "formula":
        return levers(scenario, by_law), " by the period law"
    batches = found.overlapped.batches
    if found.disturbed:
        replications = _SIMULATED if found.random else 1
        if (batches + disturbing_events(scenario, batches)) * replications > _QUICK:
            return None, ""

        def disturbed_ms(changed: Scenario) -> float:
            return answer(changed, batches=batches, replications=replications).overlapped.batch_ms.value

        about = f" over {replications} replications" if found.random else ""
        return levers(scenario, disturbed_ms, _DRAWN), about
    drawn = scenario.noise.varies
    if drawn and contended:
        return levers(scenario, by_law), " by the period law"

    def period_ms(changed: Scenario) -> float:
        if not drawn and not pipeline_of(changed).contended:
            return by_law(changed)
        random = np.random.default_rng(1)
        again = answer(changed, batches=found.asked_batches, replications=_REPLICATIONS, random=random)
        return again.overlapped.batch_ms.value

    return levers(scenario, period_ms, _DRAWN if drawn else 1e-9), ""
