"""A client that trains a module: autograd, and SGD by hand over its parameters."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fl_sim.float32.client import finished, run_steps
from fl_sim.float32.feed import Feed
from fl_sim.float32.module import ModuleModel, federated, seeded
from fl_sim.model import Floats
from fl_sim.task import LocalResult, LocalTask
from fl_sim.trainer import Fp32


class ModuleClient:
    """One module on one device, which is every client in turn."""

    def __init__(self, model: ModuleModel, device: torch.device) -> None:
        with seeded(0, torch.device("cpu")):
            self._module = model.make().to(device)
        self._device = device
        self._tensors = [tensor for _, tensor in federated(self._module)]
        self._trained: list[Tensor] = [tensor for tensor in self._module.parameters() if tensor.requires_grad]
        travels = {id(tensor) for tensor in self._tensors}
        self._local = [buffer for buffer in self._module.buffers() if id(buffer) not in travels]
        self._local_first = [buffer.clone() for buffer in self._local]

    def train(self, start: Floats, feed: Feed, task: LocalTask, trainer: Fp32) -> LocalResult:
        """Return what a client makes of ``start``; the module draws its random numbers from the task's seed.

        Raises ArithmeticError if it diverges.
        """
        self._load(start)
        self._module.train()
        key = [task.rounding_seed, task.client, task.round_number]
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
        velocity = [torch.zeros_like(tensor) for tensor in self._trained] if trainer.momentum else []
        step = self._stepper(trainer, trainer.learning_rate.at(task.round_number), velocity)
        try:
            with seeded(seed, self._device):
                right, loss_sum = run_steps(step, feed, task, layout=Tensor.contiguous)
        except (RuntimeError, ValueError, TypeError) as error:
            error.add_note(f"in client {task.client}, round {task.round_number}, {len(task.indices)} images")
            raise
        with torch.no_grad():
            values = torch.cat([tensor.reshape(-1) for tensor in self._tensors]).cpu().numpy()
        return finished(values, right, loss_sum, task)

    def predictor(self, values: Floats) -> Callable[[Tensor], Tensor]:
        """Return the function that gives the logits of images under these weights, until this client is used again."""
        self._load(values)
        self._module.eval()
        return lambda x: self._module(x.contiguous())

    def _stepper(self, trainer: Fp32, rate: float, velocity: list[Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        module, trained, momentum, decay = self._module, self._trained, trainer.momentum, trainer.weight_decay

        def step(x: Tensor, y: Tensor) -> Tensor:
            logits = module(x)
            found = torch.autograd.grad(cross_entropy(logits, y), trained, allow_unused=True)
            tensors, moving, gradients = trained, velocity, list(found)
            if type(None) in map(type, found):  # a parameter that took no part stays as it is
                took = [i for i, gradient in enumerate(found) if gradient is not None]
                tensors, gradients = [trained[i] for i in took], [found[i] for i in took]
                moving = [velocity[i] for i in took] if velocity else velocity
            with torch.no_grad():
                if decay:
                    gradients = list(torch._foreach_add(gradients, tensors, alpha=decay))  # two may be one tensor
                if moving:
                    torch._foreach_mul_(moving, momentum)
                    torch._foreach_add_(moving, gradients)
                    gradients = moving
                torch._foreach_add_(tensors, gradients, alpha=-rate)
            return logits.detach()  # type: ignore[no-any-return]

        return step

    def _load(self, values: Floats) -> None:
        parts = torch.split(torch.tensor(values), [tensor.numel() for tensor in self._tensors])
        with torch.no_grad():
            for tensor, part in zip(self._tensors, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))
            for buffer, first in zip(self._local, self._local_first, strict=True):
                buffer.copy_(first)
