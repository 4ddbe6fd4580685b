"""Tables in Parquet files: columns of known kinds, within bounds, through pyarrow, which is imported only here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from traces.report import clean

if TYPE_CHECKING:
    import pyarrow

Kind = Literal["int32", "float64", "text"]
Columns = dict[str, npt.NDArray[Any]]

_MOST_BYTES = 8 << 30
_MOST_UNPACKED_BYTES = 16 << 30
_MOST_TEXT_BYTES = 1 << 30


def need_pyarrow() -> Any:
    """Return pyarrow. Raises ValueError saying how to install it if it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        message = "Parquet files need pyarrow; install it with: pip install 'fedjoule[simulate]'"
        raise ValueError(message) from error
    return pyarrow


def write_columns(path: Path, columns: Mapping[str, npt.NDArray[Any] | tuple[str, ...]]) -> None:
    """Write columns of one length as a Parquet file: int32, float64, or tuples of text. Raises OSError."""
    pa = need_pyarrow()
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    pa.parquet.write_table(table, path, compression="zstd")
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def read_columns(
    path: Path, wanted: Mapping[str, Kind], most_rows: int, optional: Mapping[str, Kind] | None = None
) -> Columns:
    """Return the columns ``wanted``, and those of ``optional`` that are there; text as arrays of objects.

    Of kind ``float64`` and ``text`` other widths, whole numbers for floats and, where optional, missing values are
    taken too: NaN and empty text. Raises ValueError for a column that is missing, unknown, or of another kind, more
    rows than ``most_rows``, and damage, each naming the file; and OSError.
    """
    pa = need_pyarrow()
    name = clean(path, 300)
    kinds = {**wanted, **(optional or {})}
    _check_size(path, name)
    limits = {"thrift_string_size_limit": 1 << 26, "thrift_container_size_limit": 1 << 20}
    try:
        with pa.parquet.ParquetFile(path, **limits) as file:
            metadata, schema = file.metadata, file.schema_arrow
        _check_shape(metadata, name, most_rows)
        _check_names(schema.names, wanted, kinds, name)
        for field in schema:
            _check_kind(pa, field, kinds[field.name], name)
        # Texts stay in their dictionaries: one long text in millions of rows has few bytes, and would fill the memory.
        texts = [column for column in schema.names if kinds[column] == "text"]
        with pa.parquet.ParquetFile(path, metadata=metadata, read_dictionary=texts, **limits) as file:
            table = file.read(use_threads=False)
    except pa.ArrowException as error:
        message = f"{name}: is no whole Parquet file: {clean(error, 160)}; write or get it again"
        raise ValueError(message) from error
    return {
        column: _values(pa, table.column(column), kinds[column], column in wanted, f"{name}: column {column}")
        for column in table.column_names
    }


def _check_size(path: Path, name: str) -> None:
    if not path.is_file():
        if path.exists():
            message = f"{name}: must be an ordinary file"
            raise ValueError(message)
        raise FileNotFoundError(2, "No such file", str(path))
    size = path.stat().st_size
    if size > _MOST_BYTES:
        message = f"{name}: has {size:,} bytes; at most {_MOST_BYTES:,} are read"
        raise ValueError(message)


def _check_shape(metadata: Any, name: str, most_rows: int) -> None:
    if metadata.num_rows > most_rows:
        message = f"{name}: has {metadata.num_rows:,} rows; at most {most_rows:,} are read"
        raise ValueError(message)
    unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if unpacked > _MOST_UNPACKED_BYTES:
        message = f"{name}: unpacks to {unpacked:,} bytes; at most {_MOST_UNPACKED_BYTES:,} are read"
        raise ValueError(message)


def _check_names(found: list[str], wanted: Mapping[str, Kind], kinds: Mapping[str, Kind], name: str) -> None:
    missing = [column for column in wanted if column not in found]
    unknown = [column for column in found if column not in kinds]
    if missing or unknown or len(set(found)) < len(found):
        message = (
            f"{name}: must have the columns {', '.join(wanted)} and may have "
            f"{', '.join(column for column in kinds if column not in wanted) or 'no others'}, each once "
            f"(got {clean(', '.join(found), 200)})"
        )
        raise ValueError(message)


def _check_kind(pa: "pyarrow", field: Any, kind: Kind, name: str) -> None:
    types, told = pa.types, field.type
    if kind == "int32":
        fits = told == pa.int32()
    elif kind == "float64":
        fits = types.is_floating(told) or types.is_integer(told)
    else:
        fits = types.is_string(told) or types.is_large_string(told) or types.is_integer(told)
        if types.is_dictionary(told):
            fits = types.is_string(told.value_type) or types.is_large_string(told.value_type)
    if not fits:
        message = f"{name}: column {field.name} must be {kind} (got {clean(told)})"
        raise ValueError(message)


def _values(pa: "pyarrow", column: Any, kind: Kind, needed: bool, where: str) -> npt.NDArray[Any]:
    if column.null_count and (needed or kind == "int32"):
        message = f"{where} has {column.null_count:,} missing values; fill them, or leave their rows out"
        raise ValueError(message)
    if kind == "text":
        return _texts(pa, column, where)
    dtype = np.int32 if kind == "int32" else np.float64
    return np.array(column.to_numpy(), dtype=dtype)


def _texts(pa: "pyarrow", column: Any, where: str) -> npt.NDArray[Any]:
    """Return text as an array of objects, in which equal texts of a dictionary are one; empty where it is missing."""
    coded = pa.types.is_dictionary(column.type)
    size = sum((chunk.dictionary if coded else chunk).nbytes for chunk in column.chunks)
    if size > _MOST_TEXT_BYTES:
        message = f"{where} has {size:,} bytes of text; at most {_MOST_TEXT_BYTES:,} are read"
        raise ValueError(message)
    parts = [np.zeros(0, dtype=object)]
    for chunk in column.chunks:
        if not coded:
            parts.append(np.array(["" if value is None else str(value) for value in chunk.to_pylist()], dtype=object))
            continue
        # What is missing has the place past the last.
        known = np.array([*chunk.dictionary.to_pylist(), ""], dtype=object)
        parts.append(known[chunk.indices.cast(pa.int64()).fill_null(len(known) - 1).to_numpy()])
    return np.concatenate(parts)
