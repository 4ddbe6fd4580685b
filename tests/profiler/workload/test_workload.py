import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.workload.template import PLACEHOLDERS, fill, placeholders
from profiler.workload.workload import DeviceFile, Workload, WorkloadError, command_line

Make = Callable[..., Workload]
SHELLS = [shell for shell in ("sh", "mksh", "bash") if shutil.which(shell)]
NASTY = [
    "a b",
    "it's",
    'say "hi"',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "x\ntouch pwned",
    "&",
    "*",
    "~",
    "\\",
    "#",
    "-n",
    "",
]


def arguments(line: str, folder: Path, shell: str = "sh") -> list[str]:
    """What a program gets when the line is run by a real shell, as a job script does."""
    show = folder / "show"
    show.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    show.chmod(0o755)
    done = subprocess.run(
        [shell, "-c", 'eval "$COMMAND" > out.txt 2>&1; ls >names'],
        cwd=folder,
        env={"COMMAND": line, "PATH": "/usr/bin:/bin"},
        check=True,
        timeout=20,
    )
    assert done.returncode == 0
    assert set((folder / "names").read_text().split()) == {"show", "out.txt", "names"}, "nothing else was run"
    return (folder / "out.txt").read_bytes().decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("value", NASTY)
def test_a_value_is_one_argument_and_never_a_command(value: str, shell: str, workload: Make, tmp_path: Path) -> None:
    made = workload(
        command="./show --data={dataset} {dataset} 'two words' {{x}}",
        dataset=value.replace("\n", " "),
        environment={"SOME_PATH": "{dataset};{dir}"},
    )
    line = command_line(made, {"dataset": value, "dir": "/data/local/tmp/x"})
    assert arguments(line, tmp_path, shell) == [f"--data={value}", value, "two words", "{x}"]


@settings(max_examples=40)
@given(value=st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30))
def test_any_text_is_one_argument(value: str, workload: Make, tmp_path_factory: pytest.TempPathFactory) -> None:
    line = command_line(workload(command="./show {dataset}"), {"dataset": value})
    assert arguments(line, tmp_path_factory.mktemp("run")) == [value]


@pytest.mark.parametrize("value", [value for value in NASTY if value not in ("-n", "")])
def test_in_a_script_only_plain_values_can_stand(value: str, workload: Make, tmp_path: Path) -> None:
    made = workload(shell=True, command="""./show "{dataset}" '{dataset}' {dataset} | cat; exit $?""", dataset="d")
    with pytest.raises(ValueError, match=r"\{dataset\} = .* cannot stand in a shell command"):
        command_line(made, {"dataset": value})
    line = command_line(made, {"dataset": "plain/v-1.5_a"})
    assert arguments(line, tmp_path) == ["plain/v-1.5_a"] * 3


def test_a_script_is_one_command_that_can_be_prefixed_and_redirected(workload: Make, tmp_path: Path) -> None:
    made = workload(
        shell=True, command="printf '%s' \"$A\" >&2; ./show {model}; exit 3", environment={"A": "{dir}/a b"}
    )
    line = command_line(made, {"dir": "/data/local/tmp/run"})
    assert line.startswith("env 'A=/data/local/tmp/run/a b' sh -c ")
    done = subprocess.run(
        ["sh", "-c", f"nice {line} 2>err"], cwd=tmp_path, capture_output=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout) == (3, b"")
    assert (tmp_path / "err").read_bytes().startswith(b"/data/local/tmp/run/a b")


def test_every_placeholder_has_a_value_from_the_workload_or_the_caller(workload: Make) -> None:
    own = [name for name in PLACEHOLDERS if name not in ("dir", "batches", "seconds")]
    made = workload(command="x " + " ".join(f"{{{name}}}" for name in own), threads=4, warmup=3, overlap="on")
    assert command_line(made, {}) == "x 16 LeNet-5 FEMNIST 62 int8 cpu 4 on total".replace("x", "x 3", 1)
    assert made.placeholders == set(own)
    assert command_line(workload(command="x {overlap}"), {}) == "x off"
    timed = workload(command="x {seconds} {batches} {dir}")
    with pytest.raises(ValueError, match=r"\{seconds\} .* has no value"):
        command_line(timed, {"batches": 5})
    values: dict[str, str | int | float] = {"seconds": 30.0, "batches": 2700, "dir": "/data/local/tmp/a"}
    assert command_line(timed, values) == "x 30 2700 /data/local/tmp/a"
    assert command_line(timed, values | {"seconds": 0.5}) == "x 0.5 2700 /data/local/tmp/a"
    assert command_line(made, {"warmup": 9}).startswith("x 9 ")


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"dir": "/data/local/tmp/a b"}, "must be absolute"),
        ({"dir": "relative"}, "must be absolute"),
        ({"dir": "/data/../x"}, "must be absolute"),
        ({"batch": 5}, "'batch' is no placeholder; nearest: batches"),
        ({"seconds": float("nan")}, "finite"),
        ({"batches": True}, "finite"),
        ({"model": "a\0b"}, "zero byte"),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any], rule: str, workload: Make) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        command_line(workload(command="x {model}"), values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["-rf", "A=b"])
def test_a_value_cannot_become_the_program_of_env(value: str, workload: Make) -> None:
    with pytest.raises(ValueError, match="the program must not start with"):
        command_line(workload(command="{dataset} x", environment={"A": "b"}), {"dataset": value})


def test_braces_are_literal_when_doubled() -> None:
    assert fill("{{dir}} {dir} }}{{ {{{dir}}}", {"dir": "d"}) == "{dir} d }{ {d}"
    assert placeholders("{{dir}}") == frozenset()


@given(text=st.text(alphabet="{}dir x", max_size=12))
def test_a_template_is_filled_or_refused(text: str) -> None:
    try:
        filled = fill(text, {"dir": "D"})
    except ValueError as error:
        assert "stray" in str(error) or "unknown placeholder" in str(error)
    else:
        literal = text.replace("{{", "").replace("}}", "")
        assert filled.count("D") == literal.count("{dir}")


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"name": "a b"}, "name", "letters, digits"),
        ({"name": ""}, "name", "letters, digits"),
        ({"reader": "tflight"}, "reader", "one of json_lines, tflite"),
        ({"precision": "fp31"}, "precision", "one of fp32"),
        ({"processor": "tpu"}, "processor", "one of cpu, dsp"),
        ({"stage": "idle"}, "stage", "one of sample"),
        ({"overlap": "yes"}, "overlap", "one of on, off"),
        ({"overlap": "on", "stage": "train"}, "overlap", "for the stage total"),
        ({"empty_call": True}, "empty_call", "for the stage transfer"),
        ({"batch_size": 0}, "batch_size", "from 1 to"),
        ({"batch_size": None}, "batch_size", "needed for the stage total"),
        ({"model": " "}, "model", "needed for the stage total"),
        ({"model": "a\x1b[2Jb"}, "model", "control characters"),
        ({"warmup": -1}, "warmup", "from 0"),
        ({"threads": 0}, "threads", "from 1"),
        ({"batches_per_line": 0}, "batches_per_line", "from 1"),
        ({"batches_per_call": 5, "command": "x {batches}"}, "batches_per_call", "length is fixed"),
        ({"batches_per_call": 5, "command": "x {seconds}"}, "batches_per_call", "length is fixed"),
        ({"command": " "}, "command", "must be 1 to"),
        ({"command": "x \x00"}, "command", "control characters"),
        ({"command": "x {btaches}"}, "command", "unknown placeholder {btaches}; nearest: batches"),
        ({"command": "x {}"}, "command", "unknown placeholder {}"),
        ({"command": "x ${HOME"}, "command", "stray '{' at character 4"),
        ({"command": "x }"}, "command", "stray '}'"),
        ({"command": "x 'y"}, "command", "close the quote"),
        ({"command": "x && y"}, "command", "'&&', which only a shell understands"),
        ({"command": "x > y"}, "command", "set shell = true"),
        ({"command": "A=b x"}, "command", "variables belong in environment"),
        ({"command": "-x"}, "command", "must start with a program"),
        ({"command": "x {threads}"}, "threads", "{threads} stands in the command"),
        ({"command": "x {batch_size}", "stage": "sample", "batch_size": None}, "batch_size", "stands in the command"),
        ({"environment": {"A-B": "x"}}, "environment", "no name of a variable"),
        ({"environment": {"A": "{nope}"}}, "environment", "unknown placeholder"),
        ({"environment": {"A": "x\ny"}}, "environment", "plain characters"),
        ({"result_files": ("../x",)}, "result_files", "relative path"),
        ({"result_files": ("/x",)}, "result_files", "relative path"),
        ({"result_files": ("a", "a")}, "result_files", "stands twice"),
        ({"result_files": ("out.txt",)}, "result_files", "where the output goes"),
        ({"files": (DeviceFile(Path("a"), "a b"),)}, "files", "relative path"),
        ({"files": (DeviceFile(Path("a"), "a"), DeviceFile(Path("b"), "a"))}, "files", "stands twice"),
        ({"files": (DeviceFile(Path("a"), "a", sha256="AB"),)}, "files", "64 small hexadecimal"),
        ({"files": tuple(DeviceFile(Path("a"), f"f{i}") for i in range(101))}, "files", "at most 100"),
        ({"reader": "regex"}, "pattern", "needed for the reader regex"),
        ({"pattern": "(?P<time_ms>.)"}, "pattern", "only for it"),
        ({"reader": "regex", "pattern": "(?P<time_ms>["}, "pattern", "no regular expression"),
        ({"reader": "regex", "pattern": "(?P<tmie_ms>.)"}, "pattern", "'tmie_ms' is unknown; nearest: time_ms"),
        ({"reader": "regex", "pattern": "x"}, "pattern", "exactly one of time_ms"),
        ({"reader": "regex", "pattern": "(?P<time_ms>.)(?P<time_s>.)"}, "pattern", "exactly one of time_ms"),
        ({"reader": "regex", "pattern": "(?P<time_ms>.)" + "x" * 1000}, "pattern", "at most 1,000"),
        ({"reader": "json_keys"}, "keys", "needed for the reader json_keys"),
        ({"keys": {"time_ms": "t"}}, "keys", "only for it"),
        ({"reader": "json_keys", "keys": {"loss": "l"}}, "keys", "exactly one of time_ms"),
        ({"notes": "x" * 4001}, "notes", "at most 4000"),
    ],
)
def test_a_workload_that_cannot_be_is_refused(changes: dict[str, Any], field: str, rule: str, workload: Make) -> None:
    with pytest.raises(WorkloadError) as caught:
        workload(**changes)
    assert field in [key for key, _ in caught.value.problems]
    assert any(rule in text for key, text in caught.value.problems if key == field)
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)
    assert "\x1b" not in str(caught.value)


def test_every_problem_is_told_at_once(workload: Make) -> None:
    with pytest.raises(WorkloadError) as caught:
        workload(name="a b", precision="x", batch_size=0, command="x {y}")
    assert [key for key, _ in caught.value.problems] == ["name", "precision", "batch_size", "command"]


def test_a_stage_without_a_model_needs_no_model_nor_batch(workload: Make) -> None:
    empty = workload(stage="transfer", empty_call=True, model="", batch_size=None, overlap=None)
    assert (empty.empty_call, empty.batch_size) == (True, None)


def test_folders_of_files_are_listed_from_the_outside(workload: Make) -> None:
    files = (DeviceFile(Path("x"), "data/raw/x"), DeviceFile(Path("y"), "y"), DeviceFile(Path("z"), "models/z"))
    assert workload(files=files).folders == ("data", "data/raw", "models")
