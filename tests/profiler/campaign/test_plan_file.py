"""Plans in files, and the plans that ship."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.campaign.plan import Plan, Timing
from profiler.campaign.plan_file import (
    DEMO,
    PAPER_MODELS,
    parse_plan,
    pipeline_plan,
    read_plan,
    read_template,
    table_plan,
    with_hashes,
)
from profiler.campaign.workspace import hash_here
from profiler.names import has_control_characters
from profiler.workload.workload import command_line

WORKLOAD = """
[[workload]]
name = "mine"
use = "demo"
model = "lenet5"
precision = "int8"
processor = ["cpu", "dsp"]
batch_size = 16
"""


def parsed(text: str) -> Plan:
    return parse_plan(text.encode(), "my.toml", Path("/here"))


def test_a_file_gives_every_key_of_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    keys = 'name = "n"\nidle = true\nseed = 7\ncpus = "f0"\nrepetitions = 2\nidle_s = 10\nbusy_s = 40.5\n'
    keys += "gauge_periods = 5\ncalibration_s = 30\nsample_period_s = 0.2\ncool_down_c = 2\ncool_down_most_s = 60\n"
    path.write_text(f"[plan]\n{keys}{WORKLOAD}")
    plan = read_plan(path)
    timing = Timing(2, 10.0, 40.5, 5, 30.0, 0.2, 2.0, 60.0)
    assert (plan.name, plan.with_idle, plan.seed, plan.cpus, plan.timing) == ("n", True, 7, "f0", timing)
    assert [each.name for each in plan.workloads] == ["mine-cpu", "mine-dsp"]


def test_what_is_left_out_has_its_usual_value() -> None:
    plan = parsed(WORKLOAD)
    assert (plan.name, plan.with_idle, plan.seed, plan.cpus, plan.timing) == ("my", False, 0, "", Timing())
    assert parsed("[plan]\nidle = true\n").workloads == ()


def test_thirty_seconds_are_the_same_plan_with_or_without_a_point() -> None:
    assert parsed(f"[plan]\nbusy_s = 40\n{WORKLOAD}").hash == parsed(f"[plan]\nbusy_s = 40.0\n{WORKLOAD}").hash


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[plan", "my.toml: is not TOML"),
        ("[plan]\n", "my.toml: has no workload"),
        ("", "my.toml: has no workload"),
        (f"plan = 1\n{WORKLOAD}", "my.toml: plan must be a table; write [plan]"),
        (f"[plan]\nbusy = 1\n{WORKLOAD}", "my.toml: plan, busy: is unknown; nearest: busy_s"),
        (f"[plan]\nbusy_s = '1'\n{WORKLOAD}", "my.toml: plan, busy_s: has the wrong type (got '1')"),
        (f"[plan]\nbusy_s = true\n{WORKLOAD}", "my.toml: plan, busy_s: has the wrong type (got 'True')"),
        (f"[plan]\nidle = 1\n{WORKLOAD}", "my.toml: plan, idle: has the wrong type (got '1')"),
        (f"[plan]\nseed = 1.5\n{WORKLOAD}", "my.toml: plan, seed: has the wrong type"),
        (f"[plan]\nname = 1\n{WORKLOAD}", "my.toml: plan, name: has the wrong type"),
        (f"[plan]\nrepetitions = 2.5\n{WORKLOAD}", "my.toml: plan, repetitions: must be a whole number (got 2.5)"),
        (f"[plan]\nrepetitions = 0\n{WORKLOAD}", "my.toml: repetitions must be from 1 to 1000 (got 0)"),
        (f"[plan]\nbusy_s = nan\n{WORKLOAD}", "my.toml: busy_s must be from 0.2 to 86400 (got nan)"),
        (f"[plan]\nbusy_s = {10**400}\n{WORKLOAD}", "my.toml: plan, busy_s: is too large"),
        (f"[plan]\nseed = -1\n{WORKLOAD}", "seed must be a whole number, 0 or more (got -1)"),
        (f"[plan]\ncpus = '$(id)'\n{WORKLOAD}", "cpus must be hexadecimal"),
        (f"[other]\nx = 1\n{WORKLOAD}", "my.toml: other is unknown"),
        (WORKLOAD.replace("demo", "dmeo"), "my.toml: workload 1 (mine), use: template 'dmeo' is unknown"),
        (WORKLOAD + WORKLOAD, "my.toml: name 'mine-cpu' stands for two workloads"),
    ],
)
def test_every_error_names_the_file_the_key_and_the_rule(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"my\.toml") as caught:
        parsed(text)
    lines = str(caught.value).splitlines()
    assert any(said in line for line in lines), lines
    assert all(line.startswith("my.toml: ") for line in lines)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="my") as caught:
        parsed(f"[plan]\nbusy = 1\nidle = 3\n{WORKLOAD.replace('batch_size', 'batch_syze')}")
    said = str(caught.value)
    assert all(word in said for word in ("busy:", "idle:", "batch_syze"))


_LINES = st.sampled_from(
    ["[plan]", "name = 'x'", "idle = true", "seed = 3", "seed = -3", "cpus = 'f'", "cpus = '\\u001b'", "busy_s = inf",
     "repetitions = 3", "idle_s = 1979-05-27", "[[workload]]", "name = 'a'", "use = 'demo'", "model = 'lenet5'",
     "precision = 'int8'", "processor = ['cpu']", "batch_size = 4", "batch_size = []", "[plan.x]", "plan = []", "='"]
)  # fmt: skip


@given(st.lists(_LINES, max_size=12).map("\n".join) | st.text(max_size=100))
def test_any_text_is_a_plan_or_refused_in_printable_lines(text: str) -> None:
    try:
        plan = parsed(text)
    except ValueError as error:
        assert not has_control_characters(str(error).replace("\n", " "))
        return
    assert plan.measurements()


def test_the_table_plan_measures_every_combination_but_fp32_on_a_dsp() -> None:
    plan = table_plan(DEMO, ["lenet5", "VGG-16"], ["fp32", "int8"], ["cpu", "dsp"])
    found = {(each.model, each.dataset, each.batch_size, each.precision, each.processor) for each in plan.workloads}
    assert found == {
        (model, dataset, size, precision, processor)
        for model, dataset, size in PAPER_MODELS.values()
        for precision, processor in (("fp32", "cpu"), ("int8", "cpu"), ("int8", "dsp"))
    }
    assert len(plan.workloads) == 6
    assert {each.stage for each in plan.workloads} == {"total"}
    assert not plan.with_idle


def test_the_table_plan_takes_other_sizes_models_and_data() -> None:
    plan = table_plan(DEMO, ["lenet5"], ["int8"], ["cpu"], [8, 16], "MyData")
    assert [(each.batch_size, each.dataset) for each in plan.workloads] == [(8, "MyData"), (16, "MyData")]
    assert table_plan(DEMO, ["mine"], ["int8"], ["cpu"], [8]).workloads[0].dataset == ""
    with pytest.raises(ValueError, match=r"model 'mine' has no batch size of its own; give --batch-sizes"):
        table_plan(DEMO, ["mine"], ["int8"], ["cpu"])
    with pytest.raises(ValueError, match="a DSP has no fp32 here"):
        table_plan(DEMO, ["lenet5"], ["fp32"], ["dsp"])


def test_the_pipeline_plan_has_a_sweep_each_stage_alone_an_empty_call_and_the_idle_phone() -> None:
    plan = pipeline_plan(DEMO)
    assert plan.with_idle
    sweep = {(each.batch_size, each.overlap) for each in plan.workloads if each.stage == "total"}
    assert sweep == {(size, overlap) for size in (4, 8, 16, 32, 64) for overlap in ("on", "off")}
    alone = {(each.stage, each.processor, each.empty_call) for each in plan.workloads if each.stage != "total"}
    assert alone == {
        ("sample", "cpu", False), ("quantize", "cpu", False), ("transfer", "dsp", False), ("transfer", "dsp", True),
    }  # fmt: skip
    assert {each.processor for each in plan.workloads if each.stage == "total"} == {"dsp"}
    assert {each.precision for each in plan.workloads} == {"int8"}
    assert {(each.model, each.dataset) for each in plan.workloads} == {("lenet5", "FEMNIST")}
    assert {each.batch_size for each in plan.workloads if each.stage != "total" and not each.empty_call} == {16}


def test_a_pipeline_of_floats_has_nothing_to_quantize() -> None:
    stages = [each.stage for each in pipeline_plan(DEMO, precision="fp32", processor="cpu").workloads]
    assert "quantize" not in stages
    assert {"sample", "transfer", "total"} <= set(stages)


def test_every_command_of_a_plan_that_ships_is_one_that_the_demo_trainer_takes() -> None:
    from profiler.emulator.demo_trainer import parse

    workloads = [*pipeline_plan(DEMO).workloads]
    workloads += table_plan(DEMO, ["lenet5", "vgg16"], ["fp32", "int8"], ["cpu", "dsp"]).workloads
    for each in workloads:
        values: dict[str, Any] = {"dir": "/x", "seconds": "30"} | ({"stage": "empty"} if each.empty_call else {})
        options = parse(command_line(each, values).split()[1:])
        assert (options.stage, options.overlap) == (values.get("stage", each.stage), each.overlap or "off")


def test_a_file_with_one_workload_is_a_template(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[workload]]\nname = "mine"\nreader = "json_lines"\ncommand = "./train {seconds}"\nfiles = '
                    '[{path = "train", name = "train", executable = true}]\n')  # fmt: skip
    plan = table_plan(read_template(path), ["lenet5"], ["int8"], ["cpu"])
    assert [each.name for each in plan.workloads] == ["mine-lenet5-int8-cpu-5"]
    assert plan.workloads[0].files[0].path == tmp_path / "train"
    for text in (WORKLOAD + WORKLOAD, f"[plan]\n{WORKLOAD}", "", "workload = [1]", "x"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"mine\.toml: "):
            read_template(path)


@pytest.fixture
def with_file(tmp_path: Path) -> Callable[..., Plan]:
    def make(sha256: str = "") -> Plan:
        entry = f'{{path = "model.bin", name = "model.bin"{f", sha256 = {sha256!r}" if sha256 else ""}}}'
        text = WORKLOAD + f"files = [{entry}]\n"
        return parse_plan(text.encode(), "my.toml", tmp_path)

    return make


def test_hashes_say_what_is_measured(with_file: Callable[..., Plan], tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"one")
    first = with_hashes(with_file())
    assert {file.sha256 for each in first.workloads for file in each.files} == {hash_here(tmp_path / "model.bin")}
    (tmp_path / "model.bin").write_bytes(b"two")
    assert with_hashes(with_file()).hash != first.hash


def test_files_that_are_missing_or_others_than_meant_are_refused(
    with_file: Callable[..., Plan], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"model\.bin of workload mine-cpu is not there") as caught:
        with_hashes(with_file())
    assert len(str(caught.value).splitlines()) == 2  # a line for each workload
    (tmp_path / "model.bin").write_bytes(b"one")
    right = hash_here(tmp_path / "model.bin")
    assert with_hashes(with_file(right)).workloads[0].files[0].sha256 == right
    with pytest.raises(ValueError, match="it is another file than was meant"):
        with_hashes(with_file("0" * 64))
    assert replace(with_file(), seed=1).hash != with_file().hash
