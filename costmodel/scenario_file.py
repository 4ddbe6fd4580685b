"""Scenario files: TOML from anybody becomes a checked scenario, and back; ``name=value`` settings change one."""

import json
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from costmodel.scenario import Scenario, parameters
from costmodel.scenario_check import check_scenario
from profiler.names import did_you_mean, has_control_characters, printable
from profiler.sheet import file_name, read_bytes

MAX_BYTES = 4 * 2**20
_MOST_ROWS = 100_000
_MOST_SETTINGS = 500
_MOST_POINTS = 8


def read_scenario(path: str | Path) -> tuple[Scenario, bytes]:
    """Return the checked scenario in a TOML file and the file's content. Raises ValueError, one line per problem."""
    raw = read_bytes(path, MAX_BYTES, "TOML")
    return parse_scenario(raw, file_name(path)), raw


def parse_scenario(raw: bytes, file: str) -> Scenario:
    """Return the checked scenario in the TOML text ``raw``; ``file`` is for messages. Raises ValueError."""
    try:
        text = raw.decode("utf-8-sig")
        if _deepest_name(text) > _MOST_POINTS:
            raise RecursionError
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: no TOML, no text, or a number of thousands of digits
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else printable(error, 120)
        message = f"{file}: is not TOML: {reason}"
        raise ValueError(message) from error
    values, problems = _flat(tree)
    if len(values) > _MOST_SETTINGS:
        message = f"{file}: has {len(values):,} settings, at most {_MOST_SETTINGS} are read"
        raise ValueError(message)
    scenario = Scenario(name=Path(file).stem)
    known = [name for name, _, _ in parameters(scenario)]
    problems += [_unknown(name, known) for name in values if name not in known]
    for name in values:
        try:
            scenario = _set(scenario, name, values[name]) if name in known else scenario
        except ValueError as error:
            problems.append(str(error))
    if "stage.reference_batch_size" not in values and not problems:  # stage times hold at the file's batch size
        scenario = replace(scenario, stage=replace(scenario.stage, reference_batch_size=scenario.batch_size))
        values["stage.reference_batch_size"] = scenario.batch_size
    problems = problems or list(check_scenario(scenario))
    if problems:
        raise ValueError("\n".join(f"{file}: {problem}" for problem in problems))
    return replace(scenario, origins=tuple((name, f"file {file}") for name in values))


def with_settings(
    scenario: Scenario,
    settings: Mapping[str, Any],
    origin: str = "you: --set",
    *,
    timed: bool = True,
    whole: bool = True,
) -> Scenario:
    """Return the scenario with parameters changed by dotted name, checked as a whole. Raises ValueError.

    A value may be text as on a command line (``10``, ``dsp``, ``none``, ``[1, 2]``). ``timed`` False allows a scenario
    whose stage times are still to be calibrated, ``whole`` False one that is made whole by further settings.
    """
    changed = scenario
    known = [name for name, _, _ in parameters(scenario)]
    for name, value in settings.items():
        if name not in known:
            message = _unknown(name, known)
            raise ValueError(message)
        changed = _set(changed, name, _from_text(value) if isinstance(value, str) else value)
    problems = list(check_scenario(changed, timed=timed)) if whole else []
    if problems:
        raise ValueError("\n".join(problems))
    origins = dict(scenario.origins) | dict.fromkeys(settings, origin)
    return replace(changed, origins=tuple(origins.items()))


def to_toml(scenario: Scenario) -> str:
    """Return the TOML text of a scenario; `parse_scenario` of it gives the same parameters. None is left out."""
    lines: list[str] = []
    table = ""
    origins = dict(scenario.origins)
    for name, value, about in parameters(scenario):
        *above, last = name.split(".")
        if ".".join(above) != table:
            table = ".".join(above)
            lines += ["", f"[{table}]"]
        unit = f", {about['unit']}" if about["unit"] else ""
        origin = f" ({printable(origins[name], 200)})" if name in origins else ""
        text = f"# {last} =" if value is None else f"{last} = {_toml(value)}"
        lines.append(f"{text}  # {about['about']}{unit}{origin}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _flat(tree: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return dotted name -> value of a two-level TOML tree, and what is wrong with its shape."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    tables = {entry.name for entry in fields(Scenario) if is_dataclass(getattr(Scenario(), entry.name))}
    for name, value in tree.items():
        if isinstance(value, dict) and name in tables:
            values |= {f"{name}.{key}": inner for key, inner in value.items()}
        elif isinstance(value, dict):
            problems.append(f"[{printable(name)}] is no table of a scenario; {did_you_mean(name, sorted(tables))}")
        else:
            values[name] = value
    return values, problems


def _deepest_name(text: str) -> int:
    """Return the most points in a row that join bare words: tomllib takes long for a name of thousands."""
    deepest = points = 0
    for piece in text.split(".")[1:-1]:
        bare = 0 < len(piece) <= 80 and all(character.isalnum() or character in "_-'\" " for character in piece)
        points = points + 1 if bare else 0
        deepest = max(deepest, points)
    return deepest


def _from_text(text: str) -> Any:
    if has_control_characters(text):
        return text
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (ValueError, RecursionError):
        try:
            return float(text)  # such as .5, which TOML does not take
        except ValueError:
            return text


def _unknown(name: str, known: list[str]) -> str:
    last = name.rpartition(".")[2]
    same = [other for other in known if other.rpartition(".")[2] == last]
    hint = f"nearest: {', '.join(same)}" if same else did_you_mean(name, known)
    return f"{printable(name)} is no parameter of a scenario; {hint}"


def _set(part: Any, name: str, value: Any, path: str = "") -> Any:
    """Return the dataclass with one parameter set, converted to its type. Raises ValueError."""
    first, _, rest = name.partition(".")
    if rest:
        return replace(part, **{first: _set(getattr(part, first), rest, value, f"{path}{first}.")})
    entry = next(entry for entry in fields(part) if entry.name == first)
    kind = get_type_hints(type(part))[first]
    return replace(part, **{first: _converted(f"{path}{first}", value, kind, entry.metadata)})


def _converted(name: str, value: Any, kind: Any, about: Mapping[str, Any]) -> Any:
    """Return ``value`` as its parameter's type, or raise ValueError with the rule it breaks."""
    origin, choices = get_origin(kind), get_args(kind)
    rule = ""
    if origin in (Union, types.UnionType):
        if value is None or value == "none":
            return None
        return _converted(name, value, choices[0], about)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            rule = "a list in brackets"
        elif len(value) > _MOST_ROWS:
            rule = f"a list of at most {_MOST_ROWS:,}"
        else:
            return tuple(_converted(name, item, choices[0], about) for item in value)
    elif origin is Literal:
        if value in choices and not isinstance(value, bool):
            return value
        rule = f"one of {', '.join(map(str, choices))}" if len(choices) > 1 else str(choices[0])
    elif kind is str:
        if isinstance(value, str) and len(value) <= 500:
            return printable(value, 500)
        rule = "text of at most 500 characters"
    else:
        whole = kind is int
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            rule = f"a {'whole ' if whole else ''}number"
        elif not (about["low"] <= value <= about["high"] and math.isfinite(value)):
            rule = f"from {about['low']:g} to {about['high']:g}"
        else:
            return value if whole else float(value)
    unit = f" {about['unit']}" if about["unit"] else ""
    try:
        got = printable(value, 40)
    except (RecursionError, ValueError):
        got = "something that cannot be printed"
    message = f"{name} must be {rule}{unit} (got {got}); it is: {about['about']}"
    raise ValueError(message)
