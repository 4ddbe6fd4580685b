"""The workload in fedjoule's own round loop: ``fedjoule_engine.py native fp32 2``: engine, precision and threads.

FP32 is FedAvg (``floatfl``); INT8 is ``qfedupdate``, integer training without biases.
"""

import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
import workload
from meter import Meter

from fl_sim.config import Config
from fl_sim.data.dataset import Images, make_dataset
from fl_sim.engine import ENGINES, Place, open_engine
from fl_sim.model import Floats
from fl_sim.partition import from_owners
from fl_sim.run import rounds, work_of
from fl_sim.server import first_server
from fl_sim.setting import Setting, make_setting
from fl_sim.task import LocalTask

_NEVER = 10**6  # rounds until an evaluation, which is behind the last


@dataclass(frozen=True, eq=False)
class Fixed(Setting):
    """A setting whose first weights, cohorts and order of samples are the workload's."""

    work: workload.Workload

    def initial(self) -> Floats:
        weights = workload.to_nhwc(self.work.weights)
        parts = [weights[name].ravel() for name in workload.NAMES if self.model.bias or name.endswith("weight")]
        return np.concatenate(parts)

    def cohort(self, round_number: int) -> list[int]:
        return self.work.cohort(round_number - 1)

    def task(self, client: int, round_number: int) -> LocalTask:
        bounds = np.append(np.arange(0, workload.SAMPLES, workload.BATCH), workload.SAMPLES).astype(np.int32)
        return LocalTask(client, round_number, self.partition.of(client), bounds, rounding_seed=client)


def fixed(work: workload.Workload, precision: str) -> Fixed:
    """Return the workload's setting; nothing is evaluated."""
    images = Images(work.pixels.reshape(-1, workload.SIDE, workload.SIDE, 1), work.labels.ravel())
    test = Images(images.pixels[:1], images.labels[:1])
    owner = np.repeat(np.arange(workload.CLIENTS, dtype=np.int32), workload.SAMPLES)
    dataset = make_dataset("noise", workload.CLASSES, images, test, "seeded noise")
    config = Config(
        method="floatfl" if precision == "fp32" else "qfedupdate", dataset="noise", model="lenetleaf",
        bias=precision == "fp32", clients=workload.CLIENTS, cohort=workload.COHORT, rounds=_NEVER,
        batch_size=workload.BATCH, learning_rate=str(workload.RATE), evaluate_every=_NEVER,
    )  # fmt: skip
    made = make_setting(config, dataset, from_owners(owner, workload.CLIENTS))
    return Fixed(made.config, made.method, made.trainer, made.model, made.dataset, made.partition, work)


def main(name: str, precision: str, threads: int) -> None:
    engines = {known: known for known in ENGINES}
    if name not in engines or precision not in ("fp32", "int8"):
        message = f"fedjoule_engine.py takes one of {', '.join(ENGINES)}, then fp32 or int8, then the threads"
        raise SystemExit(message)
    setting = fixed(workload.read(), precision)
    meter = Meter([setting.initial()], versions=f"fedjoule {version('fedjoule')}, numpy {np.__version__}")
    engine = open_engine(engines[name], work_of(setting), Place(workers=threads))
    try:
        meter.begin()
        for done in rounds(setting, engine, first_server(setting)):
            if not meter.tick(partial(list, [done.server.weights])):
                break
    finally:
        engine.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
