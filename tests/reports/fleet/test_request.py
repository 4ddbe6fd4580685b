"""What people write of times and round ends, and the rules that follow from a request."""

import pytest

from fl_sim.rules import Buffered, Rules
from reports.fleet.request import End, Request, read_round_end, read_seconds
from traces.fleet import uniform_fleet
from traces.open import OpenedFleet
from traces.report import Report

FLEET = OpenedFleet(uniform_fleet("one", 5, model="A", soc="", tier="low", bit_per_s=1e7), Report(5), ())


@pytest.mark.parametrize(
    ("text", "seconds"), [("270s", 270.0), (" 5 min ", 300.0), ("1.5h", 5400.0), ("0.25s", 0.25), ("007s", 7.0)]
)
def test_times_with_their_unit(text: str, seconds: float) -> None:
    assert read_seconds("deadline", text) == seconds


@pytest.mark.parametrize("text", ["270", "s", "0s", "-5s", "1e3s", "5m", "nan s", "2x", "٣s", "9" * 40 + "s", ""])
def test_times_that_could_be_anything_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"deadline must be a time above 0, such as 270s"):
        read_seconds("deadline", text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("all", End("all")),
        ("kth", End("kth")),
        ("fraction:0.8", End("fraction", fraction=0.8)),
        ("fraction:1", End("fraction", fraction=1.0)),
        ("buffer:10", End("buffer", buffer=10)),
    ],
)
def test_round_ends(text: str, end: End) -> None:
    assert read_round_end(text) == end


@pytest.mark.parametrize(
    "text",
    ["", "most", "all:1", "kth:3", "fraction", "fraction:0", "fraction:1.01", "fraction:nan", "buffer", "buffer:0",
     "buffer:2.5", "buffer:-1", "buffer:1e3"],
)  # fmt: skip
def test_round_ends_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="round-end must be all, fraction"):
        read_round_end(text)


def test_every_rule_of_a_request_reaches_the_rules() -> None:
    asked = Request(
        FLEET, over_commit=1.3, end=End("fraction", fraction=0.5), deadline_s=90.0, interrupted="abort", dropout=0.1,
        retries=2, least=3,
    )  # fmt: skip
    assert asked.rules(10) == Rules(
        cohort=10, over_commit=1.3, interrupted="abort", round_end="fraction", fraction=0.5, deadline_s=90.0,
        dropout=0.1, retries=2, least=3,
    )  # fmt: skip


def test_an_asynchronous_server_works_with_a_cohort_unless_told() -> None:
    asked = Request(FLEET, end=End("buffer", buffer=4), deadline_s=60.0, interrupted="check_end", most_stale=2)
    assert asked.buffered(10) == Buffered(10, 4, most_stale=2, timeout_s=60.0, interrupted="check_end")
    assert Request(FLEET, end=End("buffer", buffer=4), concurrency=7).buffered(10).concurrency == 7
