"""A finished run costed again, for any phone: train once, cost many times.

Without deadlines what a run learns does not depend on its phones, so its log and a batch cost are all it takes. Time
is as if every client had the same phone; clients differ in the batches and bytes that the log counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from costmodel.batch import BatchCost
from costmodel.round import PhasePower, client_round
from fl_sim.finished import FinishedRun
from fl_sim.method import Method
from profiler.names import fold, printable

Array = npt.NDArray[np.float64]
CountedBatches = Literal["trained", "fractional"]
COUNTED: tuple[CountedBatches, ...] = ("trained", "fractional")

# Arithmetic for which phones have training kernels, and what would run today in the place of any other.
_KERNELS = ("fp32", "int8")
_STAND_IN = {"int": "int8", "fp": "fp32", "bf": "fp32"}


@dataclass(frozen=True, eq=False)
class ClientRounds:
    """The work of a run: batches and bytes of every client-round, float64 [client-rounds].

    Round r is ``[starts[r - 1]:starts[r]]``, or to the end; ``registered`` are all clients there are.
    """

    starts: npt.NDArray[np.int64]
    batches: Array
    download_bytes: Array
    upload_bytes: Array
    registered: int


@dataclass(frozen=True, eq=False)
class Course:
    """What each round costs on one phone, float64 [rounds].

    ``slowest_s`` is how long its slowest client takes, ``mean_s`` its mean client, both from the start of the download
    to the end of the upload; ``energy_j`` is of all its clients together, None where training has no energy.
    """

    slowest_s: Array
    mean_s: Array
    energy_j: Array | None
    registered: int


@dataclass(frozen=True)
class RunCost:
    """What the first ``rounds`` rounds cost.

    ``time_h`` waits for the slowest client of each round, ``mean_h`` for the mean one. ``client_kj`` is the energy of
    all clients, ``total_kj``, shared among the registered ones. Energies are None where training has none.
    """

    rounds: int
    time_h: float
    mean_h: float
    total_kj: float | None
    client_kj: float | None


@dataclass(frozen=True)
class Fit:
    """A batch cost that a run can be costed with.

    ``same_data`` is False for one that was measured on another data set. ``measured`` is False where the method's
    arithmetic has no kernel that was measured: the cost is what would run today.
    """

    batch: BatchCost
    same_data: bool
    measured: bool


def client_rounds(run: FinishedRun, counted: CountedBatches = "trained") -> ClientRounds:
    """Return a run's work. ``fractional`` counts a short last batch as the share of a batch it is (images / size).

    Raises ValueError for a run with deadlines, or one that does not say how many clients are registered.
    """
    clients = run.clients
    others = clients.loc[clients["outcome"] != "done", "outcome"]
    if len(others):
        message = f"{run.name}: a client-round is {printable(others.iloc[0], 20)!r}, not done; a run whose rounds end "
        raise ValueError(message + "before all clients do learns otherwise on other phones, so train it again for them")
    if run.registered is None:
        message = f"{run.name}: manifest.json does not say how many clients are registered; train the run again"
        raise ValueError(message)
    if counted not in COUNTED:
        message = f"batches must be counted as {' or '.join(COUNTED)} (got {str(counted)[:40]!r})"
        raise ValueError(message)
    batches = clients["batches"] if counted == "trained" else clients["images"] / run.config.batch_size
    return ClientRounds(
        starts=np.searchsorted(clients["round"].to_numpy(), run.rounds["round"].to_numpy()),
        batches=batches.to_numpy(np.float64),
        download_bytes=clients["download_bytes"].to_numpy(np.float64),
        upload_bytes=clients["upload_bytes"].to_numpy(np.float64),
        registered=run.registered,
    )


def recost(work: ClientRounds, batch: BatchCost, bandwidth_bit_per_s: float, power: PhasePower | None = None) -> Course:
    """Return what each round of a run costs when every client has the phone of ``batch``.

        client  = 8 download / bandwidth + batches * batch time + 8 upload / bandwidth      in s
        slowest = the largest of the round's clients, for which the others wait
        energy  = sum over clients of batches * batch energy, and of the phases that ``power`` counts

    Vectorised; its slow twin is ``recost_by_loop``. Raises ValueError as ``costmodel.round.client_round`` does.
    """
    cost = client_round(
        batch_time_ms=batch.time_ms, batch_energy_mj=batch.energy_mj, samples=work.batches, batch_size=1, epochs=1,
        download_bytes=work.download_bytes, upload_bytes=work.upload_bytes, bandwidth_bit_per_s=bandwidth_bit_per_s,
        power=power,
    )  # fmt: skip
    busy_s = cost.busy_s
    slowest_s = np.maximum.reduceat(busy_s, work.starts)
    counts = np.diff(work.starts, append=len(busy_s))
    energy_j = cost.energy_j
    if energy_j is not None:
        energy_j = np.add.reduceat(energy_j, work.starts)
        if power is not None and power.wait_w is not None:
            waited_s = np.repeat(slowest_s, counts) - busy_s
            energy_j += power.wait_w * np.add.reduceat(waited_s, work.starts)
    return Course(slowest_s, np.add.reduceat(busy_s, work.starts) / counts, energy_j, work.registered)


def recost_by_loop(
    work: ClientRounds, batch: BatchCost, bandwidth_bit_per_s: float, power: PhasePower | None = None
) -> Course:
    """Return what ``recost`` returns, client by client in plain arithmetic."""
    power = power or PhasePower()
    ends = [*work.starts[1:].tolist(), len(work.batches)]
    slowest_s, mean_s, energy_j = [], [], []
    for start, end in zip(work.starts.tolist(), ends, strict=True):
        busy_s, joules = [], 0.0
        for i in range(start, end):
            download_s = 8 * float(work.download_bytes[i]) / bandwidth_bit_per_s
            upload_s = 8 * float(work.upload_bytes[i]) / bandwidth_bit_per_s
            busy_s.append(download_s + float(work.batches[i]) * batch.time_ms / 1e3 + upload_s)
            joules += float(work.batches[i]) * (batch.energy_mj or 0.0) / 1e3
            joules += (power.download_w or 0.0) * download_s + (power.upload_w or 0.0) * upload_s
        slowest_s.append(max(busy_s))
        mean_s.append(sum(busy_s) / len(busy_s))
        energy_j.append(joules + (power.wait_w or 0.0) * sum(max(busy_s) - busy for busy in busy_s))
    known = None if batch.energy_mj is None else np.array(energy_j)
    return Course(np.array(slowest_s), np.array(mean_s), known, work.registered)


def run_cost(course: Course, rounds: int | None = None) -> RunCost:
    """Return what the first ``rounds`` rounds cost, by default all. Raises ValueError for rounds there are not."""
    count = len(course.slowest_s) if rounds is None else rounds
    if not 1 <= count <= len(course.slowest_s):
        message = f"rounds must be from 1 to {len(course.slowest_s)}, those of the run (got {count})"
        raise ValueError(message)
    total_kj = None if course.energy_j is None else float(course.energy_j[:count].sum()) / 1e3
    return RunCost(
        rounds=count,
        time_h=float(course.slowest_s[:count].sum()) / 3600,
        mean_h=float(course.mean_s[:count].sum()) / 3600,
        total_kj=total_kj,
        client_kj=None if total_kj is None else total_kj / course.registered,
    )


def kernel_of(method: Method) -> tuple[str, bool]:
    """Return the precision in which a method's training would run today, and whether that is the method's own."""
    precision: str = method.precision
    if precision in _KERNELS:
        return precision, True
    return _STAND_IN.get(precision.rstrip("0123456789"), "fp32"), False


def fitting(run: FinishedRun, costs: Iterable[BatchCost]) -> tuple[Fit, ...]:
    """Return the batch costs of the run's model, batch size and arithmetic, in the order of ``costs``.

    Of one processor those on the run's data set are taken, else those of the model on another data set. Rows in the
    method's own arithmetic are taken where there are any, else those of ``kernel_of``.
    """
    model, batch_size = fold(run.model), run.config.batch_size
    same = [cost for cost in costs if model and (fold(cost.model), cost.batch_size) == (model, batch_size)]
    own: str = run.method.precision
    stand_in, measured = kernel_of(run.method)
    in_own = [cost for cost in same if cost.precision == own]
    rows = in_own or [cost for cost in same if cost.precision == stand_in]
    dataset = fold(run.config.dataset)
    on_data = {_processor(cost) for cost in rows if fold(cost.dataset) == dataset}
    return tuple(
        Fit(cost, same_data=_processor(cost) in on_data, measured=measured or bool(in_own))
        for cost in rows
        if fold(cost.dataset) == dataset or _processor(cost) not in on_data
    )


def _processor(cost: BatchCost) -> tuple[str, str]:
    return fold(cost.device), cost.processor
