"""Table 4 in fleet mode: equal to paper mode where phones are, and what one factor at a time does."""

from dataclasses import replace

import numpy as np
import pytest

from fl_sim.reading import find_reading
from reports.fleet.cells import SETTINGS, Request, fleet_cells, read_deadline
from reports.fleet.table4 import fleet_tables
from reports.formats.csv import to_csv
from reports.table4 import paper_rows
from traces.fleet import Fleet, uniform_fleet
from traces.rates import Network
from traces.synthetic import find_statistics, synthetic_fleet

READING = find_reading("epochs4_int8_payload")


def request(*fleets: Fleet, deadline: str = "2x", workloads: tuple[str, ...] = ()) -> Request:
    return Request("try", fleets, READING, read_deadline(deadline), workloads)


def medium(phones: int = 200) -> Fleet:
    return uniform_fleet("try", phones, model="any", soc="", tier="medium", bit_per_s=READING.bandwidth_bit_per_s)


def test_a_fleet_of_equal_phones_costs_what_paper_mode_says_in_every_cell() -> None:
    found = fleet_cells(request(medium()))
    assert len(found) == 18 * len(SETTINGS)
    for each in found:
        row = each.row
        if row.title in ("Q-FedUpdate (L)", "Q-FedUpdate (H)") and "hardware" in each.setting.factors:
            row = next(
                other for other in paper_rows(READING)
                if other.title == "Q-FedUpdate (M)" and other.workload == row.workload
            )  # fmt: skip
        assert each.time_h == pytest.approx([row.result.time_h], rel=1e-9)
        assert each.client_kj == pytest.approx([row.result.client_kj], rel=1e-9)
        assert (each.wasted == 0).all()
        assert (each.filled == 1).all()
        assert (each.tried == 1).all()


def test_the_paper_column_is_table_4() -> None:
    asked = request(medium(), workloads=("femnist",))
    data = fleet_tables(asked, fleet_cells(asked))[0].data
    paper = data[data["mode"] == "paper"]
    rows = [row for row in paper_rows(READING) if row.workload.name == "femnist"]
    assert list(paper["row"]) == [row.title for row in rows]
    assert list(paper["time_h"]) == [row.result.time_h for row in rows]
    assert list(paper["client_kj"]) == [row.result.client_kj for row in rows]


def test_a_factor_changes_what_it_is_about_and_nothing_else() -> None:
    fleets = [synthetic_fleet(find_statistics("flash"), 3000, seed) for seed in range(2)]
    found = {
        (each.row.title, each.setting.name): each for each in fleet_cells(request(*fleets, workloads=("cifar10",)))
    }
    rows = {row.title: row.result for row in paper_rows(READING) if row.workload.name == "cifar10"}
    for title, paper in rows.items():
        hardware, network, ready = (found[title, name] for name in ("hardware", "network", "availability"))
        cpu = paper.batch.processor == "cpu"
        assert np.allclose(hardware.time_h, paper.time_h, rtol=1e-9) == (cpu or title == "Q-FedUpdate (L)")
        assert network.client_kj == pytest.approx([paper.client_kj] * 2, rel=1e-9)
        assert (network.time_h > (paper.time_h or 0) * 1.01).all()  # a round waits for its slowest transfer
        assert (ready.time_h > 3 * (paper.time_h or 0)).all()  # ... and for whoever was unplugged
        assert ready.client_kj == pytest.approx([paper.client_kj] * 2, rel=1e-9)  # suspended work is not lost
        cut = found[title, "with a deadline"]
        assert (cut.time_h <= 2 * (paper.time_h or 0) * 1.0001).all()
        assert (cut.filled < 1).all()
        assert (cut.wasted > 0).all()
    mixed = [found[f"Q-FedUpdate ({tier})", "all three"].time_h for tier in "LMH"]
    assert (mixed[0] == mixed[1]).all()
    assert (mixed[0] == mixed[2]).all()


def test_a_cell_without_another_measured_phone_is_marked() -> None:
    asked = request(medium(), workloads=("femnist",))
    time, _, rounds = fleet_tables(asked, fleet_cells(asked))
    marks = {row[1].text: [cell.text.endswith("=") for cell in row[3:]] for row in time.rows}
    assert marks["FloatFL"] == [True, False, False, True, True]
    assert marks["Q-FedUpdate (M)"] == [False] * 5
    assert rounds.rows[0][3].text == "100 % / 0.0 %"
    assert to_csv(time).count("\n") == 1 + 6 * (1 + len(SETTINGS))


def test_a_figure_of_few_updates_is_marked_and_each_table_has_its_notes() -> None:
    asked = request(synthetic_fleet(find_statistics("flash"), 500, 0), deadline="1.05x", workloads=("femnist",))
    found = fleet_cells(asked)
    time, energy, _ = fleet_tables(asked, found)
    for table in (time, energy):
        for row in table.rows:
            cells = dict(zip((setting.name for setting in SETTINGS), row[3:], strict=True))
            for each in found:
                if each.row.title == row[1].text and not np.isinf(each.time_h).any():
                    assert cells[each.setting.name].text.endswith("!") == (each.filled.mean() < 0.9)
    marks = [cell.text.endswith("!") for row in time.rows for cell in row[3:]]
    assert any(marks)
    assert not all(marks)
    assert any("less than 90 % of the updates" in note for note in time.notes)
    assert not any("Energy counts" in note for note in time.notes)
    assert any("Energy counts training" in note for note in energy.notes)


def test_rounds_that_no_update_reaches_in_time_do_not_end() -> None:
    asked = request(medium(), deadline="0.5x", workloads=("femnist",))
    found = fleet_cells(asked)
    cells = {each.setting.name: each for each in found if each.row.title == "FloatFL"}
    assert np.isinf(cells["with a deadline"].time_h).all()
    assert np.isfinite(cells["all three"].time_h).all()
    last = fleet_tables(asked, found)[0].rows[0][-1]
    assert (last.text, last.tone) == ("does not end", "warn")
    # What such a run cost is waste, all of it, and no less for not ending.
    assert (cells["with a deadline"].wasted == 1).all()
    assert (cells["with a deadline"].filled == 0).all()


@pytest.mark.parametrize("text", ["", "2", "x", "0s", "-1x", "nans", "infs", "2 m", "1e300s"])
def test_no_deadline(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s or 2x"):
        read_deadline(text)


def test_deadlines() -> None:
    row = paper_rows(READING)[0]
    assert read_deadline("90s").seconds(row) == 90
    assert read_deadline(" 1.5x").seconds(row) == 1.5 * float(row.result.round.busy_s)
    assert read_deadline("2x").words == "2 x the row's client-round in paper mode"


def test_hardware_without_a_tier_is_refused() -> None:
    fleet = uniform_fleet("try", 200, model="Pixel 4", soc="", tier="", bit_per_s=1e7)
    with pytest.raises(ValueError, match=r"hardware of unknown tier \('Pixel 4'\)"):
        fleet_cells(request(fleet, workloads=("femnist",)))


def test_a_slow_network_is_seen_without_availability() -> None:
    half = Network("constant", *np.full((2, 1), 5e6), *np.zeros((2, 1)))
    found = fleet_cells(request(replace(medium(), network=half), workloads=("cifar10",)))
    row = next(each for each in found if each.row.title == "Q-FedUpdate (M)" and each.setting.name == "network")
    assert row.time_h[0] == pytest.approx(2.936, abs=5e-4)  # costmodel's tornado: bandwidth x 1/2
