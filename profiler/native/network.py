"""A network: layers and weights that the C kernels own, trained step by step with numpy arrays."""

import ctypes
import os
import threading
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from profiler.names import printable
from profiler.native.check import (
    FLOAT32,
    INT8,
    Array,
    Type,
    check_array,
    check_finite,
    check_labels,
    check_mantissas,
    check_range,
    checked_rate,
    known_number,
)
from profiler.native.layer import Layer, Shifts, Trained, layer_of
from profiler.native.library import (
    PATHS,
    PRECISIONS,
    COptions,
    COutcome,
    CStep,
    Floats,
    Library,
    Mantissas,
    Precision,
    library,
)
from profiler.native.rules import ROUNDINGS, Rules
from profiler.native.samples import Indices, Outcome, Samples, Stop

Labels = npt.NDArray[np.int32]

_EXPONENT = (-127, 127)
_WORD = (0, 2**64 - 1)
_MOST_CPUS = 1024
_DEFAULT = Rules()


class Network:
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
        self._handle = 0
        self._lock = threading.Lock()
        if not isinstance(model, str) or "\0" in model:
            message = f"model: must be a name or a description (got {printable(model, 40)!r})"
            raise ValueError(message)
        for name, value in (("classes", classes), ("batch_size", batch_size), ("threads", threads)):
            check_range(name, value, 0, 2**31 - 1)
        for cpu in cpus:
            check_range("cpus", cpu, 0, _MOST_CPUS - 1)
        kernels = kernels or library()
        self._calls = kernels.calls
        cores = (ctypes.c_int * max(len(cpus), 1))(*cpus)
        options = COptions(
            model=model.encode(errors="replace"), classes=classes,
            precision=known_number("precision", precision, PRECISIONS), batch_size=batch_size,
            path=kernels.path_number(path), threads=threads, cpus=cores if cpus else None, cpu_count=len(cpus),
            bias=int(bool(bias)),
        )  # fmt: skip
        self._handle, self._process = kernels.open(options), os.getpid()
        self.precision, self.batch_size, self.bias = precision, batch_size, bool(bias)
        self.path = PATHS[self._calls.fj_network_path(self._handle)]
        count = self._calls.fj_layer_count(self._handle)
        self.layers = tuple(layer_of(self._calls.fj_layer_at(self._handle, i)) for i in range(count))
        self.classes = self.layers[-1].out_shape[2]
        self.parameters = int(self._calls.fj_value_count(self._handle))  # biases included
        self._in_shape = self.layers[0].in_shape
        self._last_batch = 0
        self._rules: Rules | None = None
        self._step, self._loss = CStep(), ctypes.c_float()
        self._step_at, self._loss_at = ctypes.byref(self._step), ctypes.byref(self._loss)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", 0):
            warnings.warn(f"a network was not closed: {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.close()

    def close(self) -> None:
        """Give back memory and threads; a second time does nothing."""
        with self._lock:
            if self._handle and self._process == os.getpid():  # after a fork the threads are the parent's
                self._calls.fj_network_free(self._handle)
            self._handle = 0

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

    def weights_fp32(self, layer: int) -> tuple[Floats, Floats]:
        """Return a layer's weights and its biases (none: an empty array)."""
        weights = self._layer(layer, "fp32").weight_shape
        values = np.empty(int(np.prod(weights)) + weights[0] * self.bias, dtype=np.float32)
        with self._lock:
            self._calls.fj_get_weights_fp32(self._open(), layer, values.ctypes.data)
        count = int(np.prod(weights))
        return values[:count].reshape(weights), values[count:]

    def set_weights_fp32(self, layer: int, weights: Floats, biases: Floats | None = None) -> None:
        """Set a layer's weights, and its biases if it has them; they are copied."""
        shape = self._layer(layer, "fp32").weight_shape
        check_array("weights", weights, FLOAT32, shape)
        check_finite("weights", weights)
        if (biases is not None) != self.bias:
            message = f"biases: must be {'given' if self.bias else 'left out'} (the network has bias={self.bias})"
            raise ValueError(message)
        values: Floats = weights
        if biases is not None:
            check_array("biases", biases, FLOAT32, shape[:1])
            check_finite("biases", biases)
            values = np.concatenate([weights.ravel(), biases])
        with self._lock:
            self._calls.fj_set_weights_fp32(self._open(), layer, values.ctypes.data)

    def weights_int8(self, layer: int) -> tuple[Mantissas, int]:
        """Return a layer's mantissas and their exponent."""
        mantissas = np.empty(self._layer(layer, "int8").weight_shape, dtype=np.int8)
        with self._lock:
            return mantissas, self._calls.fj_get_weights_int8(self._open(), layer, mantissas.ctypes.data)

    def set_weights_int8(self, layer: int, mantissas: Mantissas, exponent: int) -> None:
        """Set a layer's mantissas, from -127 to 127, and their exponent; they are copied."""
        check_array("mantissas", mantissas, INT8, self._layer(layer, "int8").weight_shape)
        check_mantissas("mantissas", mantissas)
        check_range("exponent", exponent, *_EXPONENT)
        with self._lock:
            self._calls.fj_set_weights_int8(self._open(), layer, mantissas.ctypes.data, exponent)

    def flat_fp32(self) -> Floats:
        """Return all weights in one vector, float32 [parameters]: each layer's weights, then its biases."""
        self._check_precision("fp32")
        values = np.empty(self.parameters, dtype=np.float32)
        with self._lock:
            self._calls.fj_get_all_fp32(self._open(), values.ctypes.data)
        return values

    def set_flat_fp32(self, values: Floats) -> None:
        """Set all weights, as ``flat_fp32`` gives them; they are copied."""
        self._check_precision("fp32")
        check_array("values", values, FLOAT32, (self.parameters,))
        check_finite("values", values)
        with self._lock:
            self._calls.fj_set_all_fp32(self._open(), values.ctypes.data)

    def flat_int8(self) -> tuple[Mantissas, tuple[int, ...]]:
        """Return all mantissas in one vector, int8 [parameters], and the exponent of each layer."""
        self._check_precision("int8")
        mantissas, exponents = np.empty(self.parameters, dtype=np.int8), (ctypes.c_int32 * len(self.layers))()
        with self._lock:
            self._calls.fj_get_all_int8(self._open(), mantissas.ctypes.data, exponents)
        return mantissas, tuple(exponents)

    def set_flat_int8(self, mantissas: Mantissas, exponents: Sequence[int]) -> None:
        """Set all mantissas, from -127 to 127, and each layer's exponent; they are copied."""
        self._check_precision("int8")
        check_array("mantissas", mantissas, INT8, (self.parameters,))
        check_mantissas("mantissas", mantissas)
        if len(exponents) != len(self.layers):
            message = f"exponents: must be {len(self.layers)}, one for each layer (got {len(exponents)})"
            raise ValueError(message)
        for exponent in exponents:
            check_range("exponents", exponent, *_EXPONENT)
        with self._lock:
            at = (ctypes.c_int32 * len(self.layers))(*exponents)
            self._calls.fj_set_all_int8(self._open(), mantissas.ctypes.data, at)

    def keep(self) -> None:
        """Keep a copy of the present weights in the network: ``recall`` brings them back, as often as wanted."""
        with self._lock:
            if self._calls.fj_keep_weights(self._open()):
                message = "the weights could not be kept in memory a second time"
                raise MemoryError(message)

    def recall(self) -> None:
        """Bring back the weights that were kept; without any it does nothing. Quicker than setting them."""
        with self._lock:
            self._calls.fj_recall_weights(self._open())

    def init(self, seed: int) -> None:
        """Set all weights to Xavier uniform numbers of a seed, biases to zero."""
        check_range("seed", seed, *_WORD)
        with self._lock:
            self._calls.fj_init_weights(self._open(), seed)

    def checksum(self) -> int:
        """Return a 64-bit sum of all weights: equal sums, equal weights."""
        with self._lock:
            return int(self._calls.fj_checksum(self._open()))

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

    def _open(self) -> int:
        if not self._handle:
            message = "the network is closed; make a new one"
            raise ValueError(message)
        if self._process != os.getpid():
            message = "the network was made before this process was forked; make it in the process that uses it"
            raise ValueError(message)
        return self._handle

    def _ruled(self, rules: Rules, step: int) -> Any:
        """Return where C finds the rules; they are written only when they change."""
        check_range("step", step, *_WORD)
        if rules is not self._rules:
            for name in ("mu_conv", "mu_fc", "seed"):
                setattr(self._step, name, getattr(rules, name))
            for name in ("activation", "error", "update", "loss"):
                setattr(self._step, name, ROUNDINGS.index(getattr(rules, name)))
            self._rules = rules
        self._step.step = step
        return self._step_at

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
        self._check_precision(precision)
        handle, found = self._open(), COutcome()
        if samples.precision != precision:
            message = f"samples: their table is for {samples.precision}, the network is {precision}; use another table"
            raise ValueError(message)
        if samples.pixels.shape[1:] != self._in_shape:
            message = f"samples: images must have the shape {self._in_shape} (got {samples.pixels.shape[1:]})"
            raise ValueError(message)
        end = call(handle, samples.in_c(indices, bounds, stop), step_at, found)
        return samples.outcome(end, found, indices, bounds, self.batch_size, self.classes)

    def _layer(self, layer: int, precision: Precision) -> Layer:
        self._check_precision(precision)
        check_range("layer", layer, 0, len(self.layers) - 1)
        return self.layers[layer]

    def _trained_layer(self, layer: int) -> Layer:
        found = self._layer(layer, "int8")
        if not self._last_batch:
            message = "no step was trained since the network was made or last went forward; call train_int8 first"
            raise ValueError(message)
        return found

    def _check_precision(self, precision: Precision) -> None:
        if precision != self.precision:
            message = f"precision: the network is {self.precision}, the call is for {precision}; make another network"
            raise ValueError(message)

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
