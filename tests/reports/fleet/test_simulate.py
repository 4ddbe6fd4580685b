"""A run on a fleet from request to tables: paper mode on equal phones, sums that add up, and every kind of server."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from costmodel.round import PhasePower
from fl_sim.reading import find_reading
from profiler.sheet import parse_sheet
from profiler.table import table_of
from reports.fleet.files import day_data, energy_data, figure_files, part_data
from reports.fleet.request import End, Request
from reports.fleet.simulate import Simulated, simulated
from reports.fleet.summary_table import summary_tables
from reports.table import Table
from reports.table4 import paper_rows
from traces.availability import make_availability
from traces.fleet import Fleet, uniform_fleet
from traces.hardware import Hardware
from traces.open import FleetOptions, OpenedFleet, open_fleet
from traces.rates import constant_network
from traces.report import Report

HOUR = 3_600.0


def opened(fleet: Fleet) -> OpenedFleet:
    return OpenedFleet(fleet, Report(fleet.phones), ())


@pytest.fixture(scope="module")
def flash() -> OpenedFleet:
    return open_fleet("flash", options=FleetOptions(phones=600, seed=3))


@pytest.fixture(scope="module")
def hard(flash: OpenedFleet) -> Simulated:
    """A run with every outcome that a synchronous round has."""
    return simulated(
        Request(
            flash, rounds=30, over_commit=1.3, end=End("kth"), deadline_s=34.0, interrupted="abort", dropout=0.2,
            retries=1, select="random", power=PhasePower(download_w=0.5, wait_w=0.1),
        )
    )  # fmt: skip


def words(tables: tuple[Table, ...], name: str) -> Mapping[str, tuple[str, ...]]:
    shown = next(each for each in tables if each.name == name)
    return {row[0].text: tuple(cell.text for cell in row[1:]) for row in shown.rows}


@pytest.mark.parametrize(
    "row", paper_rows(find_reading("epochs4_int8_payload")), ids=lambda row: f"{row.workload.name} {row.title}"
)
def test_equal_phones_that_are_always_ready_give_table_4(row) -> None:  # type: ignore[no-untyped-def]
    batch = row.result.batch
    fleet = uniform_fleet("equal", 200, model=batch.device, soc="", tier="", bit_per_s=10e6)
    found = simulated(
        Request(
            opened(fleet), workload=row.workload.name, method=row.method.name,
            device_map=f"default={batch.device}:{batch.processor}",
        )
    )  # fmt: skip
    assert found.summary.hours == pytest.approx(row.result.time_h, rel=1e-9)
    assert found.summary.registered_j / 1e3 == pytest.approx(row.result.client_kj, rel=1e-9)
    assert found.summary.wasted_j == 0


def test_every_outcome_is_told_and_the_counts_add_up(hard: Simulated) -> None:
    tables = summary_tables(hard)
    told = next(each for each in tables if each.name == "fleet_outcomes").data
    whole = told[told["outcome"] != "lost attempts of those done"]
    assert len(whole) >= 3
    assert whole["client_rounds"].sum() == hard.summary.participations == len(hard.course.phone)
    assert whole["joules"].sum() == pytest.approx(hard.summary.energy_j)
    lost = told[told["outcome"] == "lost attempts of those done"]
    wasted = whole.loc[whole["outcome"] != "done", "joules"].sum() + lost["joules"].sum()
    # Joules of waiting are never waste, and nobody but those that are done waits.
    assert wasted == pytest.approx(hard.summary.wasted_j)


def test_phases_and_tiers_add_up_to_all_phones(hard: Simulated) -> None:
    tables = summary_tables(hard)
    phases = next(each for each in tables if each.name == "fleet_phases").data.set_index("phase")["joules"]
    assert phases[["training", "download", "waiting"]].sum() == pytest.approx(hard.summary.energy_j)
    assert words(tables, "fleet_phases")["upload"][-1] == "not counted"
    tiers = next(each for each in tables if each.name == "fleet_tiers").data
    assert tiers["joules"].sum() == pytest.approx(hard.summary.energy_j)
    assert tiers["phones_share"].sum() == pytest.approx(1)
    assert tiers["updates_share"].sum() == pytest.approx(1)
    energy = energy_data(hard.course)
    assert energy.loc[energy["phase"] != "wasted", "joules"].sum() == pytest.approx(hard.summary.energy_j)
    assert energy.loc[energy["phase"] == "wasted", "joules"].sum() == pytest.approx(hard.summary.wasted_j)


def test_what_is_drawn_is_who_was_asked(hard: Simulated) -> None:
    day, part = day_data(hard.course), part_data(hard.course)
    assert day["asked"].sum() == part["asked"].sum() == hard.summary.participations
    assert day["delivered"].sum() == part["delivered"].sum() == hard.summary.updates
    assert len(part) == hard.summary.took_part
    assert day["asked"][0] > 0  # the clock begins at midnight


def test_notes_say_what_was_asked_and_what_is_not_counted(hard: Simulated) -> None:
    notes = " ".join(summary_tables(hard)[0].notes)
    for part in (
        "all phones at random, ready or not", "65 of them a round, for 50 updates", "ends when 50 have delivered",
        "after 34 s at the latest", "work is lost when a phone stops being ready", "20 % of the attempts fail",
        "Not counted: radio (upload), work of the server", "30 rounds, given", "fitted to FLASH",
    ):  # fmt: skip
        assert part in notes
    assert "radio (download)" not in notes


def test_the_same_seed_gives_the_same_run_and_files_and_another_another(flash: OpenedFleet, hard: Simulated) -> None:
    again = simulated(hard.request)
    assert repr(again.summary) == repr(hard.summary)  # NaN is not itself
    assert figure_files(again) == figure_files(hard)
    assert simulated(replace(hard.request, seed=1)).summary.energy_j != hard.summary.energy_j


def test_both_clocks_give_the_same_run(hard: Simulated) -> None:
    events = simulated(replace(hard.request, clock="events"))
    assert events.summary.participations == hard.summary.participations
    assert events.summary.hours == pytest.approx(hard.summary.hours, rel=1e-12)
    assert events.summary.energy_j == pytest.approx(hard.summary.energy_j, rel=1e-12)
    assert events.summary.wasted_j == pytest.approx(hard.summary.wasted_j, rel=1e-9)


def test_an_asynchronous_server_makes_versions_of_as_many_updates(flash: OpenedFleet) -> None:
    told: list[tuple[int, int]] = []
    request = Request(flash, rounds=4, cohort=25, end=End("buffer", buffer=8), concurrency=20)
    found = simulated(request, lambda done, total: told.append((done, total)))
    assert told == [(done, 13) for done in range(1, 14)]  # 100 updates, rounded up to versions of 8
    assert found.summary.updates == 104
    tables = summary_tables(found)
    run = words(tables, "fleet_run")
    assert run["versions"] == ("13, of 8 updates each",)
    assert "rounds" not in run
    assert "20 at a time; a version of every 8 updates; as many updates as 4 rounds of 25" in " ".join(tables[0].notes)
    assert found.warnings == ()


def test_time_in_which_nobody_was_ready_is_told() -> None:
    availability = make_availability([[(6 * HOUR, 7 * HOUR)]], 24 * HOUR)
    count = 4
    fleet = Fleet(
        name="mornings", hardware=Hardware(("A",), ("",), ("high",), np.array([np.nan])),
        hardware_of=np.zeros(count, np.int32), network=constant_network(1e7, 1e7),
        network_of=np.zeros(count, np.int32), availability=availability, trace_of=np.zeros(count, np.int32),
        shift_s=np.zeros(count), source="made for tests",
    )  # fmt: skip
    found = simulated(Request(opened(fleet), rounds=1, cohort=2))
    run = words(summary_tables(found), "fleet_run")
    assert run["nobody was ready"][0].startswith("6 h (99.")
    assert run["took part"] == ("2 of 4 phones (50.0 %), 0 more in vain",)


def test_what_became_of_the_traces_is_told(flash: OpenedFleet) -> None:
    read = OpenedFleet(flash.fleet, Report(600, (("devices never ready", 7),), (("half \x1b hours", 1200),)), ())
    notes = summary_tables(simulated(Request(read, rounds=1, deadline_s=60.0)))[0].notes
    assert "Of its traces were dropped: 7 devices never ready; see fedjoule fleet describe." in notes
    odd = OpenedFleet(flash.fleet, Report(600, flags=(("phones with less than 10 kbit/s", 9),)), ())
    notes_of_odd = summary_tables(simulated(Request(odd, rounds=1)))[0].notes
    assert "Left, but odd: 9 phones with less than 10 kbit/s; see fedjoule fleet describe." in notes_of_odd
    assert any("put right: 1,200 half" in note and note.isprintable() for note in notes)


def test_a_cohort_above_the_fleet_is_said() -> None:
    fleet = uniform_fleet("few", 20, model="A", soc="", tier="high", bit_per_s=1e7)
    found = simulated(Request(opened(fleet), rounds=2, cohort=50))
    cohort, few = found.warnings
    assert cohort.startswith(
        "cohort 50 is above the fleet's 20 phones: no round has all its updates; give --cohort 20 "
    )
    assert few.endswith("than training takes: a smaller --cohort or more phones may help")
    assert simulated(Request(opened(fleet), rounds=2, cohort=20)).warnings == ()
    with pytest.raises(ValueError, match=r"cohort must not be above the 100 registered clients \(got 101\)"):
        simulated(Request(opened(fleet), rounds=2, cohort=101))


def test_updates_beyond_those_wanted_are_explained() -> None:
    fleet = uniform_fleet("alike", 20, model="A", soc="", tier="high", bit_per_s=1e7)
    found = simulated(Request(opened(fleet), rounds=3, cohort=4, over_commit=1.5, end=End("kth")))
    assert found.summary.updates == 18  # all six end at one moment
    notes = summary_tables(found)[0].notes
    assert "Who delivers at the moment a round ends is counted: 6 updates more than were wanted." in notes


def test_what_may_help_is_of_what_was_asked(flash: OpenedFleet) -> None:
    none = simulated(Request(flash, rounds=1, dropout=1.0, cohort=5)).warnings[0]
    assert none.endswith("of these: a smaller --cohort, more phones or a smaller --dropout or more --retries may help")
    late = simulated(Request(flash, rounds=1, deadline_s=1.0, cohort=5, select="random")).warnings[0]
    assert late.endswith("of these: a later deadline, a smaller --cohort, more phones or --select available may help")


def test_rounds_that_never_count_are_said_to(flash: OpenedFleet) -> None:
    found = simulated(Request(flash, rounds=3, deadline_s=1.0))
    assert found.summary.counted == 0
    assert found.warnings[0].startswith("only 0 of 3 rounds counted, 10 times as many were tried")
    run = words(summary_tables(found), "fleet_run")
    assert run["rounds"] == ("0 of 3, 30 more were void",)
    assert run["fairness"] == ("Jain's index -; as even as can be: -",)
    assert len(figure_files(found)) == 11  # drawn even if nobody delivered


def test_a_run_of_few_updates_is_said_to_be_one(flash: OpenedFleet) -> None:
    few = simulated(Request(flash, rounds=3, deadline_s=25.0))
    assert few.summary.ended
    assert 0 < few.summary.updates_share < 0.5
    assert few.warnings[0].startswith(f"only {100 * few.summary.updates_share:.1f} % of the updates wanted came")
    many = simulated(Request(flash, rounds=3, deadline_s=90.0))
    assert many.summary.updates_share > 0.5
    assert many.warnings == ()


def test_own_measurements_win_over_published_ones(flash: OpenedFleet) -> None:
    header = "device,processor,precision,model,dataset,batch_size,stage,time_ms,energy_mj,source"
    own = table_of(parse_sheet(f"{header}\nXiaomi 10,dsp,int8,VGG-16,CIFAR-10,64,total,100,,mine\n".encode(), "my.csv"))
    found = simulated(Request(flash, rounds=1, own={"my.csv": own}))
    devices = next(each for each in summary_tables(found) if each.name == "fleet_devices").data.set_index("device")
    assert devices.loc["Xiaomi 10", ["table", "time_ms"]].tolist() == ["my.csv", 100]
    assert devices.loc["Redmi Note 9", "table"] == "table3.csv"
    assert words(summary_tables(found), "fleet_run")["energy"] == ("not measured of all phones",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload": "imagenet"}, "workload 'imagenet' is unknown"),
        ({"method": "fedavg"}, "floatfl"),
        ({"rounds": 0}, "rounds must be from 1"),
        ({"cohort": -1}, "cohort must be from 1"),
        ({"least": 51}, "least must not be above the phones asked"),
        ({"device_map": "low=Nokia:dsp"}, "was not measured"),
        ({"device_map": "low=Redmi Note 9:dsp"}, "have no measured device"),
        ({"end": End("buffer", buffer=2), "concurrency": 0}, "concurrency must be a whole number"),
    ],
)
def test_what_cannot_be_is_refused(flash: OpenedFleet, changes: Mapping[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        simulated(Request(flash, **changes))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_version_that_takes_more_updates_than_are_wanted_is_refused(flash: OpenedFleet) -> None:
    with pytest.raises(ValueError, match=r"buffer:101 must be at most the 100 updates of 2 rounds of 50"):
        simulated(Request(flash, rounds=2, end=End("buffer", buffer=101)))


def test_a_run_may_begin_at_another_hour(flash: OpenedFleet) -> None:
    midnight, noon = (simulated(Request(flash, rounds=4, deadline_s=90.0, begin_h=hour)) for hour in (0.0, 12.5))
    assert noon.course.rounds[0].begin_s == 12.5 * HOUR
    assert noon.summary.hours == pytest.approx((noon.course.rounds[-1].end_s - 12.5 * HOUR) / HOUR)
    assert noon.summary.hours < 1
    assert noon.summary.idle_s == midnight.summary.idle_s == 0
    assert set(noon.course.phone) != set(midnight.course.phone)
    shown = next(each for each in summary_tables(noon) if each.name == "fleet_run")
    assert any("the run begins at 12.5 h of the day" in note for note in shown.notes)
    with pytest.raises(ValueError, match=r"begin must be an hour of the day from 0 to below 24 \(got 24\)"):
        Request(flash, begin_h=24.0)
