"""The emulated phone's training program: it does not train, it waits and draws stated power, and says so in JSON lines.

Runs on its own, without the rest of fedjoule: a program of the phone. Its numbers stand in demo_trainer.toml.
"""

import argparse
import json
import os
import random
import sys
import time
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path

STAGES = ("sample", "quantize", "transfer", "train")
_SLOTS = 2  # batches that may wait on the device while one is trained
_FLUSH_NS = 200_000_000  # of the phone's time: lines come in bunches, as from a program that does not flush each one


def read_clock(root: Path) -> "tuple[float, int, int, int]":
    """Return the phone's clock: speed, our start, its start, and what BOOTTIME is ahead of MONOTONIC."""
    clock = json.loads((root / "run/clock").read_text())
    return clock["speed"], clock["real_start_ns"], clock["phone_start_ns"], clock["suspended_ns"]


def monotonic_ns(root: Path) -> int:
    """Return the phone's CLOCK_MONOTONIC."""
    speed, real_start_ns, phone_start_ns, _ = read_clock(root)
    return phone_start_ns + int((time.monotonic_ns() - real_start_ns) * speed)


def boottime_ns(root: Path, at_ns: int) -> int:
    """Return the phone's CLOCK_BOOTTIME at a time of its CLOCK_MONOTONIC."""
    return at_ns + read_clock(root)[3]


def wait_until(root: Path, until_ns: int) -> None:
    """Wait for a time of the phone's CLOCK_MONOTONIC."""
    left_ns = until_ns - monotonic_ns(root)
    if left_ns > 0:
        time.sleep(left_ns / 1e9 / read_clock(root)[0])


def stage_means_ms(numbers: "dict[str, object]", options: argparse.Namespace) -> "dict[str, float]":
    """Return the mean milliseconds of each stage of a batch: per call and per sample; 0 for a stage there is not."""
    times = numbers["time_ms"][options.model]  # type: ignore[index]
    means = dict.fromkeys(STAGES, 0.0)
    for stage in STAGES:
        if options.stage not in ("total", stage) or (stage == "quantize" and options.precision == "fp32"):
            continue
        if stage == "transfer" and options.processor == "cpu":
            continue
        call_ms, sample_ms = (
            times[stage] if stage != "train" else times[stage][f"{options.processor}-{options.precision}"]
        )
        means[stage] = call_ms + sample_ms * options.batch_size
    if options.stage == "empty":
        means["train"] = times["transfer"][0] + times["train"][f"{options.processor}-{options.precision}"][0]
    return means


def period_ms(means_ms: "dict[str, float]", *, overlap: bool) -> float:
    """Return the mean time between batches: the sum of the stages, or the largest of CPU, link and device."""
    on_cpu_ms = means_ms["sample"] + means_ms["quantize"]
    if overlap:
        return max(on_cpu_ms, means_ms["transfer"], means_ms["train"])
    return on_cpu_ms + means_ms["transfer"] + means_ms["train"]


def draw_w(numbers: "dict[str, object]", options: argparse.Namespace, means_ms: "dict[str, float]") -> float:
    """Return the mean power a batch draws: what its stages draw while they last, over its period."""
    power_w = numbers["power_w"]
    if options.stage == "empty":
        return float(power_w["empty"])  # type: ignore[index]
    energy = sum(
        time_ms * (power_w[stage] if stage != "train" else power_w[stage][options.processor])  # type: ignore[index]
        for stage, time_ms in means_ms.items()
    )
    return energy / period_ms(means_ms, overlap=overlaps(options))


def overlaps(options: argparse.Namespace) -> bool:
    """Return whether the CPU prepares the next batch while the DSP trains one."""
    return (options.overlap, options.processor, options.stage) == ("on", "dsp", "total")


def batches(
    options: argparse.Namespace, numbers: "dict[str, object]", means_ms: "dict[str, float]", start_ns: int
) -> "Iterator[tuple[int, int, dict[str, int]]]":
    """Yield start, end and the parts of batch after batch, as the pipeline's resources become free."""
    jitter = random.Random(f"{vars(options)}")
    spread, first = numbers["jitter"], numbers["first_batch"]
    cpu_ns = link_ns = device_ns = start_ns
    sent_ns = start_ns
    trained = [start_ns] * _SLOTS
    factor = first
    while True:
        part = {
            stage: int(mean_ms * 1e6 * factor * max(0.2, jitter.gauss(1, spread)))  # type: ignore[operator,arg-type]
            for stage, mean_ms in means_ms.items()
        }
        factor = 1.0
        begin_ns = max(cpu_ns, sent_ns) if overlaps(options) else device_ns
        cpu_ns = begin_ns + part["sample"] + part["quantize"]
        sent_ns = max(cpu_ns, link_ns, trained[0])
        link_ns = sent_ns + part["transfer"]
        device_ns = max(link_ns, device_ns) + part["train"]
        trained = [*trained[1:], device_ns]
        yield begin_ns, device_ns, part


class Lines:
    """JSON lines that are printed in bunches, each once its time has come."""

    def __init__(self) -> None:
        self._kept: list[str] = []

    def say(self, **line: object) -> None:
        """Keep one line for the next flush."""
        self._kept.append(json.dumps(line, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Print what was kept."""
        sys.stdout.write("".join(self._kept))
        sys.stdout.flush()
        self._kept.clear()


class Draw:
    """What this process draws, for the battery: a file of phone times and watts, renewed as a whole at each change."""

    def __init__(self, root: Path) -> None:
        self._path = root / "run/load" / str(os.getpid())
        self._lines = ""

    def change(self, boottime: int, power_w: float) -> None:
        """Draw ``power_w`` from a time of CLOCK_BOOTTIME on."""
        self._lines += f"{boottime / 1e9:.6f} {power_w:.6f}\n"
        aside = self._path.with_name(f".{self._path.name}")
        aside.write_text(self._lines)
        os.replace(aside, self._path)


def train(options: argparse.Namespace, root: Path) -> None:
    """Wait through warm-up and run, and print what happened."""
    numbers = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    means_ms = stage_means_ms(numbers, options)
    power_w = draw_w(numbers, options, means_ms)
    lines, draw, now_ns = Lines(), Draw(root), monotonic_ns(root)
    what = {"model": options.model, "precision": options.precision, "processor": options.processor}
    lines.say(
        kind="hello", version=1, program="demo_trainer", **what, batch_size=options.batch_size,
        boottime_ns=boottime_ns(root, now_ns), monotonic_ns=now_ns,
    )  # fmt: skip
    draw.change(boottime_ns(root, now_ns), power_w)
    phase, flushed_ns, run_ns, number, end_ns = "", now_ns, now_ns, 0, now_ns
    for begin_ns, batch_end_ns, part in batches(options, numbers, means_ms, now_ns):
        ran = number - options.warmup
        over = ran >= options.batches if options.batches else ran > 0 and end_ns - run_ns >= options.seconds * 1e9
        if over:
            break
        name = "warmup" if number < options.warmup else "run"
        if name != phase:
            phase, run_ns = name, end_ns
            lines.say(kind="phase", name=name, boottime_ns=boottime_ns(root, end_ns))
        if batch_end_ns - flushed_ns > _FLUSH_NS:
            wait_until(root, end_ns)
            lines.flush()
            flushed_ns = end_ns
        lines.say(kind="batch", i=number, t0_ns=begin_ns, t1_ns=batch_end_ns, parts_ns=part)
        number, end_ns = number + 1, batch_end_ns
    wait_until(root, end_ns)
    draw.change(boottime_ns(root, end_ns), 0.0)
    checksum = f"{zlib.crc32(repr((what, number)).encode()):08x}"
    lines.say(
        kind="end", rc=0, batches=number, checksum=checksum,
        boottime_ns=boottime_ns(root, end_ns), monotonic_ns=end_ns,
    )  # fmt: skip
    lines.flush()


def parse(words: "list[str]") -> argparse.Namespace:
    """Return the options of a command line; one that makes no sense ends the program with a line on standard error."""
    parser = argparse.ArgumentParser(prog="demo_trainer", description="Waits and draws power like a training program.")
    parser.add_argument("--model", choices=("lenet5", "vgg16"), required=True)
    parser.add_argument("--precision", choices=("fp32", "int8"), required=True)
    parser.add_argument("--processor", choices=("cpu", "dsp"), required=True)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--overlap", choices=("on", "off"), default="off")
    parser.add_argument("--stage", choices=("total", *STAGES, "empty"), default="total")
    options = parser.parse_args(words)
    if options.processor == "dsp" and options.precision == "fp32":
        parser.error("--processor dsp trains int8 only")
    if not 1 <= options.batch_size <= 10_000 or not 0 <= options.warmup <= 1_000_000:
        parser.error("--batch-size must be 1 to 10,000, --warmup 0 to 1,000,000")
    if not (0 < options.batches <= 10_000_000 or (options.batches == 0 and 0 < options.seconds <= 1_000_000)):
        parser.error("give --batches (1 or more) or --seconds (above 0)")
    if not any(stage_means_ms({"time_ms": _shape(options)}, options).values()):
        parser.error(f"there is no stage {options.stage} with --processor {options.processor} and {options.precision}")
    return options


def _shape(options: argparse.Namespace) -> "dict[str, object]":
    """A model whose every stage takes a millisecond: tells which stages there are."""
    train_ms = {f"{options.processor}-{options.precision}": [1, 0]}
    return {options.model: {**{stage: [1, 0] for stage in STAGES}, "train": train_ms}}


def main() -> None:
    """Run as a program of the phone whose folder FEDJOULE_ROOT names."""
    train(parse(sys.argv[1:]), Path(os.environ["FEDJOULE_ROOT"]))


if __name__ == "__main__":
    main()
