"""Rows: repetitions put together with honest errors, and what is left out said."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from profiler.campaign.rows import rows_of
from profiler.table import check_table

Record = dict[str, Any]


def record(number: int = 1, name: str = "a", mean_ms: float = 10.0, **changes: Any) -> Record:
    """A valid record; ``workload``, ``timing``, ``energy`` and ``device`` changes are merged in, others replace."""
    workload = {
        "name": name, "processor": "dsp", "precision": "int8", "model": "lenet5", "dataset": "FEMNIST",
        "batch_size": 5, "stage": "total", "overlap": None, "empty_call": False, "engine": "",
    }  # fmt: skip
    timing = {"batches": 3000, "mean_ms": mean_ms, "std_ms": None}
    energy = {
        "gross_mj_per_batch": 30.0, "gross_mj_per_batch_error": 0.3, "net_mj_per_batch": 20.0,
        "net_mj_per_batch_error": 0.4, "baseline_w": 0.9,
    }  # fmt: skip
    made: Record = {
        "measurement": f"{number:03d}-{name}-r{number}", "workload": workload, "timing": timing, "energy": energy,
        "device": {"title": "A phone", "soc": "SM8250"}, "provenance": "measured", "plan": {"hash": "abc"},
        "campaign": "0123", "source": {"kind": "sysfs", "name": "bms"}, "verdict": "valid", "flags": [],
        "summary": "a summary",
    }  # fmt: skip
    for key, value in changes.items():
        old = made[key]
        made[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def idle(number: int, power_w: float, seconds: float) -> Record:
    energy = {"power_w": power_w, "power_error_w": 0.01, "seconds": seconds}
    return {**record(number, "idle"), "workload": None, "timing": None, "energy": energy}


def row(*records: Record, **options: Any) -> dict[str, Any]:
    table = rows_of(records, **options).table
    assert len(table) == 1
    return {name: None if value != value else value for name, value in table.to_dict("records")[0].items()}


def test_a_row_says_what_was_measured_on_what() -> None:
    found = row(record(workload={"overlap": "on", "engine": "mine 1"}), conditions=["screen: off"])
    assert (found["device"], found["soc"], found["processor"], found["precision"]) == (
        "A phone",
        "SM8250",
        "dsp",
        "int8",
    )
    assert (found["model"], found["dataset"], found["batch_size"], found["stage"]) == ("lenet5", "FEMNIST", 5, "total")
    assert (found["batches"], found["runs"], found["provenance"]) == (3000, 1, "measured")
    assert found["conditions"] == "overlap: on; engine: mine 1; energy: gross; power: sysfs bms; screen: off"
    assert found["source"] == "fedjoule profile, plan abc, campaign 0123"
    assert found["power_idle_mw"] == 900


@settings(max_examples=40)
@given(st.lists(st.floats(5, 50), min_size=2, max_size=6), st.lists(st.floats(0, 2), min_size=6, max_size=6))
def test_the_mean_of_repetitions_has_the_larger_of_its_two_errors(means: list[float], errors: list[float]) -> None:
    """What the repetitions differ by, or what each of them does not know: numpy and scipy's arithmetic, apart."""
    records = [
        record(number, mean_ms=mean, timing={"latency": {"mean_error_ms": error}})
        for number, (mean, error) in enumerate(zip(means, errors, strict=False), 1)
    ]
    found = row(*records)
    assert found["time_ms"] == pytest.approx(np.mean(means))
    within = np.sqrt(np.sum(np.square(errors[: len(means)]))) / len(means)
    error = max(stats.sem(means), within)
    assert found["time_ms_std"] / math.sqrt(len(means)) == pytest.approx(error, abs=1e-9)
    half = max(stats.t.ppf(0.975, len(means) - 1) * stats.sem(means), 1.96 * within) / np.mean(means)
    assert f"time +-{100 * half:.1f} % (95 %)" in found["note"]


def test_one_run_has_the_error_of_its_batches() -> None:
    known = row(record(timing={"latency": {"mean_error_ms": 0.2}}))
    assert known["time_ms_std"] == pytest.approx(0.2)
    assert f"time +-{100 * 1.96 * 0.2 / 10:.1f} %" in known["note"]
    assert row(record(timing={"std_ms": 2.0, "batches": 400}))["time_ms_std"] == pytest.approx(2.0 / 20)
    assert row(record(timing={"std_ms": None, "batches": None}))["time_ms_std"] is None


def test_gross_and_net_are_told_apart() -> None:
    records = [record(1, energy={"gross_mj_per_batch": 29.0}), record(2, energy={"gross_mj_per_batch": 31.0})]
    gross, net = row(*records), row(*records, energy="net")
    assert (gross["energy_mj"], net["energy_mj"]) == (30.0, 20.0)
    assert gross["energy_mj_std"] / math.sqrt(2) == pytest.approx(stats.sem([29, 31]))
    assert net["energy_mj_std"] / math.sqrt(2) == pytest.approx(0.4 / math.sqrt(2))
    assert ("energy: gross" in gross["conditions"], "energy: net" in net["conditions"]) == (True, True)


def test_runs_without_energy_count_for_the_time_alone() -> None:
    found = row(record(1), {**record(2, mean_ms=12.0), "energy": None})
    assert (found["time_ms"], found["energy_mj"], found["runs"]) == (11.0, 30.0, 2)
    nothing = row({**record(1), "energy": None})
    assert (nothing["energy_mj"], nothing["energy_mj_std"], nothing["power_idle_mw"]) == (None, None, None)
    below_idle = row(record(energy={"net_mj_per_batch": -1.0}), energy="net")
    assert below_idle["energy_mj"] is None


@pytest.mark.parametrize(("keep", "runs"), [("valid", 1), ("doubtful", 2), ("invalid", 3)])
def test_verdicts_count_down_to_the_one_that_is_kept(keep: Any, runs: int) -> None:
    flag = [{"code": "drift", "severity": "doubt", "what": "x"}]
    records = [
        record(1), record(2, verdict="doubtful", flags=flag), record(3, verdict="invalid", summary="10 ms, invalid"),
    ]  # fmt: skip
    found = rows_of(records, keep)
    assert found.table["runs"].tolist() == [runs]
    assert [line.split(":")[0] for line in found.left_out] == ["002-a-r2", "003-a-r3"][runs - 1 :]
    note = found.table["note"][0]
    assert note.startswith(f"{runs} run{'s' if runs > 1 else ''}" + (f", {3 - runs} left out" if runs < 3 else ";"))
    assert ("doubts: drift" in note) == (runs > 1)


def test_what_was_left_out_is_counted_for_its_own_workload() -> None:
    records = [record(1, "a"), record(2, "a-r1", verdict="invalid"), record(3, "a-r1", workload={"batch_size": 6})]
    found = rows_of(records)
    assert found.table["note"].str.contains("left out").tolist() == [False, True]
    assert found.left_out == ("002-a-r1-r2: a summary",)


def test_a_record_without_a_figure_is_left_out_whatever_is_kept() -> None:
    empty = {
        **record(1),
        "timing": None,
        "verdict": "invalid",
        "summary": "invalid (aborted)",
        "flags": [{"code": "aborted"}],
    }
    found = rows_of([empty], "invalid")
    assert (len(found.table), found.left_out) == (0, ("001-a-r1: invalid (aborted)",))


def test_the_idle_phone_has_a_row_of_its_own() -> None:
    found = row(idle(1, 0.8, 40.0), idle(2, 1.0, 60.0))
    assert (found["stage"], found["time_ms"], found["power_idle_mw"]) == ("idle", 50_000, pytest.approx(900))
    assert found["energy_mj"] == pytest.approx(0.9 * 50_000)
    assert (found["model"], found["batch_size"]) == (None, None)


def test_an_empty_call_has_no_model_and_no_energy() -> None:
    found = row(record(workload={"empty_call": True, "stage": "transfer", "engine": "e"}))
    assert found["conditions"] == "empty call; engine: e"
    assert (found["model"], found["dataset"], found["batch_size"], found["energy_mj"]) == (None, None, None, None)


def test_workloads_are_rows_in_the_order_of_their_names_and_a_good_table() -> None:
    records = [record(1, "b", workload={"batch_size": 6}), idle(2, 1.0, 40.0), record(3, "a")]
    table = rows_of(records).table
    assert table["batch_size"].isna().tolist() == [False, False, True]
    assert table["batch_size"].tolist()[:2] == [5, 6]
    check_table(table)


def test_words_of_a_device_are_made_printable() -> None:
    assert row(record(device={"title": "a\x1b[0m", "soc": ""}))["device"] == "a?[0m"


def test_nothing_is_an_empty_table() -> None:
    assert rows_of([]).table.empty


def test_a_row_says_which_instructions_ran() -> None:
    assert "path neon" in row(record(timing={"path": "neon"}))["note"]
    assert "path" not in row(record())["note"]


def test_one_run_that_says_nothing_of_its_batches_has_no_interval() -> None:
    found = row(record())
    assert found["time_ms_std"] is None
    assert "time +-" not in found["note"]
    found = row(record(timing={"mean_error_ms": 0.1}))
    assert found["time_ms_std"] == pytest.approx(0.1)
    assert "time +-2.0 % (95 %)" in found["note"]
    assert row(record(1), record(2, mean_ms=10.2))["time_ms_std"] > 0
