"""docs/reference/training.md has every setting with its default, every option, model and engine, and no other."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from fl_sim.config import Config
from fl_sim.engine import ENGINES
from fl_sim.model import MODELS, find_model
from profiler.native.model import MOST_SUMMED
from reports.commands.train import train

PAGE = (Path(__file__).parent.parent / "docs/reference/training.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table behind a heading or a table's head, without its first two lines."""
    lines = PAGE[PAGE.index(heading) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = [line.strip("| ").split(" | ") for line in lines[start:] if line.startswith("|") or not line]
    return [row for row in rows[2 : rows.index([""])] if row != [""]]


def test_every_setting_stands_there_once_with_its_default() -> None:
    stated: dict[str, str] = {}
    for names, default, *_ in table("## Settings"):
        for name in re.findall(r"`(\w+)`", names):
            assert stated.setdefault(name, default.strip("`")) is not None
    defaults = {field.name: field.default for field in fields(Config)}
    assert list(stated) == list(defaults)
    for name, default in defaults.items():
        if default not in ("", None):  # empty: the data set's or another setting's, in words
            text = f"{default:g}" if isinstance(default, float) else str(default).lower()
            assert stated[name] == text, name


def test_every_option_stands_there() -> None:
    settings = {field.name for field in fields(Config)}
    for option in train.params:
        long = max(option.opts, key=len)
        name = long.removeprefix("--").replace("-", "_")
        assert name in settings or f"`{long}" in PAGE or long == "--config", long
    assert [row[0].strip("`") for row in table("| engine |")] == list(ENGINES)
    product = next(option for option in train.params if option.name == "product")
    assert {row[0].strip("`") for row in table("| `--product` | INT8")} == set(product.type.choices)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", MODELS)
def test_models_have_the_stated_numbers_of_weights(name: str) -> None:
    weights = dict((row[0].strip("`"), row[1]) for row in table("## Models"))[name]
    for classes, count in [(62, r"^([\d,]+) with 62"), (10, r"([\d,]+) with 10"), (10, r"^([\d,]+)$")]:
        for stated in re.findall(count, weights):
            assert find_model(name, classes).parameters == int(stated.replace(",", "")), (name, classes)
    assert re.search(r"\d", weights)


def test_the_stated_bound_of_sums_is_the_kernels() -> None:
    assert f"{MOST_SUMMED:,}" in PAGE
