"""NumPy archives (.npz) of arrays whose names, kinds and sizes are known: nothing is unpickled, nothing unbounded."""

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


def read_archive(path: Path, wanted: Mapping[str, tuple[str, int]]) -> dict[str, NDArray[Any]]:
    """Return the arrays ``wanted``, each given as its kind (u, b or U, NumPy's letters) and number of dimensions.

    Further arrays are left unread. Raises ValueError naming the file for a damaged one, a missing array, another kind,
    and more than 2 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read(archive, name, kind, ndim) for name, (kind, ndim) in wanted.items()}
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
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
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        message = f"version {version} of NumPy's format; save it again with numpy.savez_compressed"
        raise ValueError(message)
    shape, by_columns, dtype = read(stream)
    return shape, dtype, by_columns and len(shape) > 1
