"""What is said of a fleet, against fleets whose habits are known by construction."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reports.fleet.describe import description, report_table
from reports.fleet.figures import fleet_picture
from reports.fleet.habits import habits
from reports.table import Table
from traces.availability import make_availability
from traces.battery import Battery
from traces.fleet import Fleet, uniform_fleet
from traces.hardware import Hardware
from traces.rates import Network
from traces.report import Report

DAY = 86_400.0
HOUR = 3_600.0


def fleet_of_three() -> Fleet:
    """Return a phone that is ready from 2 to 4 h, one from 3 to 5 h on the same trace, and one that never is."""
    availability = make_availability([[(2 * HOUR, 4 * HOUR)], []], DAY)
    return Fleet(
        name="three",
        hardware=Hardware(("A", "B"), ("", "Snapdragon"), ("low", ""), np.array([383.0, np.nan])),
        hardware_of=np.array([0, 0, 1], np.int32),
        network=Network("lognormal", np.array([1e6, 4e6]), np.array([5e5, 5e5]), np.array([0.5, 1.5]), np.zeros(2)),
        network_of=np.array([0, 1, 1], np.int32),
        availability=availability,
        trace_of=np.array([0, 0, 1], np.int32),
        shift_s=np.array([0.0, -HOUR, 0.0]),
        source="made for tests",
    )


def table(tables: tuple[Table, ...], name: str) -> Table:
    return next(each for each in tables if each.name == name)


def words(shown: Table) -> dict[str, tuple[str, ...]]:
    return {row[0].text: tuple(cell.text for cell in row[1:]) for row in shown.rows}


def test_hours_are_those_of_each_phone_with_its_shift() -> None:
    found = habits(fleet_of_three())
    assert found is not None
    expected = np.zeros(24)
    expected[[2, 3, 4]] = 1 / 3, 2 / 3, 1 / 3  # the second phone reads at clock - 1 h: it is ready from 3 to 5
    assert found.hours == pytest.approx(expected, abs=1e-12)
    assert found.duty.tolist() == [1 / 12, 1 / 12, 0.0]
    assert found.phones == 3


def test_what_is_said_of_times() -> None:
    fleet = fleet_of_three()
    said = words(table(description(fleet, Report(3), habits(fleet)), "fleet"))
    assert said["traces"] == ("2, 1.5 phones each",)
    assert said["a trace repeats after"] == ("1 day",)
    assert said["ready, mean"] == ("5.6 % of the time",)
    assert said["never ready"] == ("33.3 % of the phones",)
    assert said["ready at a stretch"] == ("2 h, 2 h, 2 h (5 %, half, 95 %)",)
    assert "longer than a day" not in said


def test_the_longest_bar_is_the_hour_with_most_phones() -> None:
    fleet = fleet_of_three()
    hours = table(description(fleet, Report(3), habits(fleet)), "fleet_hours")
    bars = [len(row[2].text) for row in hours.rows]
    assert bars[2:5] == [20, 40, 20]
    assert sum(bars) == 80
    assert hours.headline.startswith("Most phones are ready from 3 to 4 h")


def test_hardware_and_networks_count_phones_not_kinds() -> None:
    fleet = fleet_of_three()
    tables = description(fleet, Report(3), habits(fleet))
    assert words(table(tables, "fleet_hardware")) == {
        "A": ("", "low", "383", "2", "66.7 %"),
        "B": ("Snapdragon", "unknown", "-", "1", "33.3 %"),
    }
    networks = words(table(tables, "fleet_networks"))
    assert networks["download"] == ("3 Mbit/s", "1 Mbit/s", "4 Mbit/s", "4 Mbit/s", "1.17")
    assert networks["upload"][:3] == ("500 kbit/s",) * 3


def test_stretches_of_more_than_a_day_are_flagged() -> None:
    fleet = replace(fleet_of_three(), availability=make_availability([[(0.0, 2 * DAY)], []], 7 * DAY))
    said = words(table(description(fleet, Report(3), habits(fleet)), "fleet"))
    assert said["longer than a day"] == ("2 stretches (100.0 %): gaps in the record?",)


def test_a_fleet_that_is_always_ready_has_no_hours() -> None:
    fleet = uniform_fleet("one", 5, model="A", soc="", tier="low", bit_per_s=1e7)
    assert habits(fleet) is None
    tables = description(fleet, Report(5), None)
    assert [each.name for each in tables] == ["fleet", "fleet_hardware", "fleet_networks"]
    assert words(tables[0]) == {"ready": ("always, all phones",)}


def test_of_a_large_fleet_some_phones_are_looked_at() -> None:
    small = fleet_of_three()
    count = 60_000
    which = np.arange(count) % 3
    large = replace(
        small,
        hardware_of=small.hardware_of[which],
        network_of=small.network_of[which],
        trace_of=small.trace_of[which],
        shift_s=small.shift_s[which],
    )
    found, expected = habits(large), habits(small)
    assert found is not None
    assert expected is not None
    assert found.phones == 20_000
    assert found.hours == pytest.approx(expected.hours, abs=0.015)  # five standard errors
    note = description(large, Report(count), found)[0].notes[-1]
    assert note == "Times are those of 20,000 phones, drawn at random."


def test_what_became_of_traces_is_told_without_control_characters() -> None:
    report = Report(3, (("bad \x1b[2J lines", 7),), (("sorted", 1),), ("look: \x07x",), (("odd", 2),))
    shown = report_table(fleet_of_three(), report)
    assert [tuple(cell.text for cell in row) for row in shown.rows][1:] == [
        ("put right", "sorted", "1"),
        ("left, but odd", "odd", "2"),
    ]
    every = [cell.text for row in shown.rows for cell in row] + list(shown.notes)
    assert all(letter.isprintable() for text in every for letter in text)
    assert "7" in shown.rows[0][2].text


def test_every_number_is_in_the_data() -> None:
    fleet = fleet_of_three()
    tables = description(fleet, Report(3), habits(fleet))
    hours = table(tables, "fleet_hours").data
    assert hours["ready_share"].sum() == pytest.approx(4 / 3)
    facts = table(tables, "fleet").data
    mean = facts[(facts["what"] == "ready, mean")]["value"].item()
    assert math.isclose(mean, 1 / 18)


def test_the_picture_is_the_same_for_the_same_fleet_and_has_charging() -> None:
    fleet = fleet_of_three()
    charging = make_availability([[(0.0, 6 * HOUR)], []], DAY)
    charged = replace(fleet, battery=Battery(charging, np.zeros(3, np.int64), np.zeros(0), np.zeros(0)))
    found, plain = habits(charged), habits(fleet)
    assert found is not None
    assert plain is not None
    assert found.charging_hours is not None
    svg, png = fleet_picture(charged, found)
    assert fleet_picture(charged, found) == (svg, png)
    assert svg.startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
    assert svg != fleet_picture(fleet, plain)[0]
