"""The weights of a network: set, read, kept and brought back, by layers or all in one vector."""

import ctypes
from collections.abc import Sequence

import numpy as np

from profiler.native.check import FLOAT32, INT8, check_array, check_finite, check_mantissas, check_range
from profiler.native.handle import Handle
from profiler.native.library import Floats, Mantissas

_EXPONENT = (-127, 127)
_WORD = (0, 2**64 - 1)


class Weights(Handle):
    """A network's weights, which C owns: all calls copy."""

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
            self._copies.fj_get_all_fp32(self._open(), values.ctypes.data)
        return values

    def set_flat_fp32(self, values: Floats) -> None:
        """Set all weights, as ``flat_fp32`` gives them; they are copied."""
        self._check_precision("fp32")
        check_array("values", values, FLOAT32, (self.parameters,))
        check_finite("values", values)
        with self._lock:
            self._copies.fj_set_all_fp32(self._open(), values.ctypes.data)

    def flat_int8(self) -> tuple[Mantissas, tuple[int, ...]]:
        """Return all mantissas in one vector, int8 [parameters], and the exponent of each layer."""
        self._check_precision("int8")
        mantissas, exponents = np.empty(self.parameters, dtype=np.int8), (ctypes.c_int32 * len(self.layers))()
        with self._lock:
            self._copies.fj_get_all_int8(self._open(), mantissas.ctypes.data, exponents)
        return mantissas, tuple(exponents[:])

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
            self._copies.fj_set_all_int8(self._open(), mantissas.ctypes.data, at)

    def keep(self) -> None:
        """Keep a copy of the present weights in the network: ``recall`` brings them back, as often as wanted."""
        with self._lock:
            if self._copies.fj_keep_weights(self._open()):
                message = "the weights could not be kept in memory a second time"
                raise MemoryError(message)

    def recall(self) -> None:
        """Bring back the weights that were kept; without any it does nothing. Quicker than setting them."""
        with self._lock:
            self._copies.fj_recall_weights(self._open())

    def init(self, seed: int) -> None:
        """Set all weights to Xavier uniform numbers of a seed, biases to zero."""
        check_range("seed", seed, *_WORD)
        with self._lock:
            self._calls.fj_init_weights(self._open(), seed)

    def checksum(self) -> int:
        """Return a 64-bit sum of all weights: equal sums, equal weights."""
        with self._lock:
            return int(self._calls.fj_checksum(self._open()))
