"""A handle: a network that C owns, open until it is closed."""

import ctypes
import os
import threading
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from profiler.names import printable
from profiler.native.check import check_range, known_number
from profiler.native.layer import Layer, layer_of
from profiler.native.library import PATHS, PRECISIONS, COptions, Library, Precision, library

_MOST_CPUS = 1024


class Handle:
    """What is open and closed of a ``Network``: its memory and threads are C's."""

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
        self._copies = kernels.calls_for(self.parameters)

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

    def _open(self) -> int:
        if not self._handle:
            message = "the network is closed; make a new one"
            raise ValueError(message)
        if self._process != os.getpid():
            message = "the network was made before this process was forked; make it in the process that uses it"
            raise ValueError(message)
        return self._handle

    def _layer(self, layer: int, precision: Precision) -> Layer:
        self._check_precision(precision)
        check_range("layer", layer, 0, len(self.layers) - 1)
        return self.layers[layer]

    def _check_precision(self, precision: Precision) -> None:
        if precision != self.precision:
            message = f"precision: the network is {self.precision}, the call is for {precision}; make another network"
            raise ValueError(message)
