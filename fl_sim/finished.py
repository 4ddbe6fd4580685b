"""A finished run, read back from its directory: settings, rounds, client-rounds and manifest, all checked."""

import hashlib
import json
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fl_sim.config import Config, read_config
from fl_sim.method import Method
from fl_sim.runlog import CLIENTS, ROUNDS, ClientRow, RoundRow, Row, read_log
from profiler.names import printable

if TYPE_CHECKING:
    import pandas as pd

CONFIG, MANIFEST = "config.toml", "manifest.json"

_MOST_TEXT_BYTES = 1 << 20
_MOST_ROWS = {ROUNDS: 10**6, CLIENTS: 10**8}
_MOST_UNPACKED_BYTES = 16 << 30  # a small file may hold very many equal rows
_LARGEST = 2**53  # counts above it are no longer exact in floats, and no run's
_COUNTS = ("samples", "batches", "download_bytes", "upload_bytes")


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run that has ended. ``rounds`` has a row for each round from 1 on, ``clients`` one for each client-round.

    Columns are those of ``fl_sim.runlog``; the clients' rows lie in the order of their rounds. ``manifest`` is what
    the run says of itself, only its form was checked.
    """

    config: Config
    rounds: "pd.DataFrame"
    clients: "pd.DataFrame"
    manifest: dict[str, Any]
    path: Path

    @property
    def method(self) -> Method:
        """The method that was trained."""
        return self.config.found_method()

    @property
    def name(self) -> str:
        """The run's directory, safe to print."""
        return printable(self.path, 200)

    @property
    def model(self) -> str:
        """The model's name: the manifest's, or the configuration's; empty if neither has one."""
        about = self.manifest.get("model")
        named = about.get("name") if isinstance(about, dict) else None
        return printable(named, 200) if isinstance(named, str) and named else self.config.model

    @property
    def data_sha256(self) -> str:
        """SHA-256 of the data set's content, as the manifest has it; empty if it has none."""
        about = self.manifest.get("data")
        return printable(about.get("sha256", "")) if isinstance(about, dict) else ""

    @property
    def registered(self) -> int | None:
        """Registered clients, N: the manifest's ``clients``, or the configuration's; None if neither counts them."""
        counted = self.manifest.get("clients")
        whole = isinstance(counted, int) and not isinstance(counted, bool) and 0 < counted < _LARGEST
        return counted if whole else self.config.clients or None


class NotEnded(FileNotFoundError):
    """A run that was begun and has not ended."""


def read_run(path: str | Path) -> FinishedRun:
    """Return the run in a directory.

    Raises NotEnded for a run that has not ended, FileNotFoundError or ValueError naming the file for one that is none
    of a run's and tables that contradict each other. Nothing in the files is run.
    """
    folder = Path(path)
    if not folder.is_dir():
        message = f"{printable(folder, 200)}: no directory of a run; give one that 'fedjoule train --out' wrote"
        raise FileNotFoundError(message)
    config = _config(folder / CONFIG)
    if not (folder / MANIFEST).exists():
        message = f"{printable(folder, 200)}: this run has not ended, {MANIFEST} is missing; "
        message += "go on with 'fedjoule train --resume', or leave it out"
        raise NotEnded(message)
    manifest = _manifest(folder / MANIFEST)
    rounds = _log(folder, ROUNDS, RoundRow)
    clients = _log(folder, CLIENTS, ClientRow)
    run = FinishedRun(config, rounds, clients, manifest, folder)
    _check_digests(run)
    _check_rounds(run)
    _check_clients(run)
    return run


def digests(run: FinishedRun) -> list[tuple[str, str, int]]:
    """Return (name, SHA-256, bytes) of the files that were read; the name begins with the run's directory."""
    found = []
    for name in (CONFIG, MANIFEST, ROUNDS, CLIENTS):
        path = run.path / name
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        found.append((printable(f"{run.path.resolve().name}/{name}", 200), sha256, path.stat().st_size))
    return found


def _config(path: Path) -> Config:
    shown = printable(path, 200)
    settings = read_config(_text(path), shown)
    try:
        return Config(**settings)
    except ValueError as error:
        message = f"{shown}: {error}"
        raise ValueError(message) from error


def _manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        message = f"{printable(path, 200)}: not a JSON file ({printable(error, 120)})"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = f"{printable(path, 200)}: must be a JSON object (got a {type(found).__name__})"
        raise ValueError(message)
    if "command" in found:  # only what another command makes says which one it was
        message = (
            f"{printable(path, 200)}: of {printable(found['command'], 60)!r}, which replaced the training run's own; "
        )
        message += "'fedjoule train --resume' writes it anew"
        raise ValueError(message)
    return found


def _text(path: Path) -> bytes:
    """Return a regular file of at most 1 MiB."""
    shown = printable(path, 200)
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
    except FileNotFoundError as error:
        message = f"{shown}: missing; give the directory of a run that 'fedjoule train --out' wrote"
        raise FileNotFoundError(message) from error
    if not stat.S_ISREG(mode) or size > _MOST_TEXT_BYTES:
        message = f"{shown}: must be a regular file of at most {_MOST_TEXT_BYTES:,} bytes"
        raise ValueError(message)
    with open(path, "rb") as file:
        return file.read(_MOST_TEXT_BYTES)


def _log(folder: Path, name: str, kind: type[Row]) -> "pd.DataFrame":
    """Return a table of the run whose numbers are of the right type and none is below zero."""
    path = folder / name
    if path.exists():
        _check_size(path, _MOST_ROWS[name])
    frame = read_log(folder, name, kind)
    shown = printable(path, 200)
    for field in fields(kind):
        column, values = field.name, frame[field.name]
        if values.dtype.kind not in "if":
            continue
        if field.type in (int, "int") and values.dtype.kind != "i":
            message = f"{shown}: the column {column!r} must hold whole numbers, none missing"
            raise ValueError(message)
        bad = np.flatnonzero((values < 0) | (values > _LARGEST))
        if len(bad) and column not in ("mu_conv", "mu_fc"):
            message = f"{shown} row {bad[0] + 1}: {column} must be 0 or more and finite (got {values.iloc[bad[0]]})"
            raise ValueError(message)
    return frame


def _check_size(path: Path, most_rows: int) -> None:
    """Raise ValueError for a Parquet file that would unpack to more than a run's log ever has."""
    shown = printable(path, 200)
    if not path.is_file():
        message = f"{shown}: must be a regular file"
        raise ValueError(message)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:  # read_log says what to install
        return
    try:
        about = pq.read_metadata(path)
        rows, groups = about.num_rows, range(about.num_row_groups)
        unpacked = sum(about.row_group(i).total_byte_size for i in groups)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"{shown}: not a Parquet file that can be read ({printable(error, 120)})"
        raise ValueError(message) from error
    if rows > most_rows or unpacked > _MOST_UNPACKED_BYTES:
        message = f"{shown}: {rows:,} rows, {unpacked:,} bytes unpacked; at most {most_rows:,} rows are read"
        raise ValueError(message)


def _check_digests(run: FinishedRun) -> None:
    """Check that the files are those that the run wrote, where its manifest says what they were."""
    stated = run.manifest.get("files_sha256")
    if not isinstance(stated, dict):
        return
    for name, sha256, _ in digests(run):
        file = name.rpartition("/")[2]
        if file in stated and stated[file] != sha256:
            shown = printable(run.path / file, 200)
            message = f"{shown}: not the file that the run wrote, its SHA-256 in {MANIFEST} is another; "
            raise ValueError(message + "take the run's files as they were, all from one run")


def _check_rounds(run: FinishedRun) -> None:
    rounds, shown = run.rounds, printable(run.path / ROUNDS, 200)
    count, most = len(rounds), run.config.rounds
    if count != most or not np.array_equal(rounds["round"], np.arange(1, most + 1)):
        message = f"{shown}: must have each of the {most} rounds of {CONFIG} once, in order (got {count} rows)"
        raise ValueError(message)
    bounds = {"int8_accuracy": (0, 1), "fp32_accuracy": (0, 1), "clients": (1, len(run.clients))}
    for column, (least, largest) in bounds.items():
        bad = np.flatnonzero((rounds[column] < least) | (rounds[column] > largest))
        if len(bad):
            got = rounds[column].iloc[bad[0]]
            message = f"{shown} row {bad[0] + 1}: {column} must be from {least} to {largest} (got {got})"
            raise ValueError(message)


def _check_clients(run: FinishedRun) -> None:
    """Check that the client-rounds add up to the rounds: what is costed is what was trained."""
    rounds, clients, shown = run.rounds, run.clients, printable(run.path / CLIENTS, 200)
    places, counts = clients["round"].to_numpy(), rounds["clients"]
    if counts.sum() != len(clients) or not np.array_equal(places, np.repeat(rounds["round"], counts)):
        message = f"{shown}: must have as many rows for each round as {ROUNDS} has clients, in the order of the rounds"
        raise ValueError(message)
    for column in ("samples", "images", "batches"):
        if (clients[column] < 1).any():
            message = f"{shown}: {column} must be 1 or more in every row"
            raise ValueError(message)
    starts = np.searchsorted(places, rounds["round"])
    for column in _COUNTS:
        sums = np.add.reduceat(clients[column].to_numpy(), starts)
        wrong = np.flatnonzero(sums != rounds[column])
        if len(wrong):
            message = f"{shown}: {column} of round {wrong[0] + 1} adds up to {sums[wrong[0]]}, {ROUNDS} has "
            message += f"{rounds[column][wrong[0]]}; the two are not of one run"
            raise ValueError(message)
    order = np.lexsort((clients["client"], places))
    chosen, of_round = clients["client"].to_numpy()[order], places[order]
    if ((np.diff(chosen) == 0) & (np.diff(of_round) == 0)).any():
        message = f"{shown}: a client must train once in a round"
        raise ValueError(message)
    registered = run.registered
    if registered is not None and int(chosen.max()) >= registered:
        message = f"{shown}: client {chosen.max()} is not among the {registered} that are registered"
        raise ValueError(message)
