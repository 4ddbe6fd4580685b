"""Calibration is proved on tables made by simulation from a known truth."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from costmodel import recurrence
from costmodel.calibrate import calibrate
from costmodel.design import UNKNOWNS, predict
from costmodel.energy import energy
from costmodel.observation import Measured, Observation, measured_of
from costmodel.power_fit import fit_power
from costmodel.scenario import POOR_FIT, Clock, Link, Power, Scenario, StageTimes, pipeline_of
from costmodel.scenario_file import parse_scenario, to_toml
from costmodel.simulate import simulate
from costmodel.stages import STAGES
from costmodel.validate import cross_validate, error_summary, validate
from profiler.sheet import TableError
from profiler.table import check_table
from reports.pipeline.fit import calibration_table
from reports.pipeline.summary import mode_of
from tests.conftest import Run

TRUTH = Scenario(
    batch_size=64,
    samples=64 * 40,
    stage=StageTimes(reference_batch_size=64, sample_ms=3.0, quantize_ms=12.0, train_ms=200.0, train_call_ms=2.0),
    link=Link(call_ms=8.0, bytes_per_sample=1.0, bytes_per_s=1e3 / 0.4),
    power=Power(base_w=0.9, cpu_active_w=2.0, link_active_w=0.6, dsp_active_w=1.8),
)
PER_SAMPLE = {"sample": 3 / 64, "quantize": 12 / 64, "train": 200 / 64, "link": 0.4}
PER_CALL = {"link call": 8.0, "train call": 2.0, "link round": 0.0}
SIZES = (4, 8, 16, 32, 64, 128)
BASE = Scenario(batch_size=64, samples=64 * 40)


def table(
    truth: Scenario = TRUTH,
    *,
    overlaps: tuple[str, ...] = ("on", "off"),
    alone: Sequence[str] = (),
    noise: float = 0.0,
    batches: int = 400,
    seed: int = 0,
    idle: bool = False,
    energies: bool = False,
) -> pd.DataFrame:
    """Return a measurement table as a phone with ``truth`` would give it: simulated runs, mean time of a batch."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []

    def add(stage: str, size: int | None, time_ms: float, energy_mj: float | None, conditions: str, many: int) -> None:
        factor = 1 + noise * float(random.standard_normal())
        rows.append(
            {"device": "Pixel 8", "processor": "cpu" if stage in ("sample", "quantize") else "npu", "precision": "int8"}
            | {"model": "Net", "dataset": "Data", "batch_size": size, "stage": stage, "time_ms": time_ms * factor}
            | {"energy_mj": energy_mj if energies else None, "batches": many, "conditions": conditions}
            | {"time_ms_std": max(noise, 0.001) * time_ms * many**0.5, "source": "simulated", "provenance": "measured"}
        )

    for size in SIZES:
        scenario = replace(truth, batch_size=size)
        pipeline = pipeline_of(scenario)
        times = recurrence.constant_times(pipeline, batches)
        for overlap in overlaps:
            spans = simulate(pipeline, times, overlap=overlap == "on").spans
            whole = float(spans.makespan_ms)
            busy = {stage: float(spans.work_ms[stage].sum()) for stage in STAGES}
            joules = energy(scenario, busy, whole).total_j
            mj = None if joules is None else 1e3 * joules / batches
            add("total", size, whole / batches, mj, f"overlap: {overlap}; battery: 80 %", batches)
    single = pipeline_of(truth)
    active = {"sample": truth.power.cpu_active_w, "quantize": truth.power.cpu_active_w}
    active |= {"transfer": truth.power.link_active_w, "train": truth.power.dsp_active_w}
    for stage in alone:
        if stage == "empty call":
            add("transfer", None, truth.link.call_ms + truth.stage.train_call_ms, None, "empty call", batches)
        else:
            time_ms = getattr(single, f"{stage}_ms")
            watts = (truth.power.base_w or 0) + (active[stage] or 0)
            add(stage, 64, time_ms, watts * time_ms, "", batches)
    if idle:
        rows.append(
            {"device": "Pixel 8", "processor": "cpu", "precision": "int8", "stage": "idle", "time_ms": 30_000}
            | {"energy_mj": 30_000 * (truth.power.base_w or 0), "source": "simulated", "provenance": "measured"}
        )
    columns = ("model", "dataset", "batch_size", "energy_mj", "conditions")
    frame = pd.DataFrame(rows)
    return check_table(frame.assign(**{name: None for name in columns if name not in frame}))


def values(found: Any) -> dict[str, tuple[float, float | None, bool]]:
    return {each.name: (each.value, each.half_width, each.known) for each in found.fitted}


EVERYTHING = ("sample", "quantize", "transfer", "empty call")


def test_the_five_runs_give_the_truth_back() -> None:
    measured = measured_of(table(alone=EVERYTHING), "phone.csv")
    found = values(calibrate(measured, BASE))
    for name, truth in (PER_SAMPLE | PER_CALL).items():
        value, _, known = found[name]
        assert known, name
        assert value == pytest.approx(truth, rel=1e-4, abs=2e-3), name


def test_runs_of_one_length_cannot_tell_a_call_from_a_round() -> None:
    found = calibrate(measured_of(table(alone=("sample", "quantize")), "phone.csv"), BASE)
    assert {"link call", "link round"} <= {name for name, (_, _, known) in values(found).items() if not known}
    assert any({"link call", "link round"} <= set(group) for group in found.open)
    assert found.runs


def test_runs_of_two_lengths_tell_a_call_from_a_round() -> None:
    truth = replace(TRUTH, link=replace(TRUTH.link, round_ms=0.0))
    frame = pd.concat([table(truth, alone=EVERYTHING), table(truth, batches=20)], ignore_index=True)
    # Tell the two sets of totals apart, as a table must.
    short = frame["batches"] == 20
    frame.loc[short, "conditions"] = frame.loc[short, "conditions"] + "; short"
    found = calibrate(measured_of(frame, "phone.csv"), BASE)
    assert all(known for _, _, known in values(found).values())
    assert found.open == ()
    assert found.runs == ()


@pytest.mark.parametrize(
    ("overlaps", "alone", "open_", "settled_by"),
    [
        (("off",), (), {"sample", "quantize", "train", "link", "link call", "train call"}, "quantizing alone"),
        (("on", "off"), (), {"sample", "quantize", "link"}, "sampling alone"),
        (("on", "off"), ("sample",), {"quantize", "link"}, "quantizing alone"),
        (("on", "off"), ("sample", "quantize"), set(), ""),
    ],
)
def test_what_the_rows_cannot_tell_apart_is_named_with_the_run_that_would(
    overlaps: tuple[str, ...], alone: tuple[str, ...], open_: set[str], settled_by: str
) -> None:
    frame = table(overlaps=overlaps, alone=alone)
    frame["batches"] = pd.NA
    found = calibrate(measured_of(frame, "phone.csv"), BASE)
    unknown = {name for name, (_, _, known) in values(found).items() if not known}
    assert unknown - {"link round"} == open_
    assert settled_by in " ".join(found.runs)
    for name in set(UNKNOWNS) - unknown:
        truth = (PER_SAMPLE | PER_CALL)[name]
        assert values(found)[name][0] == pytest.approx(truth, rel=0.02, abs=0.05), name


def test_what_is_called_not_identifiable_fits_as_well_with_other_values() -> None:
    """Moving time from quantizing to the link changes no row, so no row can know."""
    measured = measured_of(table(alone=("sample",)), "phone.csv")
    other = replace(
        TRUTH,
        stage=replace(TRUTH.stage, quantize_ms=6.0),
        link=replace(TRUTH.link, bytes_per_s=1e3 / (0.4 + 6 / 64)),
    )
    rows = [row for row in measured.observations if row.kind in ("overlapped", "sequential", "sample")]
    for row in rows:
        long_run = replace(row, batches=None)
        assert predict(long_run, other) == pytest.approx(predict(long_run, TRUTH), rel=1e-12)


def test_a_slow_link_and_slow_training_look_alike_and_that_is_said() -> None:
    """The period law is symmetric in transfer and training, so a sweep cannot tell which of them is slow."""
    slow_link = replace(
        TRUTH,
        stage=replace(TRUTH.stage, train_ms=0.4 * 64, train_call_ms=8.0),
        link=Link(call_ms=2.0, bytes_per_sample=1.0, bytes_per_s=1e3 / (200 / 64)),
    )
    found = []
    for truth in (TRUTH, slow_link):
        frame = table(truth, alone=("sample", "quantize", "empty call"))
        frame["batches"] = pd.NA
        found.append(calibrate(measured_of(frame, "phone.csv"), BASE))
    for each in found:  # the same rows, but for what the start of a run adds, so the same answer with the same proviso
        train = next(one for one in each.fitted if one.name == "train")
        assert train.assumed
        assert train.value == pytest.approx(200 / 64, rel=0.02)
        assert "the transfer alone (stage transfer)" in each.runs
        assert "if training is the longest stage" in dict(each.scenario.origins)["stage.train_ms"]
    settled = table(slow_link, alone=EVERYTHING)
    settled["batches"] = pd.NA
    decided = calibrate(measured_of(settled, "phone.csv"), BASE)
    assert values(decided)["link"][0] == pytest.approx(200 / 64, rel=0.02)
    assert not any(each.assumed for each in decided.fitted)


def test_the_proposed_runs_do_settle_it() -> None:
    frame = table(overlaps=("on", "off"))
    frame["batches"] = pd.NA
    proposed = calibrate(measured_of(frame, "phone.csv"), BASE).runs
    assert {"sampling alone (stage sample)", "quantizing alone (stage quantize)"} <= set(proposed)
    more = table(overlaps=("on", "off"), alone=("sample", "quantize"))
    more["batches"] = pd.NA
    assert set(sum(calibrate(measured_of(more, "phone.csv"), BASE).open, ())) == {"link round"}


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    inside = total = 0
    for seed in range(60):
        frame = table(alone=EVERYTHING, noise=0.01, seed=seed)
        frame["batches"] = pd.NA
        frame["time_ms_std"] = 0.01 * frame["time_ms"]
        found = values(calibrate(measured_of(frame, "phone.csv"), BASE))
        for name in ("sample", "quantize", "train", "link", "link call", "train call"):
            value, half, known = found[name]
            assert known, name
            assert half is not None
            inside += abs(value - (PER_SAMPLE | PER_CALL)[name]) <= half
            total += 1
    assert 0.88 <= inside / total <= 1.0


def test_no_valley_of_the_maximum_is_mistaken_for_the_answer() -> None:
    """Truths on which few starts end in a local minimum: stages of no length, each binding in turn."""
    random = np.random.default_rng(8)
    for seed in range(30):
        sample, quantize, link, train = (float(value) for value in random.choice([0.0, 0.02, 0.3, 2.0], 4))
        truth = replace(
            TRUTH,
            stage=StageTimes(1, sample, quantize, None, train + 0.01, float(random.choice([0.0, 3.0]))),
            link=Link(
                call_ms=float(random.choice([0.5, 2.0, 9.0])), bytes_per_sample=1, bytes_per_s=1e3 / (link + 1e-9)
            ),
        )
        pipeline = pipeline_of(truth)
        took = {"sample": pipeline.sample_ms, "quantize": pipeline.quantize_ms}
        frame = table(truth, alone=[name for name in EVERYTHING if took.get(name, 1.0) > 0])
        found = calibrate(measured_of(frame, "phone.csv"), BASE)
        assert not found.poor, seed
        assert found.rms_error_pct < 0.05, seed


def test_rows_that_no_pipeline_makes_are_called_a_poor_fit() -> None:
    frame = table(alone=EVERYTHING)
    frame.loc[frame["conditions"].fillna("").str.startswith("overlap: on"), "time_ms"] *= 2.5
    assert calibrate(measured_of(frame, "phone.csv"), BASE).poor
    assert not calibrate(measured_of(table(alone=EVERYTHING), "phone.csv"), BASE).poor


def contradictory() -> Measured:
    """Return rows with energies in which overlap makes training slower than no overlap, as no pipeline does."""
    frame = table(alone=EVERYTHING, energies=True, idle=True)
    frame.loc[frame["conditions"].fillna("").str.startswith("overlap: on"), "time_ms"] *= 2.5
    return measured_of(frame, "phone.csv")


def verdicts(measured: Measured) -> dict[str, str]:
    found = calibrate(measured, BASE)
    printed = calibration_table(measured, found, fit_power(measured, found))
    return {row[0].text: row[4].text for row in printed.rows}


def test_a_poor_fit_is_doubted_wherever_its_scenario_is_used() -> None:
    measured = contradictory()
    written = to_toml(fit_power(measured, calibrate(measured, BASE)).scenario)
    again = parse_scenario(written.encode(), "my_phone.toml")
    assert again.doubts.startswith(POOR_FIT)
    assert mode_of(again) == "your scenario, a poor fit"
    assert "(calibrated, a poor fit)" in next(line for line in written.splitlines() if line.startswith("train_ms"))
    good = measured_of(table(alone=EVERYTHING, energies=True, idle=True), "phone.csv")
    assert fit_power(good, calibrate(good, BASE)).scenario.doubts == ""


def test_the_commands_say_that_a_scenario_is_a_poor_fit(fedjoule: Run, tmp_path: Path) -> None:
    frame = table(alone=EVERYTHING)
    frame.loc[frame["conditions"].fillna("").str.startswith("overlap: on"), "time_ms"] *= 2.5
    frame.to_csv(tmp_path / "m.csv", index=False)
    rows, made = ("--measurements", tmp_path / "m.csv"), tmp_path / "fit.toml"
    done = fedjoule("pipeline", "calibrate", *rows, "--out", made)
    assert (done.returncode, done.stderr) == (0, "")
    for use in (("--scenario", made), ("validate", *rows, "--scenario", made)):
        assert POOR_FIT in " ".join(fedjoule("pipeline", *use).stdout.split()), use
    assert "mode: your scenario, a poor fit" in fedjoule("pipeline", "--scenario", made, "--sweep", "epochs=1,2").stdout


def test_no_number_of_a_poor_fit_is_called_known() -> None:
    poor = verdicts(contradictory())
    assert {poor["sample"], poor["quantize"], poor["power.base_w"]} == {"known, if the model holds"}
    assert "known" not in poor.values()
    assert verdicts(measured_of(table(alone=EVERYTHING), "phone.csv"))["sample"] == "known"


def test_everything_that_is_not_identifiable_is_named_in_the_doubts() -> None:
    sweep = measured_of(table(energies=True), "phone.csv")
    found = calibrate(sweep, BASE)
    power = fit_power(sweep, found)
    unknown = [each.name for each in (*found.fitted, *power.fitted) if not each.known]
    assert {"link round", "power.cpu_active_w"} <= set(unknown)
    doubts = power.scenario.doubts
    for name in unknown:
        assert name in doubts, name
    assert "link round (taken to be 0)" in doubts
    assert power.scenario.link.round_ms == 0
    assert parse_scenario(to_toml(power.scenario).encode(), "my_phone.toml").doubts == doubts


def test_the_calibrated_scenario_predicts_what_it_was_made_from_and_what_it_was_not() -> None:
    measured = measured_of(table(alone=EVERYTHING, noise=0.003, seed=5), "phone.csv")
    found = calibrate(measured, BASE)
    assert found.rms_error_pct < 1
    assert abs(error_summary(validate(measured, found.scenario)).worst_pct) < 2
    held_out = cross_validate(measured, BASE)
    assert len(held_out) == 2 * len(SIZES)
    assert abs(error_summary(held_out).mean_pct) < 2
    assert abs(error_summary(held_out).worst_pct) < 6


def test_a_wrong_scenario_is_seen_with_the_sign_of_its_error() -> None:
    measured = measured_of(table(), "phone.csv")
    slow = replace(TRUTH, stage=replace(TRUTH.stage, train_ms=400.0))
    summary = error_summary(validate(measured, slow))
    assert summary.mean_pct > 20
    assert summary.mean_size_pct == pytest.approx(summary.mean_pct)


def test_the_power_split_comes_back_where_it_is_identifiable() -> None:
    frame = table(alone=("sample", "quantize", "transfer"), idle=True, energies=True)
    measured = measured_of(frame, "phone.csv")
    power = fit_power(measured, calibrate(measured, BASE))
    found = {each.name: each for each in power.fitted}
    for name, watts in (("base_w", 0.9), ("cpu_active_w", 2.0), ("link_active_w", 0.6), ("dsp_active_w", 1.8)):
        assert found[f"power.{name}"].known, name
        assert found[f"power.{name}"].value == pytest.approx(watts, rel=0.05), name
    assert power.scenario.power.base_w == pytest.approx(0.9, rel=0.05)


def test_clocks_and_results_that_return_come_back_in_times_and_energies() -> None:
    truth = replace(
        TRUTH, link=replace(TRUTH.link, return_ms=5.0), clock=Clock(cpu=1.5, dsp=2.0, cpu_voltage=1.1, dsp_voltage=1.2)
    )
    base = replace(BASE, link=Link(return_ms=5.0), clock=truth.clock)
    frame = table(truth, alone=EVERYTHING, idle=True, energies=True)
    for stage, watts in (("sample", 2.0 * 1.5 * 1.1**2), ("quantize", 2.0 * 1.5 * 1.1**2), ("transfer", 0.6)):
        here = frame["stage"] == stage  # a clock and a voltage of one's own cost f * V^2
        frame.loc[here, "energy_mj"] = (0.9 + watts) * frame.loc[here, "time_ms"]
    empty = frame["conditions"].fillna("").str.contains("empty call")
    frame.loc[empty, "time_ms"] = truth.link.call_ms + truth.stage.train_call_ms / 2.0
    measured = measured_of(frame, "phone.csv")
    found = calibrate(measured, base)
    assert values(found)["link call"][0] == pytest.approx(8.0, rel=1e-3)
    assert values(found)["train"][0] == pytest.approx(200 / 64, rel=1e-3)
    power = {each.name: each for each in fit_power(measured, found).fitted}
    assert power["power.dsp_active_w"].value == pytest.approx(1.8, rel=0.03)
    assert power["power.base_w"].value == pytest.approx(0.9, rel=0.03)


def test_a_payload_that_no_row_can_show_is_refused() -> None:
    base = replace(BASE, link=Link(bytes_per_s=1e6, model_bytes=400_000.0))
    with pytest.raises(ValueError, match=r"link\.model_bytes and link\.return_bytes cannot be calibrated"):
        calibrate(measured_of(table(), "phone.csv"), base)


def test_what_another_good_fit_leaves_free_is_no_knowledge() -> None:
    """A sweep with noise in which the link binds, and in which training could as well: neither is known."""
    on = {1: 0.572336, 2: 1.148039, 4: 2.290757, 8: 4.531672, 16: 9.192507, 128: 73.494608}
    off = {1: 1.179149, 2: 2.396426, 4: 4.782882, 8: 9.462607, 16: 18.730499, 128: 152.498166}
    rows = [Observation("overlapped", size, 200, ms, 0.01 * ms) for size, ms in on.items()]
    rows += [Observation("sequential", size, 200, ms, 0.01 * ms) for size, ms in off.items()]
    found = calibrate(Measured("phone", "Net", "Data", tuple(rows)), BASE)
    train = next(each for each in found.fitted if each.name == "train")
    assert train.assumed or not train.known


def test_without_energies_or_the_idle_phone_the_run_that_would_help_is_named() -> None:
    measured = measured_of(table(), "phone.csv")
    none = fit_power(measured, calibrate(measured, BASE))
    assert none.fitted == ()
    assert "idle phone" in none.runs[0]
    some = measured_of(table(energies=True, overlaps=("on",)), "phone.csv")
    assert "the idle phone for 30 s (stage idle)" in fit_power(some, calibrate(some, BASE)).runs


def test_rows_of_another_phone_or_model_are_left_out_or_asked_about() -> None:
    frame = pd.concat([table(), table().assign(device="Pixel 9")], ignore_index=True)
    with pytest.raises(TableError, match=r"holds sweeps of several; choose by --device \(Pixel 8, Pixel 9\)"):
        measured_of(frame, "phone.csv")
    assert measured_of(frame, "phone.csv", {"device": "pixel9"}).device == "Pixel 9"
    with pytest.raises(TableError, match="has no sweep with device 'Nokia'"):
        measured_of(frame, "phone.csv", {"device": "Nokia"})


def test_rows_of_another_processor_precision_or_condition_are_not_mixed_in() -> None:
    good = table(alone=("train", *EVERYTHING))
    cpu = good[good["stage"] == "train"].assign(processor="cpu", precision="fp32", time_ms=9e3, batch_size=64)
    plain = calibrate(measured_of(good, "phone.csv"), BASE)
    assert calibrate(measured_of(pd.concat([good, cpu], ignore_index=True), "phone.csv"), BASE).fitted == plain.fitted
    totals = good[good["stage"] == "total"]
    flat = totals.assign(time_ms=2 * totals["time_ms"], conditions=totals["conditions"].str.replace("80 %", "5 %"))
    both = pd.concat([good, flat], ignore_index=True)
    with pytest.raises(TableError, match=r"more than once; choose by --conditions \(battery: 5 %; battery: 80 %\)"):
        measured_of(both, "phone.csv")
    assert len(measured_of(both, "phone.csv", {"conditions": "battery: 80 %"}).observations) == len(good)
    wide = pd.concat([good, totals.assign(processor="dsp")], ignore_index=True)
    with pytest.raises(TableError, match=r"choose by --processor \(dsp, npu\)"):
        measured_of(wide, "phone.csv")


def test_rows_that_say_nothing_of_overlap_are_counted() -> None:
    frame = table()
    frame.loc[frame["conditions"].str.startswith("overlap: off"), "conditions"] = "overlap=off"
    assert measured_of(frame, "phone.csv").ignored == len(SIZES)
    assert measured_of(table(), "phone.csv").ignored == 0


def test_idle_power_in_any_row_counts() -> None:
    measured = measured_of(table(energies=True).assign(power_idle_mw=900.0), "phone.csv")
    assert [row.power_w for row in measured.observations if row.kind == "idle"] == [0.9]


def test_a_table_without_a_sweep_or_timed_under_emulation_is_refused() -> None:
    frame = table()
    with pytest.raises(TableError, match="conditions say 'overlap: on' or 'overlap: off'"):
        measured_of(frame.assign(conditions=None, batch_size=range(len(frame))), "phone.csv")
    with pytest.raises(TableError, match="timed under emulation"):
        measured_of(frame.assign(provenance="emulated"), "phone.csv")
    few = measured_of(frame[frame["batch_size"] <= 8], "phone.csv")
    with pytest.raises(ValueError, match="held-out rows need at least 3 batch sizes"):
        cross_validate(few, BASE)


def test_an_observation_says_how_sure_it_is() -> None:
    row = Observation("overlapped", 64, 100, 200.0, 1.0)
    assert row.words == "overlapped, batch 64"
    frame = table(overlaps=("on",))
    frame["time_ms_std"] = float("nan")
    unstated = measured_of(frame, "phone.csv").observations[0]
    assert unstated.error_ms == pytest.approx(0.01 * unstated.time_ms)
