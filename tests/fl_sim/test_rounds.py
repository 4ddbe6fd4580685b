from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.rounds import COLUMNS, rounds_of
from profiler.sheet import TableError, read_sheet

Write = Callable[[str], Path]


def test_rounds_need_three_columns_and_names_in_any_spelling(write: Write) -> None:
    found = rounds_of(read_sheet(write("method,dataset,rounds\nQ-FedUpdate,CIFAR-10,180\nfloatfl,femnist,90\n")))
    assert {key: value.rounds for key, value in found.items()} == {
        ("qfedupdate", "cifar10"): 180,
        ("floatfl", "femnist"): 90,
    }
    run = found["qfedupdate", "cifar10"]
    assert (run.epochs, run.clients_per_round, run.accuracy_pct, run.source) == (None, None, None, "")


def test_a_run_may_state_its_settings(write: Write) -> None:
    text = f"{','.join(COLUMNS)}\nqfedavg,femnist,900,1,20,80.1,runs/a\n"
    run = rounds_of(read_sheet(write(text)))["qfedavg", "femnist"]
    assert (run.epochs, run.clients_per_round, run.accuracy_pct, run.source) == (1, 20, 80.1, "runs/a")


def test_variants_of_a_method_have_rounds_too(write: Write) -> None:
    text = "method,dataset,rounds\nqfedupdate_momentum,femnist,40\nQuanFL signSGD,cifar-10,90\n"
    assert set(rounds_of(read_sheet(write(text)))) == {
        ("qfedupdate_momentum", "femnist"),
        ("quanfl_signsgd", "cifar10"),
    }


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("fedprox,femnist,10,,,,", "method"),
        ("floatfl,imagenet,10,,,,", "dataset"),
        ("floatfl,femnist,0,,,,", "rounds"),
        ("floatfl,femnist,,,,,", "rounds"),
        ("floatfl,femnist,1.5,,,,", "rounds"),
        ("floatfl,femnist,10000000000,,,,", "rounds"),
        ("floatfl,femnist,\u0661,,,,", "rounds"),
        ("floatfl,femnist,10,x,,,", "epochs"),
        ("floatfl,femnist,10,,-1,,", "clients_per_round"),
        ("floatfl,cifar10,10,,101,,", "clients_per_round"),
        ("floatfl,femnist,10,,,1_0,", "accuracy_pct"),
        ("floatfl,femnist,10,,,101,", "accuracy_pct"),
        ("floatfl,femnist,10,,,nan,", "accuracy_pct"),
        ("floatfl,FEMNIST,10,,,,\nFloatFL,femnist,11,,,,", "method"),
    ],
)
def test_a_bad_row_is_named(row: str, column: str, write: Write) -> None:
    with pytest.raises(TableError) as caught:
        rounds_of(read_sheet(write(f"{','.join(COLUMNS)}\n{row}\n")))
    assert [problem.column for problem in caught.value.problems] == [column]


@pytest.mark.parametrize(
    ("header", "rule"),
    [("method,dataset", "the column is missing"), ("method,dataset,rounds,epoch", "nearest: epochs")],
)
def test_a_bad_header_is_named(header: str, rule: str, write: Write) -> None:
    with pytest.raises(TableError, match=rule):
        rounds_of(read_sheet(write(f"{header}\n{','.join('x' for _ in header.split(','))}\n")))


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "rounds.csv"


@given(text=st.text(max_size=200))
def test_no_file_raises_anything_but_a_table_error(text: str, file: Path) -> None:
    file.write_text(f"method,dataset,rounds\n{text}", encoding="utf-8", errors="replace")
    try:
        rounds_of(read_sheet(file))
    except TableError as error:
        assert error.problems
