"""The run log: one row for each client-round, one for each round; contract 2 of the design."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from profiler.names import printable

if TYPE_CHECKING:
    import pandas as pd

CLIENTS, ROUNDS = "clients.parquet", "rounds.parquet"
_MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class ClientRow:
    """A client in a round. ``images`` is samples times epochs, ``batches`` the steps; loss and accuracy are its own."""

    round: int
    client: int
    samples: int
    images: int
    batches: int
    download_bytes: int
    upload_bytes: int
    train_accuracy: float
    train_loss: float
    outcome: str = "done"


@dataclass(frozen=True)
class RoundRow:
    """A round. Accuracies are shares of all test images after it, NaN in rounds that were not judged.

    ``int8``: the model that is broadcast, in integers (NaN for methods that never send INT8); ``fp32``: the server's
    weights in floats. ``share_above_half_lsb``: weights whose mean change is half a step of the INT8 grid or more
    (Figure 3 of the paper); ``share_changed``: mantissas of the broadcast that differ from the last;
    ``share_saturated``: mantissas at +-127. NaN where nothing is on a grid.
    """

    round: int
    clients: int
    samples: int
    batches: int
    download_bytes: int
    upload_bytes: int
    int8_accuracy: float
    int8_loss: float
    fp32_accuracy: float
    fp32_loss: float
    train_accuracy: float
    train_loss: float
    share_above_half_lsb: float
    share_changed: float
    share_saturated: float
    learning_rate: float
    mu_conv: float
    mu_fc: float


Row = ClientRow | RoundRow


def frame_of(rows: list[ClientRow] | list[RoundRow], kind: type[Row]) -> "pd.DataFrame":
    """Return rows as a table; empty ones keep their columns."""
    import pandas as pd

    frame = pd.DataFrame([asdict(row) for row in rows], columns=[field.name for field in fields(kind)])
    for field in fields(kind):
        dtype: Any = {int: np.int64, float: np.float64, str: object}[_type(field.type)]
        frame[field.name] = frame[field.name].astype(dtype)
    return frame


def read_log(run: Path, name: str, kind: type[Row]) -> "pd.DataFrame":
    """Return a table of a run's directory, checked.

    Raises FileNotFoundError where there is none, ValueError for a file that is no such table.
    """
    path = run / name
    shown = printable(path, 200)
    if not path.exists():
        message = f"{shown}: missing; a run writes it when it ends, so go on with --resume, or give another run"
        raise FileNotFoundError(message)
    if path.stat().st_size > _MOST_BYTES:
        message = f"{shown}: larger than {_MOST_BYTES >> 30} GiB; this is no run log"
        raise ValueError(message)
    frame = read_table(path)
    missing = [field.name for field in fields(kind) if field.name not in frame.columns]
    if missing:
        message = f"{shown}: the column {missing[0]!r} is missing; this is no run log of this version"
        raise ValueError(message)
    for field in fields(kind):
        numeric = frame[field.name].dtype.kind in "if"
        if numeric != (_type(field.type) is not str):
            message = f"{shown}: the column {field.name!r} must hold {_type(field.type).__name__}"
            raise ValueError(message)
    return frame[[field.name for field in fields(kind)]]


def read_table(path: Path) -> "pd.DataFrame":
    """Return a Parquet file as a table. Raises ValueError if it is none or pyarrow is not installed."""
    pq = _parquet()
    import pyarrow as pa

    try:
        # What pandas once wrote about its own types is left unread: damaged, it raises anything.
        frame: pd.DataFrame = pq.read_table(path, memory_map=False).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"{printable(path, 200)}: not a Parquet file that can be read ({printable(error, 120)})"
        raise ValueError(message) from error
    return frame


def to_parquet(frame: "pd.DataFrame") -> bytes:
    """Return a table as the bytes of a Parquet file; equal tables, equal bytes."""
    pq = _parquet()
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _parquet() -> Any:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        message = "run logs need pyarrow: pip install 'fedjoule[simulate]'"
        raise ValueError(message) from error
    return pq


def _type(of: Any) -> type:
    return {"int": int, "float": float, "str": str}[of if isinstance(of, str) else of.__name__]
