"""The runner for real: the lines it prints, the batches it does, and what it refuses."""

import itertools
import math
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.native.build import built
from profiler.native.network import Network
from profiler.native.rules import Rules
from profiler.native.target import target_named
from profiler.workload.reading import Reading, read_output
from profiler.workload.workload import Workload
from tests.profiler.runner.runner_process import (
    TINY,
    Done,
    checksum,
    drawn,
    flags,
    fnv,
    image_file,
    ran,
    refused,
    sanitized_runner,
)

pytest.importorskip("ziglang", reason="needs ziglang to build it: pip install 'fedjoule[profile]'")

PARTS = {"fp32": {"sample", "transfer", "train"}, "int8": {"sample", "quantize", "transfer", "train"}}


def read(done: Done, **changes: Any) -> Reading:
    values: dict[str, Any] = {"name": "run", "reader": "json_lines", "command": "./runner {warmup}", "model": TINY}
    values |= {"precision": "int8", "processor": "cpu", "batch_size": 5, "warmup": 2}
    return read_output(Workload(**values | changes), done.out, {})


def paths() -> list[str]:
    return ran(["--list-paths"]).out.decode().split()


@pytest.mark.parametrize("overlap", ["off", "on"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_run_reads_as_what_was_asked_for(precision: str, overlap: str) -> None:
    done = ran(flags(precision=precision, overlap=overlap, batches=30, warmup=2))
    reading = read(done, precision=precision, overlap=overlap)
    assert (done.rc, done.said) == (0, "")
    assert (reading.problems, reading.batches, reading.warmup_batches) == ((), 30, 2)
    assert set(reading.parts_ms) == PARTS[precision]
    assert reading.suspended_s == pytest.approx(0, abs=0.01)
    assert reading.checksum == done.end["checksum"]
    assert reading.startup_ms is not None
    assert reading.startup_ms > 0


@pytest.mark.parametrize("stage", ["sample", "quantize", "transfer", "train"])
def test_a_stage_alone_reads_as_that_part(stage: str) -> None:
    done = ran(flags(stage=stage, batches=30, warmup=2))
    reading = read(done, stage=stage)
    assert (done.rc, reading.problems, reading.batches) == (0, (), 30)
    parts = reading.parts_ms[stage]
    assert set(reading.parts_ms) == {stage}
    np.testing.assert_allclose(parts, reading.batch_ms)


def test_an_empty_call_reads_as_a_transfer_without_parts() -> None:
    done = ran(flags(stage="empty", batch_size=1, batches=30, warmup=2))
    reading = read(done, stage="transfer", empty_call=True, batch_size=1)
    assert (done.rc, reading.problems, reading.batches, dict(reading.parts_ms)) == (0, (), 30, {})
    assert reading.checksum is None


@pytest.mark.parametrize("overlap", ["off", "on"])
def test_times_lie_in_order_and_parts_lie_inside_their_batch(overlap: str) -> None:
    done = ran(flags(overlap=overlap, batches=50))
    hello, batches, end = done.of("hello")[0], done.of("batch"), done.end
    assert [batch["i"] for batch in batches] == list(range(50))
    times = [(batch["t0_ns"], batch["t1_ns"]) for batch in batches]
    assert hello["monotonic_ns"] < times[0][0]
    assert times[-1][1] < end["monotonic_ns"]
    for before, after in itertools.pairwise(times):
        assert after[0] >= (before[1] if overlap == "off" else before[0])
        assert after[1] > before[1]
    for batch in batches:
        took_ns = sum(batch["parts_ns"].values())
        assert 0 < took_ns <= batch["t1_ns"] - batch["t0_ns"]
        assert took_ns == batch["t1_ns"] - batch["t0_ns"] or overlap == "on"


def test_the_first_line_says_what_runs() -> None:
    hello = ran(flags(seed=7, threads=2, samples=9, path="scalar", mu_fc=2, rounding="update=stochastic")).of("hello")[
        0
    ]
    said = {
        "version": 1, "program": "fedjoule-runner", "model": TINY, "classes": 10, "precision": "int8",
        "processor": "cpu", "batch_size": 5, "stage": "total", "overlap": "off", "path": "scalar", "threads": 2,
        "seed": 7, "mu_conv": 3, "mu_fc": 2, "rounding": "nearest nearest stochastic pseudo-stochastic",
        "data": "generated", "samples": 9,
    }  # fmt: skip
    assert said.items() <= hello.items()
    assert hello["paths"].split() == paths()
    assert re.fullmatch(r"[0-9a-f]{32}", hello["build"])
    assert re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", hello["cpus"])
    assert ran(["--version"]).out.decode() == f"fedjoule-runner 1 build {hello['build']}\n"


def test_a_named_model_is_as_the_paper_has_it() -> None:
    for model, classes, samples in (("lenet5", 62, 226), ("vgg11", 10, 500)):
        done = ran(flags(model, stage="sample", batch_size=1, batches=1))
        assert (done.of("hello")[0]["classes"], done.of("hello")[0]["samples"]) == (classes, samples)
    done = ran(flags("vgg11", stage="sample", batch_size=1, batches=1, classes=100))
    assert done.of("hello")[0]["classes"] == 100


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_overlap_and_threads_change_no_bit_of_the_weights(precision: str) -> None:
    for path in paths():
        sums = {
            checksum(precision=precision, path=path, overlap=overlap, threads=threads, batches=20)
            for overlap in ("off", "on")
            for threads in (1, 2, 3)
        }
        assert len(sums) == 1


def test_int8_is_the_same_on_every_path() -> None:
    assert len({checksum(path=path, overlap="on", batches=20, seed=3) for path in ("best", *paths())}) == 1


EMULATED = [
    ("aarch64-linux", "aarch64", "cortex-a57"),
    ("aarch64-linux", "aarch64", "max"),
    ("armv7-android", "arm", "max"),
]


@pytest.mark.parametrize(("target", "processor", "core"), EMULATED)
def test_int8_is_the_same_on_processors_of_phones(target: str, processor: str, core: str) -> None:
    emulator = shutil.which(f"qemu-{processor}-static") or shutil.which(f"qemu-{processor}")
    if emulator is None:
        pytest.skip(f"needs qemu-{processor} on the PATH")
    program = built("runner", target_named(target))
    for changes in (
        {"overlap": "on", "rounding": "stochastic"},
        {"stage": "quantize"},
        {"precision": "fp32", "stage": "sample"},
    ):
        words = flags(**{"batches": 20, **changes})
        done = ran(["-cpu", core, program, *words], Path(emulator))
        assert (done.rc, done.end["checksum"]) == (0, ran(words).end["checksum"])


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"mu_fc": 1}, {"mu_conv": 1}, {"rounding": "stochastic"}, {"batches": 5}, {"batch_size": 4}]
)
def test_what_decides_the_weights_shows_in_their_checksum(other: dict[str, object]) -> None:
    assert checksum(batches=4) == checksum(batches=4) != checksum(**{"batches": 4, **other})


def test_the_learning_rate_decides_the_weights_of_fp32_alone() -> None:
    assert checksum(precision="fp32") != checksum(precision="fp32", learning_rate="0.02")
    assert checksum(precision="int8") == checksum(precision="int8", learning_rate="0.02")


@pytest.mark.parametrize("overlap", ["off", "on"])
def test_the_batches_of_the_warm_up_train_too_and_are_never_done_twice(overlap: str) -> None:
    assert checksum(batches=4, warmup=3, overlap=overlap) == checksum(batches=7)


@pytest.mark.parametrize("overlap", ["off", "on"])
def test_a_run_of_seconds_ends_with_the_first_batch_behind_them(overlap: str) -> None:
    done = ran(flags(batches=None, seconds="0.25", warmup=3, overlap=overlap))
    run = done.of("batch")[3:]
    begin_ns = done.of("batch")[2]["t1_ns"]  # the seconds begin between the warm-up's end and the first batch
    assert run[-1]["t1_ns"] >= begin_ns + 250_000_000
    assert run[-2]["t1_ns"] < run[0]["t0_ns"] + 250_000_000
    assert done.end["checksum"] == checksum(batches=3 + done.end["batches"])


@pytest.mark.parametrize("path", ["scalar", "best"])
@pytest.mark.parametrize(
    "model", ["28x28x1:conv6k5,pool,conv16k5,pool,fc40,fc10", "12x12x3:conv8k3p1,conv9k3,pool,fc10"]
)
def test_a_round_begins_with_the_first_weights(model: str, path: str) -> None:
    # The last batch of each run is the first of a round: what was learned before must leave no trace.
    how: dict[str, object] = {"model": model, "precision": "fp32", "path": path, "samples": 1, "learning_rate": "0.1"}
    assert checksum(**how, batches=9, round_batches=4) == checksum(**how, batches=1)
    assert checksum(**how, batches=9, round_batches=0) != checksum(**how, batches=1)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_training_learns(precision: str) -> None:
    end = ran(flags(precision=precision, batches=600, learning_rate="0.05", samples=20, round_batches=0)).end
    assert end["loss"] < end["first_loss"] / 2


def test_a_loss_that_is_not_finite_is_said() -> None:
    done = ran(flags(precision="fp32", learning_rate="1000000", batches=60))
    assert done.rc == 0
    assert ["finite" in note["what"] for note in done.of("note")] == [True]
    assert "loss" not in done.end


def batch_of(path: Path, seed: int, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return batch ``number`` of five, from a file of 37 images: standardised values, and labels."""
    content = path.read_bytes()
    body = np.frombuffer(content[content.index(b"\n") + 1 :], np.uint8)
    images, labels = body[: 37 * 64].reshape(37, 8, 8, 1), body[37 * 64 :].view("<u2").astype(np.int32)
    mean = (256 * int(images.sum()) + images.size // 2) // images.size
    squares = int(((256 * images.astype(np.int64) - mean) ** 2).sum())
    scale = np.float32(1 / (math.sqrt(squares // images.size) / 256))
    chosen = drawn(seed, number, 5, 37)
    return (images[chosen].astype(np.float32) - np.float32(mean / 256)) * scale, labels[chosen]


def mantissas_of(values: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], int]:
    """Return int8 values and their exponent: the largest magnitude fits, halves are rounded away from zero."""
    exponent = math.ceil(math.log2(np.abs(values).max())) - 7
    scaled = values.astype(np.float64) / 2.0**exponent
    return np.clip(np.sign(scaled) * np.floor(np.abs(scaled) + 0.5), -127, 127).astype(np.int8), exponent


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A file of 37 images for the tiny network."""
    return image_file(tmp_path / "images", (8, 8, 1), 37, 10)


def test_batches_are_drawn_and_standardised_as_the_reference_says(images: Path) -> None:
    done = ran(flags(precision="fp32", stage="sample", batches=3, seed=12, data=images))
    values, labels = batch_of(images, seed=12, number=2)
    assert done.end["checksum"] == fnv(labels.tobytes(), values.tobytes())
    assert done.of("hello")[0]["data_checksum"] == fnv(images.read_bytes().partition(b"\n")[2])
    assert done.of("hello")[0]["data"] == "file"
    assert abs(values.mean()) < 0.5
    assert 0.5 < values.std() < 2


@pytest.mark.parametrize("stage", ["quantize", "transfer"])
def test_a_batch_is_quantized_as_specified_and_the_link_copies_it(images: Path, stage: str) -> None:
    values, labels = batch_of(images, seed=0, number=1)
    mantissas, exponent = mantissas_of(values)
    expected = fnv(labels.tobytes(), struct.pack("=i", exponent), mantissas.tobytes())
    assert ran(flags(stage=stage, batches=2, data=images)).end["checksum"] == expected


@pytest.mark.parametrize("round_batches", [0, 1, 4])
@pytest.mark.parametrize("overlap", ["off", "on"])
@pytest.mark.parametrize("rules", [Rules(), Rules(mu_conv=2, update="stochastic", seed=5)])
def test_weights_after_a_run_are_those_of_the_library_on_the_same_batches(
    images: Path, rules: Rules, overlap: str, round_batches: int
) -> None:
    with Network(TINY, "int8", 5) as network:
        network.init(rules.seed)
        for number in range(6):
            if round_batches and number % round_batches == 0:
                network.init(rules.seed)
            values, labels = batch_of(images, rules.seed, number)
            mantissas, exponent = mantissas_of(values)
            trained = network.train_int8(mantissas, exponent, labels, rules, step=number)
        expected = f"{network.checksum():016x}"
    how = {"mu_conv": rules.mu_conv, "rounding": f"update={rules.update}", "seed": rules.seed, "overlap": overlap}
    end = ran(flags(batches=6, data=images, round_batches=round_batches, **how)).end
    assert end["checksum"] == expected
    assert end["loss"] == pytest.approx(trained.loss, rel=1e-6)


def test_short_calls_share_lines_so_that_what_lies_between_them_does_not_count() -> None:
    done = ran(flags(stage="transfer", batches=200_000))
    batches = done.of("batch")
    counts = [batch.get("count", 1) for batch in batches]
    assert counts[:1000] == [1] * 1000
    assert counts[1000] > 1
    assert [batch["i"] for batch in batches] == np.cumsum([0, *counts[:-1]]).tolist()
    assert len(batches) < 5000
    reading = read(done, stage="transfer")
    assert (reading.problems, reading.batches) == ((), 200_000)


def test_no_run_prints_more_than_can_be_read() -> None:
    done = ran(flags("1x1x1:fc1", "fp32", batch_size=1, batches=300_007))
    batches = done.of("batch")
    assert [batch.get("count", 1) for batch in batches] == [1] * 200_000 + [4] * 25_000 + [7]
    for batch in batches[-3:]:
        assert sum(batch["parts_ns"].values()) <= batch["t1_ns"] - batch["t0_ns"]
    reading = read(done, model="1x1x1:fc1", precision="fp32", batch_size=1)
    assert (reading.problems, reading.batches, set(reading.parts_ms)) == ((), 300_007, PARTS["fp32"])


def test_cores_are_taken_and_said() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    done = ran(flags(cpus=allowed[0], overlap="on", threads=2))
    assert (done.rc, done.of("hello")[0]["cpus"]) == (0, str(allowed[0]))
    assert done.end["checksum"] == checksum()
    assert "--cpus: core 1023 cannot be used: Invalid argument" in refused(ran(flags(cpus=f"{allowed[0]},1023")))


def test_help_names_every_flag() -> None:
    said = ran(["--help"]).out.decode()
    for flag in ("--model", "--batch-size", "--deadline-s", "--rounding", "--data", "--list-paths"):
        assert flag in said
    assert all(len(line) <= 120 for line in said.splitlines())
    assert ran(["--list-paths"]).out.decode().splitlines()[0] == "scalar"


BAD = [
    ({"model": None}, "--model is needed"),
    ({"model": "lenet"}, "model: "),
    ({"model": "8x8x1:conv4k9,fc10"}, "the kernel is larger than what is left"),
    ({"model": "8x8x1:fc10" + ",fc10" * 300}, "--model must be at most 1000 characters"),
    ({"classes": 11}, "classes: the model ends in 10 outputs"),
    ({"precision": None}, "--precision is needed"),
    ({"precision": "int4"}, "--precision must be fp32 or int8 (got 'int4')"),
    ({"processor": "dsp"}, "--processor must be cpu (got 'dsp')"),
    ({"batch_size": None}, "--batch-size is needed"),
    ({"batch_size": 0}, "--batch-size must be a whole number from 1 to 65536 (got '0')"),
    ({"batch_size": "5x"}, "--batch-size must be a whole number"),
    ({"batch_size": "-5"}, "--batch-size must be a whole number"),
    ({"batch_size": "99999999999999999999"}, "--batch-size must be a whole number"),
    ({"model": "4096x4096x64:fc1", "stage": "sample"}, "--batch-size must be at most 0 for images of this size"),
    ({"model": "4096x4096x4:fc1", "batch_size": 4, "stage": "sample"}, "--samples must be at most 16"),
    ({"batches": None}, "give either --batches or --seconds"),
    ({"seconds": 1}, "give either --batches or --seconds"),
    ({"batches": None, "seconds": 0}, "--seconds must be a number above 0"),
    ({"batches": None, "seconds": "nan"}, "--seconds must be a number above 0"),
    ({"batches": None, "seconds": "0x10"}, "--seconds must be a number above 0"),
    ({"batches": None, "seconds": "1e999"}, "--seconds must be a number above 0"),
    ({"overlap": "on", "stage": "sample"}, "--overlap on is for --stage total"),
    ({"precision": "fp32", "stage": "quantize"}, "--stage quantize is for --precision int8"),
    ({"stage": "idle"}, "--stage must be sample or quantize or transfer"),
    ({"threads": 0}, "--threads must be a whole number from 1 to 1024"),
    ({"cpus": "0-"}, "--cpus must be cores from 0 to 1023 as in 4,5-7 (got '0-')"),
    ({"cpus": "0,0"}, "--cpus must name each core once"),
    ({"cpus": "3-1"}, "--cpus must be cores"),
    ({"cpus": ""}, "--cpus must be cores"),
    ({"path": "sse2"}, "--path must be best, or one that --list-paths prints (got 'sse2')"),
    ({"mu_conv": 8}, "--mu-conv must be a whole number from 0 to 7"),
    ({"rounding": "up"}, "--rounding must be nearest, pseudo-stochastic or"),
    ({"rounding": "update=nearest,"}, "--rounding must be nearest, pseudo-stochastic or"),
    ({"rounding": "update=nearest,error"}, "--rounding must be nearest, pseudo-stochastic or"),
    ({"learning_rate": "-1"}, "--learning-rate must be a number above 0"),
    ({"samples": 5, "data": "x"}, "--samples is for generated images"),
    ({"data": "/nowhere/images"}, "--data: '/nowhere/images' cannot be opened: No such file or directory"),
    ({"deadline_s": 0}, "--deadline-s must be a number above 0"),
    ({"nonsense": 1}, "'--nonsense' is no option"),
    ({"seed\x1b[31m": 1}, "'--seed?[31m' is no option"),
    ({"stage": "to\ttal\n\x7f\u202e"}, "(got 'to?tal???"),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, object], words: str) -> None:
    assert words in refused(ran(flags(**changes)))


def test_a_path_of_another_machine_is_refused() -> None:
    foreign = "neon" if "avx2" in paths() else "avx2"
    if foreign in paths():
        pytest.skip("this machine can run every path that is asked for")
    assert "must be a path that this core can run" in refused(ran(flags(path=foreign)))


def test_an_option_without_its_value_is_refused() -> None:
    assert "--seed needs a value" in refused(ran([*flags(), "--seed"]))
    assert "--help takes no value" in refused(ran(["--help=me"]))
    assert ran([word for word in flags() if word != "--seed"] + ["--seed=5"]).rc == 0


NAMES = ["--model", "--classes", "--precision", "--processor", "--batch-size", "--batches", "--warmup", "--overlap"]
NAMES += ["--stage", "--threads", "--cpus", "--path", "--seed", "--learning-rate", "--mu-conv", "--mu-fc", "--samples"]
NAMES += ["--rounding", "--data", "--deadline-s", "--list-paths", "--version", "--help", "-x", "--"]
VALUES = [TINY, "4x4x2:fc3", "1x1x1:fc1", "5x7x3:conv2k3p1,fc4", "3x3x1:conv3k3,pool,fc2", "fp32", "int8", "on", "off"]
VALUES += ["sample", "quantize", "transfer", "train", "total", "empty", "0", "1", "2", "3", "-1", "1e3", "0.5", "1,0"]
VALUES += [
    "best",
    "scalar",
    "avx2",
    "vnni",
    "stochastic",
    "update=pseudo-stochastic",
    "/dev/null",
    "/",
    "65537",
    "9" * 30,
    "%s%n",
]
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)
WORDS = st.lists(st.sampled_from(NAMES) | st.sampled_from(VALUES) | st.text(max_size=6).filter(lambda s: "\0" not in s))


@settings(max_examples=100)
@given(pairs=PAIRS, more=WORDS, text=st.binary())
def test_any_arguments_run_or_are_refused(pairs: list[tuple[str, str]], more: list[str], text: bytes) -> None:
    words: list[str | bytes] = [*flags(batches=2, deadline_s=20), *(word for pair in pairs for word in pair)]
    words += [word.encode(errors="replace") for word in more[:3]]
    words += [text.replace(b"\0", b"")] if len(more) % 2 else []
    done = subprocess.run([sanitized_runner(), *words], capture_output=True, check=False, timeout=60)
    result = Done(done.returncode, done.stdout, done.stderr.decode("ascii"))
    assert result.rc in (0, 2), result
    if result.rc == 2:
        refused(result)
    else:
        assert result.said == ""
