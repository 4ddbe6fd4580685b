"""A workload: something that runs on a device in its own folder and tells how long its batches took.

A workload file is code that you run on your phone: its command may do whatever the shell user of the phone may do.
"""

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from profiler.columns import PRECISIONS, PROCESSORS, WHOLE
from profiler.columns import STAGES as TABLE_STAGES
from profiler.names import did_you_mean, fold, has_control_characters, printable
from profiler.transport.paths import checked_path
from profiler.workload import template
from profiler.workload.pattern_groups import group_problem, pattern_problem

READERS = (
    "json_lines",
    "tflite",
    "mnn_benchmark",
    "mnn_train",
    "mandheling_train",
    "executorch",
    "qnn",
    "snpe",
    "regex",
    "json_keys",
)
STAGES = tuple(stage for stage in TABLE_STAGES if stage != "idle")
OVERLAPS = ("on", "off")
# Outputs of a network for a data set, by its folded name.
CLASSES: Mapping[str, int] = {"femnist": 62, "cifar10": 10, "cifar100": 100, "mnist": 10}
OUTPUT_NAME = "out.txt"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_FILES = 100
_LONGEST_COMMAND = 8_000
_LONGEST_TEXT = 200
_LONGEST_NOTES = 4_000
_NUMBERS = {"warmup": (0, 10**6), "threads": (1, 1024), "batches_per_call": (1, 10**9), "batches_per_line": (1, 10**6)}


class WorkloadError(ValueError):
    """A workload was refused; ``problems`` holds (field, rule) of everything wrong with it."""

    def __init__(self, name: str, problems: tuple[tuple[str, str], ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"workload '{printable(name)}', {key}: {rule}" for key, rule in problems))


@dataclass(frozen=True)
class DeviceFile:
    """A local file that a workload needs on the device, under ``name`` inside its folder (``models/a.mnn``)."""

    path: Path
    name: str
    executable: bool = False
    sha256: str | None = None


@dataclass(frozen=True)
class Workload:
    """What runs on the device, what it is a measurement of, and how its output is read. Raises WorkloadError.

    ``warmup`` batches come before the measured ones: the program does them if its command has ``{warmup}``, else the
    first ones it prints are left out. ``accept_partial`` allows an accelerator that takes only a part of the graph.
    """

    name: str
    reader: str
    command: str
    precision: str
    processor: str
    model: str = ""
    dataset: str = ""
    batch_size: int | None = None
    stage: str = "total"
    overlap: str | None = None
    empty_call: bool = False
    files: tuple[DeviceFile, ...] = ()
    result_files: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    shell: bool = False
    warmup: int = 0
    threads: int | None = None
    batches_per_call: int | None = None
    batches_per_line: int = 1
    pattern: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    accept_partial: bool = False
    engine: str = ""
    notes: str = ""

    def __post_init__(self) -> None:
        problems = tuple(_problems(self))
        if problems:
            raise WorkloadError(self.name, problems)

    @property
    def placeholders(self) -> frozenset[str]:
        """The placeholders of the command and the environment: ``batches`` and ``seconds`` say what sets its length."""
        texts = (self.command, *self.environment.values())
        return frozenset().union(*(template.placeholders(text) for text in texts))

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that must exist in the run folder before the files are pushed, outer ones first."""
        parents = {str(parent) for entry in self.files for parent in Path(entry.name).parents if str(parent) != "."}
        return tuple(sorted(parents))


def command_line(workload: Workload, values: Mapping[str, str | int | float]) -> str:
    """Return the command with its placeholders replaced, as one simple command for a device's shell.

    ``values`` has what only the caller knows (``dir``, ``batches``, ``seconds``) and may replace what the workload
    says. The line may be prefixed (``taskset f0``) and redirected. No value can become more than one argument.
    Raises ValueError for an unknown name, a missing value, or one that cannot stand where it is used.
    """
    unknown = sorted(values.keys() - set(template.PLACEHOLDERS))
    if unknown:
        message = (
            f"value '{printable(unknown[0])}' is no placeholder; {did_you_mean(unknown[0], template.PLACEHOLDERS)}"
        )
        raise ValueError(message)
    texts = _own_values(workload) | {name: _text(name, value) for name, value in values.items()}
    if "dir" in texts:
        checked_path(texts["dir"])
    make = template.scripted if workload.shell else template.quoted
    line = make(workload.command, texts)
    pairs = [shlex.quote(f"{name}={template.fill(text, texts)}") for name, text in workload.environment.items()]
    return " ".join(["env", *pairs, line]) if pairs else line


def _own_values(workload: Workload) -> dict[str, str]:
    own = {
        "model": workload.model,
        "dataset": workload.dataset,
        "classes": str(CLASSES.get(fold(workload.dataset), 0)),
        "precision": workload.precision,
        "processor": workload.processor,
        "stage": workload.stage,
        "overlap": workload.overlap or "off",  # what does not say so does not overlap
        "warmup": str(workload.warmup),
    }
    if workload.batch_size is not None:
        own["batch_size"] = str(workload.batch_size)
    if workload.threads is not None:
        own["threads"] = str(workload.threads)
    return own


def _text(name: str, value: str | int | float) -> str:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        message = f"{name} must be text or a finite number (got {value!r})"
        raise ValueError(message)
    text = format(value, ".15g") if isinstance(value, float) else str(value)
    if "\0" in text:
        message = f"{name} must not hold a zero byte (got {printable(text)!r})"
        raise ValueError(message)
    return text


def _problems(workload: Workload) -> Iterator[tuple[str, str]]:
    """Yield (field, rule) of everything wrong."""
    if not _NAME.fullmatch(workload.name):
        yield "name", f"must be letters, digits and . _ - (got '{printable(workload.name)}')"
    for key, choices in (
        ("reader", READERS),
        ("precision", PRECISIONS),
        ("processor", PROCESSORS),
        ("stage", STAGES),
        ("overlap", (*OVERLAPS, None)),
    ):
        value = getattr(workload, key)
        if value not in choices:
            known = ", ".join(choice for choice in choices if choice is not None)
            yield key, f"must be one of {known} (got '{printable(value)}')"
    for key, most in (("model", _LONGEST_TEXT), ("dataset", _LONGEST_TEXT), ("engine", _LONGEST_TEXT)):
        text = getattr(workload, key)
        if len(text) > most or has_control_characters(text):
            yield key, f"must be at most {most} characters without control characters (got '{printable(text)}')"
    if len(workload.notes) > _LONGEST_NOTES or has_control_characters(workload.notes.replace("\n", " ")):
        yield "notes", f"must be at most {_LONGEST_NOTES} characters without control characters"
    yield from _measure_problems(workload)
    yield from _command_problems(workload)
    yield from _file_problems(workload)


def _measure_problems(workload: Workload) -> Iterator[tuple[str, str]]:
    trains = workload.stage in {"train", "total", "infer"}
    if trains and not workload.model.strip():
        yield "model", f"is needed for the stage {workload.stage}"
    if trains and workload.batch_size is None:
        yield "batch_size", f"is needed for the stage {workload.stage}"
    if workload.batch_size is not None and not 1 <= workload.batch_size <= WHOLE["batch_size"]:
        yield "batch_size", f"must be from 1 to {WHOLE['batch_size']:,} (got {workload.batch_size})"
    for key, (least, most) in _NUMBERS.items():
        value = getattr(workload, key)
        if value is not None and not least <= value <= most:
            yield key, f"must be from {least} to {most:,} (got {value})"
    if workload.overlap == "on" and workload.stage != "total":
        yield (
            "overlap",
            f"'on' is for the stage total (got {printable(workload.stage)}): a stage alone overlaps nothing",
        )
    if workload.empty_call and workload.stage != "transfer":
        yield "empty_call", f"is for the stage transfer (got {printable(workload.stage)}): it is the time of one call"
    if (workload.reader == "regex") != (workload.pattern is not None):
        yield "pattern", "is needed for the reader regex, and only for it"
    elif workload.pattern is not None and (problem := pattern_problem(workload.pattern)):
        yield "pattern", problem
    if (workload.reader == "json_keys") != bool(workload.keys):
        yield "keys", "is needed for the reader json_keys, and only for it"
    elif workload.keys and (problem := group_problem(workload.keys)):
        yield "keys", problem


def _command_problems(workload: Workload) -> Iterator[tuple[str, str]]:
    command = workload.command
    allowed = command.replace("\n", " ").replace("\t", " ")
    if not command.strip() or len(command) > _LONGEST_COMMAND or has_control_characters(allowed):
        yield "command", f"must be 1 to {_LONGEST_COMMAND:,} characters without control characters"
        return
    try:
        used = template.placeholders(command)
        if not workload.shell:
            template.words(command)
    except ValueError as error:
        yield "command", str(error)
        return
    for name, value in (("threads", workload.threads), ("batch_size", workload.batch_size)):
        if name in used and value is None:
            yield name, f"is needed: {{{name}}} stands in the command"
    if workload.batches_per_call is not None and used & {"batches", "seconds"}:
        yield "batches_per_call", "is for a command whose length is fixed; leave it out, or {batches} and {seconds}"
    for name, text in workload.environment.items():
        if not _VARIABLE.fullmatch(name):
            yield "environment", f"'{printable(name)}' is no name of a variable; use letters, digits and _"
        if len(text) > _LONGEST_COMMAND or has_control_characters(text):
            yield "environment", f"{printable(name)} must be at most {_LONGEST_COMMAND:,} plain characters"
        try:
            template.placeholders(text)
        except ValueError as error:
            yield "environment", f"{printable(name)} {error}"


def _file_problems(workload: Workload) -> Iterator[tuple[str, str]]:
    for key, names in (("files", [entry.name for entry in workload.files]), ("result_files", workload.result_files)):
        if len(names) > _MOST_FILES:
            yield key, f"has {len(names)} files, at most {_MOST_FILES}"
        for name in names:
            try:
                checked_path(f"/{name}")
            except ValueError:
                rule = "must be a relative path of letters, digits and . _ + @ : , = -"
                yield key, f"name '{printable(name)}' {rule}, without '..'"
            if name == OUTPUT_NAME or name.startswith(f"{OUTPUT_NAME}/"):
                yield key, f"name '{OUTPUT_NAME}' is where the output goes; choose another"
        for name in sorted({name for name in names if list(names).count(name) > 1}):
            yield key, f"name '{printable(name)}' stands twice; keep one"
    for entry in workload.files:
        if entry.sha256 is not None and not _SHA256.fullmatch(entry.sha256):
            yield "files", f"sha256 of '{printable(entry.name)}' must be 64 small hexadecimal digits"
