"""A run with a directory: begun, checkpointed, interrupted, resumed, and ended as a run log."""

import hashlib
import io
import json
import platform
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from fl_sim.checkpoint import CHECKPOINT, Checkpoint, check_room, read_checkpoint, write_checkpoint
from fl_sim.config import Config, read_config_file, to_toml
from fl_sim.engine import Engine
from fl_sim.lock import locked
from fl_sim.ranks import Alone, Ranks
from fl_sim.run import Round, rounds
from fl_sim.runlog import CLIENTS, ROUNDS, ClientRow, RoundRow, frame_of, to_parquet
from fl_sim.server import Server, aggregator_of, first_server
from fl_sim.setting import Setting
from profiler.bundle import write_bundle, write_file
from profiler.names import printable
from profiler.results import TRAINING, check_folder

CONFIG, MANIFEST, WEIGHTS = "config.toml", "manifest.json", "weights.npz"
# A checkpoint costs its time again and again: at most this share of a run, and none more often than this.
_SHARE_OF_CHECKPOINTS = 0.02
_LEAST_S = 2.0
_NAN = float("nan")


@dataclass(frozen=True)
class Progress:
    """A round that has ended, or (``row`` None) where a resumed run goes on."""

    done: int
    rounds: int
    row: RoundRow | None


def begin(run: Path, config: Config) -> None:
    """Make a run's directory with its configuration.

    Raises FileExistsError if it holds a run: that one is resumed, not begun again.
    """
    check_vacant(run)
    write_file(run / CONFIG, to_toml(config).encode())


def check_vacant(run: Path) -> None:
    """Raise FileExistsError if a directory holds a run, or the results of another command."""
    if (run / CONFIG).exists() or (run / CHECKPOINT).exists():
        message = f"{printable(run, 200)} holds a run already; go on with --resume, or choose another --out"
        raise FileExistsError(message)
    check_folder(run, TRAINING)


def begun_config(run: Path) -> Config:
    """Return the configuration that a run was begun with. Raises FileNotFoundError if the directory holds no run."""
    path = run / CONFIG
    if not path.is_file():
        message = f"{printable(run, 200)} holds no run to resume: {CONFIG} is missing; begin one without --resume"
        raise FileNotFoundError(message)
    return Config(**read_config_file(path))


def simulate(
    setting: Setting, engine: Engine, run: Path, *, ranks: Ranks | None = None, resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Progress, None, None]:  # fmt: skip
    """Run a setting to its end in ``run``, and give the progress after each round.

    A checkpoint is written now and then and when the iterator is closed or interrupted; killed at any moment, a run
    that is resumed ends with the same files. Raises ArithmeticError when training diverges (what was done stays), and
    the errors of ``read_checkpoint``; without ``resume`` FileExistsError where rounds have been done already; and
    BlockingIOError while another process trains the run.
    """
    ranks = ranks or Alone()
    with nullcontext() if ranks.rank else locked(run):
        yield from _rounds(setting, engine, run, ranks, resume, clock)


def _rounds(
    setting: Setting, engine: Engine, run: Path, ranks: Ranks, resume: bool, clock: Callable[[], float]
) -> Generator[Progress, None, None]:  # fmt: skip
    state = _start(setting, run, ranks, resume=resume)
    _check_alike(setting, state, ranks)
    if state.rounds or resume:
        yield Progress(len(state.rounds), setting.config.rounds, state.rounds[-1] if state.rounds else None)
    written, cost = clock(), 0.0
    unsaved = False
    try:
        for done in rounds(setting, engine, state.server, ranks):
            unsaved = True
            state = _with_round(state, done)
            now = clock()
            if ranks.rank == 0 and now - written >= max(_LEAST_S, cost / _SHARE_OF_CHECKPOINTS):
                write_checkpoint(run, state)
                written, unsaved = clock(), False
                cost = written - now
            yield Progress(len(state.rounds), setting.config.rounds, done.row)
    except BaseException:
        if ranks.rank == 0 and unsaved:
            with suppress(OSError):  # a full disk must not hide what ended the run
                write_checkpoint(run, _whole(state))
        raise
    if ranks.rank == 0:
        if unsaved:
            write_checkpoint(run, state)  # first: whatever keeps the log from being written loses nothing
        _finish(setting, run, state)


def identity_of(setting: Setting) -> dict[str, Any]:
    """Return what must not change until a run is resumed: configuration but for rounds, data, clients and layers."""
    identity: dict[str, Any] = asdict(setting.config) | {"data_sha256": setting.dataset.sha256}
    del identity["rounds"]  # a run may be made longer
    held = hashlib.sha256(setting.partition.offsets.tobytes())
    held.update(setting.partition.indices.data)
    return identity | {"partition_sha256": held.hexdigest(), "layers": setting.model.text}


def _start(setting: Setting, run: Path, ranks: Ranks, *, resume: bool) -> Checkpoint:
    aggregator_of(setting)  # says what does not fit before anything is trained
    if setting.method.uplink.error_feedback:
        check_room(setting.partition.clients, setting.model.parameters)
    fresh = Checkpoint(first_server(setting), [], [], identity_of(setting))
    if not resume:
        if (run / CHECKPOINT).exists():  # no process has written one before all have passed here
            check_vacant(run)
        return fresh
    for aside in run.glob(".fedjoule-*") if ranks.rank == 0 else ():  # what a killed process was writing
        shutil.rmtree(aside, ignore_errors=True)
    if not (run / CHECKPOINT).exists():
        if ranks.rank == 0:  # it begins anew, maybe with other settings: they are what is resumed if it is killed
            write_file(run / CONFIG, to_toml(setting.config).encode())
        return fresh
    found = read_checkpoint(run, fresh.identity, setting.model.parameters, len(setting.model.layers))
    if found.server.round_number > setting.config.rounds:
        done = found.server.round_number
        message = f"rounds must be at least {done}, those already done (got {setting.config.rounds})"
        raise ValueError(message)
    if ranks.rank == 0:  # with the rounds that are asked for now
        write_file(run / CONFIG, to_toml(setting.config).encode())
    return replace(found, rounds=[_as_planned(row, setting.config) for row in found.rounds])


def _as_planned(row: RoundRow, config: Config) -> RoundRow:
    """Return a row without accuracies if it has them only because the run was to end there, and is made longer."""
    if not row.round % config.evaluate_every or row.round == config.rounds:
        return row
    return replace(row, int8_accuracy=_NAN, int8_loss=_NAN, fp32_accuracy=_NAN, fp32_loss=_NAN)


def _check_alike(setting: Setting, state: Checkpoint, ranks: Ranks) -> None:
    """Raise ValueError unless all processes begin alike: their sums would be of different rounds, or other data."""
    if ranks.count == 1:
        return
    text = json.dumps([state.identity, setting.config.rounds, state.server.round_number], sort_keys=True)
    digest = hashlib.sha256(text.encode() + state.server.weights.tobytes()).digest()
    told = np.zeros(ranks.count, dtype=np.int64)
    told[ranks.rank] = int.from_bytes(digest[:7])
    ranks.add_up(told)
    if (told != told[0]).any():
        message = (
            f"process {ranks.rank} of {ranks.count}: settings, data, or the rounds already done are not the same in "
            "all processes; give all the same options and files, and let all see the run's folder"
        )
        raise ValueError(message)


def _whole(state: Checkpoint) -> Checkpoint:
    """Return the state without rows of a round that was interrupted before the server had it."""
    done = state.server.round_number
    return replace(state, rounds=state.rounds[:done], clients=[row for row in state.clients if row.round <= done])


def _with_round(state: Checkpoint, done: Round) -> Checkpoint:
    state.rounds.append(done.row)
    state.clients.extend(done.clients)
    return replace(state, server=done.server)


def _finish(setting: Setting, run: Path, state: Checkpoint) -> None:
    """Write the run log, the weights and the manifest; with the last checkpoint the run can be made longer."""
    files = {
        ROUNDS: to_parquet(frame_of(state.rounds, RoundRow)),
        CLIENTS: to_parquet(frame_of(state.clients, ClientRow)),
        WEIGHTS: _weights(state.server),
        CONFIG: to_toml(setting.config).encode(),
    }
    manifest = {
        "config": asdict(setting.config),
        "data": {"name": setting.dataset.name, "source": setting.dataset.source, "sha256": setting.dataset.sha256},
        "clients": setting.partition.clients,
        "train_images": len(setting.partition.indices),
        "test_images": len(setting.dataset.test),
        "model": {"name": setting.model.name, "layers": setting.model.text, "parameters": setting.model.parameters},
        "files_sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "mode": "measured",
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("fedjoule", "numpy", "pyarrow")},
    }
    files[MANIFEST] = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    write_bundle(run, files)


def _weights(server: Server) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weights=server.weights, exponents=np.array(server.exponents, dtype=np.int64))
    return buffer.getvalue()
