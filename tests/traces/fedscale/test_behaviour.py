"""FedScale's availability: what is kept, put right, flagged and dropped, each with a client made for it."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.availability import duty, is_ready
from traces.fedscale.behaviour import DAY_S, Behaviour, read_behaviour

SHARED = Path(__file__).parents[3] / "../shared/data/fedscale"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the traces are not beside the checkout")


def client(active: Any = (10, 50), inactive: Any = (20, 60), finish_time: Any = 86_400, **more: Any) -> dict[str, Any]:
    lists = {"active": active, "inactive": inactive}
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in lists.items()}
    return {**listed, "finish_time": finish_time, "duration": 20, "model": "LG-K350", **more}


def read(**clients: Any) -> Behaviour:
    return read_behaviour(json.dumps(clients).encode())


def slots(found: Behaviour, trace: int = 0) -> list[tuple[float, float]]:
    here = slice(found.availability.offsets[trace], found.availability.offsets[trace + 1])
    return list(zip(found.availability.start_s[here].tolist(), found.availability.end_s[here].tolist(), strict=True))


def test_a_client_is_ready_in_its_slots_again_and_again() -> None:
    found = read(c1=client(), c2=client((0,), (3600,), 7200, model=""))
    assert found.ids == ("c1", "c2")
    assert found.models == ("LG-K350", "")
    assert slots(found) == [(10, 20), (50, 60)]
    assert found.availability.period_s.tolist() == [86_400, 7200]
    assert found.availability.origin_s.tolist() == [0, 0]
    assert found.report.kept == 2
    assert not found.report.dropped + found.report.repaired + found.report.flags
    clock = np.array([9.0, 10.0, 20.0, 55.0, 86_400 + 10.0, 10 * 86_400 + 60.0])
    assert is_ready(found.availability, 0, clock).tolist() == [False, True, False, True, True, False]


@pytest.mark.parametrize("protocol", range(6))
def test_json_and_pickles_say_the_same(protocol: int) -> None:
    whole = {1: client(), 2: client((5,), (9,))}
    by_json = read_behaviour(json.dumps(whole).encode())
    by_pickle = read_behaviour(pickle.dumps(whole, protocol))
    assert by_json.ids == by_pickle.ids
    assert by_json.report == by_pickle.report
    np.testing.assert_array_equal(by_json.availability.start_s, by_pickle.availability.start_s)


@pytest.mark.parametrize(
    ("active", "inactive", "right", "reason"),
    [
        ((50, 10), (60, 20), [(10, 20), (50, 60)], "slots out of order, sorted"),
        ((10, 15), (20, 60), [(10, 60)], "overlapping slots, joined"),
        ((10, 12), (60, 20), [(10, 60)], "overlapping slots, joined"),
        ((10, 20), (20, 20), [(10, 20)], "empty slots, left out"),
        ((10, 20), (20, 30), [(10, 30)], None),
    ],
)
def test_what_is_put_right_is_counted(active: Any, inactive: Any, right: Any, reason: str | None) -> None:
    found = read(good=client(), c=client(active, inactive))
    assert slots(found, 1) == right
    assert found.report.repaired == (((reason, 1),) if reason else ())
    assert not found.report.dropped


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (client((20,), (10,)), "a slot ends before it begins"),
        (client((-1,), (10,)), "a slot begins before 0"),
        (client((1, 2), (10,)), "differ in length"),
        (client((1,), (86_401,)), "ends after finish_time"),
        (client(finish_time=0), "finish_time is not above 0"),
        (client(finish_time=-86_400), "finish_time is not above 0"),
        (client(finish_time=1e12), "beyond ten years"),
        (client(finish_time=float("nan")), "not finite"),
        (client(finish_time=10**400), "not finite"),
        (client(finish_time=True), "of another kind"),
        (client(finish_time="86400"), "of another kind"),
        (client(active=None), "of another kind"),
        (client(inactive={}), "of another kind"),
        (client((float("inf"),), (float("inf"),)), "not finite"),
        (client((float("nan"),), (3,)), "not finite"),
        (client((10**400,), (10**401,)), "not finite"),
        (client(("1",), ("2",)), "no number"),
        (client((True,), (True,)), "no number"),
        (client(([1],), ([2],)), "no number"),
        (client(model=7), "model is no text"),
        (client(model="x" * 201), "model is no text"),
        ({}, "is missing"),
        ([1, 2], "no dictionary"),
        (None, "no dictionary"),
    ],
)
def test_a_bad_client_is_dropped_and_counted(bad: Any, reason: str) -> None:
    found = read(good=client(), bad=bad)
    assert found.ids == ("good",)
    ((said, count),) = found.report.dropped
    assert reason in said
    assert count == 1
    assert found.report.kept == 1
    assert "bad" in found.report.examples[0]
    with pytest.raises(ValueError, match="none of its 1 clients") as caught:
        read(bad=bad)
    assert reason in str(caught.value)


def test_what_is_there_twice_counts_once() -> None:
    one, other = json.dumps(client()), json.dumps(client((1,), (2,)))
    raw = f'{{"1": {one}, "2": {one}, "1": {other}, "1": {other}, "3": {{"active": [], {one[1:]}}}'.encode()
    found = read_behaviour(raw)
    assert found.ids == ("1", "2")
    assert slots(found) == [(10, 20), (50, 60)]
    assert dict(found.report.dropped) == {
        "a client that is there twice, the second time": 2,
        "an entry that says something twice": 1,
    }
    assert read_behaviour(pickle.dumps({1: client(), "1": client()})).report.dropped[0][1] == 1


def test_slots_over_a_day_are_flagged_and_can_be_taken_for_absence() -> None:
    long = client((0, 200_000), (100_000, 200_010), 345_600)
    raw = json.dumps({"long": long, "short": client(), "only": client((0,), (DAY_S + 1,), 345_600)}).encode()
    kept = read_behaviour(raw)
    assert dict(kept.report.flags) == {
        "clients with a slot longer than a day, perhaps gaps in the recording": 2,
        "slots longer than a day": 2,
    }
    assert slots(kept) == [(0, 100_000), (200_000, 200_010)]
    absent = read_behaviour(raw, long_slots="absent")
    assert slots(absent) == [(200_000, 200_010)]
    assert slots(absent, 2) == []
    assert dict(absent.report.flags) == {"clients that are never ready": 1}
    assert dict(absent.report.repaired)["slots longer than a day, now absent"] == 2


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "neither JSON nor a pickle"),
        (b"{", "no whole JSON file"),
        (b'{"1": {"active": [1', "no whole JSON file"),
        (b'{"1": ' * 100_000, "no whole JSON file"),
        (b'{"1": ' + b"9" * 5000 + b"}", "no whole JSON file"),
        (b'{"\xff": 1}', "no whole JSON file"),
        (b"{" + b"[" * (2**21 + 1), "lists and objects, more than"),
        (b"[1]", r"must be an object of clients by their ids \(got a list\)"),
        (b"{}", "none of its 0 clients has a trace that can be used: it is empty"),
        (b"cos\nsystem\n.", "neither JSON nor a pickle of FedScale's kind: it names 'os system'"),
    ],
)
def test_other_files_are_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_behaviour(raw)


def test_a_file_is_read_within_bounds(tmp_path: Path) -> None:
    sparse = tmp_path / "large.json"
    with sparse.open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(ValueError, match="larger than 67,108,864 bytes"):
        read_behaviour(sparse)
    with pytest.raises(ValueError, match="ordinary file"):
        read_behaviour(Path("/dev/zero"))
    with pytest.raises(FileNotFoundError):
        read_behaviour(tmp_path / "none.json")


def test_no_name_reaches_the_terminal_as_it_is() -> None:
    found = read(**{"\x1b[2J": None, "good": client(model="a\x07b\u202e")})
    assert found.models == ("a?b?",)
    assert "\x1b" not in "".join(found.report.examples)


NUMBERS = st.integers(-5, 90_000) | st.floats() | st.sampled_from([None, "1", True, 10**400])


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.fixed_dictionaries(
            {
                "active": st.lists(NUMBERS, max_size=5),
                "inactive": st.lists(NUMBERS, max_size=5),
                "finish_time": NUMBERS,
            }
        )
        | NUMBERS,
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_is_kept_or_counted(clients: dict[str, Any]) -> None:
    raw = json.dumps({"the good one": client(), **clients}).encode()
    found = read_behaviour(raw)
    assert found.report.kept + sum(count for _, count in found.report.dropped) == 1 + len(clients)


@needs_shared
def test_the_first_hundred_clients() -> None:
    found = read_behaviour(SHARED / "behave_trace_100.json")
    share = duty(found.availability)
    assert found.report.kept == 100
    assert share.mean() == pytest.approx(0.746, abs=5e-4)
    assert share.min() == pytest.approx(0.439, abs=5e-4)
    assert share.max() == pytest.approx(0.974, abs=5e-4)
    assert dict(found.report.flags)["clients with a slot longer than a day, perhaps gaps in the recording"] == 53
    assert not found.report.dropped
    assert found.report.repaired == (("empty slots, left out", 10),)
    periods = found.availability.period_s
    assert (periods % DAY_S == 0).all()
    without = read_behaviour(SHARED / "behave_trace_100.json", long_slots="absent").availability
    assert (duty(without) * periods).sum() / periods.sum() == pytest.approx(0.416, abs=5e-4)
    assert duty(without).mean() == pytest.approx(0.443, abs=5e-4)
