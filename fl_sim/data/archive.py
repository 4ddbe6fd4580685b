"""NumPy archives (.npz) of arrays whose names, kinds and sizes are known: nothing is unpickled, nothing unbounded."""

import errno
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from profiler.names import printable

_KINDS = {"u": "unsigned whole numbers", "b": "yes or no", "U": "text"}
_MOST_BYTES = 1 << 31  # of one array; all of LEAF's FEMNIST has 0.63 GB of pixels
_MOST_TEXT_BYTES = 256

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    r"\{'descr': '(?P<kind>\|[bu]1|<u[248]|<U[1-9]\d{0,3})', 'fortran_order': (?P<columns>True|False), "
    r"'shape': \((?P<shape>\d{1,12}(, ?\d{1,12}){0,7},?)\), \} *\n"
)

# What Python's readers raise for archives that are none; the system refuses to go to a place that a damaged one names.
_DAMAGE = (ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_DAMAGE_ERRORS = (None, errno.EINVAL)


def read_archive(path: Path, wanted: Mapping[str, tuple[str, int]]) -> dict[str, NDArray[Any]]:
    """Return the arrays ``wanted``, each given as its kind (u, b or U, NumPy's letters) and number of dimensions.

    Further arrays are left unread. Raises ValueError naming the file for a damaged one, a missing array, another kind,
    and more than 2 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read(archive, name, kind, ndim) for name, (kind, ndim) in wanted.items()}
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _DAMAGE_ERRORS:
            raise
        message = f"{printable(path, 300)}: not such an archive of arrays: {printable(error, 160)}; get it again"
        raise ValueError(message) from error


def _read(archive: zipfile.ZipFile, name: str, kind: str, ndim: int) -> NDArray[Any]:
    try:
        stream = archive.open(f"{name}.npy")
    except KeyError as error:
        message = f"{name!r} is missing"
        raise ValueError(message) from error
    with stream:
        shape, dtype, by_columns = _header(stream)
        size = dtype.itemsize
        for length in shape:
            size *= length
        if dtype.kind != kind or len(shape) != ndim or by_columns:
            message = f"{name!r} must be {_KINDS[kind]} in {ndim} dimensions, by rows (got {dtype} {list(shape)})"
            raise ValueError(message)
        if size > _MOST_BYTES or (kind == "U" and dtype.itemsize > _MOST_TEXT_BYTES):
            message = f"{name!r} is announced as {dtype} {list(shape)}, more than such an archive may hold"
            raise ValueError(message)
        content = stream.read(size + 1)
    if len(content) != size:
        message = f"{name!r} has {'more' if len(content) > size else 'less'} than the {size:,} bytes it announces"
        raise ValueError(message)
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Return shape, type and whether the values lie by columns, from a header as NumPy writes it."""
    head = stream.read(10)
    text = stream.read(int.from_bytes(head[8:], "little")).decode("latin-1")
    found = _HEADER.fullmatch(text) if head[:8] == _MAGIC else None
    if found is None:
        message = f"its header {printable(text, 100)!r} is not one of such arrays; save it again with NumPy"
        raise ValueError(message)
    shape = tuple(int(length) for length in found["shape"].split(",") if length.strip())
    return shape, np.dtype(found["kind"]), found["columns"] == "True" and len(shape) > 1
