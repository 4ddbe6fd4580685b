"""From a pipeline to hours and joules: the round around it, and the rounds to converge."""

from dataclasses import dataclass, replace

import numpy as np

from costmodel.cohort import round_times_s
from costmodel.energy import energy
from costmodel.engine import Timing, answer
from costmodel.scenario import Scenario, disturbances_of
from costmodel.workload import workload_for
from fl_sim.method import METHODS
from fl_sim.plan import Plan, read_plan
from fl_sim.reading import readings

_METHOD = "qfedupdate"  # the method that trains on the DSP


@dataclass(frozen=True)
class PipelinedRun:
    """Mean seconds of a round and of its training, and hours to converge; ``plan`` is where they come from.

    ``participation_j`` is what a round costs a client, with the phases ``counted``; None where a power is not known.
    """

    plan: Plan
    reading: str
    train_s: float
    round_s: float
    time_h: float
    participation_j: float | None
    counted: tuple[str, ...]


def plan_of(scenario: Scenario) -> tuple[Plan, str] | None:
    """Return the plan and the reading of Table 4 with the scenario's workload, batch size and epochs, if there is one.

    The rounds were inferred for the workload's own batch size and samples; for others there is none.
    """
    workload = workload_for(scenario.model, scenario.dataset) if scenario.model and scenario.dataset else None
    if workload is None:
        return None
    if (workload.batch_size, workload.samples_per_client) != (scenario.batch_size, scenario.samples):
        return None
    for reading in readings().values():
        if reading.epochs == scenario.epochs and workload.name in reading.workloads:
            plan = read_plan(reading, workload, METHODS[_METHOD])
            return replace(
                plan, bandwidth_bit_per_s=scenario.cohort.bandwidth_bit_per_s, batches=scenario.batches_per_round
            ), reading.name
    return None


def train_s(scenario: Scenario, timing: Timing) -> float:
    """Return the seconds of training in a round.

    With fractional batches, as in Table 4, it is batches times the time per batch in the long run; with whole ones it
    is the makespan of the round, which starts with an empty pipeline.
    """
    if scenario.batches_per_round == "fractional":
        return scenario.counted_batches * timing.batch_ms.value / 1e3
    return timing.round_ms.value / 1e3


def run_of(scenario: Scenario, *, overlap: bool, timing: Timing | None = None) -> PipelinedRun | None:
    """Return time to converge of a scenario, overlapped or not; None where nobody knows the rounds.

    ``timing`` is the scenario's own, if it is at hand. Randomness of the network has a seed of its own, so that two
    calls differ by what differs in the scenario. There are no hours either if nobody meets the deadline, or if
    ``timing`` is of another number of batches than the round's.
    """
    found = plan_of(scenario)
    if found is None or found[0].rounds is None:
        return None
    plan, reading = found
    if timing is None:
        timing = _timing(scenario, overlap=overlap)
    if _other_round(scenario, timing):
        return None
    mine = train_s(scenario, timing)
    phones = [mine]
    if scenario.cohort.phones_train_ms:
        each = [
            replace(scenario, stage=replace(scenario.stage, train_ms=time_ms))
            for time_ms in scenario.cohort.phones_train_ms
        ]
        phones = [train_s(phone, _timing(phone, overlap=overlap)) for phone in each]
    random = np.random.default_rng(0)
    deadline_s = scenario.cohort.deadline_s
    transfer_s = 8 * (plan.download_bytes + plan.upload_bytes) / scenario.cohort.bandwidth_bit_per_s
    if deadline_s is not None and min(phones) + transfer_s > deadline_s:
        return None
    round_s = float(round_times_s(scenario.cohort, phones, plan.download_bytes, plan.upload_bytes, random).mean())
    return PipelinedRun(
        plan=plan,
        reading=reading,
        train_s=mine,
        round_s=round_s,
        time_h=round_s * found[0].rounds / 3600,
        participation_j=_participation_j(scenario, timing, transfer_s, mine, round_s),
        counted=scenario.power.energy_counts,
    )


def why_no_hours(scenario: Scenario, timing: Timing) -> str:
    """Return why `run_of` has no hours for a scenario."""
    if plan_of(scenario) is None:
        return "nobody knows the rounds for this workload, batch size, samples and epochs ('fedjoule cost --rounds')"
    if _other_round(scenario, timing):
        return f"{timing.batches:,} batches are no round, which has {scenario.round_batches:,}"
    return "nobody meets the deadline"


def _other_round(scenario: Scenario, timing: Timing) -> bool:
    """Return whether the timing is of another number of batches than a round's, and that matters.

    Where the time of a batch depends neither on when it comes nor on how many there are, any number will do.
    """
    steady = (
        scenario.batches_per_round == "fractional" and not disturbances_of(scenario).any and not scenario.link.round_ms
    )
    return timing.batches != scenario.round_batches and not steady


def _participation_j(
    scenario: Scenario, timing: Timing, transfer_s: float, training_s: float, round_s: float
) -> float | None:
    """Return the energy of a client-round: training, and radio and waiting where the scenario counts them.

    E = training + radio power * (download + upload) + idle power * waiting
    """
    power = scenario.power
    batches = scenario.counted_batches
    busy_ms = {stage: batches * work_ms for stage, work_ms in timing.work_ms.items()}
    trained = energy(scenario, busy_ms, 1e3 * training_s)
    if trained.total_j is None:
        return None
    joules = trained.total_j
    if "radio" in power.energy_counts:
        joules += (power.radio_w or 0.0) * transfer_s
    if "wait" in power.energy_counts:
        joules += (trained.idle_w or 0.0) * max(0.0, round_s - training_s - transfer_s)
    return joules


def _timing(scenario: Scenario, *, overlap: bool) -> Timing:
    found = answer(scenario)
    return found.overlapped if overlap else found.sequential
