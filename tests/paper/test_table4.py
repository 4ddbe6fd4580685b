"""The published Table 4, cell by cell, against golden values worked out apart from this code base."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fl_sim.converge import converge
from fl_sim.reading import readings
from reports.printed import printed_table
from reports.table4 import Changes, paper_rows, table4
from reports.verdict import Verdict, judge

# row -> (hours, kJ) on FEMNIST, CIFAR-10, CIFAR-100: T = R (E n/B t + 8 (down + up) / bw), W = R E n/B e K/N.
GOLDEN = {
    "FloatFL": ((0.5757, 0.5650), (8.9375, 42.5), (7.5764, 2.1875)),
    "QuanFL": ((0.3986, 0.6215), (6.1719, 53.125), (3.0917, 2.625)),
    "Q-FedUpdate": ((0.1442, 0.1836), (2.7997, 18.867), (1.7083, 0.9)),
    "Q-FedUpdate (L)": ((0.1213, 0.0367), (2.3971, 4.648), (1.6153, 0.2125)),
    "Q-FedUpdate (M)": ((0.0821, 0.0245), (1.7697, 3.008), (1.4726, 0.1375)),
    "Q-FedUpdate (H)": ((0.0723, 0.0245), (1.6224, 2.734), (1.4406, 0.125)),
}
DATASETS = ("femnist", "cifar10", "cifar100")
READINGS = list(readings())
TRUNCATED = {("FloatFL", "femnist"), ("Q-FedUpdate (L)", "cifar100")}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", GOLDEN)
def test_every_cell_is_the_golden_one(reading: str, dataset: str, name: str) -> None:
    row = next(r for r in paper_rows(readings()[reading]) if (r.title, r.workload.name) == (name, dataset))
    hours, kilojoules = GOLDEN[name][DATASETS.index(dataset)]
    assert row.result.time_h == pytest.approx(hours, abs=5.1e-5)
    assert row.result.client_kj == pytest.approx(kilojoules, abs=5.1e-4)


@pytest.mark.parametrize("reading", READINGS)
def test_34_cells_are_within_rounding_and_the_known_two_are_truncated(reading: str) -> None:
    data = table4(readings()[reading]).data
    assert len(data) == 18
    verdicts = {
        (row["row"], row["workload"], metric): row[f"{metric}_verdict"]
        for row in data.to_dict("records")
        for metric in ("time", "energy")
    }
    truncated = {key for key, verdict in verdicts.items() if verdict == Verdict.TRUNCATED}
    assert truncated == {(row, dataset, "time") for row, dataset in TRUNCATED}
    assert sum(verdict == Verdict.WITHIN for verdict in verdicts.values()) == 34
    assert len(verdicts) == 36


def test_the_readings_give_the_same_hours_and_kilojoules() -> None:
    one, other = (paper_rows(reading) for reading in readings().values())
    for a, b in zip(one, other, strict=True):
        assert a.result.time_h == pytest.approx(b.result.time_h, rel=1e-14)
        assert a.result.client_kj == pytest.approx(b.result.client_kj, rel=1e-14)


@pytest.mark.parametrize(
    ("changes", "time_hits", "energy_hits"),
    [(Changes(batches="ceil"), 4, 3), (Changes(batches="floor"), 6, 6)],
)
def test_whole_batches_do_not_close_the_table(changes: Changes, time_hits: int, energy_hits: int) -> None:
    rows = paper_rows(readings()["epochs4_int8_payload"], changes)
    assert hits(rows) == (time_hits, energy_hits)


@pytest.mark.parametrize(
    ("field", "value", "time_hits", "energy_hits"), [("epochs", 5, 0, 0), ("clients_per_round", 25, 16, 12)]
)
def test_other_inferred_settings_do_not_close_it(field: str, value: int, time_hits: int, energy_hits: int) -> None:
    rows = paper_rows(readings()["epochs4_int8_payload"])
    only_femnist = field == "clients_per_round"
    changed = [
        replace(
            row,
            result=converge(replace(row.result.plan, **field_change(field, value)), row.result.batch)
            if not only_femnist or row.workload.name == "femnist"
            else row.result,
        )
        for row in rows
    ]
    assert hits(changed) == (time_hits, energy_hits)


def test_an_fp32_downlink_for_quanfl_does_not_close_it() -> None:
    rows = [
        replace(
            row,
            result=converge(
                replace(row.result.plan, download_bytes=4 * row.result.plan.download_bytes), row.result.batch
            ),
        )
        if row.method.name == "quanfl"
        else row
        for row in paper_rows(readings()["epochs4_int8_payload"])
    ]
    assert hits(rows) == (13, 18)


def test_another_bandwidth_is_no_reproduction() -> None:
    data = table4(readings()["epochs4_int8_payload"], Changes(bandwidth_bit_per_s=5e6)).data
    assert set(data["time_verdict"]) == set(data["energy_verdict"]) == {Verdict.OTHER_INPUTS}
    slow = data.set_index(["row", "workload"])["time_h"]["Q-FedUpdate (M)", "cifar10"]
    assert slow == pytest.approx(2.936, abs=5e-4)  # bandwidth x 1/2: +65.9 %


def test_the_missing_time_of_table_3_is_bounded_by_table_4() -> None:
    row = next(
        r
        for r in paper_rows(readings()["epochs4_int8_payload"])
        if (r.title, r.workload.name) == ("Q-FedUpdate (H)", "femnist")
    )
    assert row.result.batch.provenance == "inferred"

    def closes(time_ms: float) -> bool:
        hours = converge(row.result.plan, replace(row.result.batch, time_ms=time_ms)).time_h
        assert hours is not None
        return judge(hours, "0.07") is Verdict.WITHIN

    closing = [time_ms for time_ms in np.arange(5, 10, 0.01) if closes(float(time_ms))]
    assert (min(closing), max(closing)) == (pytest.approx(5.75, abs=0.05), pytest.approx(8.8, abs=0.05))


@pytest.mark.parametrize(
    ("dataset", "epochs", "rounds", "cohort"),
    [
        ("cifar10", 4, ([200], [250], [175]), 50),
        ("cifar100", 4, ([250], [300], [200]), 50),
        # 0.57 h printed for FloatFL is truncated at 100 rounds; the text's 35.0 and 40.9 % pick 65 of 100 and 110.
        ("femnist", 4, ([99], [109, 110], [62, 63, 64, 65]), 20),
    ],
)
def test_with_int8_payloads_the_integers_are_unique(
    dataset: str, epochs: int, rounds: tuple[list[int], list[int], list[int]], cohort: int
) -> None:
    """Search every epochs 1-20, rounds 1-1499 and cohort; one time of a group may be off, as printed."""
    rows = [r for r in paper_rows(readings()["epochs4_int8_payload"]) if r.workload.name == dataset]
    groups = (rows[:1], rows[1:2], rows[2:])
    solutions = []
    for tried in range(1, 21):
        options = [fitting_rounds(group, tried, slack=int(len(group) > 1)) for group in groups]
        if not all(len(option) for option in options):
            continue
        for chosen in range(1, rows[0].workload.clients + 1):
            fits = [
                [int(r) for r in option if all(energy_fits(row, tried, int(r), chosen) for row in group)]
                for group, option in zip(groups, options, strict=True)
            ]
            if all(fits):
                solutions.append((tried, tuple(fits), chosen))
    assert solutions == [(epochs, rounds, cohort)]


def fitting_rounds(group: Any, epochs: int, slack: int) -> "np.ndarray[Any, Any]":
    rounds = np.arange(1, 1500)
    agree = np.zeros(len(rounds), dtype=int)
    for row in group:
        cost = converge(replace(row.result.plan, epochs=epochs), row.result.batch).round
        printed = row.printed["time_h"]
        half = 0.5 * 10.0 ** -len(printed.partition(".")[2])
        agree += np.abs(rounds * float(cost.time_s) / 3600 - float(printed)) <= half * (1 + 1e-9)
    return rounds[agree >= len(group) - slack]


def energy_fits(row: Any, epochs: int, rounds: int, cohort: int) -> bool:
    plan = replace(row.result.plan, epochs=epochs, rounds=rounds, clients_per_round=cohort)
    energy = converge(plan, row.result.batch).client_kj
    assert energy is not None
    return judge(energy, row.printed["energy_kj"]) is Verdict.WITHIN


def field_change(field: str, value: int) -> dict[str, Any]:
    return {field: value}


def hits(rows: Any) -> tuple[int, int]:
    """Return how many of 18 times and 18 energies are within rounding."""
    printed = {(line["row"], line["workload"]): line for line in printed_table(4)}
    times = sum(judge(r.result.time_h, printed[r.title, r.workload.name]["time_h"]) is Verdict.WITHIN for r in rows)
    energies = sum(
        judge(r.result.client_kj, printed[r.title, r.workload.name]["energy_kj"]) is Verdict.WITHIN for r in rows
    )
    return times, energies
