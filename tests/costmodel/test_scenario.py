from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.scenario import Link, Scenario, StageTimes, parameters, pipeline_of
from costmodel.scenario_file import parse_scenario, read_scenario, to_toml, with_settings

PLAIN = """
title = "A phone"
batch_size = 8
samples = 100
[stage]
reference_batch_size = 4
sample_ms = 1
quantize_ms = 2
train_ms = 10
train_call_ms = 3
[link]
call_ms = 6
batches_per_call = 2
bytes_per_s = 1000
bytes_per_sample = 0.5
model_bytes = 1
round_ms = 26
return_bytes = 2
"""


def parse(text: str) -> Scenario:
    return parse_scenario(text.encode(), "mine.toml")


def test_a_scenario_becomes_the_milliseconds_of_its_batch_size_and_clocks() -> None:
    scenario = parse(PLAIN)
    pipeline = pipeline_of(scenario)
    assert scenario.round_batches == 13  # 100 / 8, whole
    assert pipeline.sample_ms == 2
    assert pipeline.quantize_ms == 4
    assert pipeline.train_ms == 23
    assert pipeline.transfer_ms == pytest.approx(6 / 2 + (0.5 * 8 + 1) / 1000 * 1e3 + 26 / 13)
    assert pipeline.return_ms == pytest.approx(2)
    faster = pipeline_of(with_settings(scenario, {"clock.dsp": 2, "clock.cpu": 4}))
    assert (faster.sample_ms, faster.quantize_ms, faster.train_ms) == (0.5, 1, 11.5)
    assert faster.transfer_ms == pipeline.transfer_ms


def test_quantizing_on_the_dsp_takes_the_dsps_time_and_clock() -> None:
    scenario = with_settings(parse(PLAIN), {"stage.quantize_dsp_ms": 30, "clock.dsp": 2, "quantize_on": "dsp"})
    assert pipeline_of(scenario).quantize_ms == 30


@pytest.mark.parametrize(
    ("rule", "batches", "counted"), [("ceil", 13, 13.0), ("floor", 12, 12.0), ("fractional", 13, 12.5)]
)
def test_batches_of_a_round(rule: str, batches: int, counted: float) -> None:
    scenario = with_settings(parse(PLAIN), {"batches_per_round": rule})
    assert (scenario.round_batches, scenario.counted_batches) == (batches, counted)
    twice = with_settings(scenario, {"epochs": 2})
    assert (twice.round_batches, twice.counted_batches) == (2 * batches, 2 * counted)


def test_every_parameter_is_written_and_read_back() -> None:
    scenario = parse(PLAIN)
    again = parse(to_toml(scenario))
    assert replace(again, origins=()) == replace(scenario, origins=())
    names = [name for name, _, _ in parameters(scenario)]
    assert len(names) == len(set(names)) > 60
    for name in names:
        assert name.rpartition(".")[2] in to_toml(scenario)


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "stage.train_ms": st.floats(0.001, 1e6),
        "link.call_ms": st.floats(0, 1e6),
        "device_slots": st.integers(1, 1000),
        "cpu_threads": st.sampled_from([1, 2]),
        "link.holds": st.sampled_from(["nothing", "cpu", "dsp"]),
        "power.base_w": st.floats(0, 100),
        "throttle.ambient_c": st.floats(-20, 40),
        "title": st.text(max_size=40),
        "cohort.phones_train_ms": st.lists(st.floats(0, 1000), max_size=4),
    },
)


@given(CHANGES)
def test_any_scenario_is_written_and_read_back(changes: dict[str, object]) -> None:
    scenario = with_settings(parse(PLAIN), changes | {"cohort.clients": 9})
    assert replace(parse(to_toml(scenario)), origins=()) == replace(scenario, origins=())


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"device_slots": "0"}, "device_slots must be from 1 to 1e+06 (got 0)"),
        ({"stage.train_ms": "-1"}, "stage.train_ms must be from 0 to 1e+09 ms (got -1)"),
        ({"stage.train_ms": "nan"}, "stage.train_ms must be from 0 to 1e+09 ms (got nan)"),
        ({"stage.train_ms": "fast"}, "stage.train_ms must be a number ms (got fast)"),
        ({"link.cal_ms": "1"}, "link.cal_ms is no parameter of a scenario; nearest: link.call_ms"),
        ({"call_ms": "1"}, "call_ms is no parameter of a scenario; nearest: link.call_ms"),
        ({"link.holds": "gpu"}, "link.holds must be one of nothing, cpu, dsp (got gpu)"),
        ({"cpu_threads": "3"}, "cpu_threads must be one of 1, 2 (got 3)"),
        ({"cpu_threads": "true"}, "cpu_threads must be one of 1, 2 (got True)"),
        ({"device_slots": "1.5"}, "device_slots must be a whole number (got 1.5)"),
        ({"link.bytes_per_s": "none"}, "link.bytes_per_sample, link.model_bytes, link.return_bytes needs a rate"),
        ({"noise.cv": "0.3"}, "noise.cv contradicts noise.kind = constant"),
        ({"noise.kind": "empirical"}, "noise.kind = empirical needs noise.rows"),
        ({"noise.kind": "empirical", "noise.rows": "[[1, 2]]"}, "noise.rows must hold 4 factors each"),
        ({"noise.kind": "empirical", "noise.rows": "[[1, 1, 1, 0]]"}, "noise.rows has a stage whose factors are all 0"),
        ({"throttle.kind": "curve", "throttle.curve": "[[0, 2]]"}, "speed from 0.001 to 1; clock.dsp is faster"),
        ({"throttle.speed": "0.5"}, "throttle.speed has no effect without throttle.kind = thermal"),
        ({"failure.stage": "return", "failure.probability": "0.1", "link.return_bytes": "0"}, "takes no time here"),
        ({"cohort.phones_train_ms": "[1, 2]"}, "cohort.phones_train_ms names 2 phones, cohort.clients is 1"),
        ({"staging_slots": "3"}, "staging_slots matters between two threads"),
        ({"quantize_on": "dsp"}, "quantize_on = dsp needs stage.quantize_dsp_ms"),
        ({"throttle.kind": "curve"}, "throttle.curve and throttle.kind = curve need each other"),
        ({"throttle.kind": "curve", "throttle.curve": "[[2, 1], [1, 1]]"}, "throttle.curve must be pairs of time in s"),
        ({"throttle.kind": "thermal"}, "needs power.base_w and power.dsp_active_w"),
        ({"foreground.every_ms": "5"}, "foreground.every_ms and foreground.for_ms need each other"),
        (
            {"foreground.every_ms": "5", "foreground.for_ms": "5"},
            "foreground.for_ms must be at least 1 ms below foreground.every_ms",
        ),
        ({"power.dsp_idle_w": "2", "power.dsp_active_w": "1"}, "power.dsp_active_w must not be below power.dsp_idle_w"),
        ({"power.energy_counts": '["train", "radio"]'}, "power.energy_counts holds radio; give power.radio_w"),
        ({"power.energy_counts": "[]"}, "power.energy_counts must hold train"),
        ({"power.base_w": "3", "power.mean_w": "2"}, "power.base_w must not be above power.mean_w"),
        ({"clock.dsp_voltage": "1.1"}, "clock.dsp_voltage has no effect without power.dsp_active_w"),
        ({"cohort.network_cv": "0.1"}, "cohort.network = constant contradicts cohort.network_cv"),
        ({"cohort.round_end": "deadline"}, "cohort.deadline_s and cohort.round_end = deadline need each other"),
        ({"cohort.fraction": "0.5"}, "cohort.fraction needs cohort.round_end = fraction"),
        (
            {"cohort.interrupted_by_unavailability": "suspend"},
            "must be none (got suspend); it is: absence needs traces",
        ),
        ({"samples": "1e9"}, "a round must have 1 to 1,000,000 batches"),
        ({"batches_per_round": "floor", "samples": "4"}, "a round must have 1 to 1,000,000 batches (got 0"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(settings_: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        with_settings(parse(PLAIN), settings_)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batch_size = ", "mine.toml: is not TOML"),
        ("[stages]\ntrain_ms = 1", "[stages] is no table of a scenario"),
        ("batch_sise = 4", "batch_sise is no parameter of a scenario; nearest: batch_size"),
        ("stage = 4", "stage is no parameter"),
        ("[stage.train]\nms = 4", "stage.train is no parameter of a scenario"),
        ("a = " + "[" * 5000 + "]" * 5000, "is not TOML"),
        ("stage.train_ms." + "a." * 3000 + "a = 1", "nested too deeply"),
        ("stage.train_ms.a.a.a = 1", "stage.train_ms must be a number"),
        ("batch_size = " + "9" * 5000, "mine.toml: "),
        ("\n".join(f"key{n} = 1" for n in range(600)), "has 600 settings, at most 500 are read"),
        ("title = 5", "title must be text of at most 500 characters (got 5)"),
        ("batch_size = 4", "all stage times are 0"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"mine\.toml: ") as caught:
        parse(text)
    assert said in str(caught.value)


def test_every_fault_of_a_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"mine\.toml") as caught:
        parse("batch_sise = 4\n[stage]\ntrain_ms = -1\nsample_ms = 'x'\n")
    assert len(str(caught.value).splitlines()) == 3


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_a_scenario_or_a_value_error(raw: bytes) -> None:
    try:
        parse_scenario(raw, "fuzz.toml")
    except ValueError as error:
        assert "fuzz.toml" in str(error)


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


@given(st.sampled_from([name for name, _, _ in parameters(Scenario())]), _VALUES)
def test_any_value_is_taken_or_refused_by_name(name: str, value: object) -> None:
    try:
        with_settings(parse(PLAIN), {name: value})
    except ValueError as error:
        assert name.split(".")[0] in str(error) or "round must have" in str(error) or "slots" in str(error)


def test_stage_times_of_a_file_hold_at_its_batch_size_unless_it_says_otherwise() -> None:
    scenario = parse("batch_size = 16\nsamples = 600\n[stage]\ntrain_ms = 60")
    assert pipeline_of(scenario).train_ms == 60
    assert pipeline_of(with_settings(scenario, {"batch_size": 32})).train_ms == 120


def test_control_characters_in_a_title_are_replaced() -> None:
    assert parse(PLAIN.replace("A phone", r"A\u001b[31m phone")).title == "A?[31m phone"


def test_a_file_that_cannot_be_read_is_said(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"nowhere.toml: cannot be read: No such file or directory"):
        read_scenario(tmp_path / "nowhere.toml")
    with pytest.raises(ValueError, match="must be a regular file"):
        read_scenario(tmp_path)
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * (5 * 2**20))
    with pytest.raises(ValueError, match="is 5,242,880 bytes, at most 4,194,304 are read"):
        read_scenario(big)


def test_the_values_are_those_of_the_dataclasses() -> None:
    plain = Scenario(stage=StageTimes(train_ms=5.0), link=Link(call_ms=1.0))
    assert pipeline_of(plain).sequential_ms == 6.0


def test_the_reference_page_lists_every_parameter_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "scenario.md").read_text()
    for name, _, about in parameters(Scenario()):
        assert f"| `{name}` | {about['about']} | {about['unit']} |" in page, name
    assert page.count("\n| `") == len(list(parameters(Scenario())))
