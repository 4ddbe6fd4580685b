import hashlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.names import has_control_characters
from profiler.workload.builtin import builtin, builtin_names
from profiler.workload.pattern_groups import GROUPS
from profiler.workload.reading import read_output
from profiler.workload.template import PLACEHOLDERS
from profiler.workload.workload import READERS, Workload, command_line
from profiler.workload.workload_file import _KINDS, MAX_BYTES, missing_files, parse_workloads, read_workloads

GOOD = """
[[workload]]
name = "lenet"
reader = "json_lines"
command = "./run {batches} {model}"
model = "LeNet-5"
dataset = "FEMNIST"
precision = "int8"
processor = "cpu"
batch_size = 16
"""
RUN_DIR = "/data/local/tmp/fedjoule/0123"

Parse = Callable[[str], tuple[Workload, ...]]


@pytest.fixture(scope="session")
def parse() -> Parse:
    def parse_text(text: str) -> tuple[Workload, ...]:
        return parse_workloads(text.encode(), "phone.toml", Path("here"))

    return parse_text


def problems(text: str, parse: Parse) -> list[str]:
    with pytest.raises(ValueError, match=r"^phone\.toml: ") as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("phone.toml: ") for line in lines)
    return [line.removeprefix("phone.toml: ") for line in lines]


def test_a_workload_has_the_values_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "phone.toml"
    extra = """
threads = 4
warmup = 3
result_files = ["speed.txt"]
accept_partial = true
environment = { LD_LIBRARY_PATH = "{dir}" }
[[workload.files]]
path = "bin/{model}.so"
name = "models/{precision}.so"
[[workload.files]]
path = "/abs/run"
name = "run"
executable = true
"""
    path.write_text(GOOD + extra)
    (made,) = read_workloads(path)
    assert (made.name, made.batch_size, made.threads, made.warmup, made.accept_partial) == ("lenet", 16, 4, 3, True)
    assert [(entry.path, entry.name, entry.executable) for entry in made.files] == [
        (tmp_path / "bin/LeNet-5.so", "models/int8.so", False),
        (Path("/abs/run"), "run", True),
    ]
    assert (made.result_files, made.environment, made.folders) == (
        ("speed.txt",),
        {"LD_LIBRARY_PATH": "{dir}"},
        ("models",),
    )


def test_lists_expand_to_every_combination_but_the_excluded(parse: Parse) -> None:
    text = GOOD.replace('"LeNet-5"', '["LeNet-5", "VGG 16"]').replace('"int8"', '["fp32", "int8"]')
    text = text.replace('"cpu"', '["cpu", "dsp"]') + 'exclude = [{ processor = "dsp", precision = "fp32" }]\n'
    made = parse(text)
    assert [(one.model, one.precision, one.processor) for one in made] == [
        ("LeNet-5", "fp32", "cpu"),
        ("LeNet-5", "int8", "cpu"),
        ("LeNet-5", "int8", "dsp"),
        ("VGG 16", "fp32", "cpu"),
        ("VGG 16", "int8", "cpu"),
        ("VGG 16", "int8", "dsp"),
    ]
    assert [one.name for one in made[-2:]] == ["lenet-VGG-16-int8-cpu", "lenet-VGG-16-int8-dsp"]
    assert command_line(made[-1], {"batches": 5}) == "./run 5 'VGG 16'"


@pytest.mark.parametrize("axis", ["batch_size = [8, 16]", 'overlap = ["on", "off"]', 'stage = ["train", "total"]'])
def test_every_axis_expands(axis: str, parse: Parse) -> None:
    made = parse(GOOD.replace("batch_size = 16", "" if "batch" in axis else "batch_size = 16") + axis)
    assert len({one.name for one in made}) == 2


def test_a_template_is_filled_up_by_the_file(parse: Parse) -> None:
    text = '[[workload]]\nuse = "tflite_hexagon"\nname = "a"\nmodel = "m"\nbatch_size = 1\nthreads = 2\n'
    (made,) = parse(text + 'environment = { LD_LIBRARY_PATH = "/other", MORE = "1" }\nwarmup = 9\n')
    assert (made.reader, made.processor, made.precision, made.warmup) == ("tflite", "dsp", "int8", 9)
    assert dict(made.environment) == {
        "LD_LIBRARY_PATH": "/other",
        "ADSP_LIBRARY_PATH": "{dir};/vendor/lib/rfsa/adsp",
        "MORE": "1",
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('model = "LeNet-5"', 'modell = "x"', "modell: is unknown; nearest: model"),
        ("batch_size = 16", 'batch_size = "16"', "batch_size: must be a whole number (got '16')"),
        ("batch_size = 16", "batch_size = 16.0", "batch_size: must be a whole number (got '16.0')"),
        ("batch_size = 16", "batch_size = true", "batch_size: must be a whole number (got 'True')"),
        ("batch_size = 16", "batch_size = 0", "batch_size: must be from 1 to"),
        ("batch_size = 16", "batch_size = []", "batch_size: the list is empty"),
        ("batch_size = 16", "batch_size = [1, 1]", "batch_size: a value stands twice"),
        ("batch_size = 16", "batch_size = [1, 'x']", "batch_size: must be a whole number (got 'x')"),
        ("batch_size = 16", "batch_size = [[1]]", "batch_size: must be a whole number"),
        ('name = "lenet"', "", "name: is needed"),
        ('name = "lenet"', "name = 5", "name: must be text"),
        ('dataset = "FEMNIST"', 'dataset = ["a", "b"]', "dataset: must be text"),
        ('precision = "int8"', 'precision = "int7"', "precision: must be one of"),
        ('processor = "cpu"', 'processor = ["cpu", "tpu"]', "processor: must be one of"),
        ("batch_size = 16", "batch_size = 16\nuse = 'tflight'", "use: template 'tflight' is unknown; nearest: tflite"),
        ("batch_size = 16", "batch_size = 16\nuse = 1", "use: must be text"),
        (
            "batch_size = 16",
            "batch_size = 16\nexclude = [{ model = 'x' }]",
            "exclude 1: model is no list of this workload",
        ),
        (
            "batch_size = 16",
            "batch_size = [8]\nexclude = [{ batch_size = 9 }]",
            "exclude 1: batch_size = '9' is not in the",
        ),
        ("batch_size = 16", "batch_size = [8]\nexclude = [{ batch_size = 8 }]", "exclude: leaves nothing"),
        ("batch_size = 16", "batch_size = [8]\nexclude = [{}]", "exclude 1: is empty"),
        ("batch_size = 16", "batch_size = [8]\nexclude = [5]", "exclude 1: must be a table"),
        ("batch_size = 16", "batch_size = 16\nfiles = [{ path = 'x' }]", "files 1, name: is needed"),
        (
            "batch_size = 16",
            "batch_size = 16\nfiles = [{ path = 'x', name = 'y', size = 1 }]",
            "files 1, size: is unknown",
        ),
        ("batch_size = 16", "batch_size = 16\nfiles = [{ path = 'x', name = 1 }]", "files 1, name: must be text"),
        ("batch_size = 16", "batch_size = 16\nfiles = ['x']", "files 1: must be a table"),
        (
            "batch_size = 16",
            "batch_size = 16\nfiles = [{ path = '{x}', name = 'y' }]",
            "files: has the unknown placeholder",
        ),
        ("batch_size = 16", "batch_size = 16\nfiles = [{ path = '{dir}', name = 'y' }]", "files: {dir} stands in"),
        ("batch_size = 16", "batch_size = 16\nfiles = [{ path = 'x', name = '../y' }]", "files: name '../y' must be"),
        ("batch_size = 16", "batch_size = 16\nresult_files = [1]", "result_files: must be a list of text"),
        ("batch_size = 16", "batch_size = 16\nenvironment = { A = 1 }", "environment: A must be text"),
        ("batch_size = 16", "batch_size = 16\nshell = 1", "shell: must be true or false"),
    ],
)
def test_a_problem_is_named_with_file_workload_and_key(old: str, new: str, expected: str, parse: Parse) -> None:
    found = problems(GOOD.replace(old, new), parse)
    assert any(expected in line for line in found), found
    assert found[0].startswith("workload 1"), found


def test_the_problems_of_every_workload_are_told(parse: Parse) -> None:
    found = problems(GOOD.replace("16", "0") + GOOD.replace("name", "nmae") + "[other]\nx = 1\n", parse)
    assert [line.partition(",")[0] for line in found] == [
        "other is unknown; workloads are [[workload]]",
        "workload 1 (lenet)",
        "workload 2",
        "workload 2",
    ]
    assert problems(GOOD + GOOD, parse) == ["name 'lenet' stands for two workloads; give each its own"]


@pytest.mark.parametrize(
    "text", ["", "x = 1", "workload = 5", "workload = []", "workload = [1]", "[workload]\nname = 'a'"]
)
def test_a_file_without_workloads_says_how_to_begin_one(text: str, parse: Parse) -> None:
    assert problems(text, parse)[-1] == "has no workload; begin each with [[workload]]"


@pytest.mark.parametrize(
    "raw", [b"\xff", b"x =", b"[[workload]]\nname = 1\nname = 2", b"a = " + b"[" * 5000, b"a\x1b = 1"]
)
def test_what_is_no_toml_is_refused_in_one_line(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"phone\.toml: is not TOML") as caught:
        parse_workloads(raw, "phone.toml", Path())
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@given(text=st.text(max_size=60))
def test_any_value_of_a_key_is_taken_or_refused(text: str, parse: Parse) -> None:
    quoted = '"' + "".join(f"\\U{ord(one):08x}" for one in text if not 0xD800 <= ord(one) <= 0xDFFF) + '"'
    for key in ("name", "command", "model", "precision", "pattern", "use", "notes"):
        kept = "".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith(f"{key} ="))
        try:
            parse(f"{kept}{key} = {quoted}\n")
        except ValueError as error:
            for line in str(error).split("\n"):
                assert line.startswith("phone.toml: ")
                assert not has_control_characters(line)


def test_too_much_is_refused(parse: Parse, tmp_path: Path) -> None:
    many = GOOD.replace("batch_size = 16", f"batch_size = {list(range(1, 502))}")
    assert "more than 500 workloads" in problems(many, parse)[0]
    product = many.replace('"LeNet-5"', str([f"m{i}" for i in range(50)]))
    assert "combinations" in problems(product, parse)[0]
    path = tmp_path / "big.toml"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(ValueError, match="262,145 bytes"):
        read_workloads(path)


def test_missing_and_changed_files_are_told_apart_from_reading(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"code")
    right, wrong = hashlib.sha256(b"code").hexdigest(), hashlib.sha256(b"other").hexdigest()
    text = (
        GOOD
        + "files = ["
        + ", ".join(
            f'{{ path = "{path}", name = "{name}"{check} }}'
            for path, name, check in (
                ("run", "a", f', sha256 = "{right}"'),
                ("run", "b", f', sha256 = "{wrong}"'),
                ("gone", "c", ""),
                (".", "d", ""),
            )
        )
        + "]\n"
    )
    (tmp_path / "w.toml").write_text(text)
    found = missing_files(read_workloads(tmp_path / "w.toml"))
    assert [line.removeprefix(str(tmp_path)).partition(" of workload lenet ")[::2] for line in found] == [
        ("/run", f"has sha256 {right}, not {wrong}; it is another file than was meant"),
        ("/gone", "is not there; check files in the workload file"),
        ("", "is not there; check files in the workload file"),
    ]


@pytest.mark.parametrize("name", builtin_names())
def test_every_template_is_a_workload_once_it_is_filled_up(name: str, parse: Parse) -> None:
    text = f'[[workload]]\nuse = "{name}"\nname = "a"\nmodel = "m"\n'
    text += 'precision = "int8"\nprocessor = "dsp"\nbatch_size = 1\n'
    (made,) = parse(text)
    line = command_line(made, {"dir": RUN_DIR, "batches": 100, "seconds": 30})
    assert shlex.split(line)
    assert "{" not in line
    assert made.reader in READERS
    assert made.engine
    if name != "demo":
        assert made.notes.startswith("Files: "), "says what must be true on the phone"


def test_the_templates_cover_every_tool_and_are_not_changed_by_use() -> None:
    readers = {builtin(name)["reader"] for name in builtin_names()}
    assert readers == set(READERS) - {"regex", "json_keys"}
    with pytest.raises(TypeError):
        builtin("demo")["reader"] = "x"  # type: ignore[index]
    with pytest.raises(ValueError, match="template 'dmeo' is unknown; nearest: demo"):
        builtin("dmeo")


PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "workload.md").read_text()


def test_the_page_names_every_key_template_reader_and_placeholder() -> None:
    names = {*_KINDS, *builtin_names(), *READERS, *(f"{{{name}}}" for name in PLACEHOLDERS), *GROUPS}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_the_examples_of_the_page_are_what_they_say(parse: Parse, workload: Callable[..., Workload]) -> None:
    templates = [parse(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    assert [len(made) for made in templates] == [2, 6]
    lines = "\n".join(line.strip() for line in PAGE.splitlines() if line.startswith("    {"))
    reading = read_output(workload(processor="dsp"), lines.encode(), {})
    assert (reading.mean_ms, reading.warmup_ms, reading.startup_ms, reading.problems) == (11, 20, 500, ())
