import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from costmodel.sweep import parse_sweep
from reports.pipeline.listing import scenario_table
from reports.pipeline.report import FILE_FORMATS, PipelineRequest, build_pipeline_report, pipeline_files
from reports.pipeline.sweep import How
from reports.table import Table

CIFAR = PipelineRequest("xiaomi10_cifar10")
POWERS = {"power.base_w": "1", "power.cpu_active_w": "2", "power.dsp_active_w": "1.7", "power.link_active_w": "0.5"}


def tables(request: PipelineRequest) -> dict[str, Table]:
    return {table.name: table for table in build_pipeline_report(request).tables}


def texts(table: Table) -> str:
    return "\n".join([table.headline, *table.notes, *(" | ".join(cell.text for cell in row) for row in table.rows)])


def test_the_verdict_is_the_one_of_the_paper() -> None:
    shown = tables(CIFAR)
    assert list(shown) == ["pipeline", "resources", "claims", "parameters"]
    assert shown["pipeline"].headline == (
        "DSP 100 % busy; overlap saves 27.4 of 424.4 ms (6.5 %); next lever: 10 % off training saves 39.7 ms."
    )
    words = texts(shown["pipeline"])
    assert "time per batch, long run | 424.4 | 397 | 27.4 | 6.5 % | ms" in words
    assert "round of 8 batches | 3,395.2 | 3,203.4 | 191.8 | 5.6 % | ms" in words
    assert "time to converge | 1.8114 | 1.7697 | 0.04162 | 2.3 % | h" in words
    assert "prints 397 ms per batch: overlapped fits" in words
    assert "not identifiable" in words
    assert "train 3,176 ms (99.1 %), transfer 25 ms (0.8 %), quantize 2.4 ms (0.1 %)" in texts(shown["resources"])


def test_a_contradicted_reading_says_so_and_another_fits() -> None:
    words = texts(tables(PipelineRequest("xiaomi10_femnist"))["pipeline"])
    assert "Contradicted: Table 2 or 3 prints 11 ms per batch, and this takes at least 25; Table 4" in words
    assert "twice the batches per call saves 12.5 ms" in words
    assert "overlapped fits" in texts(tables(PipelineRequest("xiaomi10_femnist_f"))["pipeline"])
    assert "sequential fits" in texts(tables(PipelineRequest("xiaomi10_cifar10_d"))["pipeline"])


def test_without_overlap_the_resources_are_those_of_the_sequential_run() -> None:
    on, off = tables(CIFAR), tables(replace(CIFAR, overlap=False))
    assert off["pipeline"].headline.startswith("DSP 94 % busy without overlap; overlap saves 27.4 of 424.4 ms")
    assert texts(off["pipeline"]).count("397") == texts(on["pipeline"]).count("397")  # both columns stand in both
    assert set(off["resources"].data["run"]) == {"sequential"}
    assert "(93.5 %)" in texts(off["resources"])


def test_a_bound_is_called_a_bound_in_every_form() -> None:
    contended = {"cpu_threads": "2", "link.holds": "cpu"}
    request = PipelineRequest("xiaomi10_cifar10", contended, how=How(engine="formula"))
    table = tables(request)["pipeline"]
    assert ">= 397" in texts(table)
    assert "lower bounds" in texts(table)
    assert "saves at most" in table.headline
    assert table.data["overlapped_is_lower_bound"].all()
    assert not table.data["sequential_is_lower_bound"].any()  # nobody contends when nothing overlaps
    assert "<= 27.4" in texts(table)
    simulated = tables(PipelineRequest("xiaomi10_cifar10", contended))["pipeline"]
    assert "engine simpy: events are needed: claimants without a fixed order (contention)" in simulated.units
    assert ">=" not in texts(simulated)


def test_two_bounds_say_nothing_about_their_difference() -> None:
    request = PipelineRequest("xiaomi10_cifar10", {"failure.probability": "0.5"}, how=How(engine="formula"))
    table = tables(request)["pipeline"]
    assert "what overlap saves is not known from bounds" in table.headline
    assert table.data["saved"].isna().all()
    assert "a lower bound" in tables(request)["claims"].title
    assert "Shown without the disturbance" in texts(tables(request)["resources"])


def test_a_disturbed_phone_is_as_busy_as_it_was() -> None:
    request = PipelineRequest(
        "xiaomi10_cifar10",
        {"throttle.kind": "curve", "throttle.curve": "[[0, 0.5]]"},
        how=How(batches=100),
    )
    table = tables(request)["pipeline"]
    assert table.headline.startswith("DSP 100 % occupied")
    assert "next lever: 10 % off training saves 79.4 ms" in table.headline  # at half the clock
    assert "prints" not in texts(table)  # a phone at half its clock contradicts nothing
    assert "time per batch, after the first of the round" in texts(table)
    assert "The DSP was slowed down from 0.0 s on, 100 % of the round." in table.notes


def test_a_game_is_not_work_of_the_cpu() -> None:
    settings = {"foreground.every_ms": "3000", "foreground.for_ms": "1000"}
    request = PipelineRequest("xiaomi10_cifar10", settings, how=How(batches=100))
    shown = tables(request)
    cpu = shown["resources"].data.set_index("resource").loc["cpu"]
    assert cpu["busy_ms"] == pytest.approx(100 * 2.4)
    assert cpu["slowed_ms"] > 1000
    assert "stopped or slowed" in texts(shown["resources"])
    assert "The app's own energy and heat are not in these numbers." in shown["pipeline"].notes
    assert "100 batches are no round, which has 8" in texts(shown["pipeline"])  # no hours of a phone that is hotter


def test_a_disturbance_that_does_not_come_changes_nothing_and_says_so() -> None:
    never = PipelineRequest("xiaomi10_cifar10", {"foreground.every_ms": "30000", "foreground.for_ms": "10000"})
    shown, plain = tables(never)["pipeline"], tables(CIFAR)["pipeline"]
    assert shown.data["overlapped"].to_list() == pytest.approx(plain.data["overlapped"].to_list())
    assert "Nothing disturbed this round" in texts(shown)


def test_powers_that_no_phone_has_are_doubted() -> None:
    huge = {name: value for name, value in POWERS.items()} | {"power.dsp_active_w": "40"}
    assert "Check the powers: they make" in texts(tables(PipelineRequest("xiaomi10_cifar10", huge))["pipeline"])
    assert "Check the powers" not in texts(tables(PipelineRequest("xiaomi10_cifar10", POWERS))["pipeline"])


def test_a_changed_input_contradicts_nothing() -> None:
    words = texts(tables(PipelineRequest("xiaomi10_cifar10", {"quantize_on": "dsp"}))["pipeline"])
    assert "ontradicted" not in words
    assert "contradicted by the printed time" in tables(PipelineRequest("xiaomi10_femnist"))["pipeline"].headline


def test_jitter_makes_slots_a_lever() -> None:
    balanced = {"stage.quantize_ms": "25", "stage.train_ms": "25"}
    headline = tables(PipelineRequest("xiaomi10_cifar10", balanced, cv=0.3))["pipeline"].headline
    assert re.search(r"next lever: [a-z0-9 ]+ saves [23]\.", headline), headline  # the law alone: nothing helps


def test_another_batch_size_contradicts_nothing() -> None:
    words = texts(tables(PipelineRequest("xiaomi10_cifar10", {"batch_size": "128"}))["pipeline"])
    assert "prints" not in words
    assert "No hours" in words


def test_hours_are_of_whole_rounds_and_of_clients_that_finish() -> None:
    for settings, how in (
        ({"batches_per_round": "ceil"}, How(batches=1)),
        ({"cohort.round_end": "deadline", "cohort.deadline_s": "0.5"}, How()),
    ):
        assert "No hours" in texts(tables(PipelineRequest("xiaomi10_cifar10", settings, how=how))["pipeline"])


def test_a_cost_per_round_paid_by_one_batch_contradicts_nothing_and_has_no_hours() -> None:
    table = tables(PipelineRequest("xiaomi10_femnist_g", how=How(batches=1)))["pipeline"]
    assert "ontradicted" not in texts(table)
    assert "1 batches are no round, which has 46" in texts(table)
    assert "the transfer" in table.headline  # 25 ms for one batch: training is no lever


def test_thirds_of_phones_follow_the_reading() -> None:
    shown = tables(PipelineRequest("xiaomi10_cifar10_c", tornado=True))["tornado"].data.set_index("change")
    plain = tables(PipelineRequest("xiaomi10_cifar10", tornado=True))["tornado"].data.set_index("change")
    words = "wait for all 50, thirds of phones"
    assert shown.loc[words, "time_to_converge_h"] == pytest.approx(plain.loc[words, "time_to_converge_h"])


def test_random_times_have_intervals_and_quantiles() -> None:
    request = PipelineRequest("xiaomi10_cifar10", cv=0.3, how=How(replications=500))
    table = tables(request)["pipeline"]
    assert "engine recurrence" in table.units
    assert " +- " in texts(table)
    assert "over 500 replications" in texts(table)
    row = table.data.iloc[0]
    assert row["overlapped_low"] < row["overlapped"] < row["overlapped_high"]
    assert row["overlapped_p5"] < row["overlapped"] < row["overlapped_p95"]
    assert row["replications"] == 500


def test_energy_is_shown_by_part_when_the_powers_are_known() -> None:
    shown = tables(PipelineRequest("xiaomi10_cifar10", POWERS))
    energy = shown["energy"].data.set_index("part")
    assert energy.loc["base", "sequential_mj"] - energy.loc["base", "overlapped_mj"] == pytest.approx(27.4)
    assert (
        energy.loc["dsp active", "sequential_mj"] == energy.loc["dsp active", "overlapped_mj"] == pytest.approx(674.9)
    )
    assert energy.loc["total", "overlapped_mj"] == pytest.approx(397 + 2 * 2.4 + 0.5 * 25 + 1.7 * 397)
    radio = POWERS | {"power.energy_counts": '["train", "radio"]', "power.radio_w": "1"}
    data = tables(PipelineRequest("xiaomi10_cifar10", radio))["pipeline"].data.set_index("quantity")
    counted = data.loc["energy of a round (7.8125 batches; train, radio)", "overlapped"]
    assert counted == pytest.approx(7.8125 * (397 + 4.8 + 12.5 + 674.9) / 1e3 + 6.0)


def test_every_parameter_is_printed_with_where_it_is_from() -> None:
    from costmodel.paper_scenario import paper_scenario
    from costmodel.scenario import parameters

    table = tables(PipelineRequest("xiaomi10_cifar10", {"device_slots": "3"}))["parameters"]
    words = texts(table)
    names = [name for name, _, _ in parameters(paper_scenario("xiaomi10_cifar10"))]
    assert list(table.data["parameter"]) == names
    for name in names:
        assert name in words or name == "title"  # which is the heading
    assert "device_slots | 3 |  | you: --set" in words
    assert "inputs changed" in table.mode
    assert "power.base_w = not known" in words


def test_a_sweep_has_a_row_for_every_point_and_says_what_has_no_hours() -> None:
    request = replace(CIFAR, sweeps=(parse_sweep("batch_size=4,16,64,128"),), settings={"stage.sample_ms": "1"})
    sweep = tables(request)["sweep"]
    assert list(sweep.data["batch_size"]) == [4, 16, 64, 128]
    assert [round(value) for value in sweep.data["saved_pct"]] == [50, 21, 7, 4]
    assert list(sweep.data["time_to_converge_h"].notna()) == [False, False, True, False]
    assert list(sweep.data["bottleneck"]) == ["link work", "DSP work", "DSP work", "DSP work"]


def test_a_setting_and_a_sweep_may_need_each_other() -> None:
    request = replace(
        CIFAR, settings={"foreground.every_ms": "900"}, sweeps=(parse_sweep("foreground.for_ms=100..300:100"),)
    )
    assert list(tables(request)["sweep"].data["engine"]) == ["simpy"] * 3
    with pytest.raises(ValueError, match="need each other"):
        tables(replace(request, sweeps=()))
    noisy = replace(CIFAR, settings={"noise.kind": "lognormal"}, sweeps=(parse_sweep("noise.cv=0,0.2"),))
    assert list(tables(noisy)["sweep"].data["engine"]) == ["formula", "recurrence"]


def test_an_interrupted_sweep_keeps_what_it_finished() -> None:
    request = replace(CIFAR, sweeps=(parse_sweep("device_slots=1..8"),))

    def stop(what: str, done: int, of: int) -> None:
        if (what, done) == ("points", 3):
            raise KeyboardInterrupt

    report = build_pipeline_report(request, stop)
    sweep = next(table for table in report.tables if table.name == "sweep")
    assert report.interrupted
    assert list(sweep.data["device_slots"]) == ["1", "2", "3"]
    assert "Interrupted: 3 of 8 points; these are complete." in sweep.notes

    def at_once(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_pipeline_report(replace(CIFAR, cv=0.3), at_once)


def test_the_tornado_is_sorted_by_what_it_does_to_the_hours() -> None:
    table = tables(replace(CIFAR, tornado=True))["tornado"]
    effects = (table.data["time_to_converge_pct"].abs())[1:]
    assert list(effects) == sorted(effects, reverse=True)
    assert table.data["change"].iloc[0] == "as it is"
    assert "network rate x 0.5 | 397 | 0.0 | 2.936 | +65.9" in texts(table)


def test_files_hold_what_is_shown_and_pictures_repeat_to_the_byte() -> None:
    request = PipelineRequest("xiaomi10_cifar10", POWERS)
    report = build_pipeline_report(request)
    files = pipeline_files(report, FILE_FORMATS)
    assert set(files) == {
        *("claims.csv", "energy.csv", "parameters.csv", "pipeline.csv", "resources.csv"),
        *("energy.png", "energy.svg", "gantt.png", "gantt.svg"),
        *("manifest.json", "pipeline.html", "pipeline.md", "pipeline.tex", "trace.json"),
    }
    again = pipeline_files(build_pipeline_report(request), FILE_FORMATS)
    assert files == again
    frame = pd.read_csv(io.BytesIO(files["pipeline.csv"]))
    assert frame.loc[frame["quantity"] == "time per batch, long run", "overlapped"].item() == 397
    assert json.loads(files["manifest.json"])["parameters"]["scenario"] == "xiaomi10_cifar10"
    assert files["pipeline.html"].count(b"<svg") == 2
    assert str(Path(__file__).parents[3]).encode() not in files["pipeline.html"]  # no path of this machine
    assert files["gantt.svg"].startswith(b"<?xml")
    assert files["gantt.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "request_",
    [
        replace(CIFAR, tornado=True),
        replace(CIFAR, sweeps=(parse_sweep("batch_size=4,64"), parse_sweep("device_slots=1..2"))),
        replace(CIFAR, sweeps=(parse_sweep("link.holds=nothing,cpu,dsp"),)),
        replace(CIFAR, sweeps=(parse_sweep("device_slots=1..3"),), cv=0.2, how=How(replications=20)),
        PipelineRequest("xiaomi10_cifar10", {"cpu_threads": "2", "link.return_ms": "5", "link.duplex": "half"}),
        PipelineRequest("xiaomi10_cifar10", {"link.holds": "dsp", "quantize_on": "dsp"}),
        PipelineRequest("xiaomi10_cifar10", {"samples": "64"}),
    ],
    ids=str,
)
def test_every_kind_of_picture_can_be_drawn(request_: PipelineRequest) -> None:
    files = pipeline_files(build_pipeline_report(request_), ["svg", "png"])
    assert {"gantt.svg", "gantt.png"} <= set(files)
    if request_.tornado:
        assert "tornado.svg" in files
    if request_.sweeps:
        assert "sweep.svg" in files


def test_the_list_of_scenarios_holds_every_reading_of_every_phone() -> None:
    table = scenario_table()
    assert len(table.rows) == 3 * 3 * 7
    verdicts = table.data.set_index("scenario")["verdict"]
    assert verdicts["xiaomi10_femnist"] == "contradicted"
    assert verdicts["xiaomi10_femnist_b"] == "impossible"
    assert verdicts["xiaomi10_cifar10_d"] == "fits Table 2-3"
    for workload in ("femnist", "cifar10", "cifar100"):
        assert set(verdicts[[f"xiaomi10_{workload}_{letter}" for letter in "efg"]]) == {"fits Table 2-3"}
