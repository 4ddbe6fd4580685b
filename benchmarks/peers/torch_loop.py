"""FedAvg in plain torch: ``torch_loop.py lean`` (functional) or ``module`` (nn.Module and optim.SGD)."""

import sys

import lenet
import torch
import workload
from meter import Meter
from torch import Tensor
from torch.nn import functional


def lean_epoch(weights: list[Tensor], client: lenet.Client) -> None:
    """Train weights in place on one client's images: no modules, no optimizer, one fused update."""
    w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = weights
    for x, y in zip(*(part.split(workload.BATCH) for part in client), strict=True):
        h = functional.max_pool2d(functional.conv2d(x, w1, b1).relu_(), 2)
        h = functional.max_pool2d(functional.conv2d(h, w2, b2).relu_(), 2).flatten(1)
        h = functional.linear(functional.linear(h, w3, b3).relu_(), w4, b4).relu_()
        gradients = torch.autograd.grad(functional.cross_entropy(functional.linear(h, w5, b5), y), weights)
        with torch.no_grad():
            torch._foreach_add_(weights, gradients, alpha=-workload.RATE)


def main(kind: str) -> None:
    torch.set_num_threads(1)
    work = workload.read()
    meter = Meter(list(work.weights.values()), versions=f"torch {torch.__version__}")
    data, model = lenet.clients(work), lenet.load(work.weights)
    local: list[Tensor] = list(model.parameters())
    server = [weight.detach().clone() for weight in local]
    meter.begin()
    for number in range(meter.rounds):
        cohort = work.cohort(number)
        mean = [torch.zeros_like(weight) for weight in server]
        for client in cohort:
            with torch.no_grad():
                torch._foreach_copy_(local, server)
            lenet.epoch(model, data[client]) if kind == "module" else lean_epoch(local, data[client])
            with torch.no_grad():
                torch._foreach_add_(mean, local, alpha=1 / len(cohort))
        server = mean
        meter.tick(lenet.arrays(server))


if __name__ == "__main__":
    main(sys.argv[1])
