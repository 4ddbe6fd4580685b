"""The demo trainer keeps its contract, its pipeline's law, and draws what it says for as long as it runs."""

import itertools
import json
import subprocess
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.emulator import demo_trainer
from profiler.emulator.battery import Battery
from profiler.emulator.gauge import Gauge
from profiler.emulator.phone import Phone

Becomes = Callable[[Callable[[], bool]], bool]
SPEED = 50.0


@pytest.fixture(scope="module")
def powered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Phone, Battery]]:
    with Phone(tmp_path_factory.mktemp("phone"), speed=SPEED) as phone, Battery(phone, Gauge(period_s=1.0)) as battery:
        yield phone, battery


def run(phone: Phone, *words: object) -> list[dict[str, Any]]:
    line = ["demo_trainer", *map(str, words)]
    done = subprocess.run(line, env=phone.environment(), capture_output=True, check=True, timeout=30)
    return [json.loads(line) for line in done.stdout.splitlines()]


DSP = ("--model", "lenet5", "--precision", "int8", "--processor", "dsp", "--batch-size", 8)


def test_the_lines_are_those_of_the_contract(powered: tuple[Phone, Battery]) -> None:
    hello, warmup, *batches, end = run(powered[0], *DSP, "--warmup", 2, "--batches", 5)
    assert list(hello) == [
        "kind", "version", "program", "model", "precision", "processor", "batch_size", "boottime_ns", "monotonic_ns",
    ]  # fmt: skip
    assert (hello["version"], hello["program"], hello["batch_size"]) == (1, "demo_trainer", 8)
    assert (warmup["kind"], warmup["name"]) == ("phase", "warmup")
    assert [line["kind"] for line in batches] == ["batch"] * 2 + ["phase"] + ["batch"] * 5
    assert list(batches[0]) == ["kind", "i", "t0_ns", "t1_ns", "parts_ns"]
    assert list(batches[0]["parts_ns"]) == ["sample", "quantize", "transfer", "train"]
    assert [line["i"] for line in batches if "i" in line] == list(range(7))
    assert list(end) == ["kind", "rc", "batches", "checksum", "boottime_ns", "monotonic_ns"]
    assert (end["rc"], end["batches"], end["monotonic_ns"]) == (0, 7, batches[-1]["t1_ns"])


def test_batches_follow_each_other_without_overlap_and_their_parts_fill_them(powered: tuple[Phone, Battery]) -> None:
    batches = [line for line in run(powered[0], *DSP, "--seconds", 5) if line["kind"] == "batch"]
    for before, now in itertools.pairwise(batches):
        assert now["t0_ns"] == before["t1_ns"]
    assert all(line["t1_ns"] - line["t0_ns"] == sum(line["parts_ns"].values()) for line in batches)
    assert batches[-1]["t1_ns"] - batches[0]["t0_ns"] == pytest.approx(5e9, rel=0.01)


def test_time_passes_as_printed_and_the_same_options_take_the_same_time(powered: tuple[Phone, Battery]) -> None:
    phone = powered[0]
    before_s = phone.clock.boottime_s()
    first = run(phone, *DSP, "--seconds", 20)
    after_s = phone.clock.boottime_s()
    assert before_s < first[0]["boottime_ns"] / 1e9 < first[-1]["boottime_ns"] / 1e9 < after_s
    second = run(phone, *DSP, "--seconds", 20)
    assert [line.get("parts_ns") for line in first] == [line.get("parts_ns") for line in second]


@pytest.mark.parametrize("overlap", ["on", "off"])
def test_what_is_drawn_is_the_stages_share_and_ends_with_the_run(overlap: str, powered: tuple[Phone, Battery]) -> None:
    phone, battery = powered
    lines = run(phone, *DSP, "--seconds", 20, "--overlap", overlap)
    begin_s, end_s = lines[0]["boottime_ns"] / 1e9, lines[-1]["boottime_ns"] / 1e9
    batches = [line for line in lines if line["kind"] == "batch"]
    numbers = demo_trainer.tomllib.loads(demo_trainer.Path(demo_trainer.__file__).with_suffix(".toml").read_text())
    power_w = {**numbers["power_w"], "train": numbers["power_w"]["train"]["dsp"]}
    stages_j = sum(power_w[stage] * time_ns / 1e9 for line in batches for stage, time_ns in line["parts_ns"].items())
    net_j = battery.energy_between(begin_s, end_s) - 0.9 * (end_s - begin_s)
    assert net_j == pytest.approx(stages_j, rel=0.02)
    assert battery.energy_between(end_s, end_s + 1) == pytest.approx(0.9, rel=1e-3)
    assert battery.energy_between(begin_s - 1, begin_s) == pytest.approx(0.9, rel=1e-3)


def test_a_killed_trainer_stops_drawing(powered: tuple[Phone, Battery], becomes: Becomes) -> None:
    phone, battery = powered
    line = ["demo_trainer", *map(str, DSP), "--seconds", "100000"]
    program = subprocess.Popen(line, env=phone.environment(), stdout=subprocess.DEVNULL)
    assert becomes(lambda: battery.power_at(phone.clock.boottime_s()) > 1.5)
    program.kill()
    program.wait()
    assert becomes(lambda: battery.power_at(phone.clock.boottime_s()) == pytest.approx(0.9))


options = st.builds(
    Namespace,
    model=st.sampled_from(["lenet5", "vgg16"]),
    precision=st.just("int8"),
    processor=st.sampled_from(["cpu", "dsp"]),
    batch_size=st.integers(1, 200),
    stage=st.sampled_from(["total", "sample", "quantize", "train", "empty"]),
    overlap=st.sampled_from(["on", "off"]),
)
NUMBERS = demo_trainer.tomllib.loads(demo_trainer.Path(demo_trainer.__file__).with_suffix(".toml").read_text())


@given(chosen=options)
def test_the_period_is_the_largest_of_cpu_link_and_device_or_their_sum(chosen: Namespace) -> None:
    means_ms = demo_trainer.stage_means_ms(NUMBERS, chosen)
    steady = {**NUMBERS, "jitter": 0.0, "first_batch": 1.0}
    ends = [
        end_ns for (_, end_ns, _), _ in zip(demo_trainer.batches(chosen, steady, means_ms, 0), range(60), strict=False)
    ]
    cpu, link, device = means_ms["sample"] + means_ms["quantize"], means_ms["transfer"], means_ms["train"]
    law = max(cpu, link, device) if demo_trainer.overlaps(chosen) else cpu + link + device
    assert np.diff(ends[20:]).mean() / 1e6 == pytest.approx(law, rel=1e-3)
    assert demo_trainer.period_ms(means_ms, overlap=demo_trainer.overlaps(chosen)) == law
    assert 0 < demo_trainer.draw_w(NUMBERS, chosen, means_ms) < 10


@given(chosen=options)
def test_jitter_does_not_turn_time_back(chosen: Namespace) -> None:
    means_ms = demo_trainer.stage_means_ms(NUMBERS, chosen)
    begin_ns = end_ns = 0
    for (t0_ns, t1_ns, part), _ in zip(demo_trainer.batches(chosen, NUMBERS, means_ms, 0), range(30), strict=False):
        assert begin_ns <= t0_ns < t1_ns > end_ns
        assert t1_ns - t0_ns >= sum(part.values())
        begin_ns, end_ns = t0_ns, t1_ns


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--processor", "dsp", "--precision", "fp32", "--batches", "1"), "trains int8 only"),
        (("--processor", "cpu", "--precision", "fp32"), "give --batches"),
        (("--processor", "cpu", "--precision", "fp32", "--batches", "-1"), "give --batches"),
        (("--processor", "cpu", "--precision", "fp32", "--seconds", "nan"), "give --batches"),
        (("--processor", "cpu", "--precision", "fp32", "--batches", "1", "--batch-size", "0"), "batch-size must be"),
        (("--processor", "cpu", "--precision", "fp32", "--batches", "1", "--stage", "transfer"), "no stage transfer"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    words: tuple[str, ...], rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        demo_trainer.parse(["--model", "lenet5", *words])
    assert rule in capsys.readouterr().err


def test_its_numbers_say_that_they_are_invented() -> None:
    text = demo_trainer.Path(demo_trainer.__file__).with_suffix(".toml").read_text()
    assert "INVENTED" in text
    assert "of no phone" in text
