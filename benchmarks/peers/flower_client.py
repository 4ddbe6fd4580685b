"""The workload's client in Flower; a module of its own, so that Ray's actors import it once and keep data and model."""

from functools import cache

import lenet
import torch
import workload
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@cache
def _clients() -> list[lenet.Client]:
    torch.set_num_threads(1)
    return lenet.clients(workload.read())


@cache
def _model() -> lenet.LeNet:
    return lenet.LeNet()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the client that the message names, whichever node was drawn."""
    model, client = _model(), _clients()[int(message.content["config"]["client"])]
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    lenet.epoch(model, client)
    trained = RecordDict({
        "arrays": ArrayRecord(model.state_dict()),
        "metrics": MetricRecord({"num-examples": workload.SAMPLES}),
    })  # fmt: skip
    return Message(trained, reply_to=message)
