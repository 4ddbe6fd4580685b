"""A plan: every measurement once in a seeded, interleaved order, and a fingerprint of all that matters."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.campaign.plan import Plan, Timing, expected_s, plan_of_json, plan_to_json
from profiler.names import has_control_characters
from profiler.workload.workload import DeviceFile, Workload


def workload(name: str = "a", **changes: Any) -> Workload:
    values: dict[str, Any] = {"reader": "json_lines", "command": "./run {seconds}", "model": "LeNet-5"}
    return Workload(**{"name": name, "precision": "int8", "processor": "cpu", "batch_size": 16, **values, **changes})


def plan(count: int = 3, **changes: Any) -> Plan:
    return Plan(**{"name": "p", "workloads": tuple(workload(f"w{number}") for number in range(count)), **changes})


@given(st.integers(1, 6), st.integers(1, 8), st.booleans(), st.integers(0, 10))
def test_every_repetition_is_a_permutation_of_everything(count: int, times: int, idle: bool, seed: int) -> None:
    made = plan(count, with_idle=idle, seed=seed, timing=Timing(repetitions=times))
    found = made.measurements()
    things = [f"w{number}" for number in range(count)] + ["idle"] * idle
    assert len(found) == len({each.name for each in found}) == len(things) * times
    for repetition in range(1, times + 1):
        block = found[(repetition - 1) * len(things) : repetition * len(things)]
        assert {each.repetition for each in block} == {repetition}
        assert Counter(each.workload.name if each.workload else "idle" for each in block) == Counter(things)
    assert [each.name.split("-")[0] for each in found] == [f"{number:03d}" for number in range(1, len(found) + 1)]


def test_the_order_is_the_seeds_and_differs_between_repetitions() -> None:
    def order(made: Plan) -> list[str]:
        return [each.name.partition("-")[2] for each in made.measurements()]

    made = plan(6, timing=Timing(repetitions=4))
    assert order(made) == order(replace(made, name="another"))
    assert order(made) != order(replace(made, seed=1))
    blocks = [tuple(name.rpartition("-r")[0] for name in order(made)[at : at + 6]) for at in range(0, 24, 6)]
    assert len(set(blocks)) == 4


def test_the_order_is_the_same_on_every_machine_and_day() -> None:
    """A resumed campaign relies on it."""
    names = [each.name for each in plan(4, with_idle=True, timing=Timing(repetitions=1)).measurements()]
    assert names == ["001-w0-r1", "002-w1-r1", "003-idle-r1", "004-w2-r1", "005-w3-r1"]


FILE = DeviceFile(Path("/home/me/model.mnn"), "model.mnn", sha256="a" * 64)
SAME = plan(2, workloads=(workload("w0", files=(FILE,)), workload("w1")))
DIFFERENT: dict[str, Plan] = {
    "timing": replace(SAME, timing=Timing(busy_s=31)),
    "seed": replace(SAME, seed=1),
    "idle": replace(SAME, with_idle=True),
    "cpus": replace(SAME, cpus="f0"),
    "a workload less": replace(SAME, workloads=SAME.workloads[:1]),
    "their order": replace(SAME, workloads=SAME.workloads[::-1]),
    **{
        f"a file's {name}": replace(SAME, workloads=(workload("w0", files=(other,)), workload("w1")))
        for name, other in {
            "content": replace(FILE, sha256="b" * 64), "name": replace(FILE, name="x"),
            "mode": replace(FILE, executable=True),
        }.items()
    },
    **{
        name: replace(SAME, workloads=(workload("w0", files=(FILE,), **{name: value}), workload("w1")))
        for name, value in {
            "command": "./run -v {seconds}", "batch_size": 17, "precision": "fp32", "processor": "dsp", "warmup": 3,
            "environment": {"A": "b"}, "model": "x", "dataset": "x", "overlap": "on", "threads": 2, "engine": "x",
            "reader": "tflite", "accept_partial": True, "result_files": ("a.csv",), "shell": True,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENT)
def test_the_fingerprint_changes_with_all_that_matters(what: str) -> None:
    assert DIFFERENT[what].hash != SAME.hash


def test_the_fingerprint_does_not_tell_where_files_lie() -> None:
    moved = workload("w0", files=(replace(FILE, path=Path("elsewhere/model.mnn")),))
    assert replace(SAME, workloads=(moved, workload("w1"))).hash == SAME.hash
    assert "/home" not in json.dumps(SAME.as_data())
    assert re.fullmatch("[0-9a-f]{12}", SAME.hash)


@given(
    st.builds(
        Timing,
        repetitions=st.integers(1, 9),
        idle_s=st.floats(0.2, 3600),
        busy_s=st.floats(0.2, 86400),
        cool_down_c=st.floats(0, 20),
    ),
    st.integers(0, 2**63),
    st.booleans(),
)
def test_a_plan_comes_back_from_json(timing: Timing, seed: int, idle: bool) -> None:
    first = workload("w0", files=(FILE,), environment={"A": "é '"}, result_files=("a.csv",), notes="x\ny")
    made = Plan("p", (first, workload("w1", overlap="on", threads=2)), idle, timing, seed, "f")
    again = plan_of_json(plan_to_json(made))
    assert again == made
    assert again.hash == made.hash
    assert again.measurements() == made.measurements()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
_PATHS = ["", "workloads", "timing", "workloads.0", "workloads.0.files", "workloads.0.files.0", "workloads.0.name",
          "workloads.0.environment", "workloads.0.command", "workloads.0.batch_size", "workloads.0.result_files",
          "timing.repetitions", "timing.busy_s", "timing.x", "seed", "cpus", "name", "with_idle",
          "workloads.0.files.0.path", "workloads.0.keys", "workloads.0.warmup"]  # fmt: skip


@given(st.sampled_from(_PATHS), _VALUES | st.just(10**400))
def test_a_damaged_plan_is_refused_in_one_line_or_is_a_plan(path: str, value: Any) -> None:
    tree = json.loads(plan_to_json(SAME))
    place: Any = tree
    *parents, last = path.split(".")
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    if last:
        place[int(last) if last.isdigit() else last] = value
    else:
        tree = value
    try:
        made = plan_of_json(json.dumps(tree))
    except ValueError as error:
        assert str(error).startswith("the campaign's plan is damaged")
        assert "\n" not in str(error)
        assert not has_control_characters(str(error))
        return
    assert made.measurements()
    assert expected_s(made, 1.0) > 0


@given(st.text(max_size=50))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plan is damaged"):
        plan_of_json(text)


BOUNDS = [("repetitions", 1, 1000), ("idle_s", 0.2, 3600), ("busy_s", 0.2, 86400), ("gauge_periods", 0, 1000),
          ("calibration_s", 0.2, 3600), ("sample_period_s", 0.02, 60), ("cool_down_c", 0, 20),
          ("cool_down_most_s", 0, 7200)]  # fmt: skip


@pytest.mark.parametrize(("name", "least", "most"), BOUNDS)
def test_times_have_bounds_and_name_what_is_outside(name: str, least: float, most: float) -> None:
    Timing(**{name: least})
    Timing(**{name: most})
    for wrong in (least - 0.01, most + 0.01, float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match=f"{name} must be from") as caught:
            Timing(**{name: wrong})
        assert f"{most:g}" in str(caught.value)


def test_a_load_is_as_long_as_the_gauge_needs() -> None:
    timing = Timing(busy_s=30, gauge_periods=30)
    assert [timing.busy_for(period_s) for period_s in (0.0, 0.1, 1.0, 2.5)] == [30, 30, 30, 75]
    assert Timing(busy_s=30, gauge_periods=0).busy_for(100) == 30


def test_the_expected_time_is_the_sum_of_what_is_done() -> None:
    timing = Timing(repetitions=3, idle_s=20, busy_s=30, calibration_s=60)
    each, idle = 2 * 20 + 30 + 8, 2 * 20 + 8
    assert expected_s(plan(2, timing=timing), 1.0) == (2 * 20 + 8 + 60) + 3 * 2 * each
    assert expected_s(plan(2, timing=timing, with_idle=True), 1.0) == (2 * 20 + 8 + 60) + 3 * (2 * each + idle)
    assert expected_s(plan(1, timing=timing), 10.0) == (2 * 20 + 8 + 60) + 3 * (2 * 20 + 300 + 8)
    assert expected_s(plan(1, timing=timing, with_idle=True), 0.0) == 3 * (2 * 1 + 8 + 30)  # nothing to read


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"workloads": ()}, "measures nothing"),
        ({"workloads": (workload("a"), workload("b"), workload("a"))}, "two workloads named 'a'"),
        ({"workloads": (workload("idle"),), "with_idle": True}, "two workloads named 'idle'"),
        ({"seed": -1}, "seed must be"),
        ({"cpus": "zz"}, "cpus must be"),
        ({"cpus": "f0; reboot"}, "cpus must be"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plan(1, **changes)


def test_a_plan_of_nothing_but_idle_is_a_plan() -> None:
    assert [each.name for each in Plan("p", (), True, Timing(repetitions=2)).measurements()] == [
        "001-idle-r1",
        "002-idle-r2",
    ]
    assert Plan("p", (workload("idle"),)).measurements()[0].name == "001-idle-r1"
