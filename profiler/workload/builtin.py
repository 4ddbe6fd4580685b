"""The templates that ship: how public tools are run and read, without their files, which are yours."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from profiler.names import did_you_mean, printable


@cache
def builtin_names() -> tuple[str, ...]:
    """Return the names that a workload file may give as ``use``."""
    folder = resources.files("profiler.workload") / "builtin"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@cache
def builtin(name: str) -> Mapping[str, Any]:
    """Return the keys of a template. Raises ValueError for an unknown name."""
    if name not in builtin_names():
        message = f"template '{printable(name)}' is unknown; {did_you_mean(name, builtin_names())}"
        raise ValueError(message)
    file = resources.files("profiler.workload") / "builtin" / f"{name}.toml"
    return MappingProxyType(tomllib.loads(file.read_text(encoding="utf-8")))
