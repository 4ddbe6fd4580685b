"""Availability in half hours, as another study worked it out from FLASH's state traces."""

import io
import zipfile
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from traces.availability import Availability
from traces.flash.records import read_bytes
from traces.report import Report, Tally, clean

Unknown = Literal["absent", "present"]

STEP_S = 1800
# The file has 9 kB packed and 174 kB unpacked: 241 half hours of 723 phones.
MOST_BYTES = 8 * 2**20
MOST_UNPACKED_BYTES = 64 * 2**20
_MEMBER = "available.npy"
_WHAT = "the half hours"


def read_half_hours(source: Path | bytes, *, unknown: Unknown = "absent") -> tuple[Availability, Report]:
    """Return the traces of ``availability_30min.npz``: one per column, which repeats after the last row but one.

    A row holds for the half hour that begins with it; the grid begins at 00:00, so the clock's 0 is that midnight. The
    last row is the moment at which the grid ends and begins again: it is left out. 1 is ready (screen off, charging and
    Wi-Fi), 0 is not, -1 is not known: taken as not ready (``unknown`` "absent") or as ready ("present"), counted in
    half hours. No pickle is read. Raises ValueError, OSError.
    """
    if unknown not in get_args(Unknown):
        message = f"unknown must be one of {', '.join(get_args(Unknown))} (got {clean(unknown)!r})"
        raise ValueError(message)
    grid = read_grid(source)
    tally = Tally()
    tally.drop("half hours of the last row, which begins the grid anew", count=grid.shape[1])
    rows = grid[:-1]
    tally.repair(f"half hours not known, taken as {unknown}", count=int(np.sum(rows == -1)))
    ready = (rows != 0) if unknown == "present" else (rows == 1)
    tally.flag("phones never ready", count=int(np.sum(~ready.any(0))))
    # One column after another, each with a False at both ends, so that intervals begin and end within their column.
    edges = np.diff(np.pad(ready.T.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    column, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    phones = grid.shape[1]
    counts = np.bincount(column, minlength=phones)
    availability = Availability(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        begin.astype(np.float64) * STEP_S,
        end.astype(np.float64) * STEP_S,
        np.zeros(phones),
        np.full(phones, float(len(rows) * STEP_S)),
    )
    return availability, tally.report(phones)


def read_grid(source: Path | bytes) -> npt.NDArray[np.int8]:
    """Return what the file holds, int8 [half hours, phones] of -1, 0 and 1. Raises ValueError, OSError."""
    data = _unpacked(read_bytes(source, MOST_BYTES, _WHAT))
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # the header is Python text, and damage to it raises what its parsers raise
        message = f"{_WHAT} are not an array of numpy's ({clean(error)}); get the file anew"
        raise ValueError(message) from error
    whole = all(isinstance(places, int) and places >= 0 for places in shape)
    if version != (1, 0) or dtype != np.int8 or len(shape) != 2 or not whole or shape[0] < 2 or shape[1] < 1:
        message = (
            f"{_WHAT} must be int8 [half hours, phones] with 2 half hours and 1 phone at least "
            f"(got {clean(dtype)} {clean(shape)}); is this availability_30min.npz?"
        )
        raise ValueError(message)
    values = np.frombuffer(data, np.int8, offset=file.tell())
    if len(values) != shape[0] * shape[1]:
        message = f"{_WHAT} have {len(values)} values, not those of the shape {clean(shape)}; get the file anew"
        raise ValueError(message)
    if values.min() < -1 or values.max() > 1:
        worst = values[(values < -1) | (values > 1)][0]
        message = f"{_WHAT} must be 1 (ready), 0 (not) or -1 (not known) (got {worst}); is this availability_30min.npz?"
        raise ValueError(message)
    return values.reshape(shape, order="F" if by_column else "C")


def _unpacked(data: bytes) -> bytes:
    """Return the array's bytes from the archive, without ever unpacking more than the bound."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(_MEMBER) as member:
            unpacked = member.read(MOST_UNPACKED_BYTES + 1)
    except KeyError as error:
        message = f"{_WHAT} must be an archive with {_MEMBER}; is this availability_30min.npz?"
        raise ValueError(message) from error
    except Exception as error:  # damaged archives raise a dozen kinds of errors
        message = f"{_WHAT} are not a whole .npz archive ({clean(error)}); get the file anew"
        raise ValueError(message) from error
    if len(unpacked) > MOST_UNPACKED_BYTES:
        message = f"{_WHAT} unpack to more than {MOST_UNPACKED_BYTES} bytes, which is the most that is read"
        raise ValueError(message)
    return unpacked
