"""A run's directory: stopped anywhere, resumed, damaged, full disks, changed settings."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_sim import simulation
from fl_sim.checkpoint import CHECKPOINT, Checkpoint, check_room, read_checkpoint
from fl_sim.config import Config, read_config
from fl_sim.run import Round
from fl_sim.runlog import CLIENTS, ROUNDS, ClientRow, RoundRow, read_log
from fl_sim.simulation import CONFIG, WEIGHTS, begin, begun_config, identity_of, simulate
from tests.fl_sim.drifting import DriftingEngine, setting_of
from tests.fl_sim.test_run import Fellow

METHODS = ["qfedupdate_momentum", "quanfl_ef", "floatfl"]
FILES = (ROUNDS, CLIENTS, WEIGHTS, CONFIG, "manifest.json")


def ended(run: Path, engine: DriftingEngine | None = None, *, resume: bool = False, **changes: Any) -> dict[str, bytes]:
    setting = setting_of(**changes)
    if not resume:
        begin(run, setting.config)
    for _ in simulate(setting, engine or DriftingEngine(), run, resume=resume):
        pass
    return {name: (run / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [1, 3, 6])
def test_stopped_and_resumed(tmp_path: Path, method: str, at: int) -> None:
    whole = ended(tmp_path / "whole", method=method)
    engine = DriftingEngine((-1, at))
    with pytest.raises(RuntimeError, match="plug"):
        ended(tmp_path / "cut", engine, method=method)
    assert not (tmp_path / "cut" / ROUNDS).exists()
    rest = DriftingEngine()
    assert ended(tmp_path / "cut", rest, resume=True, method=method) == whole
    assert rest.trained == 5 * (7 - at), "what was done before is not done again"


@pytest.mark.parametrize("at", [3, None])
def test_a_run_is_not_simulated_over(tmp_path: Path, at: int | None) -> None:
    if at:
        with pytest.raises(RuntimeError, match="plug"):
            ended(tmp_path / "r", DriftingEngine((-1, at)))
    else:
        ended(tmp_path / "r")
    before = (tmp_path / "r" / CHECKPOINT).read_bytes()
    with pytest.raises(FileExistsError, match="holds a run already; go on with --resume"):
        next(simulate(setting_of(seed=1), DriftingEngine(), tmp_path / "r"))
    assert (tmp_path / "r" / CHECKPOINT).read_bytes() == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ArithmeticError("loss is nan")])
def test_what_ends_a_run_leaves_a_checkpoint(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        ended(tmp_path / "r", DriftingEngine((-1, 4), error))
    setting = setting_of()
    found = read_checkpoint(tmp_path / "r", identity_of(setting), setting.model.parameters, len(setting.model.layers))
    assert found.server.round_number == 3
    assert len(found.clients) == 15


def test_an_iterator_that_is_closed_leaves_a_checkpoint(tmp_path: Path) -> None:
    whole = ended(tmp_path / "whole")
    setting = setting_of()
    begin(tmp_path / "r", setting.config)
    progress = simulate(setting, DriftingEngine(), tmp_path / "r")
    next(progress)
    next(progress)
    progress.close()
    assert ended(tmp_path / "r", resume=True) == whole


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    whole = ended(tmp_path / "whole", rounds=9)
    ended(tmp_path / "r", rounds=4)
    assert ended(tmp_path / "r", resume=True, rounds=9) == whole
    with pytest.raises(ValueError, match="rounds must be at least 9"):
        ended(tmp_path / "r", resume=True, rounds=8)


def test_a_longer_run_is_judged_in_its_own_rounds(tmp_path: Path) -> None:
    """The round that a run once ended with was judged for that; as one of many it is not."""
    whole = ended(tmp_path / "whole", rounds=9, evaluate_every=3)
    ended(tmp_path / "r", rounds=4, evaluate_every=3)
    assert ended(tmp_path / "r", resume=True, rounds=9, evaluate_every=3) == whole


def test_interrupted_between_the_rows_and_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C where a round's rows are in the log and its server is not yet kept: the checkpoint can be read."""
    whole = ended(tmp_path / "whole")
    with_round = simulation._with_round

    def interrupted(state: Checkpoint, done: Round) -> Checkpoint:
        found = with_round(state, done)
        if done.row.round == 3:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "_with_round", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ended(tmp_path / "r")
    assert (tmp_path / "r" / CHECKPOINT).exists()
    assert ended(tmp_path / "r", resume=True) == whole


def test_a_log_that_cannot_be_made_loses_no_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ended(tmp_path / "whole")

    def broken(frame: object) -> bytes:
        message = "run logs need pyarrow"
        raise ValueError(message)

    with monkeypatch.context() as patch:
        patch.setattr(simulation, "to_parquet", broken)
        with pytest.raises(ValueError, match="need pyarrow"):
            ended(tmp_path / "r")
    rest = DriftingEngine()
    assert ended(tmp_path / "r", rest, resume=True) == whole
    assert not rest.trained


def test_processes_that_do_not_begin_alike_are_told(tmp_path: Path) -> None:
    """One resumes, the other does not see the run's folder: both say so before a client is trained."""
    with pytest.raises(RuntimeError):
        ended(tmp_path / "r", DriftingEngine((-1, 3)))
    barrier, box = threading.Barrier(2), [np.zeros(0)] * 2
    told: list[str] = []

    def one(rank: int) -> None:
        engine = DriftingEngine()
        run = tmp_path / ("r", "elsewhere")[rank]
        with pytest.raises(ValueError, match="not the same in all processes") as error:
            list(simulate(setting_of(), engine, run, ranks=Fellow(rank, barrier, box), resume=True))
        told.append(f"{error.value} {engine.trained}")

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(told) == 2
    assert all(line.endswith(" 0") for line in told)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    whole = ended(tmp_path / "r")
    engine = DriftingEngine((-1, 1))
    assert ended(tmp_path / "r", engine, resume=True) == whole


def test_directories_are_not_mixed(tmp_path: Path) -> None:
    ended(tmp_path / "r")
    with pytest.raises(FileExistsError, match="go on with --resume"):
        begin(tmp_path / "r", Config())
    with pytest.raises(FileNotFoundError, match="holds no run"):
        begun_config(tmp_path / "nothing")


@pytest.mark.parametrize(
    "change", [{"mu": "2"}, {"seed": 1}, {"cohort": 6}, {"method": "qfedavg"}, {"epochs": 2}, {"evaluation_batch": 6}]
)
def test_other_settings_are_refused_on_resume(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError):
        ended(tmp_path / "r", DriftingEngine((-1, 3)))
    before = (tmp_path / "r" / CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match=f"another {next(iter(change))}"):
        ended(tmp_path / "r", resume=True, **change)
    assert (tmp_path / "r" / CHECKPOINT).read_bytes() == before


def test_a_run_that_begins_anew_with_other_settings_keeps_them(tmp_path: Path) -> None:
    """It diverged in its first round, without a checkpoint; begun with less and killed, it goes on without options."""
    with pytest.raises(ArithmeticError):
        ended(tmp_path / "r", DriftingEngine((-1, 1), ArithmeticError("diverged")), mu="5")
    with pytest.raises(RuntimeError):
        ended(tmp_path / "r", DriftingEngine((-1, 3)), resume=True, mu="2")
    assert begun_config(tmp_path / "r").mu == "2"
    assert ended(tmp_path / "r", resume=True, mu="2") == ended(tmp_path / "whole", mu="2")


def test_the_log(tmp_path: Path) -> None:
    ended(tmp_path / "r")
    rounds, clients = read_log(tmp_path / "r", ROUNDS, RoundRow), read_log(tmp_path / "r", CLIENTS, ClientRow)
    assert len(rounds) == 6
    assert len(clients) == 30
    assert (clients.groupby("round").upload_bytes.sum().to_numpy() == rounds.upload_bytes.to_numpy()).all()
    setting = setting_of()
    sizes = setting.partition.sizes
    assert (clients.samples == sizes[clients.client]).all()
    assert (clients.batches == -(-clients.samples // 4)).all()
    with np.load(tmp_path / "r" / WEIGHTS, allow_pickle=False) as weights:
        assert weights["weights"].shape == (setting.model.parameters,)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_checkpoints_are_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes changed, cut off or added: refused, or (where nothing that is read was hit) read as before."""
    run = tmp_path_factory.getbasetemp() / "damaged"
    setting = setting_of(rounds=2)
    if not (run / WEIGHTS).exists():
        ended(run, rounds=2)
        (run / "whole").write_bytes((run / CHECKPOINT).read_bytes())
    raw = bytearray((run / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] ^= data.draw(st.integers(1, 255))
    raw = raw[: data.draw(st.sampled_from([len(raw), len(raw) // 2, 10, 0]))]
    (run / CHECKPOINT).write_bytes(raw)
    try:
        found = read_checkpoint(run, identity_of(setting), setting.model.parameters, len(setting.model.layers))
    except ValueError as error:
        assert str(run) in str(error)
    else:
        assert found.server.round_number == 2


def test_memories_that_no_checkpoint_holds_are_refused_before_training() -> None:
    check_room(192, 456_500)
    with pytest.raises(ValueError, match=r"100 clients .* are 5\.9 GB, at most 4\.3 GB"):
        check_room(100, 14_715_584)


def test_a_checkpoint_without_settings(tmp_path: Path) -> None:
    ended(tmp_path / "r")
    with np.load(tmp_path / "r" / CHECKPOINT, allow_pickle=False) as found:
        arrays = dict(found) | {"identity": np.frombuffer(b"[]", dtype=np.uint8)}
    np.savez(tmp_path / "r" / CHECKPOINT, **arrays)
    with pytest.raises(ValueError, match="names no settings"):
        ended(tmp_path / "r", resume=True)


def test_a_checkpoint_of_another_model(tmp_path: Path) -> None:
    ended(tmp_path / "r")
    setting = setting_of()
    with pytest.raises(ValueError, match="damaged"):
        read_checkpoint(tmp_path / "r", identity_of(setting), setting.model.parameters + 1, len(setting.model.layers))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rouds = 3", "is no setting; nearest: rounds"),
        ("rounds = '3'", "rounds must be a whole number"),
        ("rounds = true", "rounds must be a whole number"),
        ("bias = 1", "bias must be true or false"),
        ("mu = [3, 2]", "mu must be a text"),
        ("mu = '3 2@9 1@5'", "each later than the last"),
        ("learning_rate = -0.1", "learning_rate must be 0 or more"),
        ("data_dir = 'd'", "is no setting; give it as --data-dir"),
        ("mu = '3 2'", "mu must be a whole number"),
        ("cohort = 0", "cohort must be a whole number from 1"),
        ("alpha = -1", "alpha must be from"),
        ("[x]\na=1", "is no setting"),
        ("a = ", "not a TOML file"),
        ("method = 'fedprox'", "is unknown"),
    ],
)
def test_bad_configurations(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Config(**read_config(text.encode(), "c.toml"))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A file that may not grow to the checkpoint's size: one line of error, the checkpoint before stays whole."""
    with pytest.raises(RuntimeError):
        ended(tmp_path / "r", DriftingEngine((-1, 3)))
    before = {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()}
    child = os.fork()
    if child == 0:
        code = 9
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
            ended(tmp_path / "r", resume=True)
        except OSError as error:
            code = 0 if CHECKPOINT in str(error.filename) else 8
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "r").iterdir()} == before
    assert ended(tmp_path / "r", resume=True) == ended(tmp_path / "whole")


KILLED = """
import sys, time
from pathlib import Path
import fl_sim.simulation as simulation
from tests.fl_sim.drifting import DriftingEngine, setting_of
simulation._LEAST_S = 0.0
simulation._SHARE_OF_CHECKPOINTS = 1e9
run, resume = Path(sys.argv[1]), sys.argv[2] == "resume"
setting = setting_of(method="quanfl_ef", rounds=400)
if not resume:
    simulation.begin(run, setting.config)
print("begun", flush=True)
for _ in simulation.simulate(setting, DriftingEngine(), run, resume=resume):
    pass
"""


def test_killed_again_and_again(tmp_path: Path) -> None:
    """kill -9 while every round writes a checkpoint, wherever it hits; the end is that of a run left alone."""
    whole = ended(tmp_path / "whole", method="quanfl_ef", rounds=400)
    run, rng = tmp_path / "r", np.random.default_rng(5)
    kills = 0
    for attempt in range(60):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(run), "resume" if attempt else "begin"],
            stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert process.stdout is not None
        with process, process.stdout:
            process.stdout.readline()
            try:
                process.wait(float(rng.uniform(0.02, 0.4)) if kills < 8 else 120)
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills >= 3
    assert {name: (run / name).read_bytes() for name in FILES} == whole
    assert sorted(path.name for path in run.iterdir()) == sorted([*FILES, CHECKPOINT])


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    setting = setting_of()
    begin(tmp_path / "r", setting.config)
    first = simulate(setting, DriftingEngine(), tmp_path / "r")
    next(first)
    with pytest.raises(BlockingIOError, match="is being trained by another process"):
        next(simulate(setting, DriftingEngine(), tmp_path / "r", resume=True))
    first.close()
    assert [step.done for step in simulate(setting, DriftingEngine(), tmp_path / "r", resume=True)][-1] == len(
        list(simulate(setting, DriftingEngine(), tmp_path / "whole"))
    )
