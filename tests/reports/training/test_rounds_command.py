import csv
import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from click.testing import CliRunner, Result

from fl_sim.config import Config
from fl_sim.converged import Rule
from fl_sim.rounds import rounds_of
from profiler.sheet import parse_sheet
from reports.commands.rounds import rounds
from reports.formats.terminal import to_terminal
from reports.manifest import Manifest
from reports.printed import printed_table
from reports.training.converged import paper_accuracy_pct, rounds_table, sensitivity_table
from reports.training.ended import Ended, ended, read_runs
from reports.training.files import FigureRequest, figure_files
from reports.training.recost import RunsRequest, price
from tests.fl_sim.written_run import femnist, rise, write_run

GOLDEN = Path(__file__).with_name("rounds.txt")


def runs_of(folder: Path) -> list[Path]:
    """Write three seeds of Q-FedUpdate, two of FloatFL, and one of a net that the paper does not have."""
    written = []
    for method, seeds, best in (("qfedupdate", 3, 0.8), ("floatfl", 2, 0.82)):
        for seed in range(seeds):
            path = folder / f"{method}-{seed}"
            written.append(write_run(path, femnist(method, 60, seed), rise(60, best + seed / 100, half=4 + 2 * seed)))
    config = Config(method="qfedavg", dataset="digits", partition="iid", cohort=4, rounds=12, batch_size=20)
    written.append(write_run(folder / "digits", config, rise(12, 0.9), clients=50, model="digits"))
    return written


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return runs_of(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def found(paths: list[Path]) -> tuple[Ended, ...]:
    return ended(read_runs(paths).groups, Rule())[0]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(rounds, [str(each) for each in arguments], catch_exceptions=False)


def test_the_printout_is_the_golden_one(found: Sequence[Ended]) -> None:
    tables = [rounds_table(found, Rule(), 0.75), sensitivity_table(found, Rule())]
    text = to_terminal(tables, Manifest("", {}, (), {}), width=160, colour=False)
    assert text.partition("\ncommand:")[0] + "\n" == GOLDEN.read_text()


def test_seeds_are_one_row_and_their_order_does_not_matter(paths: list[Path]) -> None:
    texts = {
        call(*order, "--format", "csv").stdout for order in itertools.islice(itertools.permutations(paths), 0, 720, 240)
    }
    assert len(texts) == 1
    rows = list(csv.DictReader(io.StringIO(texts.pop().split("\n\n")[0])))
    assert [(row["dataset"], row["method"], row["seeds"], row["judged"]) for row in rows] == [
        ("FEMNIST", "floatfl", "2", "fp32"), ("FEMNIST", "qfedupdate", "3", "int8"), ("digits", "qfedavg", "1", "int8"),
    ]  # fmt: skip
    assert {row["mode"] for row in rows} == {"measured"}
    assert (rows[1]["paper_rounds_epochs4_int8_payload"], rows[1]["paper_accuracy_pct"]) == ("65.0", "81.0")


def test_a_run_named_twice_counts_once(paths: list[Path]) -> None:
    once, twice = (call(*order, "--format", "csv").stdout for order in (paths, [*paths, paths[0]]))
    assert once == twice


def test_the_sensitivity_holds_the_chosen_rule_and_every_other(found: Sequence[Ended]) -> None:
    data = sensitivity_table(found, Rule(7, 0.25)).data
    assert set(data["window"]) == {1, 5, 7, 10, 20}
    assert set(data["margin_points"]) == {0.25, 0.5, 1.0, 2.0}
    assert data.groupby(["dataset", "group"])["chosen"].sum().tolist() == [1, 1, 1]
    short = data[(data["dataset"] == "digits") & (data["window"] == 20)]
    assert short["rounds_median"].isna().all()  # 12 evaluations have no window of 20


def test_the_paper_stands_beside_its_own_workloads_alone(found: Sequence[Ended]) -> None:
    by_dataset = {each.group.dataset: each.workload for each in found}
    assert by_dataset["digits"] is None
    for row in printed_table(4):
        for each in found:
            if each.workload is not None and (row["workload"], row["method"]) == (each.workload.name, "floatfl"):
                assert paper_accuracy_pct("floatfl", each.workload) == float(row["accuracy_pct"])
    femnist_workload = by_dataset["FEMNIST"]
    assert paper_accuracy_pct("qfedavg", femnist_workload) == 78
    assert paper_accuracy_pct("qfedupdate_momentum", femnist_workload) is None
    assert paper_accuracy_pct("floatfl", None) is None


def test_out_is_a_file_that_tables_reads_and_says_what_is_left_out(paths: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "rounds.csv"
    done = call(*paths, "--out", out)
    assert done.exit_code == 0
    assert re.search(r"warning: Q-FedAvg on digits is not in the rounds file: the paper's tables do not", done.stderr)
    read = rounds_of(parse_sheet(out.read_bytes(), "rounds.csv"))
    assert set(read) == {("floatfl", "femnist"), ("qfedupdate", "femnist")}
    assert {method: each.rounds for (method, _), each in read.items()} == {"floatfl": 34, "qfedupdate": 40}
    run = read["qfedupdate", "femnist"]
    assert (run.epochs, run.clients_per_round) == (1, 4)
    assert run.source.startswith("3 seeds: qfedupdate-0, qfedupdate-1, qfedupdate-2; rounds ")
    assert "INT8 model; window 5; margin 1; still rising in 3" in run.source


def test_runs_that_fit_no_table_are_reported_and_no_file_is_written(paths: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "rounds.csv"
    done = CliRunner().invoke(rounds, [str(paths[-1]), "--target", "0.8", "--out", str(out)])
    assert done.stdout == call(paths[-1], "--target", "0.8").stdout
    assert re.search(
        r"no rounds file is written: .* fedjoule cost RUN costs .*\nQ-FedAvg on digits is not", str(done.exception)
    )
    assert done.exit_code
    assert not out.exists()


def test_half_a_round_counts_as_one(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"s{seed}", femnist(rounds=20, seed=seed), [0.1] * (7 + seed) + [0.8] * (13 - seed))
        for seed in range(2)
    ]
    call(*runs, "--window", "1", "--out", tmp_path / "rounds.csv")
    read = rounds_of(parse_sheet((tmp_path / "rounds.csv").read_bytes(), "rounds.csv"))
    assert read["qfedupdate", "femnist"].rounds == 9  # 8 and 9


def test_a_rounds_file_refuses_two_settings_of_one_method_and_other_batch_sizes(
    paths: list[Path], tmp_path: Path
) -> None:
    other = write_run(tmp_path / "k8", femnist("qfedupdate", 20, cohort=8), rise(20))
    with pytest.raises(ValueError, match="one row for Q-FedUpdate on FEMNIST; give the runs of"):
        call(*paths, other, "--out", tmp_path / "rounds.csv")
    config = Config(method="floatfl", dataset="femnist", partition="writer", cohort=4, rounds=9, batch_size=20)
    large = write_run(tmp_path / "b20", config, rise(9))
    with pytest.raises(ValueError, match="its batch size is 20, the tables cost batches of 5"):
        call(large, "--out", tmp_path / "rounds.csv")
    assert not (tmp_path / "rounds.csv").exists()


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--window", "0"], "window must be from 1"),
        (["--window", "61"], r"floatfl-0: window must be at most 60"),
        (["--margin", "-1"], "margin must be from 0 to 100"),
        (["--target", "80"], "target must be a share above 0 and at most 1, such as 0.8"),
        (["--target", "nan"], "target must be a share"),
        (["--judged", "int8"], "floatfl-0: the int8 model was judged in no round"),
    ],
)
def test_an_impossible_question_is_refused(words: list[str], rule: str, paths: list[Path]) -> None:
    with pytest.raises(ValueError, match=rule):
        call(*paths[:5], *words)


def test_a_seed_that_misses_the_target_is_never_there(tmp_path: Path) -> None:
    found = [write_run(tmp_path / f"s{seed}", femnist(seed=seed), rise(40, 0.7 + seed / 10)) for seed in range(2)]
    row = next(line for line in call(*found, "--target", "0.75").stdout.splitlines() if "Q-FedUpdate" in line)
    assert re.search(r"never \(\d+-never\)", row)


def test_runs_that_are_still_going_or_too_short_are_left_out_and_named(paths: list[Path], tmp_path: Path) -> None:
    going = write_run(tmp_path / "going", femnist("floatfl", 60, 7), rise(60, 0.8, half=4))
    (going / "manifest.json").unlink()
    short = write_run(tmp_path / "short", femnist("floatfl", 3, 8), rise(3, 0.8, half=4))
    alone, among = call(*paths, "--format", "csv"), call(*paths, going, short, "--format", "csv")
    assert among.stdout == alone.stdout
    warnings = [line for line in among.stderr.splitlines() if line.startswith("warning: ")]
    assert [line.split(":")[1] for line in warnings] == [" left out"] * 2
    assert "has not ended" in among.stderr
    assert "short" in among.stderr
    with pytest.raises(FileNotFoundError, match="has not ended"):
        call(going)
    with pytest.raises(ValueError, match="window"):
        call(short)


def test_figures_and_costs_leave_out_a_run_that_is_still_going(paths: list[Path], tmp_path: Path) -> None:
    going = write_run(tmp_path / "going", femnist("floatfl", 60, 7), rise(60, 0.8, half=4))
    (going / "manifest.json").unlink()
    priced = price(RunsRequest((*paths, going)))
    assert [line for line in priced.warnings if "has not ended" in line]
    drawn = figure_files(FigureRequest((*paths, going), figures=("5",)))
    assert [line for line in drawn.missing if "has not ended" in line]
