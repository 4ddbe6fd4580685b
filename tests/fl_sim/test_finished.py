import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from fl_sim.finished import digests, read_run
from fl_sim.recost import client_rounds
from fl_sim.runlog import CLIENTS, ROUNDS, read_table, to_parquet
from fl_sim.simulation import begin, simulate
from tests.fl_sim.drifting import DriftingEngine, setting_of
from tests.fl_sim.written_run import femnist, rise, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "x", femnist(), rise(40))


def unlock(run: Path, **changes: Any) -> None:
    """Let the manifest state no digests, so that what was changed is judged by itself."""
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["files_sha256"]
    (run / "manifest.json").write_text(json.dumps(manifest | changes))


def change(run: Path, name: str, edit: Callable[[Any], Any]) -> None:
    unlock(run)
    (run / name).write_bytes(to_parquet(edit(read_table(run / name))))


def set_cell(column: str, value: Any, row: int = 1) -> Callable[[Any], Any]:
    def edit(frame: Any) -> Any:
        frame.loc[row, column] = value
        return frame

    return edit


def test_a_run_is_read_back(run: Path) -> None:
    found = read_run(run)
    assert (len(found.rounds), len(found.clients)) == (40, 160)
    assert (found.config, found.method.name, found.model, found.registered) == (femnist(), "qfedupdate", "lenet5", 192)
    assert found.data_sha256 == "0" * 64
    names = [name for name, _, size in digests(found) if size > 0]
    assert names == [f"x/{name}" for name in ("config.toml", "manifest.json", ROUNDS, CLIENTS)]


def test_what_the_manifest_leaves_out_comes_from_the_configuration(run: Path) -> None:
    unlock(run, clients=None, model="lenet5", data=[])
    found = read_run(run)
    assert (found.model, found.registered, found.data_sha256) == ("", None, "")


@pytest.mark.parametrize("name", ["config.toml", "manifest.json", ROUNDS, CLIENTS])
def test_a_missing_file_is_named(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_run(run)


def test_the_manifest_of_another_command_is_named(run: Path) -> None:
    (run / "manifest.json").write_text('{"command": "fedjoule figures", "parameters": {}}')
    with pytest.raises(ValueError, match=r"manifest.json: of 'fedjoule figures', which replaced .*train --resume"):
        read_run(run)


def test_a_run_that_has_not_ended_is_told_from_what_is_none(run: Path) -> None:
    (run / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has not ended.*train --resume"):
        read_run(run)


@pytest.mark.parametrize("name", ["config.toml", "manifest.json", ROUNDS, CLIENTS])
@pytest.mark.parametrize("content", [b"", b"\x00\x80PAR1", b"[" * 100_000, b"PAR1" + b"\xff" * 50 + b"PAR1"])
def test_a_damaged_file_is_named(name: str, content: bytes, run: Path) -> None:
    unlock(run)
    if name == "config.toml" and content == b"":
        content = b"rounds = 0"  # an empty file holds all defaults
    (run / name).write_bytes(content)
    with pytest.raises(ValueError, match=name) as caught:
        read_run(run)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["config.toml", "manifest.json", ROUNDS, CLIENTS])
def test_a_pipe_or_folder_in_a_files_place_is_refused_at_once(name: str, run: Path) -> None:
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(ValueError, match=f"{name}.*regular file"):
        read_run(run)


def test_no_directory_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no directory of a run"):
        read_run(tmp_path / "nothing")


def test_files_of_different_runs_are_told_by_their_digests(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "y", femnist(seed=1), rise(40))
    (run / CLIENTS).write_bytes((other / CLIENTS).read_bytes())
    with pytest.raises(ValueError, match=r"clients\.parquet: not the file that the run wrote"):
        read_run(run)
    unlock(run)
    with pytest.raises(ValueError, match="the two are not of one run"):
        read_run(run)


@pytest.mark.parametrize(
    ("name", "edit", "rule"),
    [
        (ROUNDS, lambda frame: frame.iloc[:-1], "each of the 40 rounds"),
        (ROUNDS, lambda frame: frame.iloc[::-1], "each of the 40 rounds"),
        (ROUNDS, lambda frame: frame.drop(columns="batches"), "'batches' is missing"),
        (ROUNDS, lambda frame: frame.assign(batches=frame["batches"].astype(float)), "whole numbers"),
        (ROUNDS, lambda frame: frame.assign(int8_accuracy="0.5"), "must hold float"),
        (ROUNDS, set_cell("int8_accuracy", 1.01), r"row 2: int8_accuracy must be from 0 to 1 \(got 1.01"),
        (ROUNDS, set_cell("fp32_accuracy", -0.01), "row 2: fp32_accuracy must be 0 or more"),
        (ROUNDS, set_cell("fp32_loss", float("inf")), "row 2: fp32_loss must be 0 or more and finite"),
        (ROUNDS, set_cell("clients", 0), "row 2: clients must be from 1 to 160"),
        (ROUNDS, set_cell("clients", 2**52), "row 2: clients must be from 1 to 160"),
        (ROUNDS, set_cell("clients", 5), "as many rows for each round"),
        (CLIENTS, lambda frame: frame.iloc[:-1], "as many rows for each round"),
        (CLIENTS, lambda frame: frame.iloc[::-1], "as many rows for each round"),
        (CLIENTS, set_cell("batches", 1), "batches of round 1 adds up to"),
        (CLIENTS, set_cell("batches", 0), "batches must be 1 or more"),
        (CLIENTS, set_cell("upload_bytes", -1), "row 2: upload_bytes must be 0 or more"),
        (CLIENTS, set_cell("upload_bytes", 2**62), "row 2: upload_bytes must be 0 or more and finite"),
        (CLIENTS, set_cell("client", 192, row=0), "client 192 is not among the 192"),
        (CLIENTS, lambda frame: frame.assign(client=7), "once in a round"),
    ],
)
def test_a_table_that_contradicts_itself_or_the_other_is_refused(
    name: str, edit: Callable[[Any], Any], rule: str, run: Path
) -> None:
    change(run, name, edit)
    with pytest.raises(ValueError, match=rule) as caught:
        read_run(run)
    assert name in str(caught.value)


def test_what_a_simulation_writes_can_be_read_and_costed(tmp_path: Path) -> None:
    setting = setting_of(method="qfedavg", epochs=2)
    begin(tmp_path / "run", setting.config)
    for _ in simulate(setting, DriftingEngine(), tmp_path / "run"):
        pass
    run = read_run(tmp_path / "run")
    assert (run.config, run.model, run.registered) == (setting.config, setting.model.name, 12)
    assert run.data_sha256 == setting.dataset.sha256
    work = client_rounds(run)
    assert (work.registered, len(work.batches), work.starts.tolist()) == (12, 30, [0, 5, 10, 15, 20, 25])
    assert set(run.manifest["files_sha256"]) >= {"config.toml", ROUNDS, CLIENTS}


@pytest.mark.parametrize("name", ["config.toml", "manifest.json", ROUNDS, CLIENTS])
def test_no_damage_raises_anything_but_one_line_that_names_a_file(name: str, run: Path) -> None:
    unlock(run)
    good, rng = (run / name).read_bytes(), np.random.default_rng(7)
    refused = 0
    for _ in range(60):
        raw = bytearray(good)
        for place in rng.integers(len(raw), size=3):
            raw[place] = rng.integers(256)
        (run / name).write_bytes(raw if rng.random() < 0.8 else raw[: rng.integers(len(raw))])
        try:
            read_run(run)
        except ValueError as error:
            refused += 1
            assert re.fullmatch(r".*/x/(config\.toml|manifest\.json|\w+\.parquet).*", str(error))
    assert refused > 30


def test_a_column_that_stands_twice_is_refused(run: Path) -> None:
    unlock(run)
    import pyarrow.parquet as pq

    table = pq.read_table(run / ROUNDS)
    pq.write_table(table.append_column("clients", table["clients"]), run / ROUNDS)
    with pytest.raises(ValueError, match=r"rounds\.parquet: not a Parquet file that can be read"):
        read_run(run)


def test_names_from_files_cannot_act_on_a_terminal(run: Path) -> None:
    unlock(run, model={"name": "lenet5\x1b[2J"})
    assert read_run(run).model == "lenet5?[2J"
