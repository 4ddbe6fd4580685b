"""The manifest: what made an output, so that it can be made again."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata, resources

# What tables and costs are made of. A command that reads more, such as points of the paper's figures, names it itself,
# so that no other output changes its hash with it.
_SHIPPED = {
    "profiler": ("paper/stages.csv", "paper/table1.csv", "paper/table2.csv", "paper/table3.csv"),
    "costmodel": ("workloads.toml", "paper/readings.toml"),
    "fl_sim": ("readings.toml",),
    "reports": (
        "paper/table1.csv",
        "paper/table2.csv",
        "paper/table3.csv",
        "paper/table4.csv",
        "paper/claims.toml",
    ),
}
_PACKAGES = ("fedjoule", "matplotlib", "numpy", "pandas", "pandera", "scipy", "simpy")


@dataclass(frozen=True)
class Input:
    """A file that went into an output, by content."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """Inputs by content, parameters as given, and the versions of what computed."""

    command: str
    parameters: Mapping[str, object]
    inputs: tuple[Input, ...]
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Return the manifest as JSON text; the same run gives the same bytes."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def lines(self) -> list[str]:
        """Return the manifest for people: one line each for parameters, inputs and versions."""
        parameters = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        shipped = hashlib.sha256("".join(entry.sha256 for entry in _shipped_inputs()).encode()).hexdigest()
        own = [entry for entry in self.inputs if entry not in _shipped_inputs()]
        inputs = ", ".join([f"shipped data {shipped[:12]}", *(f"{entry.name} {entry.sha256[:12]}" for entry in own)])
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [
            f"command: {self.command}; {parameters}",
            f"inputs (sha256): {inputs}",
            f"versions: {versions}",
        ]


def input_of(name: str, raw: bytes) -> Input:
    """Return the manifest entry of a file with the content ``raw``."""
    return Input(name, hashlib.sha256(raw).hexdigest(), len(raw))


def manifest(command: str, parameters: Mapping[str, object], own: Iterable[Input]) -> Manifest:
    """Return the manifest of a run: the shipped data of all commands, its ``own`` inputs, each once, and versions."""
    inputs = dict.fromkeys((*_shipped_inputs(), *own))
    return Manifest(command, dict(parameters), tuple(inputs), _versions())


@cache
def _shipped_inputs() -> tuple[Input, ...]:
    return tuple(
        input_of(f"{package}/{name}", (resources.files(package) / name).read_bytes())
        for package, names in _SHIPPED.items()
        for name in names
    )


@cache
def _versions() -> Mapping[str, str]:
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}
