"""Which hardware FLASH's model names stand for: benchmark scores, and the class that is nearest by score."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from traces.flash.records import TABLE_MOST_BYTES, Members, read_bytes, read_json, read_table
from traces.hardware import TIERS, Hardware, Tier
from traces.report import Report, Tally, clean

RANKING = "raw_ai_benchmark_list.json"
SCORES = "benchmark2score.json"
NAMES = "real2benchmark.json"
CLASSES = "supported_devices.json"
# How FLASH's code draws the class of a phone without a score: small, mid, big (models/utils/device_util, unknown()).
UNKNOWN_WEIGHTS = (18_820, 16_428, 159)

Value = TypeVar("Value")

_SCORE = re.compile(r"\s*([0-9]{1,9})(?:\s+[0-9,\s]*)?", re.ASCII)


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """``score_of`` and ``soc_of`` benchmark names, ``benchmark_of`` model names, and the three ``classes``' scores."""

    score_of: dict[str, float]
    soc_of: dict[str, str]
    benchmark_of: dict[str, str]
    classes: tuple[float, float, float]
    report: Report

    def benchmark(self, model: str) -> str | None:
        """Return the name under which ``model`` was benchmarked; None if FLASH knows none, or none with a score."""
        name = self.benchmark_of.get(model)
        return name if name is not None and name in self.score_of else None


def read_tables(folder: Path) -> DeviceTables:
    """Return FLASH's four device tables from ``folder``. Rows that cannot be used are dropped and counted.

    The ranking may be missing: then no SoC is known. Raises ValueError for files that are not the tables, OSError.
    """
    tally = Tally()
    score_of: dict[str, float] = {}
    for name, score in read_table(folder / SCORES, SCORES):
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 < score < 1e9:
            tally.drop(f"{SCORES}: score that is no number above 0", name)
        else:
            _add(score_of, name, float(score), SCORES, tally)
    benchmark_of: dict[str, str] = {}
    for name, benchmark in read_table(folder / NAMES, NAMES):
        if isinstance(benchmark, str):
            _add(benchmark_of, name, benchmark, NAMES, tally)
        else:
            tally.drop(f"{NAMES}: benchmark name that is not text", name)
    classes = read_json(read_bytes(folder / CLASSES, TABLE_MOST_BYTES, CLASSES), CLASSES)
    names = classes if isinstance(classes, list) else []
    scores = [score_of.get(name, math.nan) if isinstance(name, str) else math.nan for name in names]
    if len(scores) != len(TIERS) or any(map(math.isnan, scores)):
        message = (
            f"{CLASSES} must list {len(TIERS)} devices that {SCORES} has, the slowest first; is this the right file?"
        )
        raise ValueError(message)
    soc_of = read_ranking(folder / RANKING, tally)[1] if (folder / RANKING).exists() else {}
    unscored = sum(name not in score_of for name in benchmark_of.values())
    tally.flag(f"{NAMES}: models without a score", count=unscored)
    small, mid, big = scores
    return DeviceTables(score_of, soc_of, benchmark_of, (small, mid, big), tally.report(len(benchmark_of)))


def read_ranking(source: Path | bytes, tally: Tally) -> tuple[dict[str, float], dict[str, str]]:
    """Return the AI scores and the SoCs of the ranking's models; of rows with one name the last counts, as in FLASH.

    A score is written with footnotes behind it: ``" 76206 1,6"`` is 76206. Raises ValueError, OSError.
    """
    rows = read_json(read_bytes(source, TABLE_MOST_BYTES, RANKING), RANKING)
    if not isinstance(rows, list):
        message = f"{RANKING} must be a JSON list of rows; is this the right file?"
        raise ValueError(message)
    score_of: dict[str, float] = {}
    soc_of: dict[str, str] = {}
    for number, row in enumerate(rows, 1):
        fields = row.once() if isinstance(row, Members) else None
        if fields is None:
            tally.drop(f"{RANKING}: not a row", f"row {number}")
            continue
        model, soc, text = (fields.get(name) for name in ("Model", "CPU", "AI_Score"))
        match = _SCORE.fullmatch(text) if isinstance(text, str) else None
        if not isinstance(model, str) or not isinstance(soc, str) or match is None or not int(match[1]):
            tally.drop(f"{RANKING}: row without model, CPU or a score above 0", f"row {number}")
            continue
        score_of[model], soc_of[model] = float(match[1]), clean(soc.strip())
    return score_of, soc_of


def hardware_of_models(
    models: Sequence[str], tables: DeviceTables, random: np.random.Generator | None = None
) -> tuple[Hardware, npt.NDArray[np.int32]]:
    """Return the kinds of hardware among phones of these ``models``, and which kind each phone is of, int32 [models].

    The tier is that of the class with the nearest score (of two as near, the slower). Phones whose model has no score
    have no tier; with ``random`` each of them draws one by FLASH's weights, so phones of one model may differ.
    """
    drawn = None
    if random is not None:
        weights = np.array(UNKNOWN_WEIGHTS, np.float64)
        drawn = random.choice(len(TIERS), size=len(models), p=weights / weights.sum())
    places: dict[tuple[str, Tier], int] = {}
    kinds: list[tuple[str, str, Tier, float]] = []
    kind_of = np.zeros(len(models), np.int32)
    for phone, model in enumerate(models):
        benchmark = tables.benchmark(model)
        score = math.nan if benchmark is None else tables.score_of[benchmark]
        tier: Tier = ""
        if benchmark is not None:
            tier = TIERS[int(np.argmin([abs(score - other) for other in tables.classes]))]
        elif drawn is not None:
            tier = TIERS[drawn[phone]]
        place = places.setdefault((model, tier), len(kinds))
        if place == len(kinds):
            soc = "" if benchmark is None else tables.soc_of.get(benchmark, "")
            kinds.append((model, soc, tier, score))
        kind_of[phone] = place
    names, socs, tiers, scores = zip(*kinds, strict=True) if kinds else ((), (), (), ())
    return Hardware(names, socs, tiers, np.array(scores, np.float64)), kind_of


def _add(table: dict[str, Value], name: str, value: Value, what: str, tally: Tally) -> None:
    if name in table:
        tally.repair(f"{what}: name there twice, the last counts", name)
    table[name] = value
