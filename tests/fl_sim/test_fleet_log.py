import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from fl_sim.buffered import simulate_buffered
from fl_sim.clock import play
from fl_sim.draws import draw
from fl_sim.fleet_log import log_files, read_fleet_run, to_frames
from fl_sim.participation import OUTCOMES, FleetRound, Participation
from fl_sim.rules import Buffered, Rules
from fl_sim.runlog import CLIENTS, ROUNDS, read_table, to_parquet
from fl_sim.selection import Anybody
from tests.fl_sim.fleets import loads, rules_of, small_fleets
from tests.fl_sim.small_fleet import no_luck, small_fleet, small_load

COLUMNS = [field.name for field in fields(Participation)]
SUMS = [name for name in COLUMNS if name.endswith(("_s", "_j")) and name not in ("begin_s", "end_s")]


def two_rounds() -> list[FleetRound]:
    """Return a round in which both phones deliver, and one whose deadline the slow one does not keep."""
    fleet, load, phones = small_fleet(None, phones=2, hardware_of=[0, 1]), small_load(counted=True), np.arange(2)
    first = play(fleet, load, Rules(2), phones, 0.0, no_luck(2))
    return [first, play(fleet, load, Rules(2, deadline_s=30.0), phones, first.end_s, no_luck(2))]


@st.composite
def runs(draw_: st.DrawFn) -> list[FleetRound]:
    """Draw some rounds on a small fleet, or the versions of an asynchronous server."""
    fleet, load = draw_(small_fleets()), draw_(loads())
    random = np.random.default_rng(draw_(st.integers(0, 99)))
    if draw_(st.booleans()):
        buffered = Buffered(draw_(st.integers(1, 4)), 2, most_stale=2, dropout=0.2, retries=1)
        try:
            return list(simulate_buffered(fleet, load, buffered, Anybody(fleet), 4, random))
        except ValueError:  # nobody is ever ready
            return []
    found, clock_s, rules = [], 0.0, draw_(rules_of(fleet.phones))
    for _ in range(draw_(st.integers(1, 3))):
        phones = random.permutation(fleet.phones)[: draw_(st.integers(0, fleet.phones))]
        found.append(play(fleet, load, rules, phones, clock_s, draw(fleet, phones, rules, random)))
        clock_s = found[-1].end_s + draw_(st.sampled_from((0.0, 60.0)))
    return found


def write(folder: Path, rounds: list[FleetRound], least: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in log_files(*to_frames(rounds, least)).items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text('{"command": "fedjoule fleet simulate"}')
    return folder


def change(folder: Path, name: str, edit: Callable[[Any], Any]) -> None:
    (folder / name).write_bytes(to_parquet(edit(read_table(folder / name))))


def set_cell(column: str, value: Any, row: int = 1) -> Callable[[Any], Any]:
    def edit(frame: Any) -> Any:
        frame[column] = frame[column].astype(object if isinstance(value, str) else type(value))
        frame.loc[row, column] = value
        return frame

    return edit


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write(tmp_path / "x", two_rounds())


def test_rounds_by_hand() -> None:
    clients, rounds = to_frames(two_rounds(), 2)
    assert clients["round"].tolist() == [1, 1, 2, 2]
    assert clients["outcome"].tolist() == ["done", "done", "late", "done"]
    assert clients["end_s"].tolist() == [35.0, 25.0, 65.0, 60.0]
    expected = {
        "round": [1, 2], "begin_s": [0.0, 35.0], "end_s": [35.0, 65.0], "selected": [2, 2], "updates": [2, 1],
        "late": [0, 1], "dropped": [0, 0], "cancelled": [0, 0], "stale": [0, 0], "unused": [0, 0],
        "void": [False, True], "download_s": [20.0, 20.0],
        "train_s": [30.0, 30.0], "upload_s": [10.0, 5.0], "suspended_s": [0.0, 0.0],
        "wait_s": [10.0, 5.0], "download_j": [20.0, 20.0], "train_j": [70.0, 70.0], "upload_j": [5.0, 2.5],
        "wait_j": [2.5, 1.25], "wasted_s": [0.0, 30.0], "wasted_j": [0.0, 50.0],
    }  # fmt: skip
    assert rounds.to_dict("list") == expected


@settings(max_examples=40)
@given(runs(), st.integers(0, 3))
def test_tables_equal_a_walk_over_the_rounds(played: list[FleetRound], least: int) -> None:
    clients, rounds = to_frames(iter(played), least)
    assert clients.columns.tolist() == ["round", *COLUMNS]
    at = 0
    for number, each in enumerate(played, start=1):
        count = len(each.clients.phone)
        these, row = clients.iloc[at : at + count], rounds.iloc[number - 1]
        assert (these["round"] == number).all()
        for name in COLUMNS:
            expected = getattr(each.clients, name)
            if name == "outcome":
                expected = [OUTCOMES[place] for place in expected]
            np.testing.assert_array_equal(these[name], expected, err_msg=name)
        assert (row["round"], row["begin_s"], row["end_s"], row["selected"]) == (
            number, each.begin_s, each.end_s, count,
        )  # fmt: skip
        ends = [OUTCOMES[place] for place in each.clients.outcome]
        assert [row[name] for name in ("updates", *OUTCOMES[1:])] == [ends.count(name) for name in OUTCOMES]
        assert row["void"] == (each.updates < 1 or each.updates < least)
        for name in SUMS:
            np.testing.assert_allclose(row[name], sum(getattr(each.clients, name).tolist()), rtol=1e-12, err_msg=name)
        at += count
    assert (at, len(played)) == (len(clients), len(rounds))


@settings(max_examples=25)
@given(played=runs(), least=st.integers(0, 3))
def test_a_log_is_read_as_it_was_written(
    played: list[FleetRound], least: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not played:
        return
    clients, rounds = to_frames(played, least)
    found = read_fleet_run(write(tmp_path_factory.mktemp("log"), played, least))
    pd.testing.assert_frame_equal(found.clients, clients, check_exact=True)
    pd.testing.assert_frame_equal(found.rounds, rounds, check_exact=True)
    assert found.manifest == {"command": "fedjoule fleet simulate"}


def test_equal_runs_have_equal_files() -> None:
    assert log_files(*to_frames(two_rounds(), 1)) == log_files(*to_frames(two_rounds(), 1))


def test_a_round_without_anybody_costs_nothing_and_is_void(tmp_path: Path) -> None:
    fleet, nobody = small_fleet(None, phones=2), np.zeros(0, np.int64)
    empty = play(fleet, small_load(), Rules(2), nobody, 5.0, no_luck(0))
    clients, rounds = to_frames([empty], 0)
    assert (len(clients), rounds["void"].tolist(), rounds["train_j"].tolist()) == (0, [True], [0.0])
    assert len(read_fleet_run(write(tmp_path, [empty])).clients) == 0


def test_nothing_played_is_two_empty_tables() -> None:
    clients, rounds = to_frames([], 1)
    assert (len(clients), len(rounds)) == (0, 0)
    assert clients.columns.tolist() == ["round", *COLUMNS]


def test_what_a_client_lacks_the_sums_of_its_round_lack() -> None:
    fleet, load = small_fleet(None, phones=2, hardware_of=[0, 1]), small_load()
    load.batch_energy_mj[1] = np.nan
    slow, both = (
        play(fleet, load, Rules(1), np.arange(count), 0.0, no_luck(count)) for count in (1, 2)
    )  # fmt: skip
    _, rounds = to_frames([slow, both], 1)
    np.testing.assert_array_equal(rounds["train_j"], [40.0, np.nan])
    assert rounds["upload_j"].isna().all()


@pytest.mark.parametrize("name", [CLIENTS, ROUNDS, "manifest.json"])
def test_a_missing_file_is_named(name: str, run: Path) -> None:
    (run / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_fleet_run(run)


def test_no_folder_is_refused(run: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder of a run"):
        read_fleet_run(run / "none\x1b[2J")
    with pytest.raises(FileNotFoundError, match="no folder of a run"):
        read_fleet_run(run / CLIENTS)


@pytest.mark.parametrize("name", [CLIENTS, ROUNDS, "manifest.json"])
@pytest.mark.parametrize("content", [b"", b"\x00\x80PAR1", b"[" * 100_000, b"PAR1" + b"\xff" * 50 + b"PAR1", b"[]"])
def test_a_damaged_file_is_named(name: str, content: bytes, run: Path) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        read_fleet_run(run)


@pytest.mark.parametrize("name", [CLIENTS, ROUNDS, "manifest.json"])
def test_what_is_no_ordinary_file_is_not_opened(name: str, run: Path) -> None:
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(ValueError, match=rf"{name}.* ordinary file"):
        read_fleet_run(run)


def test_a_manifest_has_bounds(run: Path) -> None:
    (run / "manifest.json").write_text(json.dumps({"x": "y" * (1 << 20)}))
    with pytest.raises(ValueError, match="at most 1,048,576 bytes"):
        read_fleet_run(run)


def test_more_rows_than_a_run_has_are_not_unpacked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_sim.fleet_log._MOST_ROWS", {CLIENTS: 3, ROUNDS: 3})
    with pytest.raises(ValueError, match=rf"{CLIENTS}.*at most 3 are read"):
        read_fleet_run(run)


@settings(max_examples=40)
@given(st.sampled_from((CLIENTS, ROUNDS)), st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans())
def test_damage_is_refused_or_changes_no_sum(name: str, place: float, flip: int, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = write(Path(made), two_rounds())
        raw = bytearray((folder / name).read_bytes())
        at = int(place * len(raw))
        raw[at] ^= flip
        (folder / name).write_bytes(raw[:at] if cut else raw)
        try:
            found = read_fleet_run(folder)
        except (ValueError, OSError):
            return
    assert found.rounds["updates"].sum() == (found.clients["outcome"] == "done").sum() == 3


@pytest.mark.parametrize(
    ("name", "edit", "rule"),
    [
        (CLIENTS, lambda frame: frame.drop(columns="wait_s"), "must have the columns"),
        (CLIENTS, lambda frame: frame.drop(columns="wait_j"), "'wait_j' is missing"),
        (CLIENTS, lambda frame: frame.assign(more=1), "must have the columns"),
        (CLIENTS, lambda frame: frame.assign(phone="a"), "column phone must be float64"),
        (CLIENTS, set_cell("outcome", "done\x1b[2J"), "row 2: outcome must be one of done, late"),
        (CLIENTS, set_cell("phone", -1), r"row 2: phone must be a whole number from 0 .*\(got -1"),
        (CLIENTS, set_cell("phone", 0.5), "row 2: phone must be a whole number"),
        (CLIENTS, set_cell("phone", float("nan")), "column phone has 1 missing"),
        (CLIENTS, set_cell("attempts", 0), "row 2: attempts must be 1 or more"),
        (CLIENTS, set_cell("staleness", -1), "staleness must be a whole number"),
        (CLIENTS, set_cell("train_s", float("inf")), "train_s must be from 0 to"),
        (CLIENTS, set_cell("train_s", -1.0), "train_s must be from 0 to"),
        (CLIENTS, set_cell("train_j", -1.0), "train_j must be from 0 to .*, or missing"),
        (CLIENTS, set_cell("begin_s", float("-inf")), "begin_s must be from -"),
        (CLIENTS, set_cell("begin_s", 26.0), "row 2: a client must not end before it begins"),
        (CLIENTS, set_cell("end_s", 36.0), "row 2: a client must end with its round"),
        (CLIENTS, set_cell("wasted_s", 26.0), "row 2: wasted_s must be part of the work"),
        (CLIENTS, set_cell("outcome", "late"), "round 1: updates of its clients must add up"),
        (CLIENTS, set_cell("train_s", 10.1), "round 1: train_s of its clients must add up"),
        (CLIENTS, set_cell("train_j", float("nan")), "round 1: train_j of its clients must add up"),
        (CLIENTS, set_cell("round", 2), "must have as many rows for each round"),
        (CLIENTS, set_cell("round", 10**15, row=3), "must have as many rows for each round"),
        (CLIENTS, set_cell("round", 0, row=0), "must have as many rows for each round"),
        (CLIENTS, lambda frame: frame[:3], "must have as many rows for each round"),
        (CLIENTS, lambda frame: frame[::-1], "must have as many rows for each round"),
        (ROUNDS, lambda frame: frame[::-1], "each round from 1 on once, in order"),
        (ROUNDS, lambda frame: frame[:0], "each round from 1 on once, in order"),
        (ROUNDS, lambda frame: frame[:1], "must have as many rows for each round"),
        (ROUNDS, set_cell("selected", 10**15), "must have as many rows for each round"),
        (ROUNDS, set_cell("begin_s", 34.0), "row 2: a round must not begin before the last one ended"),
        (ROUNDS, set_cell("end_s", 34.0), "row 2: a round must not end before it begins"),
        (ROUNDS, set_cell("void", 2), "row 2: void must be a whole number from 0 to 1"),
        (ROUNDS, set_cell("void", 1, row=0), "row 1: a round must not be void with as many updates as one that is not"),
        (ROUNDS, set_cell("late", 0), "round 2: late of its clients must add up"),
        (ROUNDS, set_cell("wasted_j", 49.0), "round 2: wasted_j of its clients must add up"),
    ],
)
def test_a_table_that_cannot_be_is_refused(name: str, edit: Callable[[Any], Any], rule: str, run: Path) -> None:
    change(run, name, edit)
    with pytest.raises(ValueError, match=rule) as refusal:
        read_fleet_run(run)
    assert str(run / (CLIENTS if "add up" in rule or "many rows" in rule else name)) in str(refusal.value)
    assert "\x1b" not in str(refusal.value)


def test_of_rounds_with_as_many_updates_not_one_alone_is_void(tmp_path: Path) -> None:
    first, _ = two_rounds()
    second = FleetRound(first.end_s, 2 * first.end_s, first.clients)
    run = write(tmp_path, [first, second])
    change(run, ROUNDS, set_cell("void", 1))
    with pytest.raises(ValueError, match="row 2: a round must not be void with as many updates"):
        read_fleet_run(run)
    change(run, ROUNDS, set_cell("void", 1, row=0))
    assert read_fleet_run(run).rounds["void"].all()


def test_clients_lie_in_the_order_of_their_rounds(run: Path) -> None:
    def swap(frame: Any) -> Any:
        return frame.iloc[[2, 1, 0, 3]]

    change(run, CLIENTS, swap)
    with pytest.raises(ValueError, match="in the order of the rounds"):
        read_fleet_run(run)
