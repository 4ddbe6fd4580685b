"""A checkpoint: the server and the log so far, in one file that is whole or absent."""

import io
import json
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_sim.config import differences
from fl_sim.runlog import ClientRow, RoundRow
from fl_sim.server import Server
from profiler.bundle import write_file
from profiler.names import printable

CHECKPOINT = "checkpoint.npz"
_VERSION = 1
_MOST_BYTES = 8 << 30
# What numpy and zipfile raise on files that are damaged.
_DAMAGES = (
    KeyError, ValueError, TypeError, EOFError, OSError, MemoryError, AttributeError, NotImplementedError, RuntimeError,
    SyntaxError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands. ``identity`` is what must not change until it is resumed: configuration and data."""

    server: Server
    rounds: list[RoundRow]
    clients: list[ClientRow]
    identity: dict[str, Any]


def check_room(clients: int, parameters: int) -> None:
    """Raise ValueError if the memories of all clients would make a checkpoint that is not read again."""
    if (needed := 4 * clients * parameters) > _MOST_BYTES // 2:
        message = (
            f"the memories of {clients:,} clients of a model of {parameters:,} weights are {needed / 1e9:.1f} GB, "
            f"at most {_MOST_BYTES / 2e9:.1f} GB are kept; take fewer clients, a smaller model, or a method without "
            "error feedback"
        )
        raise ValueError(message)


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a run's directory; the one before stays until this one is complete."""
    server = checkpoint.server
    buffer = io.BytesIO()
    memories = sorted(server.memories)
    np.savez(
        buffer,
        version=np.array(_VERSION),
        identity=_text(checkpoint.identity),
        round_number=np.array(server.round_number),
        weights=server.weights,
        velocity=server.velocity,
        exponents=np.array(server.exponents, dtype=np.int64),
        memory_clients=np.array(memories, dtype=np.int64),
        memories=np.array([server.memories[client] for client in memories], dtype=np.float32),
        rounds=_table(checkpoint.rounds, RoundRow),
        clients=_table(checkpoint.clients, ClientRow),
    )
    write_file(run / CHECKPOINT, buffer.getvalue())


def read_checkpoint(run: Path, identity: dict[str, Any], parameters: int, layers: int) -> Checkpoint:
    """Return a run's checkpoint, for a model of so many ``parameters`` and ``layers``.

    Raises FileNotFoundError without one, ValueError if it is damaged or of another run (naming what differs).
    """
    path = run / CHECKPOINT
    shown = printable(path, 200)
    if not path.exists():
        message = f"{shown}: there is no checkpoint to resume from; start the run anew in another directory"
        raise FileNotFoundError(message)
    if path.stat().st_size > _MOST_BYTES:
        message = f"{shown}: larger than {_MOST_BYTES >> 30} GiB; this is no checkpoint"
        raise ValueError(message)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            if sum(member.file_size for member in found.zip.infolist()) > _MOST_BYTES:
                message = f"unpacks to more than {_MOST_BYTES >> 30} GiB"
                raise ValueError(message)
            arrays = {name: found[name] for name in found.files}
        if int(arrays["version"]) != _VERSION:
            message = f"is of version {int(arrays['version'])}, this fedjoule reads {_VERSION}"
            raise ValueError(message)
        before = json.loads(bytes(arrays["identity"]).decode())
        if not isinstance(before, dict):
            message = "names no settings"
            raise ValueError(message)
    except _DAMAGES as error:
        message = f"{shown}: damaged ({printable(error, 120)}); start the run anew in another directory"
        raise ValueError(message) from error
    changed = differences(before, identity)
    if changed:
        message = "\n".join(
            f"{shown}: the run was begun with another {printable(line, 200)}; resume it as it was begun"
            for line in changed
        )
        raise ValueError(message)
    try:
        return _checkpoint(arrays, before, parameters, layers)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        message = f"{shown}: damaged ({printable(error, 120)}); start the run anew in another directory"
        raise ValueError(message) from error


def _checkpoint(
    arrays: dict[str, npt.NDArray[Any]], identity: dict[str, Any], parameters: int, layers: int
) -> Checkpoint:
    clients = arrays["memory_clients"]
    remembered = (len(clients), parameters) if len(clients) else (0,)
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "weights": (np.float32, (parameters,)),
        "velocity": (np.float64, (parameters,)),
        "exponents": (np.int64, (layers,)),
        "memories": (np.float32, remembered),
    }
    for name, (dtype, shape) in shapes.items():
        if arrays[name].dtype != dtype or arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            message = f"{name} is not {np.dtype(dtype).name} {shape}, finite"
            raise ValueError(message)
    server = Server(
        int(arrays["round_number"]), arrays["weights"], tuple(arrays["exponents"].tolist()), arrays["velocity"],
        dict(zip(clients.tolist(), arrays["memories"], strict=True)),
    )  # fmt: skip
    rounds = [RoundRow(**row) for row in _rows(arrays["rounds"], RoundRow)]
    if [row.round for row in rounds] != list(range(1, server.round_number + 1)):
        message = "its log does not have each round once"
        raise ValueError(message)
    return Checkpoint(server, rounds, [ClientRow(**row) for row in _rows(arrays["clients"], ClientRow)], identity)


def _text(values: dict[str, Any]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(values, sort_keys=True).encode(), dtype=np.uint8)


def _dtype(kind: type) -> np.dtype[np.void]:
    of = {"int": "<i8", "float": "<f8", "str": "<U16"}
    return np.dtype([(name, of[str(note if isinstance(note, str) else note.__name__)]) for name, note in _notes(kind)])


def _notes(kind: type) -> list[tuple[str, Any]]:
    return list(kind.__annotations__.items())


def _table(rows: list[Any], kind: type) -> npt.NDArray[np.void]:
    return np.array([tuple(vars(row).values()) for row in rows], dtype=_dtype(kind))


def _rows(table: npt.NDArray[Any], kind: type) -> list[dict[str, Any]]:
    if table.dtype != _dtype(kind) or table.ndim != 1:
        message = f"its table of {kind.__name__} has other columns"
        raise ValueError(message)
    names = table.dtype.names or ()
    return [dict(zip(names, row, strict=True)) for row in table.tolist()]
