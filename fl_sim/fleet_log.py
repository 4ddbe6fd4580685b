"""The log of a run on a fleet: a row for each client-round, and one for each round or version."""

import json
import stat
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fl_sim.participation import OUTCOMES, FleetRound, Participation
from fl_sim.runlog import CLIENTS, ROUNDS, to_parquet
from profiler.names import printable
from traces.parquet import Kind, read_columns

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[Any]

MANIFEST = "manifest.json"
SUMMED = (
    "download_s", "train_s", "upload_s", "suspended_s", "wait_s", "download_j", "train_j", "upload_j", "wait_j",
    "wasted_s", "wasted_j",
)  # fmt: skip
# How many clients of a round came to what end; those that are done are its updates.
ENDS = {"updates": "done", **{name: name for name in OUTCOMES if name != "done"}}

_CLIENT_COLUMNS = ("round", *(field.name for field in fields(Participation)))
_ROUND_COLUMNS = ("round", "begin_s", "end_s", "selected", *ENDS, "void", *SUMMED)
_WHOLE = ("round", "phone", "attempts", "staleness", "selected", *ENDS, "void")
_CLOCK = ("begin_s", "end_s")
_MOST_ROWS = {ROUNDS: 10**7, CLIENTS: 10**8}
_MOST_TEXT_BYTES = 1 << 20
_LARGEST = 2**53  # counts above it are no longer exact in floats, and no run's


@dataclass(frozen=True, eq=False)
class FleetLog:
    """The log of a run on a fleet, read back. ``manifest`` is what the run says of itself, only its form was checked.

    ``clients``: the columns of ``Participation`` with ``outcome`` as text, and ``round``, in the order of the rounds.
    ``rounds``: ``round`` from 1 on, ``begin_s``, ``end_s``, ``selected``, how many were asked, ``updates``, ``late``,
    ``dropped``, ``cancelled``, ``stale``, ``void`` (it counted for nothing but its cost), and the sums of seconds and
    joules over its clients; joules are NaN where those of a client are not known.
    """

    clients: "pd.DataFrame"
    rounds: "pd.DataFrame"
    manifest: dict[str, Any]


def to_frames(rounds: Iterable[FleetRound], least: int) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return the tables ``clients`` and ``rounds`` of a ``FleetLog``; rounds of fewer than ``least`` updates are void.

    ``least`` below 1 is 1, as in ``Rules``. Give 1 for an asynchronous server: its versions are never void.
    """
    played = list(rounds)
    sizes = np.array([len(each.clients.phone) for each in played], dtype=np.int64)
    places = np.repeat(np.arange(len(played)), sizes)
    columns: dict[str, Values] = {"round": places + 1}
    for field in fields(Participation):
        parts = [getattr(each.clients, field.name) for each in played]
        columns[field.name] = np.concatenate(parts) if parts else np.zeros(0)
    outcome = columns["outcome"].astype(np.int64)
    columns["outcome"] = np.array(OUTCOMES, dtype=object)[outcome]
    for name in _WHOLE:
        if name in columns:
            columns[name] = columns[name].astype(np.int64)
    clients = _frame(columns, _CLIENT_COLUMNS)
    by_round: dict[str, Values] = {
        "round": np.arange(1, len(played) + 1),
        "begin_s": np.array([each.begin_s for each in played], dtype=np.float64),
        "end_s": np.array([each.end_s for each in played], dtype=np.float64),
        "selected": sizes,
    }
    for name, end in ENDS.items():
        by_round[name] = _counts(places[outcome == OUTCOMES.index(end)], len(played))
    by_round["void"] = by_round["updates"] < max(least, 1)
    by_round |= {name: _sums(places, columns[name], len(played)) for name in SUMMED}
    return clients, _frame(by_round, _ROUND_COLUMNS)


def log_files(clients: "pd.DataFrame", rounds: "pd.DataFrame") -> dict[str, bytes]:
    """Return the tables as files, name -> content, for ``profiler.bundle.write_bundle``; a manifest goes beside them.

    Raises ValueError if pyarrow is not installed.
    """
    import pandas as pd

    ends = clients["outcome"].astype(pd.CategoricalDtype(list(OUTCOMES)))  # text, even where there is no row
    return {
        CLIENTS: to_parquet(clients.assign(outcome=ends)),
        ROUNDS: to_parquet(rounds.assign(void=rounds["void"].astype(np.int64))),
    }


def read_fleet_run(folder: str | Path) -> FleetLog:
    """Return the log of a run on a fleet from its folder, which holds clients.parquet, rounds.parquet, manifest.json.

    Raises FileNotFoundError for a file that is missing, ValueError naming the file for one that is damaged, too large,
    of another kind, not a number where there must be one, and tables that contradict each other. Nothing in it is run.
    """
    place = Path(folder)
    if not place.is_dir():
        message = f"{printable(place, 200)}: no folder of a run; give one that 'fedjoule fleet simulate --out' wrote"
        raise FileNotFoundError(message)
    manifest = _manifest(place / MANIFEST)
    rounds = _table(place / ROUNDS, _ROUND_COLUMNS)
    rounds["void"] = rounds["void"].astype(bool)
    clients = _table(place / CLIENTS, _CLIENT_COLUMNS)
    _check_rounds(rounds, printable(place / ROUNDS, 200))
    _check_clients(clients, rounds, printable(place / CLIENTS, 200))
    return FleetLog(clients, rounds, manifest)


def _frame(columns: dict[str, Values], names: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    # Text stays objects, which pandas would else turn into a type of its own.
    return pd.DataFrame({name: pd.Series(columns[name], dtype=columns[name].dtype) for name in names})


def _counts(places: Values, rounds: int) -> Values:
    return np.bincount(places, minlength=rounds).astype(np.int64)


def _sums(places: Values, values: Values, rounds: int) -> Values:
    """Return the sums by round, float64 [rounds]; NaN only in rounds where a value is."""
    return np.bincount(places, weights=values, minlength=rounds).astype(np.float64)


def _manifest(path: Path) -> dict[str, Any]:
    shown = printable(path, 200)
    try:
        about = path.stat()
    except FileNotFoundError as error:
        message = f"{shown}: missing; give a folder that 'fedjoule fleet simulate --out' wrote"
        raise FileNotFoundError(message) from error
    if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_TEXT_BYTES:
        message = f"{shown}: must be an ordinary file of at most {_MOST_TEXT_BYTES:,} bytes"
        raise ValueError(message)
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        message = f"{shown}: not a JSON file ({printable(error, 120)})"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = f"{shown}: must be a JSON object (got a {type(found).__name__})"
        raise ValueError(message)
    return found


def _table(path: Path, names: tuple[str, ...]) -> "pd.DataFrame":
    """Return a table with these columns, whose numbers are in bounds: joules may be missing, nothing else."""
    shown = printable(path, 200)
    if not path.exists():
        message = f"{shown}: missing; give a folder that 'fedjoule fleet simulate --out' wrote"
        raise FileNotFoundError(message)
    kinds: dict[str, Kind] = {name: "text" if name == "outcome" else "float64" for name in names}
    joules = {name: kind for name, kind in kinds.items() if name.endswith("_j")}
    wanted = {name: kind for name, kind in kinds.items() if name not in joules}
    columns = read_columns(path, wanted, _MOST_ROWS[path.name], optional=joules)
    for name in names:
        if name not in columns:
            message = f"{shown}: the column {name!r} is missing; this is no log of a run on a fleet of this version"
            raise ValueError(message)
        if name != "outcome":
            columns[name] = _checked(columns[name], name, shown)
    return _frame(columns, names)


def _checked(values: Values, name: str, shown: str) -> Values:
    least, most = (-_LARGEST if name in _CLOCK else 0), (1 if name == "void" else _LARGEST)
    able, rule = (values >= least) & (values <= most), f"from {least} to {most}"
    if name.endswith("_j"):
        able, rule = able | np.isnan(values), f"{rule}, or missing"
    if name in _WHOLE:
        able, rule = able & (values == np.floor(values)), f"a whole number {rule}"
    if not able.all():
        row = int(np.argmin(able))
        message = f"{shown} row {row + 1}: {name} must be {rule} (got {values[row]})"
        raise ValueError(message)
    return values.astype(np.int64) if name in _WHOLE else values


def _check_rounds(rounds: "pd.DataFrame", shown: str) -> None:
    begin_s, end_s, updates = (rounds[name].to_numpy() for name in ("begin_s", "end_s", "updates"))
    if not len(rounds) or not np.array_equal(rounds["round"], np.arange(1, len(rounds) + 1)):
        message = f"{shown}: must have each round from 1 on once, in order"
        raise ValueError(message)
    _refuse(shown, end_s < begin_s, "a round must not end before it begins")
    _refuse(shown, np.append(False, begin_s[1:] < end_s[:-1]), "a round must not begin before the last one ended")
    void = rounds["void"].to_numpy()
    counted = updates[~void].min(initial=_LARGEST)
    _refuse(shown, void & (updates >= counted), "a round must not be void with as many updates as one that is not")


def _check_clients(clients: "pd.DataFrame", rounds: "pd.DataFrame", shown: str) -> None:
    """Check that the client-rounds add up to the rounds."""
    _refuse(shown, ~clients["outcome"].isin(OUTCOMES).to_numpy(), f"outcome must be one of {', '.join(OUTCOMES)}")
    places = clients["round"].to_numpy() - 1
    ordered = (np.diff(places) >= 0).all() and ((places >= 0) & (places < len(rounds))).all()
    if not ordered or not np.array_equal(_counts(places, len(rounds)), rounds["selected"]):
        message = f"{shown}: must have as many rows for each round as {ROUNDS} has selected, in the order of the rounds"
        raise ValueError(message)
    begin_s, end_s = clients["begin_s"].to_numpy(), clients["end_s"].to_numpy()
    _refuse(shown, clients["attempts"].to_numpy() < 1, "attempts must be 1 or more")
    _refuse(shown, end_s < begin_s, "a client must not end before it begins")
    _refuse(shown, end_s > rounds["end_s"].to_numpy()[places], f"a client must end with its round in {ROUNDS}")
    work_s = clients[["download_s", "train_s", "upload_s"]].to_numpy().sum(axis=1)
    _refuse(shown, clients["wasted_s"].to_numpy() > work_s * (1 + 1e-9) + 1e-6, "wasted_s must be part of the work")
    for name, end in ENDS.items():
        _compare(shown, name, _counts(places[(clients["outcome"] == end).to_numpy()], len(rounds)), rounds)
    for name in SUMMED:
        _compare(shown, name, _sums(places, clients[name].to_numpy(), len(rounds)), rounds)


def _compare(shown: str, name: str, sums: Values, rounds: "pd.DataFrame") -> None:
    stated = rounds[name].to_numpy()
    rule = f"{name} of its clients must add up to that of the round in {ROUNDS}"
    _refuse(shown, ~np.isclose(sums, stated, rtol=1e-9, atol=1e-6, equal_nan=True), rule, "round")


def _refuse(shown: str, wrong: Values, rule: str, what: str = "row") -> None:
    if wrong.any():
        message = f"{shown} {what} {int(np.argmax(wrong)) + 1}: {rule}; take the files as one run wrote them"
        raise ValueError(message)
