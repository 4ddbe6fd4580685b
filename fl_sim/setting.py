"""A run made ready: configuration, model and data, clients and what they hold."""

from dataclasses import dataclass, replace

import numpy as np

from fl_sim.config import Config
from fl_sim.data.dataset import Dataset
from fl_sim.method import Method
from fl_sim.model import Floats, Model, find_model
from fl_sim.partition import Partition, by_owner, dirichlet, iid, shards
from fl_sim.streams import Purpose, client_streams, rounding_seed, stream
from fl_sim.task import LocalTask, local_task
from fl_sim.trainer import Trainer
from profiler.native.model import largest_batch

_MODEL_OF = {
    "digits": "digits",
    "mnist": "lenet5",
    "mnist10k": "lenet5",
    "femnist": "lenet5",
    "cifar10": "vggslim",
    "cifar100": "vggslim",
}
_CLIENTS = 100  # of a data set without natural clients, unless said


@dataclass(frozen=True, eq=False)
class Setting:
    """All that a run needs but an engine; made by ``make_setting``."""

    config: Config
    method: Method
    trainer: Trainer
    model: Model
    dataset: Dataset
    partition: Partition

    def initial(self) -> Floats:
        """Return the first model, one vector."""
        return self.model.initial(stream(self.config.seed, Purpose.WEIGHTS))

    def cohort(self, round_number: int) -> list[int]:
        """Return the clients of a round, drawn uniformly without replacement, in rising order."""
        rng = stream(self.config.seed, Purpose.COHORT, round_number)
        chosen = rng.choice(self.partition.clients, self.config.cohort, replace=False, shuffle=False)
        return sorted(chosen.tolist())

    def tasks(self, round_number: int) -> list[LocalTask]:
        """Return what the clients of a round do; ``task`` is its slow twin."""
        clients = self.cohort(round_number)
        draws = client_streams(self.config.seed, Purpose.ORDER, round_number, clients)
        return [self._task(client, round_number, rng) for client, rng in zip(clients, draws, strict=True)]

    def task(self, client: int, round_number: int) -> LocalTask:
        """Return what a client does in a round."""
        return self._task(client, round_number, stream(self.config.seed, Purpose.ORDER, round_number, client))

    def _task(self, client: int, round_number: int, rng: np.random.Generator) -> LocalTask:
        config = self.config
        return local_task(
            self.partition.of(client), rng, client=client, round_number=round_number, epochs=config.epochs,
            batch_size=config.batch_size, rounding_seed=rounding_seed(config.seed, round_number, client),
        )  # fmt: skip


def make_setting(
    config: Config, dataset: Dataset, partition: Partition | None = None, model: Model | None = None
) -> Setting:
    """Return the setting of a configuration on a data set; ``partition`` and ``model`` instead of the configuration's.

    A model that is given, such as a torch module's, is named in the setting's configuration.

    Raises ValueError where they do not fit each other: model and images, clients and owners, cohort and clients.
    """
    method, trainer = config.found_method(), config.trainer()
    if model is None:
        model = _model(config, dataset)
    else:
        config = replace(config, model=model.name)
    images = dataset.train.pixels.shape[1:]
    if model.input_shape != images:
        message = f"model {model.name} takes images of {model.input_shape}, {dataset.name} has {images}; change model"
        raise ValueError(message)
    if config.bias and trainer.precision == "int8":
        message = "bias must be false for a method that trains in INT8: its layers have none"
        raise ValueError(message)
    _check_batches(config, method, model, len(dataset.test))
    partition = partition or _partition(config, dataset)
    without = np.flatnonzero(partition.sizes == 0)
    if len(without):
        message = f"client {without[0]} has no train image; leave such clients out"
        raise ValueError(message)
    if config.cohort > partition.clients:
        message = f"cohort must not be above the {partition.clients} clients there are (got {config.cohort})"
        raise ValueError(message)
    return Setting(config, method, trainer, model, dataset, partition)


def _model(config: Config, dataset: Dataset) -> Model:
    name = config.model or _MODEL_OF.get(dataset.name, "")
    if not name:
        message = f"model must be given for the data set {dataset.name}"
        raise ValueError(message)
    return find_model(name, dataset.classes, bias=config.bias)


def _check_batches(config: Config, method: Method, model: Model, test_images: int) -> None:
    """Raise ValueError for batches whose integer sums may not fit in 32 bits: to train, and to judge what is sent."""
    if type(model) is not Model or model.bias or method.downlink.format != "int8":
        return
    most = largest_batch(model.layers, "int8")
    judged = min(config.evaluation_batch, test_images)
    asked = {"batch_size": config.batch_size if method.precision == "int8" else 0, "evaluation_batch": judged}
    for name, batch in asked.items():
        if batch > most:
            message = f"{name} must be at most {most} for {model.name} in int8 (got {batch})"
            if not most:
                message = f"model {model.name} has too many inputs in a layer to be trained or judged in int8"
            raise ValueError(message)


def _partition(config: Config, dataset: Dataset) -> Partition:
    labels, clients = dataset.train.labels, config.clients or _CLIENTS
    rng = stream(config.seed, Purpose.PARTITION)
    natural = config.partition == "natural"
    if config.partition == "dirichlet" or (natural and not dataset.owners):
        return dirichlet(labels, clients, config.alpha, rng, least=_least(len(labels), clients))
    if config.partition == "shards":
        return shards(labels, clients, config.shards_per_client, rng)
    if config.partition == "iid":
        return iid(len(labels), clients, rng)
    found = by_owner(dataset)
    if config.clients not in (0, found.clients):
        message = f"clients must be {found.clients}, the writers of {dataset.name}, or 0 (got {config.clients})"
        raise ValueError(message)
    return found


def _least(images: int, clients: int) -> int:
    """Return how many images every client must get: 10, or of few a fifth of the mean, which a draw meets soon."""
    mean = images / clients
    return 10 if mean >= 25 else max(1, int(mean / 5))
