"""The workload in pfl: FederatedAveraging on a SimulatedBackend; under torchrun the cohort is split over its processes.

Data and model are kept as tensors; pfl evaluates the users of the first round, which here costs nothing.
"""

import os
from collections.abc import Iterator

import lenet
import pfl
import torch
import workload
from meter import Meter
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.hyperparam.base import HyperParam, NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from torch.nn import functional


class Model(lenet.LeNet):
    """What pfl asks of a module."""

    def loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self(x), y)

    def metrics(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Weighted]:
        return {"images": Weighted(len(y), 1)}


class Rounds(TrainingProcessCallback, HyperParam):
    """Tells the meter of every round, and pfl how many clients the next has."""

    def __init__(self, work: workload.Workload, meter: Meter) -> None:
        self._work, self._meter, self._number = work, meter, 0

    def value(self) -> int:
        return len(self._work.cohort(self._number))

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        self._number = central_iteration + 1
        more = self._meter.tick(lenet.arrays(list(model.pytorch_model.parameters())))
        return not more, Metrics()


class Silent(Meter):
    """The meter of a process that is not the first: it counts rounds and prints nothing."""

    def _print(self, event: str, **figures: object) -> None:
        pass


def main() -> None:
    torch.set_num_threads(1)
    work = workload.read()
    first = os.environ.get("RANK", "0") == "0"
    version = f"pfl {pfl.__version__}, torch {torch.__version__}"
    meter = (Meter if first else Silent)(list(work.weights.values()), versions=version)
    data, network = lenet.clients(work), Model()
    network.load_state_dict(lenet.load(work.weights).state_dict())
    model = PyTorchModel(network, torch.optim.SGD, torch.optim.SGD(network.parameters(), lr=1.0))
    rounds = Rounds(work, meter)

    def users() -> Iterator[int]:
        for number in range(meter.rounds):
            yield from work.cohort(number)

    order = users()
    backend = SimulatedBackend(
        FederatedDataset(lambda user: PyTorchTensorDataset(data[user], user_id=str(user)), lambda: next(order)), None
    )
    meter.begin()
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=meter.rounds, evaluation_frequency=meter.rounds + 1, train_cohort_size=rounds,
            val_cohort_size=0,
        ),
        backend,
        model,
        NNTrainHyperParams(local_num_epochs=1, local_learning_rate=workload.RATE, local_batch_size=workload.BATCH),
        callbacks=[rounds],
    )  # fmt: skip


if __name__ == "__main__":
    main()
