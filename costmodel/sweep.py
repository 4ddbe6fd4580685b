"""Sweeps: the values a parameter takes, as people write them, and the grid of several."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from costmodel.scenario import Scenario, parameters
from costmodel.scenario_file import with_settings
from profiler.names import printable

MOST_POINTS = 1_000
_MOST_CHARACTERS = 50_000
_TEXTS = ("title", "device", "model", "dataset", "doubts")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::({_NUMBER}))?", re.ASCII)


@dataclass(frozen=True)
class Sweep:
    """A parameter's dotted name and the texts of its values, in order."""

    name: str
    values: tuple[str, ...]


def parse_sweep(text: str) -> Sweep:
    """Return the sweep in ``name=1..8``, ``name=0..1:0.25`` or ``name=4,16,64``.

    A range has both ends and steps of 1 unless it says otherwise. Raises ValueError for another form, and for more
    than 1,000 points.
    """
    if len(text) > _MOST_CHARACTERS:
        message = f"sweep of {len(text):,} characters; at most {_MOST_CHARACTERS:,} are read"
        raise ValueError(message)
    name, equals, listed = text.partition("=")
    name = name.strip()
    example = "write name=1..8, name=0..1:0.25 or name=4,16,64"
    if not (name and equals and listed.strip()):
        message = f"sweep {printable(text, 60)!r} has no name or no values; {example}"
        raise ValueError(message)
    if re.fullmatch(r"\s*\d+\s*-\s*\d+\s*", listed, re.ASCII):
        message = f"sweep of {printable(name)} has no range in {printable(listed, 40)!r}; {example}"
        raise ValueError(message)
    if ".." not in listed:
        values = tuple(value.strip() for value in re.split(r",(?![^\[]*\])", listed))  # not inside brackets
        if not all(values):
            message = f"sweep of {printable(name)} has an empty value; {example}"
            raise ValueError(message)
    else:
        values = _range(name, listed.strip(), example)
    if len(values) > MOST_POINTS:
        message = f"sweep of {printable(name)} has {len(values):,} points, at most {MOST_POINTS:,}; use larger steps"
        raise ValueError(message)
    return Sweep(name, values)


def _range(name: str, text: str, example: str) -> tuple[str, ...]:
    match = _RANGE.fullmatch(text)
    if match is None:
        message = f"sweep of {printable(name)} has no finite range in {printable(text, 40)!r}; {example}"
        raise ValueError(message)
    first, last, step = float(match[1]), float(match[2]), float(match[3] or 1)
    points = (last - first) / step if step > 0 else -1.0
    if not 0 <= points < MOST_POINTS:
        rule = f"must rise from first to last in at most {MOST_POINTS:,} steps above 0"
        message = f"sweep of {printable(name)} {rule} (got {printable(text, 40)})"
        raise ValueError(message)
    values = [first + place * step for place in range(int(points + 1e-9) + 1)]
    return tuple(f"{int(value)}" if value == int(value) else f"{value:.12g}" for value in values)


def grid(scenario: Scenario, sweeps: Sequence[Sweep]) -> list[tuple[Mapping[str, str], Scenario]]:
    """Return every combination of the sweeps' values, as settings and the scenario with them, the last one fastest.

    All are checked before any is run. Raises ValueError for a bad value, a parameter swept twice, or more than 1,000
    points.
    """
    names = [sweep.name for sweep in sweeps]
    if len(set(names)) < len(names):
        message = "a parameter is swept twice; give all its values in one --sweep"
        raise ValueError(message)
    words = {name for name, value, _ in parameters(scenario) if isinstance(value, str) and name in _TEXTS}
    if words & set(names):
        message = f"{', '.join(sorted(words & set(names)))} is text and changes nothing; sweep another parameter"
        raise ValueError(message)
    points = 1
    for sweep in sweeps:
        points *= len(sweep.values)
    if points > MOST_POINTS:
        message = f"the sweeps together have {points:,} points, at most {MOST_POINTS:,}"
        raise ValueError(message)
    found: list[tuple[Mapping[str, str], Scenario]] = []
    for values in itertools.product(*(sweep.values for sweep in sweeps)):
        settings = dict(zip(names, values, strict=True))
        found.append((settings, with_settings(scenario, settings, "swept")))
    return found
