"""Any torch module as a model: its parameters, then its floating-point buffers, as one vector; a tensor is a layer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import UninitializedParameter

from fl_sim.data.dataset import Dataset
from fl_sim.model import Floats, Model
from profiler.names import printable
from profiler.native.model import Extent

MakeModule = Callable[[], Module]


@dataclass(frozen=True, kw_only=True)
class ModuleModel(Model):
    """What ``module_model`` returns: a model of which every federated tensor is a layer, for codecs and exponents.

    ``tensors`` are their names and shapes. ``make`` gives a module with new weights.
    """

    make: MakeModule
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    images: tuple[int, int, int]
    logits: int

    @cached_property
    def layers(self) -> tuple[Extent, ...]:
        """One fully connected layer of one output for each tensor: so many numbers, and nothing known of them."""
        return tuple(Extent("fc", 1, 1, int(np.prod(shape)), 1) for _, shape in self.tensors)

    @property
    def classes(self) -> int:
        """Outputs of the module."""
        return self.logits

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.images

    def weight_shape(self, layer: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self.tensors[layer][1]

    def initial(self, rng: np.random.Generator) -> Floats:
        """Return the weights that the module itself begins with, drawn with a seed of ``rng``."""
        with seeded(int(rng.integers(2**63)), torch.device("cpu")):
            return values_of(self.make())


def module_model(make: MakeModule, dataset: Dataset, name: str = "") -> ModuleModel:
    """Return the model of the modules that ``make`` gives; they map images [n, c, h, w] to logits [n, classes].

    The vector holds the parameters in the order of ``named_parameters``, those that are not trained, too, then the
    floating-point buffers that are saved with the module, such as the means and variances of batch normalisation: the
    server averages them. Other buffers stay with the client and begin every round as ``make`` leaves them.

    Raises ValueError for what is no module, takes other images, gives other outputs, or has a tensor that is not
    float32.
    """
    with seeded(0, torch.device("cpu")):
        module = _made(make)
        name = printable(name or type(module).__name__, 80)
        h, w, c = dataset.train.pixels.shape[1:]
        _try(module, name, (c, h, w), dataset.classes)
    found = federated(module)
    for tensor_name, tensor in found:
        if tensor.dtype != torch.float32:
            message = f"module {name}: {tensor_name} must be torch.float32 (got {tensor.dtype}); call .float() on it"
            raise ValueError(message)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        message = f"module {name} has no parameter that is trained; one must have requires_grad"
        raise ValueError(message)
    tensors = tuple((tensor_name, tuple(tensor.shape)) for tensor_name, tensor in found)
    text = ", ".join(f"{tensor_name} {list(shape)}" for tensor_name, shape in tensors)
    return ModuleModel(
        name, f"module {text}", make=make, tensors=tensors, images=(h, w, c), logits=dataset.classes,
    )  # fmt: skip


def federated(module: Module) -> list[tuple[str, Tensor]]:
    """Return the tensors that travel, by name, in the vector's order."""
    saved = module.state_dict()
    buffers = [(name, buffer) for name, buffer in module.named_buffers() if buffer.is_floating_point()]
    return [*module.named_parameters(), *((name, buffer) for name, buffer in buffers if name in saved)]


def values_of(module: Module) -> Floats:
    """Return a module's federated tensors as one vector, a copy."""
    with torch.no_grad():
        values: Floats = torch.cat([tensor.reshape(-1) for _, tensor in federated(module)]).cpu().numpy()
        return values


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw torch's random numbers from a seed of 0 to 2^64 - 1; afterwards they go on as if nothing had been."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    before = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, before, strict=True):
            generator.set_state(state)


def _made(make: Callable[[], object]) -> Module:
    module = make()
    if not isinstance(module, Module):
        message = f"make must return a torch.nn.Module (got {type(module).__name__})"
        raise ValueError(message)
    for name, tensor in module.named_parameters():
        if isinstance(tensor, UninitializedParameter):
            message = f"{printable(name, 80)} has no shape yet; let make call the lazy module once before it returns it"
            raise ValueError(message)
    return module


def _try(module: Module, name: str, image: tuple[int, ...], classes: int) -> None:
    """Raise ValueError unless the module takes two black images and gives so many logits for each."""
    module.eval()
    try:
        with torch.inference_mode():
            logits = module(torch.zeros(2, *image))
    except (RuntimeError, ValueError, TypeError) as error:
        message = f"module {name} does not take images {[2, *image]}: {printable(error, 200)}"
        raise ValueError(message) from error
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != [2, classes]:
        message = f"module {name} must give logits [2, {classes}] for 2 images (got {shape})"
        raise ValueError(message)
