"""The workload in torch as a user writes it: an nn.Module, optim.SGD, and one client's epoch."""

from collections.abc import Callable

import numpy as np
import torch
import workload
from torch import Tensor, nn
from torch.nn import functional

Client = tuple[Tensor, Tensor]


class LeNet(nn.Module):
    """LeNet-5 without padding; the names of its weights are the workload's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, workload.CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.flatten(1)))
        return self.fc3(functional.relu(self.fc2(x)))


def load(weights: dict[str, workload.Floats]) -> LeNet:
    """Return a network with the workload's first weights."""
    model = LeNet()
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    return model


def clients(work: workload.Workload) -> list[Client]:
    """Return every client's images [226, 1, 28, 28] and labels."""
    images, labels = torch.from_numpy(work.images()).unsqueeze(2), torch.from_numpy(work.labels.astype(np.int64))
    return list(zip(images, labels, strict=True))


def epoch(model: nn.Module, client: Client) -> None:
    """Train a network on one client's images, in order."""
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.RATE)
    for x, y in zip(*(part.split(workload.BATCH) for part in client), strict=True):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def arrays(weights: list[Tensor]) -> Callable[[], list[workload.Floats]]:
    """Return what a meter asks for its fingerprint."""
    return lambda: [weight.detach().numpy() for weight in weights]
