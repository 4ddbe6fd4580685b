"""Time and energy to converge: a plan on one phone, round by round, for all its rounds."""

from dataclasses import dataclass

from costmodel.batch import BatchCost
from costmodel.round import PhasePower, RoundCost, client_round, mean_client_energy_j, run_time_s
from fl_sim.plan import LARGEST, Plan


@dataclass(frozen=True)
class Convergence:
    """What a run costs: ``time_h`` in all, ``client_kj`` per client averaged over all N, and one client-round.

    ``participant_kj`` is what a client spends that is selected every time. Energies are None without a measured
    energy, everything but ``round`` is None without rounds.
    """

    plan: Plan
    batch: BatchCost
    round: RoundCost
    time_h: float | None
    client_kj: float | None
    participant_kj: float | None


def converge(plan: Plan, batch: BatchCost, power: PhasePower | None = None, wait_s: float = 0.0) -> Convergence:
    """Return time and energy to converge when every phone is the one of ``batch``: no stragglers, no absence.

    time   = rounds * (download + train + upload + wait)      in hours
    energy = rounds * round energy * K / N                    in kJ, mean over all N clients
    """
    if not 0 <= wait_s <= LARGEST:
        message = f"wait_s must be 0 or more and at most {LARGEST:g} (got {wait_s})"
        raise ValueError(message)
    cost = client_round(
        batch_time_ms=batch.time_ms,
        batch_energy_mj=batch.energy_mj,
        samples=plan.samples_per_client,
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        download_bytes=plan.download_bytes,
        upload_bytes=plan.upload_bytes,
        bandwidth_bit_per_s=plan.bandwidth_bit_per_s,
        batches=plan.batches,
        wait_s=wait_s,
        power=power,
    )
    time_h = client_kj = participant_kj = None
    if plan.rounds is not None:
        time_h = float(run_time_s(cost.time_s, plan.rounds)) / 3600
        if cost.energy_j is not None:
            energy_j = mean_client_energy_j(cost.energy_j, plan.rounds, plan.clients_per_round, plan.clients)
            client_kj = float(energy_j) / 1e3
            participant_kj = float(cost.energy_j) * plan.rounds / 1e3
    return Convergence(plan, batch, cost, time_h, client_kj, participant_kj)
