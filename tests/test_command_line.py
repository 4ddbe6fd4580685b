"""The command as a person meets it: through the installed entry point, in a folder of their own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[..., Path]
HEADER = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,source"
GOOD = "Pixel 8,cpu,fp32,LeNet-5,FEMNIST,5,total,31.5,120,session 1"


def is_one_line_error(done: "subprocess.CompletedProcess[str]", *words: str) -> bool:
    lines = done.stderr.splitlines()
    return (
        (done.returncode, done.stdout, len(lines)) == (2, "", 1)
        and lines[0].startswith("fedjoule: ")
        and all(word in lines[0] for word in words)
    )


def test_tables_prints_table_4_for_both_readings(fedjoule: Run) -> None:
    done = fedjoule("tables", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("36 cells: 34 within rounding, 2 truncated.") == 2
    assert done.stdout.count("\n FEMNIST     Q-FedUpdate (M)") == 2
    assert max(map(len, done.stdout.splitlines())) <= 160


def test_out_writes_every_format_and_says_where(fedjoule: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = fedjoule("tables", "--out", out)
    assert done.returncode == 0
    assert f"to {out}" in done.stdout
    assert {path.suffix for path in out.iterdir()} == {".csv", ".html", ".json", ".md", ".png", ".svg", ".tex"}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("form", "start"), [("markdown", "## Table 4"), ("csv", "workload,"), ("latex", "% Needs"), ("html", "<!doctype")]
)
def test_each_format_can_be_printed(form: str, start: str, fedjoule: Run) -> None:
    done = fedjoule("tables", "--table", "4", "--format", form)
    assert done.returncode == 0
    assert ("versions: python" in done.stderr) == (form == "csv")  # a manifest inside would break the CSV
    assert done.stdout.startswith(start)


def test_a_changed_bandwidth_changes_the_cells(fedjoule: Run) -> None:
    done = fedjoule("tables", "--table", "4", "--bandwidth", "5Mbit/s", "--reading", "epochs1_fp32_payload")
    assert "36 cells: 36 other inputs." in done.stdout
    assert re.search(r"CIFAR-10 +Q-FedUpdate \(M\) +700 +81 +2\.9364 ", done.stdout)


def test_a_phone_from_a_csv_becomes_further_rows(fedjoule: Run, phone: Path) -> None:
    done = fedjoule("tables", "--table", "4", "--measurements", phone)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mode: paper's rounds, own costs" in done.stdout
    assert "Q-FedUpdate on Pixel 8 npu" in done.stdout


def test_cost_explains_every_number(fedjoule: Run) -> None:
    done = fedjoule("cost", "--device", "xiaomi10", "--dataset", "cifar10", "--processor", "dsp")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        r"time per batch +397 +ms +table2\.csv: .*Table 2 p\. 7 \(published\)",
        r"local epochs +4 +reading epochs4_int8_payload, inferred",
        r"round: total +36\.406 +s",
        r"round: energy of upload +- +J +not counted",
        r"time to converge +1\.7697 +h",
        r"energy per client +3\.0078 +kJ",
        r"energy, always selected +6\.0156 +kJ",
    ):
        assert re.search(line, done.stdout), line


def test_cost_of_what_one_gives_says_so(fedjoule: Run, phone: Path) -> None:
    words = (
        "--device pixel8 --dataset cifar10 --rounds 100 --epochs 1 --bandwidth 20Mbit/s --radio-upload-w 1.5 --wait-s 2"
    )
    done = fedjoule("cost", "--measurements", phone, *words.split(), "--idle-w", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "mode: paper's rounds, own costs, inputs changed",
        r"local epochs +4 +1 +you: --epochs",
        r"bandwidth +10,000,000 +20,000,000 +bit/s +you: --bandwidth",
        r"round: upload +12 +6 +s",
        r"round: energy of upload +- +9 +J +1\.5 W x time",
        r"round: energy of waiting +- +1 +J",
        r"rounds to converge +175 +100 +you: --rounds",
    ):
        assert re.search(line, done.stdout), line
    assert "Energy not counted: radio (download)." in done.stdout
    assert "the other one gives another" in done.stdout
    manifest = done.stdout[done.stdout.index("command: fedjoule cost") :].replace("\n", " ")
    for given in (
        "method = qfedupdate",
        "device = pixel8",
        "dataset = cifar10",
        "rounds = 100",
        "wait_s = 2.0",
        "upload_w = 1.5",
        "wait_w = 0.5",
    ):
        assert given in manifest


def test_cost_asks_what_if_a_batch_were_faster(fedjoule: Run) -> None:
    words = ["cost", "--device", "xiaomi10", "--dataset", "cifar10", "--processor", "dsp"]
    done = fedjoule(*words, "--time-ms", "198.5", "--energy-mj", "550")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"time per batch +397 +198\.5 +ms +you: --time-ms$", done.stdout, re.MULTILINE)
    assert re.search(r"energy per batch +1,100 +550 +mJ +you: --energy-mj$", done.stdout, re.MULTILINE)
    assert re.search(r"time to converge +1\.7697 +1\.4682 +h", done.stdout)
    assert re.search(r"energy per client +3\.0078 +1\.5039 +kJ", done.stdout)
    assert "(published)" not in done.stdout  # what was asked is nobody's measurement
    only_time = fedjoule(*words, "--time-ms", "198.5").stdout
    assert "implied power changed" in only_time
    assert re.search(r"energy per batch +1,100 +1,100 +mJ +table2\.csv: .*\(published\)$", only_time, re.MULTILINE)
    lines = fedjoule(*words, "--time-ms", "198.5", "--format", "csv").stdout.splitlines()
    assert lines[0] == "quantity,value,unit,origin,unchanged,mode"
    assert lines[1] == 'time per batch,198.5,ms,you: --time-ms,397.0,"paper, inputs changed"'
    assert "its power adds nothing" in fedjoule(*words, "--idle-w", "0.3").stdout


def test_another_batch_size_than_the_rounds_were_inferred_for_is_said(fedjoule: Run, write: Write) -> None:
    path = write(f"{HEADER}\nPixel 8,cpu,int8,VGG-16,CIFAR-10,32,total,700,2000,s\n")
    words = ["cost", "--measurements", path, "--device", "pixel8"]
    assert "Measured at batch size 32; the rounds were inferred for 64" in fedjoule(*words).stdout
    assert "Measured at batch size" not in fedjoule(*words, "--rounds", "200").stdout


def test_options_beside_the_plan_change_the_mode_too(fedjoule: Run) -> None:
    done = fedjoule(
        *["cost", "--device", "xiaomi10", "--dataset", "cifar10", "--processor", "dsp", "--radio-upload-w", "2"]
    )
    assert "mode: paper, inputs changed" in done.stdout


def test_own_rows_win_where_they_fit_and_hide_nothing_else(fedjoule: Run, write: Write) -> None:
    path = write(f"{HEADER}\nXiaomi 10,dsp,int8,LeNet-5,FEMNIST,5,total,12,25,mine\n")
    words = ["cost", "--measurements", path, "--device", "xiaomi10", "--processor", "dsp"]
    own = fedjoule(*words, "--dataset", "femnist")
    assert re.search(r"time per batch +12 +ms +phone\.csv: mine", own.stdout)
    published = fedjoule(*words, "--dataset", "cifar10")
    assert re.search(r"time per batch +397 +ms +table2\.csv", published.stdout)
    assert "mode: paper;" in published.stdout


def test_a_workload_of_ones_own_needs_its_settings_and_gets_them_named(fedjoule: Run, write: Write) -> None:
    path = write(f"{HEADER}\nPixel 8,cpu,int8,ResNet-18,Speech,16,total,100,400,s\n")
    words = ["cost", "--measurements", path, "--device", "pixel8"]
    needed = "--clients, --clients-per-round, --samples, --epochs, --download-bytes, --upload-bytes"
    assert is_one_line_error(fedjoule(*words), "is no shipped workload", needed)
    own = (
        "--clients 1000 --clients-per-round 10 --samples 160 --epochs 2 --download-bytes 1000000 --upload-bytes 500000"
    )
    done = fedjoule(*words, *own.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"round: total +3\.2 +s", done.stdout)  # 2 x 10 x 0.1 + 0.8 + 0.4
    assert re.search(r"time to converge +- +h", done.stdout)
    assert re.search(r"time to converge +0\.88889 +h", fedjoule(*words, *own.split(), "--rounds", 1000).stdout)


def test_a_warning_about_power_goes_to_stderr_and_the_table_stands(fedjoule: Run, write: Write) -> None:
    path = write(f"{HEADER}\n{GOOD.replace('120', '1.5')}\n")
    done = fedjoule("tables", "--table", "4", "--measurements", path)
    assert done.returncode == 0
    assert "warning: phone.csv: Pixel 8" in done.stderr
    assert "0.0476 W" in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER.replace("time_ms,", "") + "\n" + GOOD.replace("31.5,", ""), ["time_ms", "the column is missing"]),
        (HEADER + "\n" + GOOD.replace("31.5", "fast"), ["line 2", "time_ms = 'fast'", "must be a number"]),
        (HEADER + "\n" + GOOD.replace("31.5", "-1"), ["line 2", "time_ms", "must be above 0"]),
        (HEADER + "\n" + GOOD.replace("31.5", "NaN"), ["line 2", "time_ms", "must be finite"]),
        (HEADER + "\n" + GOOD.replace("cpu", "tpu"), ["line 2", "processor = 'tpu'", "cpu, dsp, gpu, npu"]),
        (HEADER + "\n" + GOOD + "\n" + GOOD, ["line 3", "repeats an earlier row's key"]),
        (HEADER + "\n" + GOOD.replace("120", "0.12"), ["line 2", "energy_mj", "a unit of the two is wrong"]),
        ("", ["is empty"]),
        ("\0\1\2", ["not a text file"]),
    ],
)
def test_a_bad_table_is_one_line_and_exit_2(
    text: str, words: list[str], fedjoule: Run, write: Write, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = fedjoule("tables", "--measurements", write(text), "--out", out)
    assert is_one_line_error(done, "phone.csv", *words), done.stderr
    assert not out.exists()


def test_emulated_rows_are_shown_and_never_become_costs(fedjoule: Run, write: Write) -> None:
    path = write(f"{HEADER},provenance\n{GOOD},emulated\n")
    done = fedjoule("tables", "--table", "4", "--measurements", path)
    assert done.returncode == 0
    assert "1 row(s) timed under emulation are shown and go no further" in done.stderr
    assert done.stdout.count("Pixel 8") == 1  # among the measured rows, nowhere else
    assert "emulated" in next(line for line in done.stdout.splitlines() if "Pixel 8" in line)
    refused = fedjoule("cost", "--measurements", path, "--device", "pixel 8")
    assert is_one_line_error(refused, "provenance = 'emulated'", "measure a real one"), refused.stderr


def test_a_200_mb_line_is_refused_at_once(fedjoule: Run, tmp_path: Path) -> None:
    huge = tmp_path / "huge.csv"
    with open(huge, "wb") as file:
        file.truncate(200 * 2**20)
    assert is_one_line_error(fedjoule("tables", "--measurements", huge), "huge.csv", "209,715,200 bytes")


def test_every_bad_cell_has_its_line(fedjoule: Run, write: Write) -> None:
    rows = "\n".join(f"P{n},tpu,fp32,LeNet-5,FEMNIST,5,total,31.5,120,s" for n in range(60))
    done = fedjoule("tables", "--measurements", write(f"{HEADER}\n{rows}\n"))
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (2, 51)
    assert lines[-1] == "fedjoule: and 10 more problems; mend these first"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tables", "--table", "5"], "'5' is not one of"),
        (["tables", "--reading", "epochs2"], "known: epochs4_int8_payload"),
        (["tables", "--bandwidth", "10"], "write a number and a unit"),
        (["tables", "--bandwidth", "10kb/s"], "could mean bits or bytes"),
        (["tables", "--format", "png"], "add --out DIR"),
        (["tables", "--format", "csv", "--format", "html"], "only one --format"),
        (["tables", "--measurements", "absent.csv"], "No such file"),
        (["tables", "--measurements", "."], ".: must be a regular file"),
        (["tables", "--out", ""], "must name a folder"),
        (["tables", "--check", "--bandwidth", "5Mbit/s"], "--check compares with the printed tables"),
        (["tables", "--check", "--table", "claims"], "--check compares with the printed tables"),
        (["tables", "--rounds", "absent.csv"], "No such file"),
        (["tables", "--frobnicate"], "No such option"),
        (["frobnicate"], "No such command"),
        (["cost"], "give --device for one configuration, or the folders of training runs"),
        (["cost", "--device", "xiaomi 12"], "not in the measurements; known: Redmi Note 9, Xiaomi 10, Xiaomi 11 Pro"),
        (["cost", "--device", "xiaomi10", "--model", "vgg19"], "known: LeNet-5, VGG-16"),
        (["cost", "--device", "xiaomi10"], "choose by model (LeNet-5, VGG-16), dataset"),
        (["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--method", "floatfl"], "change --method"),
        (["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--clients", "10"], "must not be above clients"),
        (
            ["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--idle-w", "-1"],
            "'--idle-w': must be a power from 0 to 1e6 W (got -1)",
        ),
        (["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--samples", "nan"], "samples_per_client"),
        (
            ["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--rounds", "1" + "0" * 400],
            "rounds must be above 0",
        ),
        (["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--wait-s", "1e308"], "wait_s must be"),
        (
            ["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--upload-bytes", "9" * 30],
            "upload_bytes must be",
        ),
        (["cost", "--device", "redmi note 9", "--dataset", "cifar10", "--time-ms", "0"], "time_ms must be"),
    ],
)
def test_bad_words_are_one_line_and_exit_2(words: list[str], said: str, fedjoule: Run) -> None:
    done = fedjoule(*words)
    assert is_one_line_error(done, said), done.stderr


def test_an_unwritable_folder_is_one_line_and_exit_2(fedjoule: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = fedjoule("tables", "--table", "2", "--out", tmp_path / "file" / "out")
    assert is_one_line_error(done, "Not a directory", "choose another place"), done.stderr
    assert (tmp_path / "file").read_text() == "in the way"


def test_control_characters_from_a_file_never_reach_the_terminal(fedjoule: Run, write: Write) -> None:
    done = fedjoule("tables", "--measurements", write(f"{HEADER}\n{GOOD.replace('cpu', chr(27) + '[2J')}\n"))
    assert is_one_line_error(done, "processor = '?[2j'")
    done = fedjoule("cost", "--device", "a\x1b[31mb")
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("after_s", [0.1, 0.5, 0.9, 1.3, 1.7])
def test_an_interrupted_run_leaves_no_half_written_file(after_s: float, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [str(Path(sys.executable).parent / "fedjoule"), "tables", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    starting = process.returncode == -signal.SIGINT or "Fatal Python error" in said  # Python itself, before our code
    assert process.returncode in {0, 1} or starting, said
    if process.returncode == 1 and not starting:
        assert said.split() == ["fedjoule:", "interrupted;", "no", "file", "was", "left", "half-written"]
    if out.exists():
        files = {path.name: path.stat().st_size for path in out.iterdir()}
        assert all(size > 0 for size in files.values())
        assert not any(name.startswith(".") for name in files)


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_a_terminal_without_our_characters_is_no_error(form: str, fedjoule: Run, tmp_path: Path) -> None:
    plain = os.environ | {"LC_ALL": "POSIX", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    path = tmp_path / "phone.csv"
    path.write_text(f"{HEADER}\n{GOOD.replace('Pixel 8', '小米 10')}\n", encoding="utf-8")
    done = fedjoule("tables", "--table", "4", "--measurements", path, "--format", form, env=plain)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Q-FedUpdate" in done.stdout
    assert "?? 10" in done.stdout


def test_a_closed_output_is_no_traceback(tmp_path: Path) -> None:
    command = f"'{Path(sys.executable).parent / 'fedjoule'}' tables --table 4 >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_check_fails_when_a_cell_differs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from reports import printed, table4
    from reports.cli import main

    rows = [dict(row) for row in printed.printed_table(4)]
    rows[7]["time_h"] = "6.27"  # QuanFL on CIFAR-10: 6.17
    monkeypatch.setattr(table4, "printed_table", lambda _number: tuple(rows))
    for words, code in ((["tables", "--table", "4"], 0), (["tables", "--table", "4", "--check"], 1)):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == code
        said = capsys.readouterr()
        assert "33 within rounding, 2 truncated, 1 differs" in said.out
    assert said.err == "fedjoule: a cell differs from the printed one (--check)\n"


def test_a_terminal_of_80_characters_shows_table_4_whole(tmp_path: Path) -> None:
    command = f"stty cols 80; '{Path(sys.executable).parent / 'fedjoule'}' tables --table 4"
    done = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert re.search(
        r"^CIFAR-100 Q-FedUpdate \(L\) +200 +1\.6153 +1\.61 cut +0\.2125 +0\.21 ok *\r?$", text, re.MULTILINE
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"'{Path(sys.executable).parent / 'fedjoule'}' tables | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Table 1")


@pytest.mark.parametrize(
    "words",
    [
        ["tables"],
        ["--help"],
        ["pipeline", "--help"],
        ["cost", "--device", "xiaomi10", "--dataset", "femnist", "--processor", "dsp"],
        ["pipeline", "--scenario", "xiaomi10_cifar10"],
        ["pipeline", "--scenario", "xiaomi10_cifar10", "--tornado"],
    ],
)
def test_no_command_imports_what_it_does_not_need(words: list[str]) -> None:
    heavy = ["torch", "simpy", "scipy", "adb_shell", "matplotlib", "pandera"]
    heavy += ["pandas", "numpy", "rich"] if words[-1] == "--help" else []
    code = (
        "import sys, atexit\n"
        f"loaded = lambda: [name for name in {heavy!r} if name in sys.modules]\n"
        "atexit.register(lambda: print('LOADED', loaded(), file=sys.stderr))\n"
        f"from reports.cli import main; main({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert done.stderr.strip() == "LOADED []"


def test_the_choices_are_those_of_the_report() -> None:
    from reports.commands import tables as command
    from reports.files import FILE_FORMATS
    from reports.report import TABLES

    choices = {option.name: getattr(option.type, "choices", None) for option in command.tables.params}
    assert list(choices["which"] or ()) == list(TABLES)
    assert command._FILE_FORMATS == FILE_FORMATS


def test_help_has_examples_and_the_version_is_the_packages(fedjoule: Run) -> None:
    for words in (
        *([["--help"], ["tables", "--help"], ["cost", "--help"], ["completion", "--help"], ["pipeline", "--help"]]),
        *([["pipeline", name, "--help"] for name in ("scenarios", "calibrate", "validate")]),
    ):
        done = fedjoule(*words)
        assert done.returncode == 0
        assert "Examples:" in done.stdout
        assert "fedjoule" in done.stdout
    assert re.fullmatch(r"fedjoule, version \d+\.\d+\.\d+\n", fedjoule("--version").stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, fedjoule: Run) -> None:
    done = fedjoule("completion", shell)
    assert done.returncode == 0
    assert "_FEDJOULE_COMPLETE" in done.stdout


def test_completion_knows_the_shipped_phones(fedjoule: Run) -> None:
    words = {"COMP_WORDS": "fedjoule cost --device Xiaomi", "COMP_CWORD": "3", "_FEDJOULE_COMPLETE": "bash_complete"}
    done = fedjoule(env=os.environ | words)
    assert done.stdout.split("\n")[:2] == ["plain,Xiaomi 10", "plain,Xiaomi 11 Pro"]


def test_an_error_can_be_traced(fedjoule: Run) -> None:
    done = fedjoule("tables", "--reading", "x", env=os.environ | {"FEDJOULE_TRACEBACK": "1"})
    assert done.returncode != 0
    assert "Traceback" in done.stderr
