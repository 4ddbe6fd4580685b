"""Workload files: TOML with one or several workloads, templates by name, and lists that expand to every combination."""

import hashlib
import itertools
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from profiler.names import did_you_mean, printable
from profiler.sheet import file_name, read_bytes
from profiler.workload import template
from profiler.workload.builtin import builtin
from profiler.workload.workload import DeviceFile, Workload, WorkloadError

MAX_BYTES = 256 * 2**10
MAX_WORKLOADS = 500
_MOST_COMBINATIONS = 20_000
_AXES = ("model", "precision", "processor", "batch_size", "overlap", "stage")
_KINDS: Mapping[str, type] = {
    "name": str,
    "use": str,
    "reader": str,
    "command": str,
    "shell": bool,
    "model": str,
    "dataset": str,
    "precision": str,
    "processor": str,
    "batch_size": int,
    "stage": str,
    "overlap": str,
    "empty_call": bool,
    "files": list,
    "result_files": list,
    "environment": dict,
    "warmup": int,
    "threads": int,
    "batches_per_call": int,
    "batches_per_line": int,
    "pattern": str,
    "keys": dict,
    "accept_partial": bool,
    "engine": str,
    "notes": str,
    "exclude": list,
}
_FILE_KINDS: Mapping[str, type] = {"path": str, "name": str, "executable": bool, "sha256": str}
_NEEDED = ("name", "reader", "command", "precision", "processor")
_WORDS = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "a table"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._]+")
_CHUNK_BYTES = 1 << 20


def read_workloads(path: str | Path) -> tuple[Workload, ...]:
    """Return the workloads of a TOML file; local paths in it are relative to it. Raises ValueError, a line a problem.

    Whether the local files exist is not looked at: see ``missing_files``.
    """
    return parse_workloads(read_bytes(path, MAX_BYTES, "TOML"), file_name(path), Path(path).parent)


def parse_workloads(raw: bytes, file: str, folder: Path) -> tuple[Workload, ...]:
    """Return the workloads in the TOML text ``raw``; ``file`` is for messages. Raises ValueError, a line a problem."""
    try:
        tree = tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else printable(error, 120)
        message = f"{file}: is not TOML: {reason}"
        raise ValueError(message) from error
    return workloads_of(tree, file, folder)


def workloads_of(tree: Mapping[str, Any], file: str, folder: Path) -> tuple[Workload, ...]:
    """Return the workloads in TOML that was read; ``file`` is for messages. Raises ValueError, a line a problem."""
    entries = tree.get("workload")
    problems = [f"{file}: {printable(key)} is unknown; workloads are [[workload]]" for key in tree if key != "workload"]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        problems.append(f"{file}: has no workload; begin each with [[workload]]")
        entries = []
    workloads: list[Workload] = []
    for index, entry in enumerate(entries, 1):
        place = f"{file}: workload {index}" + (f" ({printable(entry['name'])})" if "name" in entry else "")
        try:
            for workload in _expanded(entry, folder):
                workloads.append(workload)
                if len(workloads) > MAX_WORKLOADS:
                    message = f"{file}: has more than {MAX_WORKLOADS} workloads; split it, or exclude some"
                    raise ValueError(message)
        except _Problems as error:
            problems += [f"{place}, {problem}" for problem in error.problems]
    names = [workload.name for workload in workloads]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [f"{file}: name '{name}' stands for two workloads; give each its own" for name in twice]
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(workloads)


def missing_files(workloads: Sequence[Workload]) -> tuple[str, ...]:
    """Return a line for every local file that is not there, is no regular file, or is not the one of its sha256."""
    found: dict[str, None] = {}
    for workload in workloads:
        for entry in workload.files:
            shown = f"{printable(entry.path, 200)} of workload {workload.name}"
            if not entry.path.is_file():
                found[f"{shown} is not there; check files in the workload file"] = None
            elif entry.sha256 is not None and (actual := _sha256(entry.path)) != entry.sha256:
                found[f"{shown} has sha256 {actual}, not {entry.sha256}; it is another file than was meant"] = None
    return tuple(found)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class _Problems(ValueError):
    """What is wrong with one entry, each with its key."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def _expanded(entry: Mapping[str, Any], folder: Path) -> Iterator[Workload]:
    """Yield the workloads of one entry: its template, its own keys, and every combination of its lists."""
    problems = list(_shape_problems(entry, _KINDS, _AXES))
    base: Mapping[str, Any] = {}
    if isinstance(entry.get("use"), str):
        try:
            base = builtin(entry["use"])
        except ValueError as error:
            problems.append(f"use: {error}")
    tables: dict[str, dict[str, str]] = (
        {key: {**base.get(key, {}), **entry.get(key, {})} for key in ("environment", "keys") if key in {*base, *entry}}
        if not problems
        else {}
    )
    merged = {**base, **entry, **tables}
    problems += [f"{key}: is needed" for key in _NEEDED if key not in merged]
    if problems:
        raise _Problems(*problems)
    axes = {key: merged[key] for key in _AXES if isinstance(merged.get(key), list)}
    excluded = merged.get("exclude", [])
    problems += _exclude_problems(excluded, axes)
    if math.prod(map(len, axes.values())) > _MOST_COMBINATIONS:
        problems.append(f"its lists have more than {_MOST_COMBINATIONS:,} combinations; split it")
    if problems:
        raise _Problems(*problems)
    kept = 0
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values, strict=True))
        if any(all(chosen[key] == value for key, value in rule.items()) for rule in excluded):
            continue
        kept += 1
        yield _workload({**merged, **chosen}, chosen, folder)
    if not kept:
        message = "exclude: leaves nothing; take a combination out of it"
        raise _Problems(message)


def _shape_problems(
    table: Mapping[str, Any], kinds: Mapping[str, type], axes: Sequence[str] = (), inside: str = ""
) -> Iterator[str]:
    """Yield what is wrong with the keys and types of a table, before anything is made of it."""
    for key, value in table.items():
        if key not in kinds:
            yield f"{inside}{printable(key)}: is unknown; {did_you_mean(key, kinds)}"
            continue
        kind = kinds[key]
        values = value if key in axes and isinstance(value, list) else [value]
        if not values:
            yield f"{inside}{key}: the list is empty; give a value, or several"
        for one in values:
            if type(one) is not kind:
                yield f"{inside}{key}: must be {_WORDS[kind]} (got {printable(one, 40)!r})"
        if any(values.count(one) > 1 for one in values):
            yield f"{inside}{key}: a value stands twice in the list; keep one"
        if key in {"environment", "keys"} and isinstance(value, dict):
            yield from (
                f"{key}: {printable(name)} must be text" for name, text in value.items() if type(text) is not str
            )
        if key in {"files", "exclude"} and isinstance(value, list):
            for index, one in enumerate(value, 1):
                if not isinstance(one, dict):
                    yield f"{key} {index}: must be a table (got {printable(one, 40)!r})"
                elif key == "files":
                    yield from _shape_problems(one, _FILE_KINDS, inside=f"files {index}, ")
                    yield from (f"files {index}, {name}: is needed" for name in ("path", "name") if name not in one)
        if key == "result_files" and isinstance(value, list) and not all(type(one) is str for one in value):
            yield "result_files: must be a list of text"


def _exclude_problems(excluded: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    for index, rule in enumerate(excluded, 1):
        if not rule:
            yield f"exclude {index}: is empty"
        for key, value in rule.items():
            if key not in axes:
                yield f"exclude {index}: {printable(key)} is no list of this workload; {did_you_mean(key, axes)}"
            elif value not in axes[key]:
                yield f"exclude {index}: {key} = {printable(value, 40)!r} is not in the list"


def _workload(values: Mapping[str, Any], chosen: Mapping[str, Any], folder: Path) -> Workload:
    """Return one workload of the product; its name tells the chosen values."""
    own = {key: value for key, value in values.items() if key not in {"use", "exclude", "files", "result_files"}}
    for value in chosen.values():
        own["name"] += f"-{_NOT_IN_NAMES.sub('-', str(value))}"
    texts = {key: str(own[key]) for key in template.PLACEHOLDERS if key in own}
    try:
        files = tuple(
            DeviceFile(
                folder / template.fill(entry["path"], texts),
                template.fill(entry["name"], texts),
                entry.get("executable", False),
                entry.get("sha256"),
            )
            for entry in values.get("files", [])
        )
        return Workload(**own, files=files, result_files=tuple(values.get("result_files", ())))
    except WorkloadError as error:
        raise _Problems(*(f"{key}: {rule}" for key, rule in error.problems)) from error
    except ValueError as error:
        message = f"files: {error}"
        raise _Problems(message) from error
