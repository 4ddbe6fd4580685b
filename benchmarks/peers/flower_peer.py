"""The workload in Flower: FedAvg over 192 nodes; ``flower_peer.py 2`` for two Ray actors, ``grid`` without Ray.

``run_simulation`` is deprecated for ``flwr run``, which installs the app into a fresh environment for every run.
"""

import os
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version

os.environ.update(FLWR_TELEMETRY_ENABLED="0", RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")

import flower_client
import torch
import workload
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from meter import Meter

app = ServerApp()


class Cohorts(FedAvg):
    """FedAvg in which the messages, sent to nodes that Flower draws, name the clients of the workload's cohorts."""

    def __init__(self, work: workload.Workload, meter: Meter) -> None:
        super().__init__(
            fraction_train=1e-9, fraction_evaluate=0.0, min_available_nodes=workload.CLIENTS, min_train_nodes=1
        )
        self._work, self._meter = work, meter

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        cohort = self._work.cohort(server_round - 1)
        self.min_train_nodes = len(cohort)
        messages = list(super().configure_train(server_round, arrays, config, grid))
        for message, client in zip(messages, cohort, strict=True):
            message.content = RecordDict({"arrays": arrays, "config": ConfigRecord({**config, "client": client})})
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        replies = list(replies)
        failed = [message.error.reason for message in replies if message.has_error()]
        if failed or len(replies) != self.min_train_nodes:
            message = f"round {server_round}: {len(replies)} of {self.min_train_nodes} replies, {failed[:1]}"
            raise RuntimeError(message)
        arrays, metrics = super().aggregate_train(server_round, replies)
        assert arrays is not None
        self._meter.tick(arrays.to_numpy_ndarrays)
        return arrays, metrics


class InProcess(Grid):
    """A grid that calls the ClientApp where it is: Flower without Ray, message queues and polling."""

    def __init__(self) -> None:
        from flwr.supercore.run import Run
        from flwr.supercore.task_identity import TaskIdentity  # without it no message can be made

        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
        self.set_run(Run.create_empty(1))
        self._replies: dict[str, Message] = {}

    def set_run(self, run: object) -> None:
        self._run = run

    @property
    def run(self) -> object:
        return self._run

    def create_message(self, *content: object, **settings: object) -> Message:
        return Message(*content, **settings)

    def get_node_ids(self) -> Iterable[int]:
        return range(1, workload.CLIENTS + 1)

    # The strategy sends and receives in one call; what Flower's abstract class asks for beside it is never called.
    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        context = Context(1, 1, {}, RecordDict(), {})
        return [flower_client.app(message, context) for message in messages]


@app.main()
def serve(grid: Grid, context: Context) -> None:
    """Run all rounds."""
    work = workload.read()
    about = f"flwr {version('flwr')}, ray {version('ray')}, torch {torch.__version__}"
    meter = Meter(list(work.weights.values()), versions=about)
    first = ArrayRecord({name: torch.from_numpy(value) for name, value in work.weights.items()})
    meter.begin()
    Cohorts(work, meter).start(grid, first, num_rounds=meter.rounds)


def main(kind: str) -> None:
    torch.set_num_threads(1)
    if kind == "grid":
        serve(InProcess(), Context(1, 1, {}, RecordDict(), {}))
        return
    run_simulation(
        app,
        flower_client.app,
        num_supernodes=workload.CLIENTS,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": int(kind), "_temp_dir": os.environ.get("PEERS_FOLDER") or tempfile.gettempdir()},
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
