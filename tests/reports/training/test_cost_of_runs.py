import csv
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pyarrow")

from click.testing import CliRunner, Result

import fl_sim.config
from costmodel.overlap import Pipelining
from fl_sim.config import Config
from fl_sim.finished import FinishedRun, read_run
from fl_sim.method import REGISTRY
from profiler.sheet import TableError
from reports.commands.cost import cost
from reports.formats.terminal import to_terminal
from reports.manifest import Manifest
from reports.table4 import Changes
from reports.training.recost import RunsRequest, price
from reports.training.recost_table import cost_tables
from tests.fl_sim.written_run import femnist, rise, write_run

GOLDEN = Path(__file__).with_name("cost_of_runs.txt")
HEADER = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,conditions,source"
OWN = f"""{HEADER}
Pixel 8,cpu,fp32,LeNet-5,FEMNIST,5,total,31.5,120,,session 1
Pixel 8,cpu,int8,LeNet-5,MNIST,5,total,14.25,,,session 1
Pixel 8,npu,int8,lenet5,femnist,5,total,6,12,,session 2
"""


def runs_of(folder: Path) -> tuple[Path, ...]:
    """Write two seeds of FloatFL and of Q-FedUpdate; one has a best that it leaves again."""
    written = []
    for method, best in (("floatfl", 0.82), ("qfedupdate", 0.8)):
        for seed in range(2):
            curve = rise(60, best, half=4 + 2 * seed)
            curve[-20:] = [value - 0.02 for value in curve[-20:]]
            written.append(write_run(folder / f"{method}-{seed}", femnist(method, 60, seed), curve))
    return tuple(written)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return runs_of(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "own.csv"
    path.write_text(OWN)
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cost, [str(each) for each in arguments], catch_exceptions=False)


def rows_of(*arguments: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(call(*arguments, "--format", "csv").stdout)))


def test_csv_is_one_table_with_its_manifest_on_standard_error(paths: tuple[Path, ...], own: Path) -> None:
    done = call(*paths, "--measurements", own, "--target", "0.79", "--format", "csv")
    read = pd.read_csv(io.StringIO(done.stdout))
    assert set(read["until"]) == {"converged", "target", "all"}
    assert set(read["mode"]) == {"measured rounds, own costs", "measured rounds, published costs"}
    assert re.match(r"command: fedjoule cost; .*\ninputs \(sha256\): .*\nversions: ", done.stderr)


@pytest.mark.parametrize("option", ["--idle-w", "--radio-download-w", "--radio-upload-w"])
def test_a_power_that_is_none_is_refused_by_its_option(option: str, paths: tuple[Path, ...]) -> None:
    for watts in ("-1", "nan"):
        done = CliRunner().invoke(cost, [str(paths[0]), option, watts])
        assert done.exit_code == 2
        assert f"{option}: must be a power from 0 to 1e6 W (got {watts})" in done.stderr.replace("'", "")


def test_the_printout_is_the_golden_one(paths: tuple[Path, ...], own: Path) -> None:
    request = RunsRequest(paths, measurements=(own,), target=0.79)
    text = to_terminal(cost_tables(price(request), request), Manifest("", {}, (), {}), width=160, colour=False)
    assert text.partition("\ncommand:")[0] + "\n" == GOLDEN.read_text()


def by_hand(run: FinishedRun, rounds: int, time_ms: float, energy_mj: float) -> tuple[float, float, float]:
    """Return hours with the slowest and with the mean client, and kJ per registered client, from the log's rows."""
    slowest_s = mean_s = joules = 0.0
    for number in range(1, rounds + 1):
        rows = run.clients[run.clients["round"] == number].to_dict("records")
        seconds = [
            8 * (row["download_bytes"] + row["upload_bytes"]) / 10e6 + row["batches"] * time_ms / 1e3 for row in rows
        ]
        slowest_s, mean_s = slowest_s + max(seconds), mean_s + sum(seconds) / len(seconds)
        joules += sum(row["batches"] * energy_mj / 1e3 for row in rows)
    return slowest_s / 3600, mean_s / 3600, joules / 1e3 / 192


@pytest.mark.parametrize("until", ["converged", "all"])
def test_a_row_is_what_the_log_adds_up_to(until: str, paths: tuple[Path, ...]) -> None:
    row = next(row for row in rows_of(paths[2], "--device", "xiaomi10", "--processor", "dsp") if row["until"] == until)
    rounds = int(float(row["rounds_median"]))
    assert rounds == 60 if until == "all" else rounds < 45
    expected = by_hand(read_run(paths[2]), rounds, 11, 20)
    found = tuple(float(row[f"{name}_median"]) for name in ("time_h", "mean_h", "client_kj"))
    assert found == pytest.approx(expected, rel=1e-12)


def test_seeds_are_medians_with_their_range_and_their_order_does_not_matter(paths: tuple[Path, ...]) -> None:
    rows = rows_of(*paths[2:], "--device", "xiaomi10", "--processor", "cpu")
    apart = [rows_of(path, "--device", "xiaomi10", "--processor", "cpu") for path in paths[2:]]
    assert rows == rows_of(*paths[:1:-1], "--device", "xiaomi10", "--processor", "cpu")
    for place, row in enumerate(rows):
        values = [float(each[place]["client_kj_median"]) for each in apart]
        assert float(row["client_kj_median"]) == pytest.approx(np.median(values))
        assert (float(row["client_kj_least"]), float(row["client_kj_most"])) == (min(values), max(values))


def test_own_and_published_costs_stand_in_tables_of_their_own(paths: tuple[Path, ...], own: Path) -> None:
    rows = rows_of(*paths, "--measurements", own)
    kinds = {(row["mode"], row["cost_from"]) for row in rows}
    assert kinds == {
        ("measured rounds, own costs", "own.csv"),
        ("measured rounds, published costs", "table2.csv"),
        ("measured rounds, published costs", "table3.csv"),
    }
    changed = {row["mode"] for row in rows_of(*paths, "--bandwidth", "20Mbit/s")}
    assert changed == {"measured rounds, published costs, inputs changed"}


def test_ratios_are_to_floatfl_on_the_same_phone(paths: tuple[Path, ...], own: Path) -> None:
    rows = [row for row in rows_of(*paths, "--measurements", own) if row["until"] == "all"]
    for row in rows:
        base = [other for other in rows if other["method"] == "floatfl" and other["device"] == row["device"]]
        if not base:
            assert (row["base"], row["time_ratio"], row["energy_ratio"]) == ("", "", "")
            assert row["device"] in ("Redmi Note 9", "Xiaomi 11 Pro")
            continue
        assert float(row["time_ratio"]) == pytest.approx(float(base[0]["time_h_median"]) / float(row["time_h_median"]))
    assert {row["base"] for row in rows if row["device"] == "Pixel 8"} == {"FloatFL on Pixel 8 cpu"}


def test_without_floatfl_or_with_one_of_another_setting_there_is_no_ratio(
    paths: tuple[Path, ...], tmp_path: Path
) -> None:
    other = write_run(tmp_path / "k8", femnist("floatfl", 60, cohort=8), rise(60))
    for given in (paths[2:], (*paths[2:], other)):
        assert {row["time_ratio"] for row in rows_of(*given) if row["method"] == "qfedupdate"} == {""}


def test_a_row_of_another_data_set_says_so_and_its_missing_energy_is_missing(
    paths: tuple[Path, ...], own: Path
) -> None:
    done = call(*paths, "--measurements", own, "--device", "pixel8", "--processor", "cpu")
    line = next(line for line in done.stdout.splitlines() if "(measured on MNIST)" in line)
    assert re.search(r"0\.\d+ +0\.\d+ +- +- +\d\.\d+× +-", line)
    assert "Measured on another data set" in done.stdout


def test_overlap_and_powers_change_costs_and_are_stated(paths: tuple[Path, ...]) -> None:
    dsp = [paths[2], "--device", "xiaomi10", "--processor", "dsp"]
    off = rows_of(*dsp, "--overlap", "off", "--idle-power-w", "0.8")[0]
    assert off["overlap"] == "overlap off, link reading F, inferred"
    assert float(off["time_h_median"]) > float(rows_of(*dsp)[0]["time_h_median"])
    radio = rows_of(*dsp, "--radio-upload-w", "1", "--radio-download-w", "1", "--idle-w", "0.5")[0]
    assert float(radio["client_kj_median"]) > float(rows_of(*dsp)[0]["client_kj_median"])
    assert "Not counted: the server, evaluation." in call(*dsp, "--radio-upload-w", "1", "--radio-download-w", "1",
                                                          "--idle-w", "0.5").stdout  # fmt: skip


def test_batches_count_as_trained_or_as_shares(paths: tuple[Path, ...]) -> None:
    args = [paths[2], "--device", "xiaomi10", "--processor", "dsp"]
    trained, ceil, shares = (
        float(rows_of(*args, *words)[0]["client_kj_median"])
        for words in ((), ("--batches", "ceil"), ("--batches", "fractional"))
    )
    assert shares < trained == ceil
    assert "--batches floor drops images" in call(*args, "--batches", "floor").output


def test_a_target_that_is_never_reached_has_no_cost(paths: tuple[Path, ...]) -> None:
    rows = [row for row in rows_of(*paths[2:], "--target", "0.9") if row["until"] == "target"]
    assert rows
    assert {(row["rounds_median"], row["time_h_median"], row["client_kj_median"]) for row in rows} == {("", "", "")}


def test_emulated_rows_stay_refused(paths: tuple[Path, ...], tmp_path: Path) -> None:
    table = tmp_path / "emulated.csv"
    table.write_text(f"{HEADER},provenance\nEmulator,cpu,int8,LeNet-5,FEMNIST,5,total,14,,,session 1,emulated\n")
    with pytest.raises(TableError, match="timed under emulation"):
        call(*paths, "--measurements", table)


def test_arithmetic_that_nobody_measured_is_marked(paths: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    in_int4 = replace(REGISTRY["qfedupdate"], precision="int4")  # type: ignore[arg-type]
    monkeypatch.setattr(fl_sim.config, "REGISTRY", dict(REGISTRY) | {"qfedupdate": in_int4})
    args = [paths[2], "--device", "xiaomi10", "--processor", "dsp"]
    assert rows_of(*args)[0]["arithmetic_measured"] == "False"
    text = call(*args).stdout
    assert "Q-FedUpdate on Xiaomi 10 dsp (unmeasured)" in text
    assert "keeps the cost of the int8 that would run today; no speed-up is invented" in text
    assert rows_of(*args)[0]["batch_time_ms"] == "11.0"


@pytest.mark.parametrize("words", [("--model", "x"), ("--rounds", "3"), ("--wait-s", "1"), ("--method", "floatfl")])
def test_what_a_run_says_itself_is_refused(words: tuple[str, ...], paths: tuple[Path, ...]) -> None:
    done = call(paths[0], *words)
    assert (done.exit_code, f"{words[0]} has no effect with RUN" in done.output) == (2, True)


def test_without_runs_a_phone_is_needed_and_rules_are_refused() -> None:
    done = call()
    assert (done.exit_code, "give --device for one configuration" in done.output) == (2, True)
    done = call("--device", "xiaomi10", "--window", "3", "--target", "0.8")
    assert (done.exit_code, "--window and --target have no effect without RUN" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["--device", "pixel"], "device 'pixel' is not in the measurements; known: Redmi Note 9"),
        (["--device", "redminote9"], "no measurement of lenet5 in batches of 5 in fp32 on redminote9"),
        (["--processor", "npu"], "in fp32 on npu; the measurements have LeNet-5 batch 5 fp32"),
        (["--target", "0"], "target must be a share"),
    ],
)  # fmt: skip
def test_a_question_without_an_answer_is_refused(words: list[str], rule: str, paths: Sequence[Path]) -> None:
    with pytest.raises(ValueError, match=rule):
        call(paths[0], *words)


def test_a_method_without_a_measurement_is_told_and_the_others_are_costed(paths: tuple[Path, ...]) -> None:
    done = call(*paths, "--processor", "dsp")
    assert done.exit_code == 0
    assert re.search(
        r"warning: FloatFL on FEMNIST: no measurement of lenet5 in batches of 5 in fp32 on dsp", done.stderr
    )
    assert "Q-FedUpdate on Xiaomi 10 dsp" in done.stdout


def test_a_run_in_batches_that_nobody_measured_names_those_there_are(tmp_path: Path) -> None:
    config = Config(method="qfedavg", dataset="femnist", partition="writer", cohort=4, rounds=9, batch_size=10)
    run = write_run(tmp_path / "b10", config, rise(9))
    with pytest.raises(ValueError, match=r"batches of 10 in int8; the measurements have LeNet-5 batch 5"):
        call(run)


def test_the_same_question_gives_the_same_bytes_and_the_manifest_names_the_runs(paths: tuple[Path, ...]) -> None:
    texts = {call(*paths, "--format", "html").stdout for _ in range(2)}
    assert len(texts) == 1
    assert all(f"{path.name}/manifest.json" in next(iter(texts)) for path in paths)
    request = RunsRequest(paths, changes=Changes(None, None, Pipelining("on")))
    assert price(request).manifest.parameters["changed"] == "overlap on (link reading F for published rows)"


def test_the_commands_need_no_torch_and_fail_in_one_line(paths: tuple[Path, ...], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom reports.cli import cli\nfor words in sys.argv[1].split(';'):\n"
        "    cli.main(words.split(), standalone_mode=False)\nassert 'torch' not in sys.modules"
    )
    run = shlex.quote(str(paths[0]))
    words = f"rounds {run};cost {run}"
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    command = str(Path(sys.executable).parent / "fedjoule")
    for verb in ("rounds", "cost"):
        done = subprocess.run([command, verb, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert "config.toml: missing; give the directory of a run" in done.stderr
