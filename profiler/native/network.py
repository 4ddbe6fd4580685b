"""A network: layers and weights that the C kernels own, trained step by step with numpy arrays."""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from profiler.native.check import (
    FLOAT32,
    INT8,
    INT32,
    Array,
    Type,
    check_array,
    check_finite,
    check_labels,
    check_mantissas,
    check_range,
    checked_rate,
)
from profiler.native.layer import Layer, Shifts, Trained
from profiler.native.library import CBatches, COutcome, CStep, Floats, Library, Mantissas, Precision
from profiler.native.rules import ROUNDINGS, Rules
from profiler.native.samples import Indices, Outcome, Samples, Stop
from profiler.native.weights import Weights

Labels = npt.NDArray[np.int32]

_EXPONENT = (-127, 127)
_WORD = (0, 2**64 - 1)
_DEFAULT = Rules()


class Client(NamedTuple):
    """What one client of ``train_clients`` does: batches, and a learning rate, or rules with a seed of its own."""

    indices: Indices
    bounds: Indices
    rules: Rules | float
    seed: int = 0


class Network(Weights):
    """A network of the library. Open it with ``with``, or close it: its memory and threads are C's.

    ``model`` is ``lenet5``, ``vgg11``, ``vgg16`` or a description such as ``28x28x1:conv20k5,pool,fc500,fc62``. Weights
    begin as zeros. Networks may work in several Python threads at once; the calls of one network wait for each other.
    """

    def __init__(
        self,
        model: str,
        precision: Precision,
        batch_size: int,
        *,
        classes: int = 0,
        path: str = "best",
        threads: int = 1,
        cpus: Sequence[int] = (),
        bias: bool = False,
        kernels: Library | None = None,
    ) -> None:
        super().__init__(
            model, precision, batch_size, classes=classes, path=path, threads=threads, cpus=cpus, bias=bias,
            kernels=kernels,
        )  # fmt: skip
        self._in_shape = self.layers[0].in_shape
        self._last_batch = 0
        self._rules: Rules | None = None
        self._step, self._loss = CStep(), ctypes.c_float()
        self._step_at, self._loss_at = ctypes.byref(self._step), ctypes.byref(self._loss)

    def train_fp32(self, x: Floats, labels: Labels, learning_rate: float) -> Trained:
        """Train one step of SGD on the mean cross-entropy of a batch, x [batch, height, width, channels]."""
        batch = self._check_input("fp32", x, FLOAT32)
        check_labels(labels, batch, self.classes)
        check_finite("x", x)
        rate = checked_rate(learning_rate)
        with self._lock:
            self._step.learning_rate = rate
            right = self._calls.fj_train_fp32(
                self._open(), x.ctypes.data, labels.ctypes.data, batch, self._step_at, self._loss_at
            )
            return Trained(right, self._loss.value)

    def train_int8(
        self, x: Mantissas, exponent: int, labels: Labels, rules: Rules = _DEFAULT, *, step: int = 0
    ) -> Trained:
        """Train one step on a batch of mantissas; ``step`` numbers the random draws of stochastic rounding."""
        batch = self._check_mantissas(x, exponent)
        check_labels(labels, batch, self.classes)
        with self._lock:
            handle, at = self._open(), self._ruled(rules, step)
            right = self._calls.fj_train_int8(
                handle, x.ctypes.data, exponent, labels.ctypes.data, batch, at, self._loss_at
            )
            self._last_batch = batch
            return Trained(right, self._loss.value)

    def train_client_fp32(
        self, samples: Samples, indices: Indices, bounds: Indices, learning_rate: float, *, stop: Stop | None = None
    ) -> Outcome:
        """Train on every batch, batch b being ``indices[bounds[b]:bounds[b + 1]]``, in one call.

        Its slow twin is ``train_fp32`` for each batch; training ends where the loss is no longer finite, or ``stop`` is
        set. Raises ValueError, before the first step, for an index or label out of range, a batch of none or too many.
        """
        rate = checked_rate(learning_rate)
        with self._lock:
            self._step.learning_rate = rate
            return self._many("fp32", self._calls.fj_train_batches, samples, indices, bounds, self._step_at, stop)

    def train_client_int8(
        self,
        samples: Samples,
        indices: Indices,
        bounds: Indices,
        rules: Rules = _DEFAULT,
        *,
        first_step: int = 0,
        stop: Stop | None = None,
    ) -> Outcome:
        """Train on every batch in one call, as ``train_int8`` with step number ``first_step`` + b does."""
        with self._lock:
            at, self._last_batch = self._ruled(rules, first_step), 0
            return self._many("int8", self._calls.fj_train_batches, samples, indices, bounds, at, stop)

    def train_clients(
        self, samples: Samples, clients: Sequence[Client], *, stop: Stop | None = None
    ) -> list[tuple[Outcome, Array, tuple[int, ...]]]:
        """Train clients in one call, each from the weights that were kept: what came of each, its weights, exponents.

        Its slow twin is ``recall``, ``train_client_fp32`` or ``train_client_int8``, and ``flat_fp32`` or ``flat_int8``
        for each (exponents are () in FP32). The list ends with a client whose weights are no longer finite, or who was
        stopped. Raises ValueError as they do, but the clients before a wrong one have been trained.
        """
        count, layers, whole = len(clients), len(self.layers), self.precision == "int8"
        batches, steps, found = (CBatches * count)(), (CStep * count)(), (COutcome * count)()
        values = np.empty((count, self.parameters), dtype=INT8 if whole else FLOAT32)
        exponents = np.empty((count, layers), dtype=INT32)
        self._check_samples(self.precision, samples)
        with self._lock:
            for i, client in enumerate(clients):
                if isinstance(client.rules, Rules) != whole:
                    message = f"rules: must be {'Rules' if whole else 'a learning rate'} for {self.precision}"
                    raise ValueError(message)
                batches[i] = samples.in_c(client.indices, client.bounds, stop)
                self._set_rules(client.rules, client.seed)
                steps[i] = self._step
            self._last_batch = 0
            places = values.ctypes.data, exponents.ctypes.data
            end = self._calls.fj_train_clients(self._open(), batches, steps, count, found, *places)
        made = list[tuple[Outcome, Array, tuple[int, ...]]]()
        powers = exponents.tolist() if whole else [()] * count
        for client, said, row, e in zip(clients, found, values, powers, strict=True):
            ended = 0 if said.is_read else end
            outcome = samples.outcome(ended, said, client.indices, client.bounds, self.batch_size, self.classes)
            made.append((outcome, row, tuple(e)))
            if not said.is_read:
                break
        return made

    def judge(
        self,
        samples: Samples,
        indices: Indices,
        bounds: Indices,
        rules: Rules = _DEFAULT,
        *,
        first_step: int = 0,
        stop: Stop | None = None,
    ) -> Outcome:
        """Go forward over every batch in one call; INT8 with the rounding of activations in ``rules``."""
        with self._lock:
            at, self._last_batch = self._ruled(rules, first_step), 0
            return self._many(self.precision, self._calls.fj_judge_batches, samples, indices, bounds, at, stop)

    def forward_fp32(self, x: Floats) -> Floats:
        """Return the logits, [batch, classes]."""
        batch = self._check_input("fp32", x, FLOAT32)
        check_finite("x", x)
        logits = np.empty((batch, self.classes), dtype=np.float32)
        with self._lock:
            self._calls.fj_forward_fp32(self._open(), x.ctypes.data, batch, logits.ctypes.data)
        return logits

    def forward_int8(
        self, x: Mantissas, exponent: int, rules: Rules = _DEFAULT, *, step: int = 0
    ) -> tuple[Mantissas, int]:
        """Return the logits' mantissas, [batch, classes], and their exponent. Gradients are gone after it."""
        batch = self._check_mantissas(x, exponent)
        logits = np.empty((batch, self.classes), dtype=np.int8)
        with self._lock:
            handle, at = self._open(), self._ruled(rules, step)
            self._last_batch = 0  # what the last step left behind is overwritten
            found = self._calls.fj_forward_int8(handle, x.ctypes.data, exponent, batch, at, logits.ctypes.data)
        return logits, found

    def gradient(self, layer: int) -> npt.NDArray[np.int32]:
        """Return a layer's int32 gradient in the last INT8 step, shaped as its weights."""
        gradient = np.empty(self._trained_layer(layer).weight_shape, dtype=np.int32)
        with self._lock:
            self._calls.fj_get_gradient_int8(self._open(), layer, gradient.ctypes.data)
        return gradient

    def shifts(self, layer: int) -> Shifts:
        """Return a layer's shifts in the last INT8 step."""
        self._trained_layer(layer)
        with self._lock:
            found = self._calls.fj_get_shifts_int8(self._open(), layer)
        return Shifts(found.activation, found.error, found.update)

    def loss_gradient(self) -> Mantissas:
        """Return the gradient [batch, classes] that the last INT8 step began its way back with."""
        self._trained_layer(0)
        gradient = np.empty((self._last_batch, self.classes), dtype=np.int8)
        with self._lock:
            self._calls.fj_get_loss_gradient_int8(self._open(), self._last_batch, gradient.ctypes.data)
        return gradient

    def _ruled(self, rules: Rules, step: int) -> Any:
        """Return where C finds the rules; they are written only when they change."""
        check_range("step", step, *_WORD)
        self._set_rules(rules, rules.seed)
        self._step.step = step
        return self._step_at

    def _set_rules(self, rules: Rules | float, seed: int) -> None:
        if isinstance(rules, Rules):
            check_range("seed", seed, *_WORD)
            if rules is not self._rules:
                for name in ("mu_conv", "mu_fc"):
                    setattr(self._step, name, getattr(rules, name))
                for name in ("activation", "error", "update", "loss"):
                    setattr(self._step, name, ROUNDINGS.index(getattr(rules, name)))
                self._rules = rules
            self._step.step, self._step.seed = 0, seed
        else:
            self._step.learning_rate = checked_rate(rules)

    def _many(
        self,
        precision: Precision,
        call: Any,
        samples: Samples,
        indices: Indices,
        bounds: Indices,
        step_at: Any,
        stop: Stop | None,
    ) -> Outcome:
        self._check_samples(precision, samples)
        found = COutcome()
        end = call(self._open(), samples.in_c(indices, bounds, stop), step_at, found)
        return samples.outcome(end, found, indices, bounds, self.batch_size, self.classes)

    def _check_samples(self, precision: Precision, samples: Samples) -> None:
        self._check_precision(precision)
        if samples.precision != precision:
            message = f"samples: their table is for {samples.precision}, the network is {precision}; use another table"
            raise ValueError(message)
        if samples.pixels.shape[1:] != self._in_shape:
            message = f"samples: images must have the shape {self._in_shape} (got {samples.pixels.shape[1:]})"
            raise ValueError(message)

    def _trained_layer(self, layer: int) -> Layer:
        found = self._layer(layer, "int8")
        if not self._last_batch:
            message = "no step was trained since the network was made or last went forward; call train_int8 first"
            raise ValueError(message)
        return found

    def _check_input(self, precision: Precision, x: Array, dtype: Type) -> int:
        self._check_precision(precision)
        batch = len(x) if isinstance(x, np.ndarray) and x.ndim else 1
        check_array("x", x, dtype, (batch, *self._in_shape))
        if batch > self.batch_size:
            message = f"x: must hold at most {self.batch_size} images, the network's batch_size (got {batch})"
            raise ValueError(message)
        return batch

    def _check_mantissas(self, x: Mantissas, exponent: int) -> int:
        batch = self._check_input("int8", x, INT8)
        check_mantissas("x", x)
        check_range("exponent", exponent, *_EXPONENT)
        return batch
