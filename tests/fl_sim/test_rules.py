import math
from typing import Any

import pytest

from fl_sim.rules import MOST_RETRIES, Buffered, Rules


def test_how_many_are_asked_and_awaited() -> None:
    assert Rules(100).selected == 100
    assert Rules(100, over_commit=1.3).selected == 130
    assert Rules(3, over_commit=1.1).selected == 4
    assert Rules(100, over_commit=1.1).selected == 110  # 110.00000000000001 in floats
    assert Rules(100).awaited(80) == 80
    assert Rules(100, round_end="fraction", fraction=0.8).awaited(50) == 40
    assert Rules(100, round_end="fraction", fraction=0.001).awaited(50) == 1
    assert Rules(100, over_commit=1.3, round_end="kth").awaited(130) == 100
    assert Rules(100, over_commit=1.3, round_end="kth").awaited(80) == 80


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cohort": 0}, "cohort must be a whole number from 1"),
        ({"cohort": 2.5}, r"cohort must be .*got 2\.5"),
        ({"cohort": True}, "cohort must be .*got True"),
        ({"over_commit": 0.9}, r"over_commit must be from 1 .*got 0\.9.*asks as many"),
        ({"over_commit": math.nan}, "over_commit must be from 1 .*got nan"),
        ({"interrupted": "pause"}, "interrupted must be one of suspend, abort, check_end .*'pause'"),
        ({"round_end": "first"}, "round_end must be one of all, fraction, kth .*'first'"),
        ({"fraction": 1.1}, r"fraction must be from 0 to 1 \(got 1\.1\)"),
        ({"fraction": 0.0}, "fraction must be above 0"),
        ({"deadline_s": 0.0}, r"deadline_s must be above 0 .*got 0\.0"),
        ({"deadline_s": math.inf}, "deadline_s must be .*got inf"),
        ({"dropout": -0.1}, r"dropout must be from 0 to 1 \(got -0\.1\)"),
        ({"retries": -1}, "retries must be a whole number from 0"),
        ({"retries": MOST_RETRIES + 1}, "retries must be .*got 101"),
        ({"least": 11}, r"least must not be above the phones asked, 10 \(got 11\)"),
        ({"least": -1}, "least must be a whole number from 0"),
    ],
)
def test_rules_that_make_no_round(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Rules(**{"cohort": 10, **wrong})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"concurrency": 0}, "concurrency must be a whole number from 1"),
        ({"buffer": 0}, "buffer must be a whole number from 1"),
        ({"most_stale": -1}, "most_stale must be a whole number from 0"),
        ({"timeout_s": -1.0}, r"timeout_s must be above 0 .*got -1\.0"),
        ({"interrupted": ""}, "interrupted must be one of"),
        ({"dropout": 2.0}, "dropout must be from 0 to 1"),
        ({"retries": 1.0}, "retries must be a whole number"),
    ],
)
def test_buffers_that_make_no_server(wrong: dict[str, Any], words: str) -> None:
    assert Buffered(1, 1, most_stale=0, timeout_s=1.0).buffer == 1
    with pytest.raises(ValueError, match=words):
        Buffered(**{"concurrency": 10, "buffer": 2, **wrong})
