from dataclasses import replace

import pandas as pd
import pytest

from costmodel.batch import BatchCost
from costmodel.overlap import Pipelining, measured_stages, pipelined, without_twins
from profiler.sheet import TableError
from profiler.table import check_table

PAPER = BatchCost(
    device="Xiaomi 10",
    processor="dsp",
    precision="int8",
    model="VGG-16",
    dataset="CIFAR-10",
    batch_size=64,
    time_ms=397.0,
    energy_mj=1100.0,
    conditions="engine: MNN",
    provenance="published",
    source="Yuan et al. WWW'24 Table 2 p. 7",
    note="",
    table="table2.csv",
)
FEMNIST = replace(PAPER, model="LeNet-5", dataset="FEMNIST", batch_size=5, time_ms=11.0, energy_mj=20.0)


def test_as_measured_nothing_changes() -> None:
    assert pipelined(PAPER, Pipelining()).cost is PAPER


@pytest.mark.parametrize(
    ("cost", "reading", "on_ms", "off_ms"),
    [
        (PAPER, "a", 397.0, 424.4),
        (PAPER, "d", 369.6, 397.0),
        (PAPER, "f", 397.0, 424.4),
        (FEMNIST, "a", 25.0, 38.4),
        (FEMNIST, "f", 11.0, 13.607),
        (FEMNIST, "g", 11.0, 11.601),
    ],
)
def test_a_reading_gives_both_ways(cost: BatchCost, reading: str, on_ms: float, off_ms: float) -> None:
    for overlap, expected in (("on", on_ms), ("off", off_ms)):
        found = pipelined(cost, Pipelining(overlap, reading))
        assert found.cost.time_ms == pytest.approx(expected, abs=0.001)
        assert found.changed is (abs(found.cost.time_ms - cost.time_ms) > 1e-9)
        assert f"link reading {reading.upper()}, inferred" in found.how


def test_energy_changes_by_idle_power_times_the_change_or_is_unknown() -> None:
    off = Pipelining("off", "a")
    assert pipelined(PAPER, off).cost.energy_mj is None
    assert pipelined(PAPER, replace(off, idle_w=0.8)).cost.energy_mj == pytest.approx(1100 + 0.8 * 27.4)
    assert pipelined(PAPER, Pipelining("on", "a")).cost.energy_mj == 1100  # its time is as measured


def test_reading_g_spreads_its_cost_over_the_epochs() -> None:
    one, four = (pipelined(PAPER, Pipelining("off", "g"), epochs).cost.time_ms for epochs in (1, 4))
    assert one - 399.4 == pytest.approx(25 / 7.8125)
    assert four - 399.4 == pytest.approx(25 / 7.8125 / 4)


def test_an_impossible_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="reading B is impossible for Xiaomi 10 on FEMNIST"):
        pipelined(FEMNIST, Pipelining("off", "b"))


def test_the_cpu_has_nothing_to_overlap_and_others_stay_as_measured() -> None:
    cpu = replace(PAPER, processor="cpu")
    assert pipelined(cpu, Pipelining("off")).cost is cpu
    own = replace(PAPER, source="session 1")
    found = pipelined(own, Pipelining("off"))
    assert found.cost is own
    assert found.how == "left as measured: its stages were not measured"
    other_size = replace(PAPER, batch_size=32)
    assert pipelined(other_size, Pipelining("off")).cost is other_size


def stage_table(**changes: object) -> pd.DataFrame:
    rows = [("cpu", "sample", 1.0), ("cpu", "quantize", 2.0), ("npu", "transfer", 3.0), ("npu", "train", 10.0)]
    return check_table(
        pd.DataFrame(
            [
                {"device": "Pixel 8", "processor": processor, "precision": "int8", "model": "Net", "dataset": "Data"}
                | {"batch_size": 4, "stage": stage, "time_ms": time_ms, "energy_mj": None, "source": "s"}
                | {"power_idle_mw": 500.0, "provenance": "measured"} | changes
                for processor, stage, time_ms in rows
            ]
        )
    )  # fmt: skip


OWN = replace(
    PAPER, device="Pixel 8", processor="npu", model="net", dataset="data", batch_size=4, time_ms=11.0, energy_mj=30.0,
    source="s", conditions="",
)  # fmt: skip


def test_measured_stages_give_both_ways_and_their_idle_power_the_energy() -> None:
    stages = measured_stages({"phone.csv": stage_table()})
    on, off = (pipelined(OWN, Pipelining(overlap, stages=stages)) for overlap in ("on", "off"))
    assert (on.cost.time_ms, off.cost.time_ms) == (10, 16)
    assert on.cost.energy_mj == pytest.approx(30 + 0.5 * (10 - 11))
    assert off.cost.energy_mj == pytest.approx(30 + 0.5 * (16 - 11))
    assert on.how == "overlap on, from its measured stages"
    assert pipelined(replace(OWN, batch_size=8), Pipelining("on", stages=stages)).cost.time_ms == 11
    with pytest.raises(TableError, match="timed under emulation"):
        measured_stages({"phone.csv": stage_table(provenance="emulated")})


def test_stages_of_another_processor_precision_or_condition_are_not_mixed_in() -> None:
    good = stage_table()
    cpu = good[good["stage"] == "train"].assign(processor="cpu", precision="fp32", time_ms=3000.0)
    stages = measured_stages({"phone.csv": pd.concat([good, cpu], ignore_index=True)})
    assert pipelined(OWN, Pipelining("on", stages=stages)).cost.time_ms == 10
    same_precision = cpu.assign(precision="int8")
    on_dsp = good[good["stage"] == "quantize"].assign(processor="npu", time_ms=21.0)
    for others in (same_precision, on_dsp):
        stages = measured_stages({"phone.csv": pd.concat([good, others], ignore_index=True)})
        found = pipelined(OWN, Pipelining("off", stages=stages))
        assert found.cost.time_ms == 16, found.how
    hot = good[good["stage"] == "train"].assign(conditions="hot", time_ms=20.0)
    stages = measured_stages({"phone.csv": pd.concat([good, hot], ignore_index=True)})
    assert pipelined(OWN, Pipelining("on", stages=stages)).cost.time_ms == 10  # whose conditions are those of the cost
    twice = good[good["stage"] == "train"].assign(conditions="cold", time_ms=8.0)
    stages = measured_stages({"phone.csv": pd.concat([good, hot, twice], ignore_index=True)})
    other = pipelined(replace(OWN, conditions="warm"), Pipelining("on", stages=stages))
    assert other.cost.time_ms == 10  # the row that states none
    stated = pd.concat([good[good["stage"] != "train"], hot, twice], ignore_index=True)
    other = pipelined(replace(OWN, conditions="warm"), Pipelining("on", stages=measured_stages({"phone.csv": stated})))
    assert other.how == "left as measured: its train was measured under other conditions"
    assert other.cost.time_ms == 11


def test_stages_that_are_missing_or_cannot_be_are_named() -> None:
    good = stage_table()
    few = measured_stages({"phone.csv": good[good["stage"] != "transfer"]})
    assert pipelined(OWN, Pipelining("on", stages=few)).how == "left as measured: transfer was not measured"
    slow = good.assign(time_ms=good["time_ms"] * 6)
    found = pipelined(OWN, Pipelining("on", stages=measured_stages({"phone.csv": slow})))
    assert "training alone takes longer than its complete batch" in found.how
    blank = good.copy()
    blank.loc[blank["stage"].isin(["sample", "quantize"]), ["model", "dataset"]] = None
    assert pipelined(OWN, Pipelining("off", stages=measured_stages({"phone.csv": blank}))).cost.time_ms == 16


def test_what_was_measured_both_ways_is_taken_as_measured() -> None:
    on, off = (
        replace(OWN, conditions=f"overlap: {way}; cold", time_ms=time) for way, time in (("on", 10.0), ("off", 17.0))
    )
    lone = replace(OWN, batch_size=8, conditions="overlap: on")
    both = (on, off, lone)
    assert without_twins(both, Pipelining()) == both
    assert without_twins(both, Pipelining("on")) == (on, lone)
    assert without_twins(both, Pipelining("off")) == (off, lone)
    assert pipelined(off, Pipelining("off")).how == "measured with overlap off"
    assert pipelined(lone, Pipelining("off")).how.startswith("left as measured")


def test_an_idle_power_above_the_power_of_training_is_refused() -> None:
    with pytest.raises(ValueError, match=r"idle power must not be above the 2\.77 W of training Xiaomi 10"):
        pipelined(PAPER, Pipelining("off", idle_w=5.0))


@pytest.mark.parametrize("watts", [-1.0, float("nan"), 1e9])
def test_an_idle_power_that_is_none_is_refused(watts: float) -> None:
    with pytest.raises(ValueError, match="idle power must be from 0 to 1000 W"):
        Pipelining("off", idle_w=watts)
