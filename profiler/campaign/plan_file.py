"""Plans in TOML files, and the plans that ship: a measurement table, and the runs that identify a pipeline."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from profiler.campaign.plan import WHOLE, Plan, Timing
from profiler.names import did_you_mean, fold, printable
from profiler.sheet import file_name, read_bytes
from profiler.workload.workload import Workload
from profiler.workload.workload_file import MAX_BYTES, missing_files, workloads_of

PLANS = ("table", "pipeline")
# The paper's models with its data set and batch size (Table 2 p. 7), so that rows fit its Table 4.
PAPER_MODELS: Mapping[str, tuple[str, str, int]] = {
    "lenet5": ("lenet5", "FEMNIST", 5),
    "vgg16": ("vgg16", "CIFAR-10", 64),
}
_SWEEP = (4, 8, 16, 32, 64)
_PLAN_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "idle": bool,
    "seed": int,
    "cpus": str,
    **{field.name: (int, float) for field in fields(Timing)},
}


def read_plan(path: str | Path) -> Plan:
    """Return the plan in a TOML file: a table ``[plan]`` and one or several ``[[workload]]``.

    Raises ValueError, a line a problem. Local files are looked for when the plan is run.
    """
    return parse_plan(read_bytes(path, MAX_BYTES, "TOML"), file_name(path), Path(path).parent)


def parse_plan(raw: bytes, file: str, folder: Path) -> Plan:
    """Return the plan in the TOML text ``raw``; ``file`` is for messages, local paths are relative to ``folder``."""
    tree = _toml(raw, file)
    table = tree.pop("plan", {})
    problems = _plan_problems(table, file)
    idle_only = bool(table.get("idle")) if isinstance(table, dict) else False
    workloads: tuple[Workload, ...] = ()
    if "workload" in tree or not idle_only:
        try:
            workloads = workloads_of(tree, file, folder)
        except ValueError as error:
            problems += str(error).splitlines()
    if problems:
        raise ValueError("\n".join(problems))
    timing = {field.name: table[field.name] for field in fields(Timing) if field.name in table}
    timing = {name: int(value) if name in WHOLE else float(value) for name, value in timing.items()}
    try:
        return Plan(
            name=str(table.get("name", Path(file).stem)),
            workloads=workloads,
            with_idle=bool(table.get("idle", False)),
            timing=Timing(**timing),
            seed=int(table.get("seed", 0)),
            cpus=str(table.get("cpus", "")),
        )
    except ValueError as error:
        message = f"{file}: {error}"
        raise ValueError(message) from error


def _plan_problems(table: Any, file: str) -> list[str]:
    if not isinstance(table, dict):
        return [f"{file}: plan must be a table; write [plan]"]
    problems = [
        f"{file}: plan, {printable(key)}: is unknown; {did_you_mean(key, _PLAN_KEYS)}"
        for key in table
        if key not in _PLAN_KEYS
    ]
    for key, value in table.items():
        kinds = _PLAN_KEYS.get(key)
        if kinds is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool)):
            problems.append(f"{file}: plan, {key}: has the wrong type (got {printable(value, 40)!r})")
        elif isinstance(value, int) and abs(value) >= 2**63:
            problems.append(f"{file}: plan, {key}: is too large (got {printable(value, 40)})")
    for key in WHOLE:
        if isinstance(table.get(key), float):
            problems.append(f"{file}: plan, {key}: must be a whole number (got {table[key]})")
    return problems


@dataclass(frozen=True)
class Template:
    """A workload to be repeated for models, precisions and the like: its TOML keys, and where its files lie."""

    name: str
    keys: Mapping[str, Any]
    folder: Path = Path()


DEMO = Template("demo", {"use": "demo"})


def read_template(path: str | Path) -> Template:
    """Return the only workload of a TOML file as a template. Raises ValueError if it has none or several."""
    file = file_name(path)
    tree = _toml(read_bytes(path, MAX_BYTES, "TOML"), file)
    entries = tree.get("workload")
    if set(tree) != {"workload"} or not isinstance(entries, list) or len(entries) != 1 or type(entries[0]) is not dict:
        message = f"{file}: must hold one [[workload]] and nothing else to be repeated; or give the file as --plan"
        raise ValueError(message)
    name = entries[0].get("name")
    return Template(name if isinstance(name, str) else Path(file).stem, entries[0], Path(path).parent)


def table_plan(
    template: Template,
    models: Sequence[str],
    precisions: Sequence[str],
    processors: Sequence[str],
    batch_sizes: Sequence[int] = (),
    dataset: str | None = None,
) -> Plan:
    """Return the plan that measures every combination of models, precisions and processors once per repetition.

    Paper models get the paper's data set and batch size unless others are given. A DSP has no FP32 here. Raises
    ValueError for a template that is unknown or a model without a batch size.
    """
    entries = []
    for model in models:
        known = PAPER_MODELS.get(fold(model))
        sizes = list(batch_sizes) or ([known[2]] if known else [])
        if not sizes:
            message = f"model {printable(model)!r} has no batch size of its own; give --batch-sizes"
            raise ValueError(message)
        named = known[0] if known else model
        for processor in processors:
            fitting = [each for each in precisions if not (processor == "dsp" and each == "fp32")]
            if fitting:
                entries.append(
                    {
                        **template.keys,
                        "name": template.name,
                        "model": [named],
                        "precision": fitting,
                        "processor": [processor],
                    }
                    | {"batch_size": sizes, "dataset": dataset or (known[1] if known else "")}
                )
    if not entries:
        message = "nothing is left to measure: a DSP has no fp32 here; add --precisions int8 or --processors cpu"
        raise ValueError(message)
    plan = Plan("table", _workloads(entries, template))
    _refuse_deaf(plan, ("model", "precision", "processor", "batch_size"))
    return plan


def pipeline_plan(
    template: Template,
    model: str = "lenet5",
    precision: str = "int8",
    processor: str = "dsp",
    batch_sizes: Sequence[int] = (),
    dataset: str | None = None,
) -> Plan:
    """Return the plan whose runs identify a pipeline: a batch-size sweep with overlap on and off, each stage that
    can be alone, an empty call, and the idle phone (docs/howto/calibrate_a_pipeline.md).

    The transfer alone belongs to it: the law of the period cannot tell a slow link from slow training.
    """
    known = PAPER_MODELS.get(fold(model))
    named, data = (known[0] if known else model), dataset or (known[1] if known else "")
    sizes = list(batch_sizes) or list(_SWEEP)
    middle = sizes[len(sizes) // 2]
    base: dict[str, Any] = {**template.keys, "model": named, "dataset": data, "precision": precision}
    sweep = base | {"name": "sweep", "processor": processor, "batch_size": sizes, "overlap": ["on", "off"]}
    alone = [
        base | {"name": f"{stage}-alone", "processor": where, "batch_size": middle, "stage": stage}
        for stage, where in (("sample", "cpu"), ("quantize", "cpu"), ("transfer", processor))
        if (stage, precision) != ("quantize", "fp32")  # which quantizes nothing
    ]
    empty = base | {"name": "empty-call", "processor": processor, "batch_size": 1, "stage": "transfer"}
    empty["empty_call"] = True
    plan = replace(Plan("pipeline", _workloads([sweep, *alone, empty], template)), with_idle=True)
    _refuse_deaf(plan, ("batch_size", "overlap", "stage"))
    return plan


def _refuse_deaf(plan: Plan, axes: Sequence[str]) -> None:
    """Raise ValueError if a command is to run in several ways and is not told in which: it would do one of them."""
    for axis in axes:
        values = {str(getattr(each, axis)) for each in plan.workloads}
        deaf = [each for each in plan.workloads if axis not in each.placeholders]
        if len(values) > 1 and deaf:
            message = (
                f"the plan has {axis} {', '.join(sorted(values)[:4])}, and the command of workload {deaf[0].name} has "
                f"no {{{axis}}}: it would measure the same thing under several names; add it, or ask for one {axis}"
            )
            raise ValueError(message)


def with_hashes(plan: Plan) -> Plan:
    """Return the plan with the hash of every local file, so that it is known what was measured.

    Raises ValueError, a line a problem, if a file is missing or is not the one that was meant.
    """
    missing = missing_files(plan.workloads)
    if missing:
        raise ValueError("\n".join(missing))
    from profiler.campaign.workspace import hash_here

    return replace(
        plan,
        workloads=tuple(
            replace(each, files=tuple(replace(file, sha256=hash_here(file.path)) for file in each.files))
            for each in plan.workloads
        ),
    )


def _workloads(entries: Sequence[Mapping[str, Any]], template: Template) -> tuple[Workload, ...]:
    tree = {"workload": [dict(entry) for entry in entries]}
    return workloads_of(tree, f"the plan from workload {printable(template.name)}", template.folder)


def _toml(raw: bytes, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        message = f"{file}: is not TOML: {printable(error, 120)}"
        raise ValueError(message) from error
