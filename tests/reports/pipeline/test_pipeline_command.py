"""The command as a person runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Run

SWEEP_CSV = """device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,batches,conditions,source
{rows}
"""


def measured(on: float = 0.0) -> str:
    """A batch-size sweep of a phone with 1 + 2 ms of sampling and quantizing at batch 16, a link of 5 ms + 0.1 each."""
    rows = []
    for size in (4, 8, 16, 32, 64):
        sample, quantize, link, train = size / 16, size / 8, 5 + 0.1 * size, 2.0 * size
        off_ms, on_ms = sample + quantize + link + train, max(sample + quantize, link, train)
        for way, time_ms in (("off", off_ms), ("on", on_ms + on)):
            rows.append(f"Pixel 8,npu,int8,Net,Data,{size},total,{time_ms},,1000000,overlap: {way},s")
    rows += ["Pixel 8,cpu,int8,Net,Data,16,sample,1,,,,s", "Pixel 8,cpu,int8,Net,Data,16,quantize,2,,,,s"]
    rows += ["Pixel 8,npu,int8,Net,Data,16,transfer,6.6,,,,s", "Pixel 8,npu,int8,,,,transfer,5,,,empty call,s"]
    return SWEEP_CSV.format(rows="\n".join(rows))


def test_the_verdict(fedjoule: Run) -> None:
    done = fedjoule("pipeline", "--scenario", "xiaomi10_cifar10")
    assert (done.returncode, done.stderr) == (0, "")
    assert "DSP 100 % busy; overlap saves 27.4 of 424.4 ms (6.5 %); next lever:" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --scenario NAME or FILE"),
        (["--scenario", "xiaomi10_cifar11"], "nearest: xiaomi10_cifar10"),
        (["--scenario", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--scenario", "xiaomi10_femnist_b"], "reading B is impossible"),
        (["--scenario", "xiaomi10_cifar10", "--set", "device_slots=0"], "device_slots must be from 1"),
        (["--scenario", "xiaomi10_cifar10", "--set", "device_slots"], "is no setting; write name=value"),
        (["--scenario", "xiaomi10_cifar10", "--set", "link.cal_ms=1"], "nearest: link.call_ms"),
        (["--scenario", "xiaomi10_cifar10", "--sweep", "device_slots=1..inf"], "no finite range"),
        (["--scenario", "xiaomi10_cifar10", "--sweep", "device_slots=0..3"], "device_slots must be from 1"),
        (["--scenario", "xiaomi10_cifar10", "--cv", "-1"], "noise.cv must be from 0 to 10"),
        (["--scenario", "xiaomi10_cifar10", "--cv", "nan"], "noise.cv must be from 0 to 10"),
        (["--scenario", "xiaomi10_cifar10", "--cv", "0.3", "--replications", "0"], "replications must be from 1"),
        (["--scenario", "xiaomi10_cifar10", "--batches", "0"], "batches"),
        (["--scenario", "xiaomi10_cifar10", "--sweep", "batch_size=4-64"], "has no range in '4-64'; write name=1..8"),
        (["--scenario", "xiaomi10_cifar10", "--set", "cpu_threads=2", "--set", "link.holds=cpu", "--engine",
          "recurrence"], "use --engine simpy"),
        (["--scenario", "xiaomi10_cifar10", "--gantt", "picture.jpg"], "must end in .svg or .png"),
        (["--scenario", "xiaomi10_cifar10", "--format", "svg"], "add --out DIR to write it"),
        (["--scenario", "xiaomi10_cifar10", "--trace", "/proc/nowhere/t.json"], "/proc/nowhere"),
        (["--scenario", "xiaomi10_cifar10", "calibrate", "--measurements", "x.csv"], "--scenario goes after calibrate"),
        (["--sweep", "device_slots=1..2", "scenarios"], "--sweeps goes after scenarios"),
        (["--scenario", "xiaomi10_cifar10", "--set", "device_slots=1", "--set", "device_slots=4"], "is set twice"),
        (["--scenario", "xiaomi10_cifar10", *["--set", "device_slots=2"] * 300], "300 settings, at most 200"),
        (["--scenario", "xiaomi10_cifar10", "--set", "device_slots=2\nx=3"], "device_slots must be a whole number"),
        (["--scenario", "xiaomi10_cifar10", "--replications", "-5"], "replications must be from 1"),
        (["--scenario", "xiaomi10_cifar10", "--batches", "2000000000", "--cv", "0.3"], "batches must be from 1 to"),
        (["--scenario", "xiaomi10_cifar10", "--sweep", "title=a,b"], "title is text and changes nothing"),
        (["--scenario", "xiaomi10_cifar10", "--gantt", "/proc/x.svg"], "/proc: No such file or directory"),
        (["calibrate", "--measurements", "m.csv", "--set", "stage.train_ms=9"], "m.csv: cannot be read"),
        (["calibrate", "--measurements", "nowhere.csv"], "nowhere.csv: cannot be read"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_2(words: list[str], said: str, fedjoule: Run) -> None:
    done = fedjoule("pipeline", *words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert said in done.stderr
    assert done.stdout == ""


def test_what_is_written(fedjoule: Run, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "er"
    done = fedjoule("pipeline", "--scenario", "xiaomi10_cifar10", "--gantt", tmp_path / "g.png", "--trace",
                    tmp_path / "t.json", "--out", out, "--format", "csv", "--format", "svg")  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "t.json").read_text())["displayTimeUnit"] == "ms"
    names = {path.name for path in out.iterdir()}
    assert names == {"claims.csv", "parameters.csv", "pipeline.csv", "resources.csv", "gantt.svg", "manifest.json"}
    assert "open it at ui.perfetto.dev" in done.stdout


def test_csv_and_json_forms_go_to_standard_output_alone(fedjoule: Run) -> None:
    done = fedjoule("pipeline", "--scenario", "xiaomi10_cifar10", "--sweep", "device_slots=1..3", "--format", "csv")
    first = done.stdout.splitlines()[0].split(",")
    assert first[0] == "device_slots"
    assert all(re.search(r"_ms|_pct|_h$|_mj|_low|_high|size|slots|batches|bound|bottleneck|engine|repl|scen|mode", name)
               for name in first), first  # fmt: skip
    assert "command: fedjoule pipeline" in done.stderr


def test_a_shipped_scenario_is_a_file_to_start_from(fedjoule: Run, tmp_path: Path) -> None:
    text = fedjoule("pipeline", "scenarios", "xiaomi10_cifar10").stdout
    own = tmp_path / "mine.toml"
    own.write_text(text.replace("train_ms = 397.0", "train_ms = 100.0"))
    done = fedjoule("pipeline", "--scenario", own)
    assert "overlap saves 27.4 of 127.4 ms (21.5 %)" in done.stdout
    assert "mode: your scenario" in done.stdout
    listed = fedjoule("pipeline", "scenarios")
    assert listed.returncode == 0
    assert "xiaomi11pro_cifar100_g" in listed.stdout


def test_a_sweep_of_measurements_becomes_a_scenario_that_predicts(fedjoule: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(measured())
    done = fedjoule("pipeline", "calibrate", "--measurements", tmp_path / "m.csv", "--out", tmp_path / "fit.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "not identifiable" not in "\n".join(line for line in done.stdout.splitlines() if "link round" not in line)
    found = fedjoule("pipeline", "--scenario", tmp_path / "fit.toml", "--set", "batch_size=16")
    assert "overlap saves 9.6 of 41.6 ms" in found.stdout
    checked = fedjoule(
        "pipeline", "validate", "--measurements", tmp_path / "m.csv", "--scenario", tmp_path / "fit.toml"
    )
    assert "worst" in checked.stdout
    worst = re.search(r"worst ([+-][0-9.]+) %", checked.stdout)
    assert worst is not None
    assert abs(float(worst[1])) < 0.2
    held = fedjoule("pipeline", "validate", "--measurements", tmp_path / "m.csv")
    assert "predicted from a calibration without it" in held.stdout


def test_what_was_not_identifiable_stays_doubted_in_the_file(fedjoule: Run, tmp_path: Path) -> None:
    header, *rows = measured().splitlines()
    sweep = "\n".join([header, *(row for row in rows if ",total," in row)])
    (tmp_path / "m.csv").write_text(sweep)
    fedjoule("pipeline", "calibrate", "--measurements", tmp_path / "m.csv", "--out", tmp_path / "fit.toml")
    found = fedjoule("pipeline", "--scenario", tmp_path / "fit.toml")
    assert "Doubts about this scenario: not identifiable, one of many that fit: sample, quantize" in found.stdout
    assert "mode: your scenario, partly not identifiable" in found.stdout


def test_what_calibration_finds_cannot_be_given(fedjoule: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(measured())
    done = fedjoule("pipeline", "calibrate", "--measurements", tmp_path / "m.csv", "--set", "stage.train_ms=9")
    assert done.returncode == 2
    assert "stage.train_ms is what calibration finds" in done.stderr
    kept = fedjoule("pipeline", "calibrate", "--measurements", tmp_path / "m.csv", "--set", "link.return_ms=0.5",
                    "--out", tmp_path / "fit.toml")  # fmt: skip
    assert kept.returncode == 0
    assert "return_ms = 0.5" in (tmp_path / "fit.toml").read_text()


def test_a_wrong_prediction_shows_its_sign(fedjoule: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(measured())
    fedjoule("pipeline", "calibrate", "--measurements", tmp_path / "m.csv", "--out", tmp_path / "fit.toml")
    (tmp_path / "slow.csv").write_text(measured(on=20.0))
    done = fedjoule(
        "pipeline", "validate", "--measurements", tmp_path / "slow.csv", "--scenario", tmp_path / "fit.toml"
    )
    assert re.search(r"overlapped, batch 4 .* 28 +8 +-71\.4", done.stdout), done.stdout


def test_an_interrupted_sweep_is_printed_and_exits_with_1(tmp_path: Path) -> None:
    """A person presses Ctrl-C in the middle of a long sweep by simulation."""
    command = [str(Path(sys.executable).parent / "fedjoule"), "pipeline", "--scenario", "xiaomi10_cifar10"]
    command += [
        "--set",
        "failure.probability=0.1",
        "--batches",
        "10000",
        "--replications",
        "1",
        "--sweep",
        "device_slots=1..200",
    ]
    command += ["--out", str(tmp_path / "out"), "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(8)
        os.kill(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=50)
    assert process.returncode == 1, stderr
    assert "interrupted; the points that were finished are above" in stderr
    assert "of 200 points; these are complete" in stdout
    rows = (tmp_path / "out" / "sweep.csv").read_text().splitlines()
    assert 2 <= len(rows) < 200


def test_overlap_is_one_word_in_tables_and_cost(fedjoule: Run) -> None:
    arguments = ["tables", "--table", "4", "--reading", "epochs1_fp32_payload"]
    plain = fedjoule(*arguments).stdout
    assert fedjoule(*arguments, "--overlap", "as-measured").stdout == plain
    off = fedjoule(*arguments, "--overlap", "off", "--link-reading", "A", "--idle-power-w", "1").stdout
    row = next(line for line in off.splitlines() if line.startswith(" CIFAR-10    Q-FedUpdate (M)"))
    assert "1.8114" in row
    energy_kj = 700 * 7.8125 * (1100 + 27.4) / 1e6 * 0.5
    assert f"{energy_kj:.4f}" in row
    assert "paper, inputs changed" in off
    cost = fedjoule("cost", "--device", "xiaomi10", "--dataset", "cifar10", "--processor", "dsp", "--overlap", "off")
    assert re.search(r"time to converge +1\.7697 +1\.8114", cost.stdout)
    assert "unknown; --idle-power-w" in cost.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tables", "--idle-power-w", "1"], "no effect without --overlap"),
        (["tables", "--link-reading", "G"], "--link-reading has no effect without --overlap"),
        (["cost", "--device", "xiaomi10", "--dataset", "cifar10", "--processor", "dsp", "--link-reading", "G"],
         "--link-reading has no effect without --overlap"),
        (["tables", "--overlap", "on", "--link-reading", "B"], "reading B is impossible for"),
        (["tables", "--overlap", "off", "--check"], "--check compares with the printed tables"),
        (["tables", "--overlap", "off", "--idle-power-w", "-1"], "idle power must be from 0"),
        (["cost", "--device", "xiaomi10", "--dataset", "cifar10", "--processor", "dsp", "--overlap", "off",
          "--time-ms", "5"], "--time-ms and --energy-mj state what --overlap would compute"),
    ],
)  # fmt: skip
def test_overlap_that_cannot_be_is_said(words: list[str], said: str, fedjoule: Run) -> None:
    done = fedjoule(*words)
    assert done.returncode == 2
    assert said in done.stderr
