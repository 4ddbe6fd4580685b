"""What a fleet is to train: from paper mode, or from the log of a training run."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from costmodel.round import PhasePower, count_batches
from costmodel.workload import Workload
from fl_sim.converged import Rule, converged, curve
from fl_sim.device_map import Mapped
from fl_sim.finished import FinishedRun
from fl_sim.load import Load
from fl_sim.method import Method
from fl_sim.plan import read_plan
from fl_sim.reading import Reading
from fl_sim.recost import client_rounds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FleetPlan:
    """Work by client, float64 [clients], and how many rounds of how many updates.

    ``clients`` is N, the registered clients, among whom paper mode shares energy. ``notes`` say where it is from.
    """

    method: Method
    model: str
    dataset: str
    batch_size: int
    batches: Floats
    download_bytes: Floats
    upload_bytes: Floats
    rounds: int
    cohort: int
    clients: int
    notes: tuple[str, ...]

    def load(self, mapped: Mapped, power: PhasePower | None = None) -> Load:
        """Return the load of a client-round on hardware that is mapped to measured devices."""
        return Load(
            batches=self.batches,
            download_bytes=self.download_bytes,
            upload_bytes=self.upload_bytes,
            batch_time_ms=mapped.batch_time_ms,
            batch_energy_mj=mapped.batch_energy_mj,
            power=power or PhasePower(),
        )


def paper_plan(reading: Reading, workload: Workload, method: Method, rounds: int | None = None) -> FleetPlan:
    """Return the plan of paper mode: every client has the same share of data, batches as the reading counts them.

    Raises ValueError if the reading does not hold the workload, or has no rounds for the method and none are given.
    """
    plan = read_plan(reading, workload, method)
    count = plan.rounds if rounds is None else rounds
    if count is None:
        message = f"reading {reading.name!r} has no rounds for {method.name} on {workload.name}; give --rounds"
        raise ValueError(message)
    source = f"{count:,} rounds, given" if rounds is not None else f"{count:,} rounds to converge, those of paper mode"
    batches = plan.epochs * count_batches(plan.samples_per_client, plan.batch_size, plan.batches)
    return FleetPlan(
        method=method,
        model=workload.model,
        dataset=workload.dataset,
        batch_size=plan.batch_size,
        batches=np.array([float(batches)]),
        download_bytes=np.array([float(plan.download_bytes)]),
        upload_bytes=np.array([float(plan.upload_bytes)]),
        rounds=count,
        cohort=plan.clients_per_round,
        clients=plan.clients,
        notes=(f"{source}; epochs, payload and cohort of reading {reading.name}",),
    )


def run_plan(run: FinishedRun, rounds: int | None = None, rule: Rule | None = None) -> FleetPlan:
    """Return the plan of a training run: batches and bytes of its clients, rounds until it had converged.

    Phone p has the data of client ``p % clients``: the mean of that client's rounds in the log, or, of clients that the
    run never drew, the mean of all others. Raises ValueError for a run whose log cannot be costed
    (``fl_sim.recost.client_rounds``) or that was judged too seldom for the rule, where no rounds are given.
    """
    work = client_rounds(run)
    drawn = run.clients["client"].to_numpy(np.int64)
    asked = np.bincount(drawn, minlength=work.registered)
    columns = [_by_client(values, drawn, asked) for values in (work.batches, work.download_bytes, work.upload_bytes)]
    notes = []
    if rounds is None:
        rule = rule or Rule()
        judged = curve(run, rule.judged)
        if len(judged) < rule.window:
            message = f"{run.name}: was judged {len(judged)} times, too seldom to say when it had converged, "
            message += f"which takes {rule.window}; give --rounds"
            raise ValueError(message)
        ended = converged(judged, rule)
        rounds = ended.round
        more = "; it was still rising, so they are the least" if ended.rising else ""
        notes.append(f"{rounds:,} rounds to converge, of the run {run.name} ({rule.words}){more}")
    else:
        notes.append(f"{rounds:,} rounds, given; batches and bytes of the run {run.name}")
    never = int((asked == 0).sum())
    if never:
        notes.append(f"{never:,} of {len(asked):,} clients were never drawn in it: they have the mean of the others")
    return FleetPlan(
        method=run.method,
        model=run.model,
        dataset=run.config.dataset,
        batch_size=run.config.batch_size,
        batches=columns[0],
        download_bytes=columns[1],
        upload_bytes=columns[2],
        rounds=rounds,
        cohort=run.config.cohort,
        clients=len(asked),
        notes=tuple(notes),
    )


def _by_client(values: Floats, drawn: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]) -> Floats:
    """Return each client's mean over its rounds; the mean of all client-rounds for one that was never drawn."""
    sums = np.bincount(drawn, weights=values, minlength=len(asked))
    found: Floats = np.divide(sums, asked, out=np.full(len(asked), values.mean()), where=asked > 0)
    return found
