import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from traces.flash.devices import UNKNOWN_WEIGHTS, DeviceTables, hardware_of_models, read_ranking, read_tables
from traces.report import Tally

FOLDER = Path(__file__).parents[4] / "shared/data/flash"
SCORES = {"Slow": 100, "Mid": 1000, "Fast": 9000, "Near slow": 549, "Between": 550, "Near mid": 551, "Above": 99_999}
NAMES = {"A1": "Near slow", "A2": "Between", "A3": "Near mid", "A4": "Above", "A5": "unknown", "A6": "No such"}
RANKING = [
    {"Model": "Above", "CPU": "Old chip", "AI_Score": " 7 "},
    {"Model": "Above", "CPU": " Kirin 990 ", "AI_Score": " 99999 1,6"},
    {"Model": "Near mid", "CPU": "Snapdragon 675", "AI_Score": " 551 3"},
]


def write(folder: Path, **files: object) -> Path:
    tables: dict[str, object] = {
        "benchmark2score": SCORES,
        "real2benchmark": NAMES,
        "supported_devices": ["Slow", "Mid", "Fast"],
        "raw_ai_benchmark_list": RANKING,
    }
    for name, content in (tables | files).items():
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"{name}.json").write_text(text)
    return folder


def test_the_class_with_the_nearest_score(tmp_path: Path) -> None:
    tables = read_tables(write(tmp_path))
    models = ["A4", "A1", "A2", "A3", "A5", "A6", "A7", "A4"]
    hardware, kind_of = hardware_of_models(models, tables)
    assert hardware.models == ("A4", "A1", "A2", "A3", "A5", "A6", "A7")
    assert kind_of.tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert kind_of.dtype == np.int32
    # 550 is as far from 100 as from 1000: the slower class.
    assert hardware.tiers == ("high", "low", "low", "medium", "", "", "")
    assert hardware.socs == ("Kirin 990", "", "", "Snapdragon 675", "", "", "")
    assert hardware.scores[:4].tolist() == [99_999, 549, 550, 551]
    assert np.isnan(hardware.scores[4:]).all()
    assert dict(tables.report.flags) == {"real2benchmark.json: models without a score": 2}


def test_models_without_a_score_draw_a_tier_each(tmp_path: Path) -> None:
    tables = read_tables(write(tmp_path))
    models = ["A5"] * 200_000 + ["A4"]
    hardware, kind_of = hardware_of_models(models, tables, np.random.default_rng(3))
    drawn = Counter(hardware.tiers[kind] for kind in kind_of[:-1].tolist())
    for tier, weight in zip(("low", "medium", "high"), UNKNOWN_WEIGHTS, strict=True):
        share = weight / sum(UNKNOWN_WEIGHTS)
        assert drawn[tier] / 200_000 == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 200_000))
    assert hardware.tiers[kind_of[-1]] == "high"
    assert len(hardware) == 4
    again = hardware_of_models(models, tables, np.random.default_rng(3))
    assert (again[1] == kind_of).all()


def test_without_the_ranking_no_soc_is_known(tmp_path: Path) -> None:
    tables = read_tables(write(tmp_path, raw_ai_benchmark_list=None))
    assert hardware_of_models(["A4"], tables)[0].socs == ("",)
    assert hardware_of_models([], tables)[0].models == ()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"supported_devices": ["Slow", "Mid"]}, "must list 3 devices"),
        ({"supported_devices": ["Slow", "Mid", "Else"]}, "must list 3 devices"),
        ({"supported_devices": ["Slow", "Mid", [[]]]}, "must list 3 devices"),
        ({"supported_devices": {}}, "must list 3 devices"),
        ({"benchmark2score": []}, "benchmark2score.json must hold one JSON object .got a list"),
        ({"real2benchmark": '{"A": '}, "real2benchmark.json is not whole JSON"),
        ({"raw_ai_benchmark_list": {}}, "must be a JSON list"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, files: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_tables(write(tmp_path, **files))


def test_rows_that_cannot_be_used_are_dropped_and_counted(tmp_path: Path) -> None:
    scores = json.dumps(SCORES)[:-1] + ', "a": -1, "b": NaN, "c": 1e999, "d": "7", "e": true, "Slow": 101}'
    names = json.dumps(NAMES)[:-1] + ', "A8": 5, "A1": "Mid"}'
    rows = [
        *RANKING,
        7,
        {},
        {"Model": "x", "CPU": "y", "AI_Score": "fast"},
        {"Model": "x", "CPU": "y", "AI_Score": "0"},
    ]
    tables = read_tables(write(tmp_path, benchmark2score=scores, real2benchmark=names, raw_ai_benchmark_list=rows))
    assert dict(tables.report.dropped) == {
        "benchmark2score.json: score that is no number above 0": 5,
        "real2benchmark.json: benchmark name that is not text": 1,
        "raw_ai_benchmark_list.json: not a row": 1,
        "raw_ai_benchmark_list.json: row without model, CPU or a score above 0": 3,
    }
    assert dict(tables.report.repaired) == {
        "benchmark2score.json: name there twice, the last counts": 1,
        "real2benchmark.json: name there twice, the last counts": 1,
    }
    assert tables.classes == (101, 1000, 9000)
    assert tables.benchmark("A1") == "Mid"


@pytest.fixture(scope="module")
def public() -> DeviceTables:
    if not (FOLDER / "real2benchmark.json").exists():
        pytest.skip("the public files are not beside the checkout")
    return read_tables(FOLDER)


def test_the_public_tables_have_the_figures_that_were_counted(public: DeviceTables) -> None:
    assert (len(public.score_of), len(public.benchmark_of)) == (307, 772)
    assert public.classes == (383, 6702, 33_289)
    assert np.quantile(list(public.score_of.values()), [0, 0.5, 1]).tolist() == [212, 4638, 76_206]
    assert dict(public.report.flags) == {"real2benchmark.json: models without a score": 612}
    assert (public.report.dropped, public.report.repaired) == ((), ())
    hardware, kind_of = hardware_of_models(list(public.benchmark_of), public)
    assert Counter(hardware.tiers[kind] for kind in kind_of) == {"": 612, "low": 80, "medium": 70, "high": 10}
    assert sum(soc != "" for soc in hardware.socs) == 160


def test_the_public_ranking_gives_the_public_scores(public: DeviceTables) -> None:
    tally = Tally()
    scores, socs = read_ranking(FOLDER / "raw_ai_benchmark_list.json", tally)
    assert scores == public.score_of
    assert socs["Huawei Mate 30 Pro 5G"] == "HiSilicon Kirin 990 5G"
    assert tally.report(0).dropped == ()
